//! Times as people and machines write them, for `timediff_lt` and `timediff_gt`. What names no zone
//! is UTC, as in StackStorm.

use jiff::civil::{Date, DateTime, Time as Clock};
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::model::time::Time;

/// Forms without a zone, tried in this order.
const FORMS: &[&str] = &[
    "%a %b %e %H:%M:%S %Y",
    "%d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M",
    "%b %d %Y %H:%M:%S",
    "%b %d, %Y %H:%M:%S",
    "%B %d, %Y %H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%Y-%m-%d %H:%M",
];

/// The same with a numeric offset behind.
const ZONED: &[&str] =
    &["%Y-%m-%d %H:%M:%S%.f %z", "%Y-%m-%dT%H:%M:%S%.f%z", "%d/%b/%Y:%H:%M:%S %z"];

/// Days without a time of day.
const DAYS: &[&str] = &["%Y/%m/%d", "%m/%d/%Y", "%d %b %Y", "%b %d, %Y", "%B %d, %Y"];

/// The instant that `text` names, seen from `now`: a time of day alone is today's.
pub(crate) fn parse(text: &str, now: Time) -> Option<Timestamp> {
    let text = text.trim();
    let utc = |when: DateTime| when.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let bare = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT")).unwrap_or(text);
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<Zoned>().ok().map(|zoned| zoned.timestamp()))
        .or_else(|| rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()))
        .or_else(|| ZONED.iter().find_map(|form| Timestamp::strptime(form, text).ok()))
        .or_else(|| bare.parse::<DateTime>().ok().and_then(utc))
        .or_else(|| bare.parse::<Date>().ok().and_then(|day| utc(day.into())))
        .or_else(|| {
            let form = FORMS.iter().find_map(|form| strtime::parse(form, bare).ok());
            form.and_then(|parts| utc(parts.to_datetime().ok()?))
        })
        .or_else(|| {
            let form = DAYS.iter().find_map(|form| strtime::parse(form, bare).ok());
            form.and_then(|parts| utc(parts.to_date().ok()?.into()))
        })
        .or_else(|| {
            let clock: Clock = bare.parse().ok()?;
            utc(now.to_jiff().to_zoned(TimeZone::UTC).date().to_datetime(clock))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_their_many_forms() {
        let now = Time::from_jiff("2026-03-01T12:00:00Z".parse().unwrap());
        for text in [
            "2026-03-01T11:59:50Z",
            "2026-03-01T11:59:50.000000",
            "2026-03-01 11:59:50",
            "2026-03-01 12:59:50+01:00",
            "2026-03-01T12:59:50+0100",
            "20260301T115950Z",
            "Sun, 01 Mar 2026 11:59:50 GMT",
            "Sun Mar  1 11:59:50 2026",
            "2026/03/01 11:59:50",
            "Mar 1 2026 11:59:50",
            "01/Mar/2026:11:59:50 +0000",
            "2026-03-01 11:59:50 UTC",
            "11:59:50",
        ] {
            let found = parse(text, now).map(|at| at.to_string());
            assert_eq!(found.as_deref(), Some("2026-03-01T11:59:50Z"), "{text}");
        }
        for text in ["", "garbage", "None", "1772366390"] {
            assert_eq!(parse(text, now), None, "{text}");
        }
    }
}
