//! `at`: once, at an instant, or at several.

use std::sync::Arc;

use jiff::civil;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::time::Time;
use crate::model::zone;
use crate::sensors::schedule::ticker::{Common, Ticker};
use crate::sensors::schedule::{Misfire, Plan};
use crate::sensors::span::Span;
use crate::sensors::{Kind, Sensor, settings, wrong};

/// See the module.
pub(super) struct At;

const EXAMPLE: &str = "\
kind: at
times:                          # with an offset, or as the clocks of `zone` show it
  - 2030-01-31T22:00:00Z
  - 2030-02-28T22:00
zone: Europe/Prague             # default UTC
trigger: core.tick              # default
data: { job: month_end }        # beside schedule, nominal, scheduled_at, missed and zone
misfire: once                   # of what was missed while Ifso was down: skip | once (the last) | all
";

/// More instants than this in one file want `cron`.
const TIMES_LIMIT: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    times: Vec<String>,
    #[serde(default = "utc", alias = "timezone")]
    zone: String,
    #[serde(default)]
    trigger: Option<Reference>,
    #[serde(default)]
    data: Map<String, Value>,
    #[serde(default)]
    misfire: Misfire,
    #[serde(default)]
    max: Option<usize>,
    #[serde(default)]
    jitter: Option<Span>,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Kind for At {
    fn name(&self) -> &'static str {
        "at"
    }

    fn about(&self) -> &'static str {
        "reports single instants"
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }

    fn build(&self, definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>> {
        let settings: Settings = settings(definition)?;
        let zone = zone::named(&settings.zone)
            .map_err(|message| vec![wrong(definition, "zone", message)])?;
        if !(1..=TIMES_LIMIT).contains(&settings.times.len()) {
            let message = format!("expected 1 to {TIMES_LIMIT} times");
            return Err(vec![wrong(definition, "times", message)]);
        }
        let mut times = Vec::new();
        for (place, text) in settings.times.iter().enumerate() {
            let time = instant(text, &zone)
                .map_err(|message| vec![wrong(definition, &format!("times[{place}]"), message)])?;
            times.push(time);
        }
        times.sort_unstable();
        times.dedup();
        let common = Common {
            trigger: settings.trigger,
            data: settings.data,
            misfire: settings.misfire,
            max: settings.max,
            jitter: settings.jitter,
            from: None,
        };
        let names = ("at".to_owned(), settings.zone);
        Ok(Box::new(Ticker::new(definition, Plan::At(times), names, common)?))
    }
}

/// An instant with its offset, or a civil time in `zone`: one that the clocks skip is moved behind the
/// gap, one that comes twice is the first.
fn instant(text: &str, zone: &TimeZone) -> Result<Time, String> {
    if let Ok(time) = text.parse::<Time>() {
        return Ok(time);
    }
    let written: civil::DateTime = text.parse().map_err(|_| {
        format!("`{text}` is not a time; write `2026-11-20T18:00:00Z` or `2026-11-20T18:00`")
    })?;
    zone.to_ambiguous_timestamp(written)
        .compatible()
        .map(Time::from_jiff)
        .map_err(|_| format!("`{text}` lies outside of the calendar"))
}
