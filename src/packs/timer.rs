//! StackStorm's rules bring their own timers and webhooks: `core.st2.CronTimer`,
//! `core.st2.IntervalTimer`, `core.st2.DateTimer` and `core.st2.webhook` with parameters. Each becomes
//! a sensor of the rule's pack, and the rule hears that sensor alone.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::model::problem::{Place, Problem};
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::packs::yaml::Node;
use crate::rules::criteria::form::At;

/// The days of a week as StackStorm counts them: Monday is 0.
const DAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

/// The fields of a cron timer from the smallest, with what each is where a larger one is given.
const FIELDS: [(&str, &str); 5] =
    [("second", "0"), ("minute", "0"), ("hour", "0"), ("day", "1"), ("month", "1")];

/// The rule that brings a trigger's parameters.
pub(crate) struct Owner<'o> {
    pub(crate) pack: &'o str,
    pub(crate) folder: &'o Path,
    pub(crate) rule: &'o str,
    pub(crate) enabled: bool,
    pub(crate) place: &'o Place,
}

/// The sensor that reports what a trigger with these parameters means; a problem where that cannot be
/// said.
pub(crate) fn sensor(
    trigger: &At<String>,
    parameters: &Node,
    owner: &Owner<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Definition>> {
    let given = parameters.to_json();
    let given = given.as_object()?;
    let made = match trigger.what.as_str() {
        "core.st2.CronTimer" => cron(given).map(|settings| ("cron", settings)),
        "core.st2.IntervalTimer" => interval(given).map(|settings| ("interval", settings)),
        "core.st2.DateTimer" => date(given).map(|settings| ("at", settings)),
        "core.st2.webhook" => webhook(given).map(|settings| ("webhook", settings)),
        other => Err(format!("events of `{other}` are not told apart by parameters")),
    };
    let place = parameters.place(owner.place);
    let (kind, mut settings) = made
        .map_err(|wrong| {
            let help = "remove the parameters and ask in `criteria`, or write a sensor with \
                        another `trigger` (`sensors/README.md`)";
            problems.push(Problem::error("trigger_parameters", place.clone(), wrong).help(help));
        })
        .ok()?;
    if kind == "cron" && !given.contains_key("timezone") {
        let message = "the timer names no `timezone`: it is UTC here";
        let problem = Problem::warning("no_timezone", place.clone(), message);
        problems
            .push(problem.help("add `timezone: Area/City`; StackStorm's default is its server's"));
    }
    settings.insert("trigger".to_owned(), json!(trigger.what));
    let name = match (kind, settings.get("name").and_then(Value::as_str)) {
        // Rules on one webhook share it.
        ("webhook", Some(name)) => format!("webhook.{}", name.replace('/', ".")),
        _ => format!("{}.trigger", owner.rule),
    };
    let reference = Reference::new(owner.pack, &name)
        .map_err(|wrong| {
            problems.push(Problem::error("trigger_parameters", place.clone(), wrong.to_string()));
        })
        .ok()?;
    Some(Arc::new(Definition {
        reference,
        kind: kind.to_owned(),
        enabled: owner.enabled,
        description: format!("what the rule `{}` listens to", owner.rule),
        settings: Value::Object(settings),
        folder: owner.folder.to_owned(),
        place,
    }))
}

type Made = Result<Map<String, Value>, String>;

fn settings(value: Value) -> Made {
    let Value::Object(settings) = value else { return Err("nothing can be made of it".to_owned()) };
    Ok(settings)
}

fn only(given: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match given.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("the trigger has no parameter `{key}`")),
        None => Ok(()),
    }
}

fn zone(given: &Map<String, Value>) -> Result<&str, String> {
    match given.get("timezone") {
        None | Some(Value::Null) => Ok("UTC"),
        Some(Value::String(zone)) => Ok(zone),
        Some(_) => Err("`timezone` is no text".to_owned()),
    }
}

fn interval(given: &Map<String, Value>) -> Made {
    only(given, &["unit", "delta", "timezone"])?;
    let delta = given.get("delta").and_then(Value::as_u64);
    let delta = delta.filter(|delta| (1..1_000_000_000).contains(delta));
    let delta = delta.ok_or("`delta` is not a whole number from 1")?;
    let (count, unit) = match given.get("unit").and_then(Value::as_str) {
        Some("weeks") => (delta * 7, "d"),
        Some("days") => (delta, "d"),
        Some("hours") => (delta, "h"),
        Some("minutes") => (delta, "m"),
        Some("seconds") => (delta, "s"),
        _ => return Err("`unit` is not weeks, days, hours, minutes or seconds".to_owned()),
    };
    settings(json!({ "every": format!("{count}{unit}") }))
}

fn date(given: &Map<String, Value>) -> Made {
    only(given, &["date", "timezone"])?;
    let date = given.get("date").and_then(Value::as_str).ok_or("`date` is not a time")?;
    let date = date.trim().replacen(' ', "T", 1);
    settings(json!({ "times": [date], "zone": zone(given)? }))
}

fn webhook(given: &Map<String, Value>) -> Made {
    only(given, &["url"])?;
    let url = given.get("url").and_then(Value::as_str).ok_or("`url` is not a text")?;
    settings(json!({ "name": url.trim_matches('/'), "shape": "request" }))
}

/// Fields that are not given are `*` above the smallest that is given, and the least below it.
fn cron(given: &Map<String, Value>) -> Made {
    only(given, &["month", "day", "day_of_week", "hour", "minute", "second", "timezone"])
        .map_err(|wrong| format!("{wrong} that can be followed here"))?;
    let text = |name: &str| match given.get(name) {
        Some(Value::String(text)) => Some(text.trim().to_owned()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let (day, weekday) = (text("day"), text("day_of_week"));
    let given_day = |day: &Option<String>| day.as_deref().is_some_and(|day| day != "*");
    if given_day(&day) && given_day(&weekday) {
        return Err("`day` and `day_of_week` together cannot be followed here".to_owned());
    }
    let smallest = FIELDS.iter().position(|(name, _)| text(name).is_some());
    // A weekday stands between `day` and `hour`: what is smaller is the least.
    let smallest = match (smallest, &weekday) {
        (Some(at), Some(_)) => at.min(3),
        (None, Some(_)) => 3,
        (Some(at), None) => at,
        (None, None) => return Err("the timer has no field".to_owned()),
    };
    let mut fields: Vec<String> = FIELDS
        .iter()
        .enumerate()
        .map(|(at, (name, least))| {
            let default = if at < smallest { least } else { &"*" };
            text(name).unwrap_or_else(|| (*default).to_owned())
        })
        .collect();
    if weekday.is_some() {
        "*".clone_into(&mut fields[3]);
    }
    fields.push(weekdays(weekday.as_deref().unwrap_or("*"))?);
    settings(json!({ "expression": fields.join(" "), "zone": zone(given)? }))
}

/// Weekdays by their names: StackStorm counts from Monday, cron from Sunday.
fn weekdays(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let day = |word: &str| {
        let number = word.parse().ok().filter(|number| *number < DAYS.len());
        let number = number.or_else(|| DAYS.iter().position(|day| day.eq_ignore_ascii_case(word)));
        number.ok_or_else(|| format!("`{word}` is no day of the week"))
    };
    let mut days = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)),
            None => (part, Some(1)),
        };
        let step: usize = step.ok_or_else(|| format!("`{part}` is no step of days"))?;
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None if range == "*" => (0, 6),
            None => (day(range)?, day(range)?),
        };
        days.extend((first..=last).step_by(step).map(|day| DAYS[day]));
    }
    if days.is_empty() { Err(format!("`{text}` names no day")) } else { Ok(days.join(",")) }
}

/// Puts the sensors of rules beside the others: rules that share one share it.
pub(crate) fn add(sensors: &mut Vec<Arc<Definition>>, sensor: Arc<Definition>) {
    match sensors.iter_mut().find(|held| held.reference == sensor.reference) {
        Some(held) if !held.enabled && sensor.enabled => *held = sensor,
        Some(_) => {}
        None => sensors.push(sensor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str, make: fn(&Map<String, Value>) -> Made) -> Result<Value, String> {
        let place = Place::file("r.yaml");
        let node = crate::packs::yaml::parse(text, &place).unwrap();
        make(node.to_json().as_object().unwrap()).map(Value::Object)
    }

    #[test]
    fn timers_become_settings_of_sensors() {
        for (text, expected) in [
            ("{minute: '*/5'}", "0 */5 * * * *"),
            ("{hour: 3, day_of_week: 'mon-fri'}", "0 0 3 * * MON,TUE,WED,THU,FRI"),
            ("{day_of_week: 6, hour: 1, minute: 30, second: 0}", "0 30 1 * * SUN"),
            ("{day_of_week: 0}", "0 0 0 * * MON"),
            ("{day: 1}", "0 0 0 1 * *"),
            ("{month: 12}", "0 0 0 1 12 *"),
            ("{second: 10}", "10 * * * * *"),
        ] {
            let made = made(text, cron).unwrap();
            assert_eq!(made, json!({"expression": expected, "zone": "UTC"}), "{text}");
        }
        for text in ["{year: 2030}", "{day: 1, day_of_week: 1}", "{}", "{day_of_week: 9}"] {
            assert!(made(text, cron).is_err(), "{text}");
        }
        assert_eq!(made("{unit: weeks, delta: 2}", interval), Ok(json!({"every": "14d"})));
        assert!(made("{unit: years, delta: 2}", interval).is_err());
        assert!(made("{unit: days, delta: 0}", interval).is_err());
    }
}
