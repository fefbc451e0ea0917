//! The hands: the ways in which an action is carried out. They know no store and no vault; they are
//! handed opened values, and hand back what happened.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::model::action::Action;
use crate::model::execution::End;
use crate::model::id::ExecutionId;
use crate::model::parameter::Parameters;

/// A way to carry out an action.
#[async_trait]
pub trait Runner: Send + Sync {
    /// The short name (`shell`).
    fn name(&self) -> &'static str;

    /// StackStorm's names for the same (`local-shell-cmd`, `local-shell-script`).
    fn aliases(&self) -> &'static [&'static str];

    /// One sentence for the manual.
    fn about(&self) -> &'static str;

    /// Parameters that every action of this runner has; `runner_type` is the name the file used, as
    /// StackStorm's two shell runners differ in theirs.
    fn parameters(&self, runner_type: &str) -> Parameters;

    /// Whether an attempt goes on when the engine that began it is gone. The future of `run` may then
    /// be dropped at any time; a later `run` with `Begin::Return` takes the attempt up again and
    /// hands over its output from the beginning.
    fn survives(&self) -> bool {
        false
    }

    /// Carries out one attempt, or re-attaches to it (`Job::begin`). Ends by itself at the job's
    /// timeout or soon after `stop`.
    async fn run(&self, job: Job, stop: CancellationToken) -> Outcome;
}

/// One attempt to make.
#[derive(Debug, Clone)]
pub struct Job {
    /// Whose attempt.
    pub execution: ExecutionId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The action as it was when the execution was accepted.
    pub action: Arc<Action>,
    /// The action's and the runner's parameters, checked, defaults filled in.
    pub parameters: Map<String, Value>,
    /// The pack's configuration.
    pub config: Arc<Value>,
    /// Environment beyond the clean one: `IFSO_EXECUTION_ID`, `IFSO_ATTEMPT`, `ST2_ACTION_*`, ….
    pub environment: BTreeMap<String, String>,
    /// Where programs may leave files: the pack's virtual environments, the supervisor's spool.
    pub data: PathBuf,
    /// How long it may take.
    pub timeout: Duration,
    /// Whether this is a start or a return after the engine died.
    pub begin: Begin,
    /// Where output goes, piece by piece; a full channel slows the reader down, not the action.
    pub output: mpsc::Sender<Piece>,
}

/// A start, or a return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Nothing of this attempt exists yet.
    Fresh,
    /// The engine died after it had promised to start this attempt: find it, or say that nobody can
    /// know (`Ended::Lost`), or that it surely never began (`Ended::NeverBegan`).
    Return,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Which stream.
    pub stream: Stream,
    /// The text; whole lines where possible.
    pub text: String,
}

/// A program's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Its answer.
    Stdout,
    /// Its log.
    Stderr,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// The result in StackStorm's shape for the runner (`{stdout, stderr, return_code, …}`).
    pub result: Value,
    /// Why it failed, in one line for people; nothing where it went well.
    pub reason: Option<String>,
}

/// How an attempt ended, as its runner saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It ran, and this is how.
    So(End),
    /// On return: nobody can know whether it ran.
    Lost,
    /// On return: it surely never began; starting it now is its first start.
    NeverBegan,
}
