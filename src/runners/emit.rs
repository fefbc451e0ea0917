//! `emit`: reports an event from within a workflow. The runner only reads what is wanted; the engine
//! makes the event in the commit that ends the execution, so there is exactly one.

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::model::parameter::Parameters;
use crate::model::reference::Reference;
use crate::runners::{Job, Outcome, Runner, described};

/// Reports an event.
pub(super) struct Emit;

#[async_trait]
impl Runner for Emit {
    fn name(&self) -> &'static str {
        "emit"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn about(&self) -> &'static str {
        "Reports an event: exactly one, when the execution ends"
    }

    fn parameters(&self, _runner_type: &str) -> Parameters {
        described(json!([
            ["trigger", {
                "types": ["string"], "required": true,
                "description": "The kind of event, `pack.name`",
            }],
            ["payload", {
                "types": ["object", "null"], "default": {},
                "description": "What the event says; it has to fit the trigger's schema",
            }],
            ["trace_tag", {
                "types": ["string", "null"],
                "description": "A tag that the event carries",
            }],
        ]))
    }

    // Nothing happens outside: after the death of an engine it is read again.
    async fn run(&self, job: Job, _stop: CancellationToken) -> Outcome {
        let given = |name: &str| job.parameters.get(name).filter(|value| !value.is_null()).cloned();
        let trigger = given("trigger").unwrap_or_default();
        let trigger = trigger.as_str().unwrap_or_default();
        if trigger.parse::<Reference>().is_err() {
            return Outcome::failed(format!("`{trigger}` is no trigger; expected `pack.name`"));
        }
        let payload = given("payload").unwrap_or_else(|| json!({}));
        let trace_tag = given("trace_tag").unwrap_or(Value::Null);
        let result = json!({ "trigger": trigger, "payload": payload, "trace_tag": trace_tag });
        Outcome::succeeded(result)
    }
}
