//! Points in time as people read them: in their own time zone, and in a table no longer than needed.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::model::time::Time;

/// The reader's now, and the reader's time zone.
#[derive(Debug, Clone)]
pub struct Here {
    now: Time,
    zone: TimeZone,
}

/// Within so much of now a table shows day and minute, beyond it the date.
const NEAR: Duration = Duration::from_hours(24 * 183);

impl Here {
    /// Somebody who reads at `now` in `zone`.
    #[must_use]
    pub fn new(now: Time, zone: TimeZone) -> Self {
        Self { now, zone }
    }

    /// The reader's now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The same reader later.
    #[must_use]
    pub fn at(&self, now: Time) -> Self {
        Self { now, zone: self.zone.clone() }
    }

    /// Whether `time` is over.
    #[must_use]
    pub fn is_past(&self, time: Time) -> bool {
        time <= self.now
    }

    /// `2026-11-21 13:56:47+01:00`.
    #[must_use]
    pub fn whole(&self, time: Time) -> String {
        self.formed(time, "%Y-%m-%d %H:%M:%S%:z")
    }

    /// `13:56:47` today, `11-20 13:56` in the half-year around it, `2025-11-20` else.
    #[must_use]
    pub fn short(&self, time: Time) -> String {
        let day = |time: Time| time.to_jiff().to_zoned(self.zone.clone()).date();
        let away = time.since(self.now).max(self.now.since(time));
        if day(time) == day(self.now) {
            self.formed(time, "%H:%M:%S")
        } else if away < NEAR {
            self.formed(time, "%m-%d %H:%M")
        } else {
            self.formed(time, "%Y-%m-%d")
        }
    }

    /// The time that somebody here means: `18:30` is the next one, and without an offset it is this zone's.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Time> {
        let text = text.trim();
        if let Ok(exact) = text.parse::<jiff::Timestamp>() {
            return Some(Time::from_jiff(exact));
        }
        let now = self.now.to_jiff().to_zoned(self.zone.clone());
        let local = |day: jiff::civil::Date, time| {
            let zoned = day.to_datetime(time).to_zoned(self.zone.clone()).ok()?;
            Some(Time::from_jiff(zoned.timestamp()))
        };
        if let Ok(whole) = text.parse::<jiff::civil::DateTime>() {
            // A day without its time would be midnight, which is nearly never meant.
            return text.contains(':').then(|| local(whole.date(), whole.time())).flatten();
        }
        let time = text.parse::<jiff::civil::Time>().ok().filter(|_| text.contains(':'))?;
        let today = local(now.date(), time)?;
        if self.is_past(today) { local(now.date().tomorrow().ok()?, time) } else { Some(today) }
    }

    /// How long it is until `time`; nothing where that is over.
    #[must_use]
    pub fn until(&self, time: Time) -> Option<Duration> {
        (!self.is_past(time)).then(|| time.since(self.now))
    }

    fn formed(&self, time: Time, form: &str) -> String {
        time.to_jiff().to_zoned(self.zone.clone()).strftime(form).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_somebody_here_means_it() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let here = Here::new("2026-11-21T13:00:00Z".parse().unwrap(), zone);
        for (text, meant) in [
            ("18:30", Some("2026-11-21T17:30:00Z")),
            ("08:30", Some("2026-11-22T07:30:00Z")),
            ("2026-11-21 18:30", Some("2026-11-21T17:30:00Z")),
            ("2026-07-01 18:30:15", Some("2026-07-01T16:30:15Z")),
            ("2026-11-21T18:30:00Z", Some("2026-11-21T18:30:00Z")),
            ("2026-11-21T18:30:00-05:00", Some("2026-11-21T23:30:00Z")),
            ("2026-11-22", None),
            ("tomorrow", None),
            ("25:00", None),
        ] {
            let meant = meant.map(|meant| meant.parse::<Time>().unwrap());
            assert_eq!(here.read(text), meant, "{text}");
        }
        assert_eq!(here.until(here.read("14:01").unwrap()), Some(Duration::from_mins(1)));
        assert_eq!(here.until("2026-11-21T13:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn a_time_is_as_long_as_its_distance_wants() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let here = Here::new("2026-11-21T13:00:00Z".parse().unwrap(), zone);
        for (time, short) in [
            ("2026-11-21T12:56:47.123Z", "13:56:47"),
            ("2026-11-20T23:30:00Z", "00:30:00"),
            ("2026-11-20T12:56:47Z", "11-20 13:56"),
            ("2026-11-22T12:00:00Z", "11-22 13:00"),
            ("2026-07-01T10:00:00Z", "07-01 12:00"),
            ("2025-11-20T12:00:00Z", "2025-11-20"),
            ("2027-11-21T12:00:00Z", "2027-11-21"),
        ] {
            assert_eq!(here.short(time.parse().unwrap()), short, "{time}");
        }
        let summer = "2026-07-01T10:00:00.5Z".parse().unwrap();
        assert_eq!(here.whole(summer), "2026-07-01 12:00:00+02:00");
    }
}
