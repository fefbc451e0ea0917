//! `noop`: does nothing, well.

use async_trait::async_trait;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::model::parameter::Parameters;
use crate::runners::{Course, Job, Outcome, Runner};

/// Does nothing, well.
pub(super) struct Noop;

#[async_trait]
impl Runner for Noop {
    fn name(&self) -> &'static str {
        "noop"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn about(&self) -> &'static str {
        "Does nothing and succeeds: a place to hang parameters, policies and rules on"
    }

    fn parameters(&self, _runner_type: &str) -> Parameters {
        Parameters::new()
    }

    fn course(&self) -> Course {
        Course::AtOnce
    }

    async fn run(&self, _job: Job, _stop: CancellationToken) -> Outcome {
        Outcome::succeeded(json!({}))
    }
}
