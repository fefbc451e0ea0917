//! The words of a calendar: days, times of day, dates.

use jiff::civil::{Date, DateTime, date};

use crate::model::calendar::{Closed, Window};

/// Seconds of a day.
pub(super) const DAY: u32 = 24 * 3600;

/// The days of the week; three letters are enough.
const NAMES: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A weekly window; a missing time is the begin or the end of the day.
///
/// # Errors
/// The part that is wrong (`days`, `from`, `to`), and what is wrong with it.
pub fn open(
    days: Option<&str>,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<Window, (&'static str, String)> {
    let days = days.map_or(Ok([true; 7]), weekdays).map_err(|wrong| ("days", wrong))?;
    let from = from.map_or(Ok(0), clock).map_err(|wrong| ("from", wrong))?;
    let to = to.map_or(Ok(DAY), clock).map_err(|wrong| ("to", wrong))?;
    if from == to || from == DAY {
        let wrong = "it ends when it begins; a whole day is `00:00` to `24:00`".to_owned();
        return Err(("to", wrong));
    }
    Ok(Window { days, from, to })
}

/// What is taken out between `from` and `to`: dates (the last one included), local times, or days of
/// every year. `to` is `from` where one day is meant.
///
/// # Errors
/// The part that is wrong (`from`, `to`), and what is wrong with it.
pub fn closed(from: &str, to: Option<&str>) -> Result<Closed, (&'static str, String)> {
    let first = point(from).map_err(|wrong| ("from", wrong))?;
    let last = to.map_or(Ok(first), point).map_err(|wrong| ("to", wrong))?;
    match (first, last) {
        (Point::Time(_), Point::Time(_)) if to.is_none() => {
            Err(("from", format!("`{from}` is an instant; say `to` when it ends")))
        }
        (Point::Yearly(from), Point::Yearly(to)) => Ok(Closed::Yearly { from, to }),
        (Point::Yearly(_), _) | (_, Point::Yearly(_)) => {
            Err(("to", "`from` and `to` are both with a year, or both without".to_owned()))
        }
        (first, last) => {
            let begin = match first {
                Point::Day(day) => day.at(0, 0, 0, 0),
                Point::Time(time) => time,
                Point::Yearly(_) => return Err(("from", "it has no year".to_owned())),
            };
            let end = match last {
                Point::Day(day) => day.tomorrow().ok().map(|next| next.at(0, 0, 0, 0)),
                Point::Time(time) => Some(time),
                Point::Yearly(_) => None,
            };
            match end {
                Some(end) if end > begin => Ok(Closed::Once { from: begin, to: end }),
                _ => Err(("to", "it ends before it begins".to_owned())),
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Point {
    Day(Date),
    Time(DateTime),
    Yearly((i8, i8)),
}

fn point(text: &str) -> Result<Point, String> {
    let text = text.trim();
    if let Some((month, day)) = text.split_once('-').filter(|(month, _)| month.len() <= 2) {
        let number = |text: &str| text.parse::<i8>().ok();
        let found = number(month).zip(number(day));
        // Of a leap year: the 29th of February is a day of some years.
        let real = |(month, day)| jiff::civil::Date::new(2024, month, day).is_ok();
        return found
            .filter(|day| real(*day))
            .map(Point::Yearly)
            .ok_or_else(|| format!("`{text}` is no day of a year; write month and day: `12-25`"));
    }
    let length = text.len();
    let day = text.parse::<Date>().ok().filter(|_| length == 10).map(Point::Day);
    let time = || text.parse::<DateTime>().ok().filter(|_| length > 10).map(Point::Time);
    let point = day.or_else(time).filter(|point| match point {
        Point::Day(day) => *day < date(9000, 1, 1),
        Point::Time(time) => time.date() < date(9000, 1, 1),
        Point::Yearly(_) => true,
    });
    point.ok_or_else(|| {
        format!("`{text}` is no date; write `2026-12-24`, `2026-12-24T18:00` or `12-24`")
    })
}

/// `08:00`, `18:30:15`, `24:00` as seconds of the day.
fn clock(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is no time of day; write `08:00`, up to `24:00`");
    let mut parts = text.trim().split(':').map(|part| {
        let number = part.parse::<u32>().ok();
        number.filter(|_| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let hours = parts.next().flatten().ok_or_else(wrong)?;
    let minutes = parts.next().flatten().ok_or_else(wrong)?;
    let seconds = parts.next().map_or(Some(0), |part| part).ok_or_else(wrong)?;
    let all = hours * 3600 + minutes * 60 + seconds;
    let right = minutes < 60 && seconds < 60 && all <= DAY && parts.next().is_none();
    right.then_some(all).ok_or_else(wrong)
}

/// `mon-fri`, `sat,sun`, `fri-mon`, `daily`.
fn weekdays(text: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    let named = |word: &str| {
        let word = word.trim().to_lowercase();
        let found = NAMES.iter().position(|name| word == *name || word == name[..3]);
        found.ok_or_else(|| format!("`{word}` is no day; write `mon`, `tue`, … or `mon-fri`"))
    };
    for part in text.split(',') {
        if matches!(part.trim(), "daily" | "*") {
            return Ok([true; 7]);
        }
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (named(first)?, named(last)?);
        let count = (last + 7 - first) % 7;
        (0..=count).for_each(|offset| days[(first + offset) % 7] = true);
    }
    Ok(days)
}
