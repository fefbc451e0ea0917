//! The hands: the ways in which an action is carried out. They know no store and no vault; they are
//! handed opened values, and hand back what happened.

mod announce;
mod email;
mod emit;
mod http;
mod inquiry;
mod kafka;
mod migrate;
mod noop;
mod process;
mod python;
mod rhai;
mod shell;
mod ssh;
pub mod supervisor;
mod workflow;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::supervisor::Supervisor;
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

    /// Whether an attempt can be held by its brake whatever its action says of `pause`.
    fn holds(&self) -> bool {
        false
    }

    /// How the engine goes about an execution of this runner.
    fn course(&self) -> Course {
        Course::Attempts
    }

    /// Carries out one attempt, or re-attaches to it (`Job::begin`). Ends by itself at the job's
    /// timeout or soon after `stop`.
    async fn run(&self, job: Job, stop: CancellationToken) -> Outcome;

    /// Says that the outcome of an attempt is stored. Runners whose attempts survive the engine keep
    /// each outcome until then, so that an engine that died in between finds it (`Begin::Return`).
    async fn release(&self, _execution: ExecutionId, _attempt: u32) {}
}

/// How the engine goes about an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// In attempts: `Runner::run` is called for each.
    Attempts,
    /// There is nothing to do outside: as a task of a workflow it is over in the commit that makes it.
    AtOnce,
    /// It is a workflow: its tasks are executions of their own.
    Workflow,
    /// It waits for a person.
    Inquiry,
}

/// What runners are made of.
#[derive(Clone)]
pub struct Tools {
    /// Holds the programs that run.
    pub supervisor: Supervisor,
    /// What one program may use.
    pub limits: supervisor::protocol::Limits,
    /// Between asking a program to end and killing it.
    pub grace: Duration,
    /// What every program finds in its environment: `PATH`, `HOME`, `LANG`, and nothing of ours.
    pub environment: BTreeMap<String, String>,
    /// What installers find besides, which fetch what a pack requires: `PIP_*`, proxies.
    pub installing: BTreeMap<String, String>,
}

impl Tools {
    /// The usual limits and environment around `supervisor`.
    #[must_use]
    pub fn new(supervisor: Supervisor) -> Self {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let environment = [("PATH", path), ("LANG", "C.UTF-8")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            supervisor,
            limits: supervisor::protocol::Limits::default(),
            grace: Duration::from_secs(10),
            environment: environment.into(),
            installing: BTreeMap::new(),
        }
    }
}

/// Makes one kind of runner.
pub type Make = fn(&Tools) -> Arc<dyn Runner>;

/// Every kind of runner, in the order of the manual.
pub const KINDS: &[Make] = &[
    |tools| Arc::new(shell::Shell::new(tools)),
    |tools| Arc::new(python::Python::new(tools)),
    |_| Arc::new(http::Http::new()),
    |_| Arc::new(rhai::Rhai),
    |_| Arc::new(kafka::Kafka::new()),
    |_| Arc::new(migrate::Migrate::new()),
    |_| Arc::new(email::Email),
    |tools| Arc::new(ssh::Ssh::new(tools)),
    |_| Arc::new(noop::Noop),
    |_| Arc::new(announce::Announce),
    |_| Arc::new(emit::Emit),
    |_| Arc::new(workflow::Workflow),
    |_| Arc::new(inquiry::Inquiry),
];

/// The kinds that the engine carries out itself, and that need no tools.
#[must_use]
pub fn own() -> Vec<Arc<dyn Runner>> {
    vec![Arc::new(noop::Noop), Arc::new(workflow::Workflow), Arc::new(inquiry::Inquiry)]
}

/// The runners of this process, by name.
#[derive(Clone)]
pub struct Runners {
    all: Arc<[Arc<dyn Runner>]>,
}

impl Runners {
    /// One of each kind.
    #[must_use]
    pub fn new(tools: &Tools) -> Self {
        Self { all: KINDS.iter().map(|make| make(tools)).collect() }
    }

    /// The runner called `name`, by its short name or one of StackStorm's.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<dyn Runner>> {
        self.all.iter().find(|runner| runner.name() == name || runner.aliases().contains(&name))
    }

    /// All, in the order of the manual.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Runner>> {
        self.all.iter()
    }
}

/// The variable in which programs find the trace that they are part of, as OpenTelemetry has it.
pub const TRACE_PARENT: &str = "TRACEPARENT";

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
    /// Holds it, where its runner and its action can be held.
    pub brake: Brake,
}

impl Job {
    /// The `traceparent` of what this attempt calls, where it is part of a trace.
    #[must_use]
    pub fn trace_parent(&self) -> Option<&str> {
        self.environment.get(TRACE_PARENT).map(String::as_str)
    }
}

/// The line between an attempt and whoever may want it held.
#[derive(Debug, Clone)]
pub struct Brake {
    /// Whether it is to stand still.
    pub wanted: watch::Receiver<bool>,
    /// Whether all of it stands still; nothing while that is not known.
    pub stands: Arc<watch::Sender<Option<bool>>>,
}

impl Brake {
    /// One that nobody pulls.
    #[must_use]
    pub fn unused() -> Self {
        Self { wanted: watch::channel(false).1, stands: Arc::new(watch::channel(None).0) }
    }
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

impl Job {
    /// Leaves a piece of output; nobody listening is no error.
    pub(crate) async fn say(&self, stream: Stream, text: impl Into<String>) {
        drop(self.output.send(Piece { stream, text: text.into() }).await);
    }
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

impl Outcome {
    /// It went well, with this result.
    pub(crate) fn succeeded(result: Value) -> Self {
        Self { ended: Ended::So(End::Succeeded), result, reason: None }
    }

    /// It failed before it could do anything.
    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let result = serde_json::json!({ "error": reason });
        Self { ended: Ended::So(End::Failed), result, reason: Some(reason) }
    }

    /// It ended so without a result of its own.
    pub(crate) fn ended(ended: Ended, reason: impl Into<String>) -> Self {
        Self { ended, ..Self::failed(reason) }
    }
}

/// How an attempt ended, as its runner saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It ran, and this is how.
    So(End),
    /// It failed, and would fail again however often it were tried: no `retry` applies.
    Hopeless,
    /// On return: nobody can know whether it ran.
    Lost,
    /// On return: it surely never began; starting it now is its first start.
    NeverBegan,
}

/// Parameters written as `[["cmd", {"types": ["string"], …}], …]`, in that order.
///
/// # Panics
/// Where the text in our own source is wrong; a test reads all of them.
fn described(parameters: Value) -> Parameters {
    serde_json::from_value(parameters).expect("parameters in our own source are right")
}
