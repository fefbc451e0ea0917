//! `cron`: by the calendar, in a time zone, right on the days when the clocks change.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::time::Time;
use crate::model::zone;
use crate::sensors::schedule::expression::Expression;
use crate::sensors::schedule::ticker::{Common, Ticker};
use crate::sensors::schedule::{Misfire, Plan};
use crate::sensors::span::Span;
use crate::sensors::{Kind, Sensor, settings, wrong};

/// See the module.
pub(super) struct Cron;

const EXAMPLE: &str = "\
kind: cron
expression: \"30 2 * * MON-FRI\"  # minute hour day month weekday; six fields begin with seconds
zone: Europe/Prague             # default UTC
trigger: core.tick              # default
data: { job: nightly }          # beside schedule, nominal, scheduled_at, missed and zone
misfire: once                   # of what was missed: skip | once (the last) | all
max: 100                        # all: at most so many, the newest
jitter: 20s                     # up to so much later, always the same for one instant
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(alias = "cron")]
    expression: String,
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
    #[serde(default)]
    from: Option<Time>,
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Kind for Cron {
    fn name(&self) -> &'static str {
        "cron"
    }

    fn about(&self) -> &'static str {
        "reports the instants of a cron expression in a time zone"
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }

    fn build(&self, definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>> {
        let settings: Settings = settings(definition)?;
        let zone = zone::named(&settings.zone)
            .map_err(|message| vec![wrong(definition, "zone", message)])?;
        let expression = Expression::parse(&settings.expression, zone)
            .map_err(|message| vec![wrong(definition, "expression", message)])?;
        let common = Common {
            trigger: settings.trigger,
            data: settings.data,
            misfire: settings.misfire,
            max: settings.max,
            jitter: settings.jitter,
            from: settings.from,
        };
        let names = (settings.expression, settings.zone);
        Ok(Box::new(Ticker::new(definition, Plan::Cron(Box::new(expression)), names, common)?))
    }
}
