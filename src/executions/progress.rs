//! What an attempt says about how far it is: lines of stdout such as
//! `{"progress": 0.4, "message": "half of the volumes"}`. They stay in the output like any other.

use serde_json::Value;

/// A line must begin so to be looked at any further.
const LEAD: &str = "{\"progress\"";
/// A longer line says no progress.
const LINE_BYTES: usize = 4096;
/// Characters of a message that are kept: a line on a terminal, not a report.
const MESSAGE_CHARS: usize = 300;

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    /// From 0 to 1.
    pub(super) progress: f64,
    /// What it says beside.
    pub(super) message: Option<String>,
}

/// Listens to a stream that comes in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Listener {
    /// The beginning of a line that may say something.
    held: String,
    /// The line under way says nothing: the rest of it is passed over.
    deaf: bool,
}

impl Listener {
    /// The last thing that the lines said which end in `piece`.
    pub(super) fn hear(&mut self, piece: &str) -> Option<Said> {
        let mut last = None;
        let mut rest = piece;
        while let Some(end) = rest.find('\n') {
            self.gather(&rest[..end]);
            last = self.finish().or(last);
            rest = &rest[end + 1..];
        }
        self.gather(rest);
        last
    }

    /// What a last line said that no line break ended.
    pub(super) fn finish(&mut self) -> Option<Said> {
        let deaf = std::mem::take(&mut self.deaf);
        let said = if deaf { None } else { read(&self.held) };
        self.held.clear();
        said
    }

    fn gather(&mut self, part: &str) {
        if self.deaf || (self.held.is_empty() && part.trim_start().is_empty()) {
            return;
        }
        let part = if self.held.is_empty() { part.trim_start() } else { part };
        let known = self.held.len().min(LEAD.len());
        let fits = LEAD.as_bytes().iter().skip(known).zip(part.as_bytes()).all(|(a, b)| a == b);
        if !fits || self.held.len() + part.len() > LINE_BYTES {
            self.held.clear();
            self.deaf = true;
            return;
        }
        self.held.push_str(part);
    }
}

fn read(line: &str) -> Option<Said> {
    if !line.starts_with(LEAD) {
        return None;
    }
    let value: Value = serde_json::from_str(line.trim_end()).ok()?;
    let progress = value["progress"].as_f64().filter(|p| (0.0..=1.0).contains(p))?;
    let message = value["message"].as_str().map(|text| text.chars().take(MESSAGE_CHARS).collect());
    Some(Said { progress, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&str]) -> Option<f64> {
        let mut listener = Listener::default();
        let mut last = None;
        for piece in pieces {
            last = listener.hear(piece).or(last);
        }
        listener.finish().or(last).map(|said| said.progress)
    }

    #[test]
    fn the_last_whole_line_counts_however_it_is_cut() {
        for (pieces, progress) in [
            (&["{\"progress\": 0.4}\n"][..], Some(0.4)),
            (&["{\"progress\": 0.1}\n{\"progress\": 1}\nbye\n"], Some(1.0)),
            (&["hi\n  {\"pro", "gress\"", ": 0.25, \"message\": \"a\"}", "\n"], Some(0.25)),
            (&["{\"progress\": 0.5}"], Some(0.5)),
            (&["at {\"progress\": 0.4}\n"], None),
            (&["x", "{\"progress\": 0.4}\n"], None),
            (&["{\"progress\": 40}\n"], None),
            (&["{\"progress\": \"half\"}\n"], None),
            (&["{\"progress\": 0.4, \"message\": \n}"], None),
            (&["{\"progresses\": 1}\n{\"progress\": 0}\n"], Some(0.0)),
        ] {
            assert_eq!(said(pieces), progress, "{pieces:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let mut listener = Listener::default();
        listener.hear(LEAD);
        for _ in 0..100 {
            listener.hear(&"x".repeat(100));
        }
        assert!(listener.held.len() <= LINE_BYTES);
        listener.hear("\n{\"progress\": 0.4, \"message\": \"half\"}");
        let expected = Said { progress: 0.4, message: Some("half".to_owned()) };
        assert_eq!(listener.finish(), Some(expected));
    }
}
