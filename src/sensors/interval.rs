//! `interval`: every so often, on a grid that a restart does not shift.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::time::Time;
use crate::sensors::schedule::ticker::{Common, Ticker};
use crate::sensors::schedule::{Misfire, Plan};
use crate::sensors::span::Span;
use crate::sensors::{Kind, Sensor, settings, written, wrong};

/// See the module.
pub(super) struct Interval;

const EXAMPLE: &str = "\
kind: interval
every: 30s                      # 30s, 5m, 1h 30m, 2d; at least 100ms
from: 2026-11-20T00:00:00Z      # counted from here, and nothing before; default: whole multiples since 1970, UTC
trigger: core.tick              # default
data: { job: heartbeat }        # beside schedule, nominal, scheduled_at, missed and zone
misfire: once                   # of what was missed: skip | once (the last) | all
max: 100                        # all: at most so many, the newest
jitter: 5s                      # up to so much later, always the same for one instant
";

/// Shorter ones are a loop, not a schedule.
const SHORTEST: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(alias = "interval")]
    every: Span,
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

impl Kind for Interval {
    fn name(&self) -> &'static str {
        "interval"
    }

    fn about(&self) -> &'static str {
        "reports an instant every so often"
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }

    fn build(&self, definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>> {
        let settings: Settings = settings(definition)?;
        let every = settings.every;
        if every.0 < SHORTEST {
            return Err(vec![wrong(definition, "every", "expected 100ms or more")]);
        }
        if settings.jitter.is_some_and(|jitter| jitter >= every) {
            let name = written(definition, "every");
            let message = format!("expected less than `{name}` ({every})");
            return Err(vec![wrong(definition, "jitter", message)]);
        }
        let plan = Plan::Interval { every: every.0, anchor: settings.from.unwrap_or_default() };
        let common = Common {
            trigger: settings.trigger,
            data: settings.data,
            misfire: settings.misfire,
            max: settings.max,
            jitter: settings.jitter,
            from: settings.from,
        };
        let names = (format!("every {every}"), "UTC".to_owned());
        Ok(Box::new(Ticker::new(definition, plan, names, common)?))
    }
}
