//! Events that actions of runner `emit` report: each is made in the commit that ends its execution.

use std::sync::Arc;

use crate::executions::Room;
use crate::model::cause::Cause;
use crate::model::event::Report;
use crate::model::execution::{End, Execution};
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::model::trace;
use crate::runners::{Ended, Outcome};
use crate::store::batch::Batch;
use crate::store::queue;
use crate::store::tables::Work;

/// The runner whose result is an event.
const RUNNER: &str = "emit";

/// The outcome, failed where its event does not fit its trigger's schema: whoever wrote the workflow
/// is told there, and not by a dead letter.
pub(super) fn fitting(room: &Room, execution: &Execution, outcome: Outcome) -> Outcome {
    if execution.action.runner != RUNNER || outcome.ended != Ended::So(End::Succeeded) {
        return outcome;
    }
    let catalog = room.parts.catalog.load();
    let trigger = outcome.result["trigger"].as_str().unwrap_or_default();
    let known = trigger.parse::<Reference>().ok().and_then(|name| catalog.triggers.get(&name));
    // A schema that does not compile was refused when its pack was loaded.
    let schema = known.and_then(|known| jsonschema::validator_for(&known.payload_schema).ok());
    let wrong = schema.and_then(|schema| {
        let error = schema.validate(&outcome.result["payload"]).err()?;
        let place = error.instance_path().to_string();
        let place = if place.is_empty() { "the payload".to_owned() } else { format!("`{place}`") };
        Some(format!("{place} does not fit trigger `{trigger}`: {error}"))
    });
    wrong.map_or(outcome, Outcome::failed)
}

/// Puts the event of an execution that went well into intake's queue.
pub(super) fn put(room: &Room, ended: &Execution, batch: &mut Batch, now: Time) {
    if ended.action.runner != RUNNER {
        return;
    }
    let name = ended.result["trigger"].as_str().unwrap_or_default();
    let Ok(trigger) = name.parse::<Reference>() else { return };
    let report = Report {
        source: ended.action.reference.as_str().into(),
        time: Some(now),
        // From the result, out of which secrets are struck.
        data: Arc::new(ended.result["payload"].clone()),
        cause: Cause::Execution(ended.id),
        hops: ended.hops + 1,
        trace: ended.result["trace_tag"].as_str().or_else(|| trace::tag(ended)).map(Into::into),
        ..Report::new(trigger, "executions", serde_json::Value::Null)
    };
    let work = Work::Report(Box::new(report));
    queue::push(batch, queue::INTAKE, now, room.parts.ids.record(), work);
}
