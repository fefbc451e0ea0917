//! `announce`: tells whoever listens. The result is the message; the log has it too.

use async_trait::async_trait;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::model::parameter::Parameters;
use crate::runners::{Job, Outcome, Runner, Stream, described};

/// Tells whoever listens.
pub(super) struct Announce;

#[async_trait]
impl Runner for Announce {
    fn name(&self) -> &'static str {
        "announce"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["announcement"]
    }

    fn about(&self) -> &'static str {
        "Leaves a message in the log and as its result"
    }

    fn parameters(&self, _runner_type: &str) -> Parameters {
        described(json!([
            ["experimental", {
                "types": ["boolean"], "default": true,
                "description": "StackStorm's files set it; it means nothing here",
            }],
            ["route", {
                "types": ["string"], "default": "general",
                "description": "Under which heading the message is announced",
            }],
        ]))
    }

    async fn run(&self, job: Job, _stop: CancellationToken) -> Outcome {
        let mut message = job.parameters.clone();
        message.remove("experimental");
        let route = message.remove("route").unwrap_or_else(|| json!("general"));
        tracing::info!(execution = %job.execution, %route, "An announcement was made");
        let result = json!({ "route": route, "message": message });
        job.say(Stream::Stdout, format!("{result}\n")).await;
        Outcome::succeeded(result)
    }
}
