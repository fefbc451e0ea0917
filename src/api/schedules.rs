//! What will run by the clock: the schedules among the sensors, and their next instants.

use serde_json::{Value, json};

use crate::api::backtests::moment;
use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::api::shape;
use crate::api::triggers::wanted;
use crate::auth::{Kind, Right};
use crate::model::span;
use crate::model::time::Time;
use crate::sensors::supervisor::Status;
use crate::sensors::{self, Schedule};

pub(crate) const ROUTES: &[Route] = &[Route::get(
    "/api/v1/schedules",
    Access::Needs(Right::View),
    |call| Box::pin(async move { list(&call) }),
    "Lists the sensors that report by the clock, with the instants to come.",
)
.of(Of::Each)
.query(FILTERS)
.shared(&[paging::QUERY])
.gives(200, Shape::Many("Schedule"))];

const FILTERS: &[(&str, &str)] = &[
    ("pack", "Only those of this pack."),
    ("name", "Only those of this name."),
    ("until", "Only instants before: a time, or a span from now such as `7d` (unless given)."),
    ("count", "So many instants of each at most, 50 unless given; `more` tells of further ones."),
];

const KNOWN: &[&str] = &[
    "id",
    "ref",
    "uid",
    "pack",
    "name",
    "kind",
    "description",
    "enabled",
    "schedule",
    "zone",
    "trigger",
    "state",
    "last_event",
    "times",
    "more",
];

/// How far a list looks ahead unless it says.
const AHEAD: std::time::Duration = std::time::Duration::from_hours(7 * 24);
/// Instants of one schedule unless a list says, and at most.
const COUNT: usize = 50;
const COUNT_LIMIT: usize = 1000;

fn list(call: &Call) -> Answer {
    let page = Page::of(call)?;
    let now = call.state.clock.now();
    let until = match call.query("until") {
        None => now.plus(AHEAD),
        Some(text) => match span::parse(text) {
            Ok(span) => now.plus(span),
            Err(_) => moment("until", text, now)?,
        },
    };
    let count = call.query("count").map_or(Ok(COUNT), |text| {
        let count = text.parse().ok().filter(|count| (1..=COUNT_LIMIT).contains(count));
        count.ok_or_else(|| {
            let message = format!("`count`: `{text}` is not a number from 1 to {COUNT_LIMIT}");
            Problem::bad("bad_query", message)
        })
    })?;
    let mut rows = Vec::new();
    for status in call.state.sensors.list() {
        let reference = &status.definition.reference;
        if !wanted(call, reference) || !call.sees(Kind::Sensor, reference.as_str()) {
            continue;
        }
        let Ok(sensor) = sensors::build(&status.definition) else { continue };
        if let Some(schedule) = sensor.schedule() {
            let (times, more) = instants(&status, schedule, (now, until), count);
            rows.push(row(&status, schedule, &times, more));
        }
    }
    page.cut(rows).answer(call, KNOWN)
}

/// The instants to come, and whether there are more of them; none of one that is switched off.
fn instants(
    status: &Status,
    schedule: &dyn Schedule,
    (now, until): (Time, Time),
    count: usize,
) -> (Vec<Time>, bool) {
    let mut times = Vec::new();
    let mut at = now;
    while status.definition.enabled
        && let Some(next) = schedule.after(at).filter(|next| *next < until)
    {
        if times.len() == count {
            return (times, true);
        }
        times.push(next);
        at = next;
    }
    (times, false)
}

fn row(status: &Status, schedule: &dyn Schedule, times: &[Time], more: bool) -> Value {
    let definition = &status.definition;
    shape::with(
        shape::named("schedule", &definition.reference),
        json!({
            "kind": definition.kind,
            "description": definition.description,
            "enabled": definition.enabled,
            "schedule": schedule.words(),
            "zone": schedule.zone(),
            "trigger": schedule.trigger(),
            "state": status.health.state,
            "last_event": status.health.last_event,
            "times": times,
            "more": more,
        }),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::problem::Place;
    use crate::model::sensor::{Definition, Health};

    fn status(enabled: bool, settings: Value) -> Status {
        let definition = Definition {
            reference: "site.hourly".parse().unwrap(),
            kind: "interval".to_owned(),
            enabled,
            description: String::new(),
            settings,
            folder: std::path::PathBuf::new(),
            place: Place::file("sensors/hourly.yaml"),
        };
        Status { definition: Arc::new(definition), health: Health::starting(Time::default()) }
    }

    fn times(status: &Status, until: &str, count: usize) -> (Vec<String>, bool) {
        let time = |text: &str| text.parse::<Time>().unwrap();
        let sensor = sensors::build(&status.definition).unwrap();
        let schedule = sensor.schedule().unwrap();
        let span = (time("2026-11-22T10:30:00Z"), time(until));
        let (times, more) = instants(status, schedule, span, count);
        (times.iter().map(ToString::to_string).collect(), more)
    }

    #[test]
    fn instants_to_come_end_at_their_count_and_at_the_time() {
        let hourly = status(true, json!({ "every": "1h" }));
        let expected = ["2026-11-22T11:00:00.000Z", "2026-11-22T12:00:00.000Z"];
        assert_eq!(
            times(&hourly, "2026-11-22T13:00:00Z", 5),
            (expected.map(str::to_owned).into(), false)
        );
        assert_eq!(
            times(&hourly, "2026-11-23T00:00:00Z", 2),
            (expected.map(str::to_owned).into(), true)
        );
    }

    #[test]
    fn nothing_comes_before_a_file_says_so_nor_of_one_that_is_off() {
        let later = status(true, json!({ "every": "1h", "from": "2026-11-22T12:30:00Z" }));
        let (times_later, _) = times(&later, "2026-11-22T14:00:00Z", 5);
        assert_eq!(times_later, ["2026-11-22T12:30:00.000Z", "2026-11-22T13:30:00.000Z"]);
        let off = status(false, json!({ "every": "1h" }));
        assert_eq!(times(&off, "2026-11-23T00:00:00Z", 5), (Vec::new(), false));
    }
}
