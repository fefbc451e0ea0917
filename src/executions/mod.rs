//! The life of an execution: request, dispatch, run, settle. Each move is one commit, and whoever
//! comes back after a crash finds in the store where to go on.

mod attempt;
mod conductor;
mod control;
mod dispatch;
mod draft;
mod emitted;
mod flows;
mod question;
mod hold;
mod inquiries;
mod answers;
mod notices;
mod orders;
mod output;
mod progress;
mod policies;
mod request;
mod secrets;
mod templates;
mod settle;
mod ends;
mod turn;
mod watching;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::broadcast;

use crate::clock::{Clock, Ids};
use crate::model::action::Action;
use crate::model::cause::Cause;
use crate::model::execution::{Execution, Illegal, Status};
use crate::model::id::ExecutionId;
use crate::model::parameter::Parameters;
use crate::model::reference::Reference;
use crate::packs::catalog::Current;
use crate::packs::parameters;
use crate::runners::Runner;
use crate::store::tables::Progress;
use crate::store::{self, Handle, table};
use crate::tasks::Tasks;
use crate::telemetry::metrics::Metrics;
use crate::workflows::conduct::Refused;

pub use answers::Unanswered;
pub use conductor::Conductor;
pub use control::NOTICE;
pub use dispatch::Dispatcher;
pub use orders::Remedy;
pub use question::Question;
pub use watching::{Parts as Children, read as definition};

/// State changes that a slow watcher may be behind before it misses some.
const WATCH_LIMIT: usize = 4096;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The action.
    pub action: Reference,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// In whose name.
    pub user: String,
    /// What led to it.
    pub cause: Cause,
    /// How long one attempt may take, where the caller says so.
    pub timeout: Option<Duration>,
    /// How long to wait before the first attempt.
    pub delay: Option<Duration>,
    /// StackStorm's `context`.
    pub context: Map<String, Value>,
    /// The caller's own key: the same key is the same execution, for a day.
    pub once: Option<String>,
}

/// Why an execution could not be requested or controlled.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No pack provides the action.
    #[error("no pack provides action `{name}`")]
    NoSuchAction {
        /// The name that was asked for.
        name: Reference,
        /// The nearest name that exists.
        nearest: Option<String>,
    },
    /// The action is disabled.
    #[error("action `{0}` is disabled")]
    Disabled(Reference),
    /// The parameters do not fit.
    #[error("{}", problems.join("; "))]
    BadParameters {
        /// One line per parameter.
        problems: Vec<String>,
    },
    /// The caller's key was used for another request.
    #[error("key `{once}` was used for another request, which became `{execution}`")]
    OnceAgain {
        /// The caller's key.
        once: String,
        /// What it became.
        execution: ExecutionId,
    },
    /// There is no such execution.
    #[error("there is no execution `{0}`")]
    NotFound(ExecutionId),
    /// It cannot make that move.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// What carries it out cannot hold it.
    #[error(
        "execution `{execution}` is `{status}`, and action `{action}` cannot be held meanwhile"
    )]
    Unstoppable {
        /// The execution.
        execution: ExecutionId,
        /// Its action.
        action: Reference,
        /// Where it stands.
        status: Status,
    },
    /// It is no workflow, or one that has not begun.
    #[error("execution `{0}` is no workflow that has begun")]
    NoWorkflow(ExecutionId),
    /// No task of it failed.
    #[error("execution `{execution}` has no failed task{}", task.as_ref().map(|task| format!(" `{task}`")).unwrap_or_default())]
    NoFailedTask {
        /// The execution.
        execution: ExecutionId,
        /// The task that was named.
        task: Option<String>,
    },
    /// Its workflow does not do that where it stands.
    #[error("{refused}")]
    Refused {
        /// The execution.
        execution: ExecutionId,
        /// Why.
        refused: Refused,
    },
    /// Its workflow cannot go on.
    #[error("the workflow of execution `{execution}` cannot go on: {what}")]
    Broken {
        /// The execution.
        execution: ExecutionId,
        /// Why.
        what: String,
    },
    /// The store did not take it.
    #[error("the execution could not be stored")]
    Store(#[from] store::Error),
}

impl Error {
    /// The next step for whoever asked.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoSuchAction { nearest: Some(nearest), .. } => {
                format!("did you mean `{nearest}`?")
            }
            Self::NoSuchAction { .. } => "`ifso action list` shows what can be run".to_owned(),
            Self::Disabled(action) => format!("set `enabled: true` in the file of `{action}`"),
            Self::BadParameters { .. } => "`ifso action show` lists the parameters".to_owned(),
            Self::OnceAgain { .. } => "use a new key for a new request".to_owned(),
            Self::NotFound(_) => "`ifso execution list` shows the ones that are kept".to_owned(),
            Self::Illegal(_) => return None,
            Self::NoWorkflow(_) => "`ifso execution rerun` runs any action again".to_owned(),
            Self::NoFailedTask { execution, .. } => {
                format!("`ifso execution show {execution}` lists its tasks")
            }
            Self::Refused { refused, .. } => refused.help().to_owned(),
            Self::Broken { .. } => "`ifso doctor` looks at every record".to_owned(),
            Self::Unstoppable { .. } => {
                "a shell or python action can be held that says `pause: signal` in its file; \
                 a workflow always"
                    .to_owned()
            }
            Self::Store(error) => error.help()?.to_owned(),
        })
    }
}

/// Settings of the room.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Attempts under way at once at most.
    pub concurrency: usize,
    /// How long an attempt may take where neither caller nor action nor runner say so.
    pub timeout: Duration,
    /// Where runners may leave files.
    pub data: PathBuf,
    /// What actions are told as the address of the API (`ST2_ACTION_API_URL`).
    pub api_url: String,
    /// What links for people begin with: the address under which they reach this Ifso.
    pub public_url: String,
}

/// What an action may call the API with. It is good until this is dropped: with its attempt, so that
/// a machine that runs a million actions does not hold a million tokens.
pub struct Token {
    /// As clients send it.
    pub text: String,
    /// Ends it.
    pub end: Box<dyn Fn() + Send + Sync>,
}

impl Drop for Token {
    fn drop(&mut self) {
        (self.end)();
    }
}

/// Makes a short-lived token for an execution's own calls to the API.
pub type Tokens = Arc<dyn Fn(&Execution, Duration) -> Token + Send + Sync>;

/// What the room is built from.
pub struct Parts {
    /// The store.
    pub store: Handle,
    /// The catalog.
    pub catalog: Current,
    /// The time.
    pub clock: Clock,
    /// Ids.
    pub ids: Ids,
    /// Where attempts run.
    pub tasks: Tasks,
    /// The runners, by short name.
    pub runners: HashMap<&'static str, Arc<dyn Runner>>,
    /// Tokens for actions.
    pub tokens: Tokens,
    /// What is counted.
    pub metrics: Metrics,
    /// Settings.
    pub settings: Settings,
}

/// The way to executions for the API and other edges. Cheap to clone.
#[derive(Clone)]
pub struct Executions {
    room: Arc<Room>,
}

/// An execution has said how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progressed {
    /// Its action.
    pub action: Reference,
    /// How far.
    pub progress: Progress,
}

/// What handle, dispatcher and attempts share.
struct Room {
    parts: Parts,
    /// The attempts that this process follows.
    running: Mutex<HashMap<ExecutionId, hold::Reins>>,
    changed: broadcast::Sender<Arc<Execution>>,
    printed: broadcast::Sender<ExecutionId>,
    progressed: broadcast::Sender<Arc<Progressed>>,
    doorway: policies::Doorway,
    /// Rings when an attempt's place is free again.
    freed: tokio::sync::Notify,
}

impl Room {
    /// What may be given to an action: its runner's parameters, and its own over them.
    fn accepts(&self, action: &Action) -> Parameters {
        match self.parts.runners.get(action.runner.as_str()) {
            Some(runner) => {
                parameters::merge(&runner.parameters(&action.runner_type), &action.parameters)
            }
            None => action.parameters.clone(),
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<ExecutionId, hold::Reins>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever watches. Nobody watching is fine.
    fn tell(&self, execution: &Execution) {
        self.doorway.told(execution);
        if self.changed.receiver_count() > 0 {
            drop(self.changed.send(Arc::new(execution.clone())));
        }
    }
}

/// Builds the handle and the loops behind it.
#[must_use]
pub fn open(parts: Parts) -> (Executions, Dispatcher, Conductor) {
    let room = Arc::new(Room {
        parts,
        running: Mutex::default(),
        changed: broadcast::channel(WATCH_LIMIT).0,
        printed: broadcast::channel(WATCH_LIMIT).0,
        progressed: broadcast::channel(WATCH_LIMIT).0,
        doorway: policies::Doorway::default(),
        freed: tokio::sync::Notify::new(),
    });
    let conductor = Conductor::new(Arc::clone(&room));
    (Executions { room: Arc::clone(&room) }, Dispatcher::new(room), conductor)
}

impl Executions {
    /// One execution.
    ///
    /// # Errors
    /// As `Store::get`.
    pub async fn get(&self, id: ExecutionId) -> Result<Option<Execution>, store::Error> {
        let held = table::get(&self.room.parts.store, id.to_bytes().to_vec()).await?;
        Ok(held.map(|held| held.row))
    }

    /// Every state change from now on; a watcher that is too slow is told how many it missed. A change
    /// may be told after the one that followed it: the longer `log` is the newer state.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Arc<Execution>> {
        self.room.changed.subscribe()
    }

    /// Which executions have new output, from now on.
    #[must_use]
    pub fn output_changes(&self) -> broadcast::Receiver<ExecutionId> {
        self.room.printed.subscribe()
    }

    /// How far executions say that they are, from now on: what is told here is on disk.
    #[must_use]
    pub fn progress_changes(&self) -> broadcast::Receiver<Arc<Progressed>> {
        self.room.progressed.subscribe()
    }

    /// How far these say that they are, in their order: nothing where the attempt under way, or the
    /// last one, said nothing.
    ///
    /// # Errors
    /// As `Store::get`.
    pub async fn progress(&self, of: &[&Execution]) -> Result<Vec<Option<Progress>>, store::Error> {
        let keys = of.iter().map(|execution| execution.id.to_bytes().to_vec());
        let found = table::get_many::<Progress>(&self.room.parts.store, keys).await?;
        let current = |(execution, held): (&&Execution, Option<table::Held<Progress>>)| {
            held.map(|held| held.row).filter(|progress| progress.attempt == execution.attempt)
        };
        Ok(of.iter().zip(found).map(current).collect())
    }

    /// How many attempts are under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.room.running().len()
    }
}
