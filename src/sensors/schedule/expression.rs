//! Cron expressions as Unix writes them, right on the days when the clocks change.
//!
//! The crate `cron` enumerates civil times; it knows Quartz's dialect and no time zone here. Around it:
//! Unix' five fields (or six, with seconds first; a seventh is the year) become its dialect, and civil
//! times become instants. Jobs at fixed hours run once: a time that the clocks skip runs at the first
//! instant after the gap, a time that comes twice runs the first time. Jobs whose hour is `*` or has a
//! step run in every stretch of the day that really happens, so hourly stays hourly.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Utc};
use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::model::time::Time;

/// A parsed expression in its zone.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    zone: TimeZone,
    /// Whether the hours are fixed ones.
    fixed: bool,
    days: Days,
    /// One schedule, or two where day of month and day of week are alternatives.
    schedules: Vec<cron::Schedule>,
}

/// Which days; the schedules name at least these days, and this says which of them are meant.
#[derive(Debug, Clone, Default)]
struct Days {
    of_month: u64,
    last_of_month: bool,
    of_week: u64,
    /// `FRI#2`: the weekday from 0 (Sunday) and which of the month, from 1.
    nth_of_week: Vec<(u32, u32)>,
    /// `FRIL`: the last such weekday of the month.
    last_of_week: u64,
    /// Unix: where both are restricted, either will do.
    either: bool,
}

/// One field of an expression.
struct Field {
    name: &'static str,
    from: u32,
    to: u32,
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", from: 0, to: 59, names: &[] };
const MINUTE: Field = Field { name: "minute", from: 0, to: 59, names: &[] };
const HOUR: Field = Field { name: "hour", from: 0, to: 23, names: &[] };
const DAY: Field = Field { name: "day of month", from: 1, to: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    from: 1,
    to: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
/// Seven is Sunday as well.
const WEEKDAY: Field = Field {
    name: "day of week",
    from: 0,
    to: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};
/// The longest expression that is read, in bytes.
const LONGEST: usize = 512;

impl Expression {
    /// Reads `text`; its times are those of `zone`.
    ///
    /// # Errors
    /// What is wrong, naming the field.
    pub(crate) fn parse(text: &str, zone: TimeZone) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("a cron expression has at most {LONGEST} bytes"));
        }
        let text = macros(text.trim())?;
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (second, rest, year) = match fields.len() {
            5 => ("0", &fields[..], "*"),
            6 => (fields[0], &fields[1..], "*"),
            7 => (fields[0], &fields[1..6], fields[6]),
            count => {
                return Err(format!(
                    "a cron expression has five fields (minute hour day month weekday), or six with \
                     seconds first; `{text}` has {count}"
                ));
            }
        };
        let (minute, hour, day, month, weekday) = (rest[0], rest[1], rest[2], rest[3], rest[4]);
        let days = Days::parse(day, weekday)?;
        let time = [
            list(SECOND.set(second)?, &SECOND, 0),
            list(MINUTE.set(minute)?, &MINUTE, 0),
            list(HOUR.set(hour)?, &HOUR, 0),
        ]
        .join(" ");
        let month = list(MONTH.set(month)?, &MONTH, 0);
        let year = years(year)?;
        let mut schedules = Vec::new();
        for (day, weekday) in days.candidates() {
            let quartz = format!("{time} {day} {month} {weekday} {year}");
            let schedule = cron::Schedule::from_str(&quartz)
                .map_err(|_| format!("`{text}` cannot be read as a cron expression"))?;
            schedules.push(schedule);
        }
        let fixed = !hour.contains(['*', '/']);
        let expression = Self { zone, fixed, days, schedules };
        match expression.next_civil(0) {
            Some(_) => Ok(expression),
            None => Err(format!("`{text}` names a day that never comes")),
        }
    }

    /// The first instant after `time`; nothing after the year 2100.
    pub(crate) fn next_after(&self, time: Time) -> Option<Time> {
        let after = time.millis().div_euclid(1000);
        let next = if self.fixed { self.next_fixed(after) } else { self.next_running(after) };
        next.and_then(|second| second.checked_mul(1000)).map(Time::from_millis)
    }

    /// Fixed hours: each civil time is one instant.
    fn next_fixed(&self, after: i64) -> Option<i64> {
        let mut civil = after + self.offset(after)?;
        loop {
            civil = self.next_civil(civil)?;
            let instant = self.instant(civil)?;
            if instant > after {
                return Some(instant);
            }
        }
    }

    /// Running hours: each stretch with one offset is walked through by itself.
    fn next_running(&self, after: i64) -> Option<i64> {
        let mut after = after;
        loop {
            let offset = self.offset(after.checked_add(1)?)?;
            let begins = Timestamp::from_second(after + 1).ok()?;
            let end = self.zone.following(begins).next().map(|next| next.timestamp().as_second());
            let instant = self.next_civil(after + offset)? - offset;
            match end {
                // The stretch ends first; the next one begins with its first second.
                Some(end) if instant >= end => after = end - 1,
                _ => return Some(instant),
            }
        }
    }

    /// The zone's offset at an instant, in seconds.
    fn offset(&self, instant: i64) -> Option<i64> {
        let timestamp = Timestamp::from_second(instant).ok()?;
        Some(i64::from(self.zone.to_offset(timestamp).seconds()))
    }

    /// The instant of a civil time, both in seconds since 1970.
    fn instant(&self, civil: i64) -> Option<i64> {
        let written: civil::DateTime =
            TimeZone::UTC.to_datetime(Timestamp::from_second(civil).ok()?);
        let ambiguous = self.zone.to_ambiguous_timestamp(written);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => Some(civil - i64::from(offset.seconds())),
            AmbiguousOffset::Fold { before, .. } => Some(civil - i64::from(before.seconds())),
            AmbiguousOffset::Gap { before, .. } => {
                let beyond = civil - i64::from(before.seconds()) + 1;
                let beyond = Timestamp::from_second(beyond).ok()?;
                self.zone.preceding(beyond).next().map(|gap| gap.timestamp().as_second())
            }
        }
    }

    /// The first civil time after `civil` that matches, in seconds since 1970 as if in UTC.
    fn next_civil(&self, civil: i64) -> Option<i64> {
        self.schedules.iter().filter_map(|schedule| self.next_of(schedule, civil)).min()
    }

    fn next_of(&self, schedule: &cron::Schedule, civil: i64) -> Option<i64> {
        let mut after = DateTime::<Utc>::from_timestamp(civil, 0)?;
        loop {
            let found = schedule.after(&after).next()?;
            if self.days.include(found) {
                return Some(found.timestamp());
            }
            let midnight = found.date_naive().and_hms_opt(23, 59, 59)?;
            after = midnight.and_utc();
        }
    }
}

impl Days {
    fn parse(day: &str, weekday: &str) -> Result<Self, String> {
        let mut days = Self::default();
        for item in day.split(',') {
            if item.eq_ignore_ascii_case("l") {
                days.last_of_month = true;
            } else {
                days.of_month |= DAY.set(item)?;
            }
        }
        for item in weekday.split(',') {
            days.weekday(item)?;
        }
        let open = |field: &str| field.starts_with(['*', '?']);
        days.either = !open(day) && !open(weekday);
        Ok(days)
    }

    /// `FRI`, `FRI#2`, `FRIL`, `MON-FRI`, …
    fn weekday(&mut self, item: &str) -> Result<(), String> {
        if let Some((weekday, nth)) = item.split_once('#') {
            let nth: u32 =
                nth.parse().ok().filter(|nth| (1..=5).contains(nth)).ok_or_else(|| {
                    format!("`{item}`: after `#` stands which of the month, 1 to 5")
                })?;
            self.nth_of_week.push((WEEKDAY.number(weekday)? % 7, nth));
        } else if let Some(weekday) = item.strip_suffix(['l', 'L']) {
            self.last_of_week |= 1 << (WEEKDAY.number(weekday)? % 7);
        } else {
            let set = WEEKDAY.set(item)?;
            self.of_week |= (set | set >> 7) & 0x7f;
        }
        Ok(())
    }

    /// Day and weekday in the crate's dialect: at least the days that are meant.
    fn candidates(&self) -> Vec<(String, String)> {
        let mut of_month = self.of_month;
        if self.last_of_month {
            of_month |= 0b1111 << 28;
        }
        let nth = self.nth_of_week.iter().fold(0, |set, (weekday, _)| set | 1 << weekday);
        let of_week = self.of_week | self.last_of_week | nth;
        let day = list(of_month, &DAY, 0);
        let weekday = list(of_week, &Field { to: 6, ..WEEKDAY }, 1);
        if self.either {
            vec![(day, "*".to_owned()), ("*".to_owned(), weekday)]
        } else {
            vec![(day, weekday)]
        }
    }

    fn include(&self, time: DateTime<Utc>) -> bool {
        let date = time.date_naive();
        let day = date.day();
        let last = date.num_days_in_month().into();
        let weekday = date.weekday().num_days_from_sunday();
        let of_month = self.of_month >> day & 1 == 1 || (self.last_of_month && day == last);
        let of_week = self.of_week >> weekday & 1 == 1
            || self.nth_of_week.contains(&(weekday, day.div_ceil(7)))
            || (self.last_of_week >> weekday & 1 == 1 && day + 7 > last);
        if self.either { of_month || of_week } else { of_month && of_week }
    }
}

impl Field {
    /// The values that `text` names, as bits.
    fn set(&self, text: &str) -> Result<u64, String> {
        let mut set = 0;
        for item in text.split(',') {
            let (range, step) = match item.split_once('/') {
                Some((range, step)) => (range, Some(self.step(item, step)?)),
                None => (item, None),
            };
            let (from, to) = match range.split_once('-') {
                _ if range == "*" || (range == "?" && self.may_be_open()) => {
                    (self.from, self.last())
                }
                Some((from, to)) => (self.number(from)?, self.number(to)?),
                None if step.is_some() => (self.number(range)?, self.last()),
                None => (self.number(range)?, self.number(range)?),
            };
            // A range may go round: 22-2, FRI-MON.
            let values: Vec<_> =
                if from <= to { (from..=to).collect() } else { self.round(from, to).collect() };
            for value in values.iter().step_by(step.unwrap_or(1)) {
                set |= 1_u64 << value;
            }
        }
        Ok(set)
    }

    fn round(&self, from: u32, to: u32) -> impl Iterator<Item = u32> + use<> {
        (from..=self.last()).chain(self.from..=to)
    }

    /// The last value that is not another name of the first.
    fn last(&self) -> u32 {
        if self.to == 7 { 6 } else { self.to }
    }

    fn may_be_open(&self) -> bool {
        self.name.starts_with("day")
    }

    fn step(&self, item: &str, step: &str) -> Result<usize, String> {
        step.parse()
            .ok()
            .filter(|step| (1..=self.to as usize).contains(step))
            .ok_or_else(|| format!("`{item}`: after `/` stands a step of 1 to {}", self.to))
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        let named = self.names.iter().position(|name| {
            lower.starts_with(name) && lower.bytes().all(|letter| letter.is_ascii_lowercase())
        });
        if let Some(place) = named {
            return Ok(u32::try_from(place).unwrap_or(u32::MAX).saturating_add(self.from));
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|number| digits && (self.from..=self.to).contains(number))
            .ok_or_else(|| self.refuse(text))
    }

    fn refuse(&self, text: &str) -> String {
        let names = match self.names {
            [] => String::new(),
            names => format!(" or a name such as `{}`", names[1].to_uppercase()),
        };
        format!("`{text}` is no {}; expected {} to {}{names}", self.name, self.from, self.to)
    }
}

/// A set as the crate reads it; `shift` is added to each value.
fn list(set: u64, field: &Field, shift: u32) -> String {
    let values: Vec<_> = (field.from..=field.to).filter(|value| set >> value & 1 == 1).collect();
    if values.len() == (field.from..=field.to).count() {
        return "*".to_owned();
    }
    values.iter().map(|value| (value + shift).to_string()).collect::<Vec<_>>().join(",")
}

/// The year goes to the crate as it is, once its characters are plain.
fn years(text: &str) -> Result<&str, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"*,-/".contains(&byte));
    if plain { Ok(text) } else { Err(format!("`{text}` is no year; expected 1970 to 2100")) }
}

/// `@daily` and its like.
fn macros(text: &str) -> Result<&str, String> {
    Ok(match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ if text.starts_with("@every") => {
            return Err(format!("`{text}` is an interval; write `kind: interval` and `every:`"));
        }
        _ if text.starts_with('@') => {
            return Err(format!(
                "`{text}` is not known; expected `@hourly`, `@daily`, `@weekly`, `@monthly` or `@yearly`"
            ));
        }
        _ => text,
    })
}
