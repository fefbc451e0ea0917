//! What comes next in a workflow: pure, durable, StackStorm's way.
//!
//! `begin` starts a flow, `conduct` tells it what happened; both answer with what should be done, and the
//! loop that called them does it. All that a flow remembers lies in rows: `Flow::take_changes` says what
//! to write, `Flow::restore` gives the flow back. Same definition, flow, happening and world: same
//! commands.
//!
//! Where ways meet, what was published later wins, name by name, objects merged into each other: as in
//! StackStorm. So the order in which children end matters only to names that two ways publish before
//! they meet; and a failure that nothing remedies fails the flow in any order, but what had begun
//! before differs.

pub mod state;
mod moves;
mod trail;
mod rows;
mod parts;
mod flow;
mod view;
mod render;
pub mod ready;
mod joins;
pub mod steps;
mod output;
mod transitions;
mod rerun;
mod import;
pub mod outline;
mod door;
mod children;
mod hold;
mod approve;
mod rounds;
mod undo;

use std::time::Duration;

use serde_json::{Map, Value};

use crate::model::execution::Status;
use crate::model::time::Time;

pub use door::{ROUNDS_AT_ONCE, begin, conduct};
pub use flow::Flow;
pub use rows::{Change, Damaged};
pub use view::{Fault, ItemCounts, TaskView};

/// What a flow is started with.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Start {
    /// The parameters it was given.
    pub inputs: Map<String, Value>,
    /// What stands before the inputs in the context: `{ "st2": .. }` in StackStorm.
    pub context: Map<String, Value>,
    /// When it must be over, whatever its own `timeout` says.
    pub deadline: Option<Time>,
}

/// Where a child belongs: one item of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The task's position in the order in which tasks began, from 0.
    pub entry: u32,
    /// The item, from 0, where the task has items.
    pub item: Option<u32>,
    /// How many children ran there before it, from 0: tries, questions, probes. What an earlier one
    /// reports late is not taken for the present one.
    pub turn: u32,
}

/// Something that happened to a flow.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A child moved.
    Task {
        /// Which.
        place: Place,
        /// Where it stands now.
        status: Status,
        /// What it gave; null while it is not over.
        result: Value,
    },
    /// Somebody wants it to pause.
    Pause {
        /// Who and why, for people.
        reason: String,
    },
    /// Somebody wants it to go on. After a failure that paused it: the same step again; of a task whose
    /// action ended well, only the expressions that failed.
    Resume,
    /// Somebody wants it to stop.
    Cancel {
        /// Who and why, for people.
        reason: String,
    },
    /// The time that `Flow::wake` named has come.
    Due,
    /// On a flow that a failure paused: that action again, also where it was an expression after it that
    /// failed.
    Retry {
        /// The task that failed.
        entry: u32,
        /// With these parameters laid over its own, or over those of each item.
        parameters: Option<Map<String, Value>>,
    },
    /// On a flow that a failure paused: go on as if the task had succeeded.
    Skip {
        /// The task that failed.
        entry: u32,
        /// What it is taken to have given.
        result: Value,
    },
    /// On a flow that a failure paused: it fails for good.
    Abort {
        /// Who and why, for people.
        reason: String,
    },
    /// On a flow that is over: run tasks again. No child that it had is heard any more: what was still
    /// under way runs again too.
    Rerun {
        /// Which; none: all because of which it failed.
        tasks: Vec<Again>,
    },
}

/// A task to run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// Its name.
    pub name: String,
    /// The route on which it ran; the first where nothing is said.
    pub route: Option<u32>,
    /// Run all of its items again, not only those that failed.
    pub reset_items: bool,
}

/// Something to be done for a flow.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Run an action as its child and tell it what becomes of it.
    Run {
        /// Where the child belongs.
        place: Place,
        /// The task's name.
        task: String,
        /// Its route, from 0.
        route: u32,
        /// The action.
        action: String,
        /// What it is given.
        parameters: Map<String, Value>,
        /// How long it may take.
        timeout: Option<Duration>,
        /// Before whom it goes: higher first.
        priority: Option<i64>,
    },
    /// Cancel this child.
    Stop {
        /// Where it belongs.
        place: Place,
    },
}

/// What a flow asks of the outside.
pub trait World {
    /// A stored key (`system.x`, `user.x`); nothing where there is none.
    ///
    /// # Errors
    /// A sentence for people where it cannot be read.
    fn key(&self, name: &str, decrypt: bool) -> Result<Option<Value>, String>;

    /// The present moment, the same throughout one call.
    fn now(&self) -> Time;
}

/// Why something cannot be done to a flow. The first five say it in Orquesta's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The workflow has no such task.
    #[error("Task \"{0}\" does not exist.")]
    InvalidTask(String),
    /// The task has not begun and is not about to.
    #[error("Task \"{0}\" is not staged or has not started yet.")]
    InvalidTaskStateEntry(String),
    /// The flow cannot be brought there from where it stands.
    #[error("Unable to process event \"workflow_{wanted}\" for workflow in \"{status}\" status.")]
    InvalidWorkflowStatusTransition {
        /// Where it stands.
        status: &'static str,
        /// Where it should have gone.
        wanted: &'static str,
    },
    /// It is not over, so there is nothing to run again.
    #[error("Unable to rerun workflow because it is not in a completed state.")]
    WorkflowIsActiveAndNotRerunable,
    /// No such task has run.
    #[error("Unable to rerun task|route(s) because it doesn't exist or isn't rerunnable: {0}")]
    InvalidTaskRerunRequest(String),
    /// The flow was begun with another definition.
    #[error("the workflow's task `{0}` is not as its definition says")]
    OtherDefinition(String),
    /// Everything in it came to its end.
    #[error("the workflow is {0}, and nothing in it failed or was canceled")]
    NothingToRerun(Status),
    /// No child was started there.
    #[error("the workflow has no child at task {entry}, item {item:?}", entry = .0.entry, item = .0.item)]
    NoSuchPlace(Place),
    /// Only a flow that a failure paused can be retried, skipped or aborted.
    #[error("the workflow is {0}, not paused by a failure")]
    NotHeld(Status),
    /// Another task failed, or none.
    #[error("task {0} is not the one that failed")]
    NotTheFailed(u32),
}

impl Refused {
    /// What the person who asked can do.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::InvalidTask(_) | Self::InvalidTaskStateEntry(_) | Self::NoSuchPlace(_) => {
                "look at the workflow's tasks for their names and numbers"
            }
            Self::InvalidWorkflowStatusTransition { .. } => {
                "look at its status: what is over can only be run again"
            }
            Self::WorkflowIsActiveAndNotRerunable => "wait until it is over, or cancel it",
            Self::OtherDefinition(_) => "conduct it with the definition with which it was begun",
            Self::NothingToRerun(_) => "name the tasks to run again",
            Self::InvalidTaskRerunRequest(_) => "name tasks that ran in this workflow",
            Self::NotHeld(_) => "only a workflow with `on_error: pause` waits after a failure",
            Self::NotTheFailed(_) => "name the task that the reason of the pause names",
        }
    }
}
