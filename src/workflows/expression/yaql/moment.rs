//! Instants with an offset, and spans: what `datetime` and `timespan` give.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use crate::workflows::expression::fault::Fault;

/// An instant, and the offset in which it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Microseconds since 1970, in UTC.
    pub(super) micros: i64,
    /// East of UTC.
    pub(super) offset_seconds: i32,
}

/// A span of time; it may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Microseconds.
    pub(super) micros: i64,
}

/// Forms that are read beside RFC 3339.
const FORMS: &[&str] = &[
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y%m%dT%H%M%S",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d",
];

impl Moment {
    /// The civil time in its offset, with the zone.
    ///
    /// # Errors
    /// It is beyond the years that can be written.
    pub(super) fn zoned(self) -> Result<jiff::Zoned, Fault> {
        let beyond = |_| Fault::value("the date is out of range");
        let offset = Offset::from_seconds(self.offset_seconds).map_err(beyond)?;
        let instant = Timestamp::from_microsecond(self.micros).map_err(beyond)?;
        Ok(instant.to_zoned(TimeZone::fixed(offset)))
    }

    /// From civil time and an offset.
    ///
    /// # Errors
    /// There is no such offset or instant.
    pub(super) fn civil(civil: jiff::civil::DateTime, offset_seconds: i32) -> Result<Self, Fault> {
        let wrong = |error: jiff::Error| Fault::value(error.to_string());
        let offset = Offset::from_seconds(offset_seconds).map_err(wrong)?;
        let instant = offset.to_timestamp(civil).map_err(wrong)?;
        Ok(Self { micros: instant.as_microsecond(), offset_seconds })
    }

    /// Reads a date as people write it.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        if let Ok(pieces) = jiff::fmt::temporal::Pieces::parse(text)
            && let Some(offset) = pieces.to_numeric_offset()
        {
            let time = pieces.time().unwrap_or_default();
            return Self::civil(pieces.date().to_datetime(time), offset.seconds());
        }
        for form in FORMS {
            if let Ok(moment) = Self::read_as(text, form) {
                return Ok(moment);
            }
        }
        if let Ok(zoned) = jiff::fmt::rfc2822::parse(text) {
            return Self::civil(zoned.datetime(), zoned.offset().seconds());
        }
        Err(Fault::new("ParserError", format!("Unknown string format: {text}")))
    }

    /// Reads a date in a form of `strptime`.
    ///
    /// # Errors
    /// It has not that form.
    pub(super) fn read_as(text: &str, form: &str) -> Result<Self, Fault> {
        let wrong = |error: jiff::Error| Fault::value(error.to_string());
        let read = jiff::fmt::strtime::BrokenDownTime::parse(form, text).map_err(wrong)?;
        let date = read.to_date().map_err(wrong)?;
        let time = read.to_time().unwrap_or_default();
        Self::civil(date.to_datetime(time), read.offset().map_or(0, Offset::seconds))
    }

    /// Writes it in a form of `strftime`.
    ///
    /// # Errors
    /// There is no such form.
    pub(super) fn written(self, form: &str) -> Result<String, Fault> {
        let wrong = |error: jiff::Error| Fault::value(error.to_string());
        jiff::fmt::strtime::format(form.replace("%f", "%6f"), &self.zoned()?).map_err(wrong)
    }

    /// As Python writes it: `2016-01-02 03:04:05+00:00`.
    pub(super) fn shown(self) -> String {
        let form = if self.micros % 1_000_000 == 0 {
            "%Y-%m-%d %H:%M:%S%:z"
        } else {
            "%Y-%m-%d %H:%M:%S.%f%:z"
        };
        self.written(form).unwrap_or_else(|_| self.micros.to_string())
    }
}

impl Span {
    /// As Python writes it: `1 day, 2:00:00`.
    pub(super) fn shown(self) -> String {
        const DAY: i64 = 86_400_000_000;
        let (days, rest) = (self.micros.div_euclid(DAY), self.micros.rem_euclid(DAY));
        let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let days = match days {
            0 => String::new(),
            1 | -1 => format!("{days} day, "),
            _ => format!("{days} days, "),
        };
        let micros = if micros == 0 { String::new() } else { format!(".{micros:06}") };
        format!("{days}{hours}:{minutes:02}:{seconds:02}{micros}")
    }
}
