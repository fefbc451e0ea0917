//! Where log lines go: to stderr, for people or as JSON. Standard output belongs to answers.

use tracing_subscriber::EnvFilter;
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
        Format::Text => lines.with_target(false).with_ansi(colours).try_init(),
    };
    if let Err(error) = begun {
        tracing::debug!(%error, "log lines go somewhere already");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked_before_they_are_used() {
        assert!(levels("info").is_ok() && levels("warn,ifso::rules=debug").is_ok());
        let refused = levels("ifso=loud").unwrap_err().to_string();
        assert!(refused.contains("`ifso=loud` does not say log levels"), "{refused}");
        let refused = levels("info,chatty").unwrap_err().to_string();
        assert!(refused.contains("`chatty` is none of error, warn, info"), "{refused}");
    }
}
