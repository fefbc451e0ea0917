//! `workflow`: an action made of tasks. The engine conducts it itself; nothing runs here.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::model::parameter::Parameters;
use crate::runners::{Course, Job, Outcome, Runner};

/// An action made of tasks.
pub(super) struct Workflow;

#[async_trait]
impl Runner for Workflow {
    fn name(&self) -> &'static str {
        "workflow"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["orquesta", "orchestra", "mistral-v2"]
    }

    fn about(&self) -> &'static str {
        "Carries out a workflow: tasks that follow one another, fork, join, repeat and wait"
    }

    fn parameters(&self, _runner_type: &str) -> Parameters {
        Parameters::new()
    }

    fn course(&self) -> Course {
        Course::Workflow
    }

    async fn run(&self, _job: Job, _stop: CancellationToken) -> Outcome {
        Outcome::failed("a workflow is conducted by the engine")
    }
}
