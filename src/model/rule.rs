//! What rules ask for and what they decided. How they decide stands in the room `rules`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::id::{EventId, ExecutionId};
use crate::model::reference::Reference;
use crate::model::time::Time;

/// Something that a rule wants done. Returned by `then`, carried out by the stage that asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "effect")]
pub enum Effect {
    /// Request an execution.
    Run {
        /// The action.
        action: Reference,
        /// Its parameters.
        parameters: Map<String, Value>,
        /// `timeout`, `delay`, `priority`, … as the rule wrote them.
        options: Map<String, Value>,
    },
    /// Report a new event.
    Emit {
        /// Its trigger.
        trigger: Reference,
        /// Its payload.
        data: Value,
    },
    /// Tell people, over a channel.
    Notify {
        /// The channel's name.
        channel: String,
        /// What to say.
        text: String,
    },
    /// Write a value to the key-value store.
    Set {
        /// The key.
        key: String,
        /// The value; null removes the key.
        value: Value,
    },
    /// Leave a line in the decision and the log.
    Log {
        /// The line.
        text: String,
    },
}

/// Why a rule did or did not act on an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// It fired; the effects are being carried out.
    Fired,
    /// `shadow: true`: it would have fired.
    Shadowed,
    /// `when` said no.
    NotMatched,
    /// It matched, but its cool-down lasts until then.
    Cooling {
        /// The first instant at which it may fire again.
        until: Time,
    },
    /// It fed itself: the event has come through too many rules already.
    LoopStopped {
        /// How many rules the event has come through.
        hops: u16,
    },
    /// A closure failed or ran into a limit.
    Error {
        /// What happened.
        message: String,
        /// Line of the rule's file, from 1.
        line: Option<u32>,
        /// Column, from 1.
        column: Option<u32>,
    },
}

/// What one rule made of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The rule.
    pub rule: Reference,
    /// The event.
    pub event: EventId,
    /// The version of the rule: a hash of its file and imports.
    pub version: Arc<str>,
    /// What came out.
    pub verdict: Verdict,
    /// The rule's memory key for this event (`per`), where it has one.
    #[serde(default)]
    pub key: Option<String>,
    /// What it asks for; empty unless fired or shadowed.
    #[serde(default)]
    pub effects: Vec<Effect>,
    /// The executions that the effects became, in their order.
    #[serde(default)]
    pub executions: Vec<ExecutionId>,
}

/// What a rule remembers under one key. More kinds of memory come with more fields, each optional.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// When it last fired; the cool-down counts from here.
    #[serde(default)]
    pub fired: Option<Time>,
}
