//! Windows that are aligned to the clock: `within: "1h"` begins at each full hour, `"1d"` at midnight
//! of the time zone.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::model::time::Time;

/// The time zone whose midnight aligns windows.
#[derive(Debug, Clone)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    pub(crate) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Reads the name of a time zone.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        TimeZone::get(name).map(Self).map_err(|_| {
            format!("`{name}` is no time zone; expected a name such as `UTC` or `Europe/Berlin`")
        })
    }

    /// The window of this length in which `at` lies: its begin, and its end, which is not part of it.
    /// Windows count from the local midnight; the last one of a day ends with the day, also of a day of
    /// 23 or 25 hours. Windows longer than a day count days from 1970.
    pub(crate) fn window(&self, at: Time, length: Duration) -> (Time, Time) {
        const DAY: i64 = 24 * 60 * 60 * 1_000;
        let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
        let local = at.to_jiff().to_zoned(self.0.clone());
        let midnight = |days: i64| {
            let date = jiff::civil::date(1970, 1, 1)
                .checked_add(jiff::Span::new().days(days))
                .and_then(|date| date.to_zoned(self.0.clone()));
            date.map_or(at, |midnight| Time::from_jiff(midnight.timestamp()))
        };
        let days = local
            .date()
            .since((jiff::Unit::Day, jiff::civil::date(1970, 1, 1)))
            .map_or(0, |span| i64::from(span.get_days()));
        if length >= DAY {
            let every = length / DAY;
            let first = days - days.rem_euclid(every);
            return (midnight(first), midnight(first + every));
        }
        let (begin, end) = (midnight(days), midnight(days + 1));
        let into = (at.millis() - begin.millis()) / length * length;
        let from = Time::from_millis(begin.millis() + into);
        let to = Time::from_millis((from.millis() + length).min(end.millis()));
        (from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(zone: &str, at: &str, length: &str) -> (String, String) {
        let zone = Zone::parse(zone).unwrap();
        let length = crate::model::span::parse(length).unwrap();
        let (from, to) = zone.window(at.parse().unwrap(), length);
        (from.to_string(), to.to_string())
    }

    #[test]
    fn windows_begin_with_the_clock_of_their_zone() {
        let cases = [
            ("UTC", "2026-11-21T10:59:59.999Z", "1h", "10:00", "11:00"),
            ("UTC", "2026-11-21T11:00:00Z", "1h", "11:00", "12:00"),
            ("Asia/Kolkata", "2026-11-21T10:59:00Z", "1h", "10:30", "11:30"),
        ];
        for (zone, at, length, from, to) in cases {
            let day = |hour: &str| format!("2026-11-21T{hour}:00.000Z");
            assert_eq!(window(zone, at, length), (day(from), day(to)), "{zone} {at}");
        }
    }

    #[test]
    fn a_day_is_as_long_as_it_is_there() {
        let (from, to) = window("Europe/Berlin", "2026-03-29T12:00:00Z", "1d");
        assert_eq!(from, "2026-03-28T23:00:00.000Z");
        assert_eq!(to, "2026-03-29T22:00:00.000Z", "23 hours");
        let (from, to) = window("Europe/Berlin", "2026-10-25T22:30:00Z", "10h");
        assert_eq!(from, "2026-10-25T18:00:00.000Z");
        assert_eq!(to, "2026-10-25T23:00:00.000Z", "the last one ends with the day");
    }

    #[test]
    fn before_1970_windows_are_aligned_too() {
        let (from, to) = window("UTC", "1969-12-31T23:30:00Z", "2d");
        assert_eq!(
            (from.as_str(), to.as_str()),
            ("1969-12-30T00:00:00.000Z", "1970-01-01T00:00:00.000Z")
        );
    }
}
