//! What led to what: carried by every event and execution, so that a result can be walked back.

use serde::{Deserialize, Serialize};

use crate::model::id::{EventId, ExecutionId};
use crate::model::reference::Reference;

/// Why an event happened or an execution was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The world outside, through the sensor of this name (`api` for a person's own event).
    Sensor(String),
    /// A person or program with this user's key.
    User(String),
    /// A rule that fired on an event; `effect` counts the rule's effects from 0.
    Rule {
        /// The rule.
        rule: Reference,
        /// The event on which it fired.
        event: EventId,
        /// Which of its effects this is, from 0.
        effect: u16,
    },
    /// An execution: its end, its output, or its retry.
    Execution(ExecutionId),
}

/// How many rules stand between an event and the outside at most: a rule that feeds itself ends here.
pub const MAX_HOPS: u16 = 16;
