//! Spans of time as people write them: `250ms`, `5m`, `1h30m`, `2 days`.

use std::time::Duration;

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a span of time; expected one such as `250ms`, `30s`, `5m`, `1h30m` or `2d`"
)]
pub struct NotASpan {
    text: String,
}

/// Reads a span of time; a day has 24 hours and a week seven days.
///
/// # Errors
/// `NotASpan` where it is none, is negative, or counts months or years, whose length varies.
pub fn parse(text: &str) -> Result<Duration, NotASpan> {
    let wrong = || NotASpan { text: text.to_owned() };
    let span: jiff::Span = text.trim().parse().map_err(|_| wrong())?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let exact = span.to_duration(days).map_err(|_| wrong())?;
    Duration::try_from(exact).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_spans_in_these_ways() {
        let cases = [("250ms", 250), ("5m", 300_000), ("1h30m", 5_400_000), ("2d", 172_800_000)];
        for (text, ms) in cases {
            assert_eq!(parse(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        assert_eq!(parse("1w").unwrap(), parse("7 days").unwrap());
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "5", "-5m", "soon", "1 month", "5 m h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
