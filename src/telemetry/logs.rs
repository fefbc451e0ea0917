//! Where log lines go: to stderr, for people or as JSON. Standard output belongs to answers.

use std::fmt;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// A text that says no log levels.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` does not say log levels: {what}")]
pub struct NotLevels {
    text: String,
    what: String,
}

/// What the store's engine says of its inside is ours to say, unless somebody asks for it.
const QUIET: &str = "redb";

/// Reads `info`, `warn,ifso=debug`, ….
///
/// # Errors
/// `NotLevels`.
pub fn levels(text: &str) -> Result<EnvFilter, NotLevels> {
    let wrong = |what: String| NotLevels { text: text.to_owned(), what };
    // The filter takes a lone word for the only module that may speak, and all others fall silent.
    let level = |part: &str| {
        part.contains('=') || LEVELS.iter().any(|level| level.eq_ignore_ascii_case(part))
    };
    if let Some(part) = text.split(',').map(str::trim).find(|part| !level(part)) {
        return Err(wrong(format!("`{part}` is none of {}", LEVELS.join(", "))));
    }
    let asked = text.contains(QUIET);
    let whole = if asked { text.to_owned() } else { format!("{text},{QUIET}=error") };
    EnvFilter::try_new(whole).map_err(|error| wrong(error.to_string()))
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Sends log lines of these levels to stderr, once for the process. A second call changes nothing.
pub fn begin(levels: EnvFilter, format: Format, colours: bool) {
    let writer = BoxMakeWriter::new(std::io::stderr);
    let lines = tracing_subscriber::fmt().with_env_filter(levels).with_writer(writer);
    let begun = match format {
        Format::Json => lines.json().flatten_event(true).with_ansi(false).try_init(),
        Format::Text => lines.fmt_fields(fields()).with_target(false).with_ansi(colours).try_init(),
    };
    if let Err(error) = begun {
        tracing::debug!(%error, "log lines go somewhere already");
    }
}

/// The fields of a line for people, `name=value`, the message without its name.
fn fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    debug_fn(field).delimited(" ")
}

fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = one_line(&format!("{value:?}"));
    match (field.name(), writer.has_ansi_escapes()) {
        ("message", _) => write!(writer, "{value}"),
        (name, true) => write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}"),
        (name, false) => write!(writer, "{name}={value}"),
    }
}

/// A text as one line that does nothing to a terminal: much of what is logged was said by others.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        // Some programs break lines at these two as well.
        if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}') {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was written.
    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_others_say_stays_in_its_line() {
        let paper = Paper::default();
        let writer = BoxMakeWriter::new({
            let paper = paper.clone();
            move || paper.clone()
        });
        let lines = tracing_subscriber::fmt().fmt_fields(fields()).with_writer(writer);
        let lines = lines.with_ansi(false).with_target(false).without_time().finish();
        tracing::subscriber::with_default(lines, || {
            let reason = "no JSON: broken\n2026-11-21 ERROR \u{1b}[31mforged\r";
            tracing::warn!(sensor = "x", %reason, count = 2, "a sensor failed");
        });
        let written = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            written,
            " WARN a sensor failed sensor=\"x\" reason=no JSON: broken\\n2026-11-21 ERROR \
             \\u{1b}[31mforged\\r count=2\n"
        );
    }

    #[test]
    fn levels_are_checked_before_they_are_used() {
        assert!(levels("warn,ifso::rules=debug").is_ok());
        let quiet = |text: &str| levels(text).unwrap().to_string().contains("redb=error");
        assert!(quiet("info") && !quiet("info,redb=debug"));
        let refused = levels("ifso=loud").unwrap_err().to_string();
        assert!(refused.contains("`ifso=loud` does not say log levels"), "{refused}");
        let refused = levels("info,chatty").unwrap_err().to_string();
        assert!(refused.contains("`chatty` is none of error, warn, info"), "{refused}");
    }
}
