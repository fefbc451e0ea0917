//! Calendars: when people are there, when nothing may be touched. Pure: a calendar says of an instant
//! whether it is open, and until when that stays so.
//!
//! Every span is half-open: it includes its first instant and ends just before its last. Local times
//! become instants so: one that comes twice (clocks go back) counts when it comes first; one that
//! never comes (clocks go forward) is the instant at which they jump.

mod parse;

use jiff::civil::{Date, DateTime, Time as Clock};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

use crate::model::problem::Place;
use crate::model::time::Time;

pub use crate::model::calendar::parse::{closed, open};

/// Days that are looked ahead for the next change.
const HORIZON_DAYS: i64 = 732;

/// Days before an instant whose windows may still last.
const BEFORE_DAYS: i64 = 2;

/// When it is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    /// One sentence for people.
    pub about: String,
    /// In which zone its local times are.
    pub zone: TimeZone,
    /// Weekly windows in which it is open; none: always.
    pub open: Vec<Window>,
    /// What takes time out of them.
    pub closed: Vec<Closed>,
    /// Its file.
    pub place: Place,
}

/// Some days of every week, from one time of day to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Whether it begins on a day, Monday first.
    pub days: [bool; 7],
    /// Seconds of the day at which it begins.
    pub from: u32,
    /// Seconds of the day at which it ends; of the next day where that is not after `from`.
    pub to: u32,
}

/// What is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Once, between two local times.
    Once {
        /// The first of it.
        from: DateTime,
        /// The end, not included.
        to: DateTime,
    },
    /// Every year, whole days by month and day, the last one included; over the new year where the
    /// last one comes before the first.
    Yearly {
        /// The first day.
        from: (i8, i8),
        /// The last day.
        to: (i8, i8),
    },
    /// Every week.
    Weekly(Window),
}

/// What a calendar says of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is open.
    Open {
        /// The first instant at which it is not; nothing where none comes within two years.
        until: Option<Time>,
    },
    /// It is closed.
    Closed {
        /// The first instant at which it is open; nothing where none comes within two years.
        until: Option<Time>,
    },
}

impl State {
    /// Whether it is open.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// The instant of the next change; nothing where none comes within two years.
    #[must_use]
    pub fn until(self) -> Option<Time> {
        match self {
            Self::Open { until } | Self::Closed { until } => until,
        }
    }
}

impl Calendar {
    /// What it says of `time`.
    #[must_use]
    pub fn at(&self, time: Time) -> State {
        let at = time.to_jiff();
        let is_open = self.is_open(at);
        let until = self.change(at, is_open).map(Time::from_jiff);
        if is_open { State::Open { until } } else { State::Closed { until } }
    }

    fn is_open(&self, at: Timestamp) -> bool {
        let today = self.zone.to_datetime(at).date();
        let inside = |window: &Window| {
            days(today, -BEFORE_DAYS, 1).any(|day| {
                self.span(window, day).is_some_and(|(from, to)| (from..to).contains(&at))
            })
        };
        if !self.open.is_empty() && !self.open.iter().any(inside) {
            return false;
        }
        !self.closed.iter().any(|closed| match closed {
            Closed::Once { from, to } => (self.instant(*from)..self.instant(*to)).contains(&at),
            Closed::Yearly { from, to } => yearly(today, *from, *to),
            Closed::Weekly(window) => inside(window),
        })
    }

    /// The first instant after `at` at which it is no longer as it is.
    fn change(&self, at: Timestamp, is_open: bool) -> Option<Timestamp> {
        let mut once: Vec<Timestamp> = Vec::new();
        for closed in &self.closed {
            if let Closed::Once { from, to } = closed {
                once.extend([self.instant(*from), self.instant(*to)]);
            }
        }
        once.retain(|edge| *edge > at);
        once.sort_unstable();
        let recurs = |closed: &Closed| !matches!(closed, Closed::Once { .. });
        let changed = |edge: &Timestamp| self.is_open(*edge) != is_open;
        if self.open.is_empty() && !self.closed.iter().any(recurs) {
            return once.into_iter().find(changed);
        }
        let today = self.zone.to_datetime(at).date();
        let mut seen = at;
        for day in days(today, -BEFORE_DAYS, HORIZON_DAYS) {
            // What happens up to the end of this day is known when the day is known.
            let end = self.instant(midnight(day.tomorrow().ok()?));
            let mut edges = self.edges(day);
            edges.extend(once.iter().filter(|edge| **edge <= end));
            edges.retain(|edge| *edge > seen && *edge <= end);
            edges.sort_unstable();
            if let Some(edge) = edges.into_iter().find(changed) {
                return Some(edge);
            }
            seen = seen.max(end);
        }
        None
    }

    /// The instants around `day` at which something begins or ends.
    fn edges(&self, day: Date) -> Vec<Timestamp> {
        let mut edges = vec![self.instant(midnight(day))];
        edges.extend(day.tomorrow().ok().map(|next| self.instant(midnight(next))));
        let weekly = self.closed.iter().filter_map(|closed| match closed {
            Closed::Weekly(window) => Some(window),
            _ => None,
        });
        for window in self.open.iter().chain(weekly) {
            for day in days(day, -1, 0) {
                edges.extend(self.span(window, day).into_iter().flat_map(<[_; 2]>::from));
            }
        }
        edges
    }

    /// The window that begins on `day`, if one does.
    fn span(&self, window: &Window, day: Date) -> Option<(Timestamp, Timestamp)> {
        let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        if !window.days[weekday] {
            return None;
        }
        let last = if window.to > window.from { day } else { day.tomorrow().ok()? };
        Some((self.instant(clock(day, window.from)?), self.instant(clock(last, window.to)?)))
    }

    /// The first instant at which clocks show `local` or later.
    fn instant(&self, local: DateTime) -> Timestamp {
        let far = if local.year() < 2000 { Timestamp::MIN } else { Timestamp::MAX };
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset }
            | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(local).unwrap_or(far)
            }
            AmbiguousOffset::Gap { before, after } => {
                let early = after.to_timestamp(local).unwrap_or(far);
                let mut jumps = self.zone.following(early);
                let jump = jumps.find(|jump| jump.offset() == after).map(|jump| jump.timestamp());
                jump.unwrap_or_else(|| before.to_timestamp(local).unwrap_or(far))
            }
        }
    }
}

/// The days from `first` to `last`, counted from `day`.
fn days(day: Date, first: i64, last: i64) -> impl Iterator<Item = Date> {
    (first..=last).filter_map(move |offset| day.checked_add(offset.days()).ok())
}

fn midnight(day: Date) -> DateTime {
    day.to_datetime(Clock::midnight())
}

/// So many seconds into `day`, as clocks count them; 24:00 is the next day's 00:00.
fn clock(day: Date, seconds: u32) -> Option<DateTime> {
    let part = |number: u32| i8::try_from(number).ok();
    if seconds >= parse::DAY {
        return day.tomorrow().ok().map(midnight);
    }
    let (hours, minutes) = (part(seconds / 3600)?, part(seconds / 60 % 60)?);
    Some(day.to_datetime(Clock::new(hours, minutes, part(seconds % 60)?, 0).ok()?))
}

fn yearly(day: Date, from: (i8, i8), to: (i8, i8)) -> bool {
    let day = (day.month(), day.day());
    if from <= to { from <= day && day <= to } else { from <= day || day <= to }
}

#[cfg(test)]
mod tests;
