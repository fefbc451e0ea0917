//! Schedules: what will run by the clock, as a table and as a calendar of seven days.

use serde_json::{Map, Value, json};

use crate::api::inside::Refused;
use crate::model::time::Time;
use crate::web::nouns::later;
use crate::web::page::{Ask, Page, Visit};
use crate::web::render;

/// Instants of one schedule in seven days that a calendar shows: one an hour, and what is rarer.
const OFTEN: usize = 24 * 7;
/// Instants of one schedule in one day that stand each for itself.
const SINGLE: usize = 4;
/// Days of the calendar.
const DAYS: i64 = 7;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(crate) const PAGES: &[Page] = &[Page::new("/schedules", "Schedules", "schedules.html")
    .asks(&[Ask::Maybe("delayed", "/api/v1/executions?status=delayed&limit=50")])
    .more(later!(calendar))];

async fn calendar(visit: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let path = format!("/api/v1/schedules?limit=200&count={OFTEN}");
    let mut rows = visit.get(&path).await?;
    let now = visit.house.clock.now();
    let days: Vec<Value> = (0..DAYS)
        .map(|ahead| {
            let number = now.millis().div_euclid(DAY_MS) + ahead;
            let lines = day(rows.as_array().map_or(&[][..], Vec::as_slice), number);
            let begin = Time::from_millis(number * DAY_MS);
            let name = match ahead {
                0 => "Today".to_owned(),
                1 => "Tomorrow".to_owned(),
                _ => render::stamp(begin, "%A"),
            };
            json!({ "name": name, "date": render::stamp(begin, "%d %B"), "lines": lines })
        })
        .collect();
    let often: Vec<Value> = rows
        .as_array()
        .into_iter()
        .flatten()
        .filter(|row| row["more"] == true)
        .map(|row| row["ref"].clone())
        .collect();
    for row in rows.as_array_mut().into_iter().flatten() {
        let next: Vec<Value> =
            row["times"].as_array().into_iter().flatten().take(3).cloned().collect();
        row["times"] = json!(next);
    }
    // What comes first stands first; what never comes, last.
    if let Some(rows) = rows.as_array_mut() {
        rows.sort_by_key(|row| {
            let next = row["times"][0].as_str().and_then(|text| text.parse::<Time>().ok());
            next.map_or(i64::MAX, Time::millis)
        });
    }
    found.insert("often".to_owned(), json!(often));
    found.insert("schedules".to_owned(), rows);
    found.insert("days".to_owned(), json!(days));
    Ok(())
}

/// What happens on one day, in the order of the clock: few instants each for itself, many as one line.
fn day(rows: &[Value], number: i64) -> Vec<Value> {
    let mut lines: Vec<(Time, Value)> = Vec::new();
    for row in rows.iter().filter(|row| row["more"] != true) {
        let times = row["times"].as_array().into_iter().flatten();
        let own: Vec<Time> = times
            .filter_map(|time| time.as_str()?.parse::<Time>().ok())
            .filter(|time| time.millis().div_euclid(DAY_MS) == number)
            .collect();
        let line = |at: Time, words: String| {
            (at, json!({ "ref": row["ref"], "trigger": row["trigger"], "at": words }))
        };
        let clock = |at: Time| render::stamp(at, "%H:%M");
        match own.as_slice() {
            [first, .., last] if own.len() > SINGLE => {
                let words = format!("{}–{}, {} times", clock(*first), clock(*last), own.len());
                lines.push(line(*first, words));
            }
            few => lines.extend(few.iter().map(|at| line(*at, clock(*at)))),
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    lines.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_lists_few_instants_and_counts_many() {
        let hourly: Vec<String> =
            (0..24).map(|hour| format!("2026-11-22T{hour:02}:00:00Z")).collect();
        let rows = json!([
            { "ref": "site.hourly", "times": hourly, "more": false },
            { "ref": "site.nightly", "times": ["2026-11-22T02:30:00Z", "2026-11-23T02:30:00Z"], "more": false },
            { "ref": "site.often", "times": ["2026-11-22T02:30:00Z"], "more": true },
        ]);
        let number = "2026-11-22T00:00:00Z".parse::<Time>().unwrap().millis() / DAY_MS;
        let words: Vec<String> = day(rows.as_array().unwrap(), number)
            .iter()
            .map(|line| {
                format!("{} {}", line["at"].as_str().unwrap(), line["ref"].as_str().unwrap())
            })
            .collect();
        assert_eq!(words, ["00:00–23:00, 24 times site.hourly", "02:30 site.nightly"]);
    }
}
