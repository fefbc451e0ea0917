//! Strikes secrets out of text that flows: in every usual form, and across the borders of chunks.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// What stands in a secret's place.
pub const STRUCK: &str = "********";

/// Secrets from this length on are struck wherever they stand. Shorter ones would strike half of what
/// people want to read, so they are struck only as whole words, in the form in which they are given.
const ANYWHERE_BYTES: usize = 6;

/// Still shorter ones are left alone: "1" or "on" as a secret is a mistake, not a secret.
const WORD_BYTES: usize = 4;

/// A line of a secret of many lines is struck by itself from this length on.
const LINE_BYTES: usize = 8;

/// RFC 3986, section 2.3.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Knows some secrets and strikes them out of a stream of text. What may be the beginning of a secret
/// is held back until the next piece, or the end, shows what it is. A clone continues its own stream.
#[derive(Clone)]
pub struct Redactor {
    forms: Arc<Forms>,
    held: String,
    /// Bytes at the beginning of `held` whose mask has been given out already.
    masked: usize,
    before: Option<char>,
}

/// Never shows the secrets.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(***)")
    }
}

struct Forms {
    /// Every form of every secret, sorted.
    all: Vec<Form>,
    matcher: AhoCorasick,
    /// Bytes of the longest form.
    longest: usize,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    text: String,
    /// Whether it is struck only where no letter or digit touches it.
    word: bool,
}

impl Redactor {
    /// Strikes out these.
    ///
    /// # Panics
    /// Where they have 2 GiB in all.
    #[must_use]
    pub fn new(secrets: &[String]) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets.iter().map(|secret| secret.trim()) {
            if secret.len() >= ANYWHERE_BYTES {
                forms.extend(spellings(secret).into_iter().map(|text| Form { text, word: false }));
            } else if secret.len() >= WORD_BYTES {
                forms.insert(Form { text: secret.to_owned(), word: true });
            }
        }
        let forms: Vec<Form> = forms.into_iter().collect();
        let longest = forms.iter().map(|form| form.text.len()).max().unwrap_or(0);
        let matcher = AhoCorasick::new(forms.iter().map(|form| &form.text))
            .expect("the forms of the secrets of one execution are far below 2 GiB");
        let forms = Arc::new(Forms { all: forms, matcher, longest });
        Self { forms, held: String::new(), masked: 0, before: None }
    }

    /// The next piece of the stream, as it may be shown.
    pub fn push(&mut self, piece: &str) -> String {
        if self.forms.all.is_empty() {
            return piece.to_owned();
        }
        self.held.push_str(piece);
        let end = self.forms.doubt(&self.held);
        self.release(end)
    }

    /// What was held back at the end of the stream.
    pub fn finish(&mut self) -> String {
        self.release(self.held.len())
    }

    /// A whole text as it may be shown.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let forms = Arc::clone(&self.forms);
        let mut stream = Self { forms, held: String::new(), masked: 0, before: None };
        let mut struck = stream.push(text);
        struck += &stream.finish();
        struck
    }

    /// A result as it may be shown, names of its fields too.
    #[must_use]
    pub fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                let fields =
                    fields.iter().map(|(name, value)| (self.text(name), self.value(value)));
                Value::Object(fields.collect())
            }
            Value::Number(number) if self.text(&number.to_string()) == STRUCK => STRUCK.into(),
            other => other.clone(),
        }
    }

    /// Gives the text up to `end`, struck, and keeps the rest.
    fn release(&mut self, end: usize) -> String {
        let strikes = self.forms.strikes(&self.held, self.before, self.masked);
        let (mut out, mut at, mut masked) = (String::new(), 0, 0);
        for strike in strikes {
            let told = strike.start == 0 && self.masked > 0;
            if strike.start >= end && !told {
                break;
            }
            out.push_str(&self.held[at..strike.start]);
            if !told {
                out.push_str(STRUCK);
            }
            at = strike.end.min(end).max(at);
            masked = strike.end.saturating_sub(end);
        }
        out.push_str(&self.held[at..end]);
        self.before = self.held[..end].chars().next_back().or(self.before);
        self.held.drain(..end);
        self.masked = masked;
        out
    }
}

impl Forms {
    /// Where the part of `text` begins that may yet grow into a secret.
    fn doubt(&self, text: &str) -> usize {
        let first = text.len().saturating_sub(self.longest);
        let open = |at: &usize| {
            let Some(end) = text.get(*at..) else { return false }; // Inside a character.
            let from = self.all.partition_point(|form| form.text.as_str() < end);
            // All forms that begin with `end` follow each other from there.
            self.all[from..]
                .iter()
                .take_while(|form| form.text.starts_with(end))
                .any(|form| form.text.len() > end.len() || form.word)
        };
        (first..text.len()).find(open).unwrap_or(text.len())
    }

    /// The parts of `text` to strike, in their order, none touching the inside of another.
    fn strikes(&self, text: &str, before: Option<char>, masked: usize) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        if masked > 0 {
            found.push(0..masked);
        }
        let mut hits: Vec<Range<usize>> = self
            .matcher
            .find_overlapping_iter(text)
            .filter(|hit| {
                !self.all[hit.pattern().as_usize()].word || alone(text, hit.range(), before)
            })
            .map(|hit| hit.range())
            .collect();
        hits.sort_by_key(|hit| hit.start);
        for hit in hits {
            match found.last_mut() {
                Some(last) if hit.start < last.end => last.end = last.end.max(hit.end),
                _ => found.push(hit),
            }
        }
        found
    }
}

/// Whether neither letter nor digit touches the part of `text`; `before` came before the text.
fn alone(text: &str, part: Range<usize>, before: Option<char>) -> bool {
    let left = text[..part.start].chars().next_back().or(before);
    let right = text[part.end..].chars().next();
    let touches = |neighbour: Option<char>| neighbour.is_some_and(char::is_alphanumeric);
    !touches(left) && !touches(right)
}

/// Every form in which programs spell a secret.
fn spellings(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    forms.extend(
        secret.lines().map(str::trim).filter(|line| line.len() >= LINE_BYTES).map(Into::into),
    );
    if let Ok(quoted) = serde_json::to_string(secret) {
        let inside = quoted[1..quoted.len() - 1].to_owned();
        // A secret in JSON that stands in JSON again.
        forms.push(inside.replace('\\', "\\\\").replace('"', "\\\""));
        forms.push(inside);
    }
    let url = utf8_percent_encode(secret, URL).to_string();
    forms.push(url.replace("%20", "+"));
    forms.push(lower_escapes(&url));
    forms.push(url);
    let hex: String =
        secret.bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    forms.push(hex.to_uppercase());
    forms.push(hex);
    for shift in 0..3 {
        for engine in [&STANDARD, &URL_SAFE] {
            forms.extend(base64(engine, shift, secret));
        }
    }
    forms
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

/// `%2F` as `%2f`.
fn lower_escapes(url: &str) -> String {
    let mut parts = url.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escape, rest) = part.split_at(part.len().min(2));
        lower.push('%');
        lower.push_str(&escape.to_lowercase());
        lower.push_str(rest);
    }
    lower
}

/// The letters of base64 that a secret alone decides, when `shift` bytes (modulo 3) stand before it.
fn base64(engine: &impl Engine, shift: usize, secret: &str) -> Option<String> {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(secret.as_bytes());
    let encoded = engine.encode(&bytes);
    // Each letter holds 6 bits; those at the borders hold bits of the neighbours, too.
    let (first, end) = ((8 * shift).div_ceil(6), 8 * bytes.len() / 6);
    encoded.get(first..end).filter(|form| form.len() >= ANYWHERE_BYTES).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "s3cr3t/p&ss \"w\u{f6}rd\"";

    fn knows(secrets: &[&str]) -> Redactor {
        Redactor::new(&secrets.iter().map(|secret| (*secret).to_owned()).collect::<Vec<_>>())
    }

    fn struck(text: &str) -> String {
        knows(&[SECRET]).text(text)
    }

    #[test]
    fn every_form_is_struck() {
        let json = serde_json::to_string(SECRET).unwrap();
        let url = utf8_percent_encode(SECRET, URL).to_string();
        for form in [SECRET, &json[1..json.len() - 1], &url, &lower_escapes(&url)] {
            assert_eq!(struck(&format!("a {form} b")), format!("a {STRUCK} b"));
        }
        for before in ["", "x", "xy", "user:"] {
            for after in ["", "z", "zz"] {
                let text = STANDARD.encode(format!("{before}{SECRET}{after}"));
                assert!(struck(&text).contains(STRUCK), "{text}");
                assert!(text.len() - struck(&text).replace(STRUCK, "").len() >= 20, "{text}");
            }
        }
    }

    #[test]
    fn secrets_that_overlap_are_struck_whole() {
        let redactor = knows(&["abcdefgh", "efghijkl"]);
        assert_eq!(redactor.text("-abcdefghijkl-"), format!("-{STRUCK}-"));
    }

    #[test]
    fn short_secrets_are_struck_as_words() {
        let redactor = knows(&["1234", "on"]);
        assert_eq!(redactor.text("pin 1234, id 91234, on"), format!("pin {STRUCK}, id 91234, on"));
        let mut stream = redactor.clone();
        let out = ["9", "1234", " 123", "4"].map(|piece| stream.push(piece)).concat();
        assert_eq!(out + &stream.finish(), format!("91234 {STRUCK}"));
    }

    #[test]
    fn a_secret_that_repeats_itself_holds_nothing_back_for_ever() {
        let mut stream = knows(&["aaaaaa"]);
        let out: String = (0..10_000).map(|_| stream.push("aaa")).collect();
        assert!(out.len() < 20 && stream.held.len() < 6);
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            text in "[ab]{0,60}",
            secrets in proptest::collection::vec("[ab]{4,9}", 1..4),
            cuts in proptest::collection::vec(0_usize..60, 0..6),
        ) {
            let redactor = Redactor::new(&secrets);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.push(text.len());
            cuts.sort_unstable();
            let (mut stream, mut out, mut from) = (redactor.clone(), String::new(), 0);
            for cut in cuts {
                out += &stream.push(&text[from..cut]);
                from = cut;
            }
            out += &stream.finish();
            prop_assert_eq!(&out, &redactor.text(&text));
            for secret in secrets.iter().filter(|secret| secret.len() >= ANYWHERE_BYTES) {
                prop_assert!(!out.contains(secret.as_str()));
            }
        }
    }
}
