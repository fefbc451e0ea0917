//! What a person may want of a workflow beyond pause, resume and cancel.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What to do with a workflow that stands still since a task failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Do the task again.
    Retry {
        /// The task's position in the sequence of the workflow, from 0.
        entry: u32,
        /// Parameters that differ from those of the first try.
        parameters: Option<Map<String, Value>>,
    },
    /// Go on as if the task had succeeded.
    Skip {
        /// The task's position in the sequence of the workflow, from 0.
        entry: u32,
        /// The result that it shall have.
        result: Value,
    },
    /// Do not go on by itself: of one that rests already, for an answer or since a task failed.
    Hold {
        /// Who wants it.
        reason: String,
    },
    /// Give up: undo what can be undone, and fail.
    Abort {
        /// Why.
        reason: String,
    },
    /// On the copy of a workflow that is over: do these tasks again, and what follows from them.
    Rerun {
        /// The tasks; none: all that failed.
        tasks: Vec<Again>,
    },
}

/// A task to do again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// Its name.
    pub name: String,
    /// Whether all items of `with` are done again, or only those that failed.
    pub reset_items: bool,
}
