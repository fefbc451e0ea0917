//! What a rule remembers under one key. The deadlines that follow from it are worked out from the rule
//! and from this, never stored: a rule whose spans change keeps what it remembers.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::id::{EventId, ExecutionId};
use crate::model::time::Time;

/// What a rule remembers under one key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// When it last fired, or what its last firing changed was over; the cool-down counts from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fired: Option<Time>,
    /// Since when it is true, without a break.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// The event with which it became true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<EventId>,
    /// When it fired for being true, which it still is; one that is `once` does not fire again before
    /// it was false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<Time>,
    /// It wanted to fire and was kept from it until then, by its cool-down, limit or calendar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Time>,
    /// The last event under this key, where the rule may act without another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Seen>,
    /// Samples of a window, by their time, oldest first.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub samples: VecDeque<Sample>,
    /// Samples that the window had to let go since it opened.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// Of a sequence: what reached each step, by its number. Of `all_of`: the event of each step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Vec<Seen>>,
    /// Events of a burst, in order of arrival.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub burst: Vec<Seen>,
    /// Whether the last samples breached, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breaches: Vec<bool>,
    /// When it fired, as far back as its limit looks.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub firings: VecDeque<Time>,
    /// What it will fire for as soon as its limit allows, or when it is released.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub queue: VecDeque<Queued>,
    /// What its last firing started, as long as some of that is not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Started>,
    /// Since when it is in quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<Time>,
    /// What it means: hashes of the parts of the rule that give it its meaning.
    pub meaning: Meaning,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_no_bit(bits: &u16) -> bool {
    *bits == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Hashes over the text of a rule's keys. What was remembered under another meaning is not used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Meaning {
    /// Of `per`: what a key is.
    pub key: u64,
    /// Of `on`, `when`, `having` and the steps: what being true is.
    pub truth: u64,
}

/// An event that is remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The event.
    pub id: EventId,
    /// When it came, or happened where the rule has a `lateness`.
    pub at: Time,
    /// Its payload.
    pub data: Arc<Value>,
    /// How many rules stand between it and the outside.
    #[serde(default)]
    pub hops: u16,
    /// Of `all_of`: the steps that it fits, one bit each.
    #[serde(default, skip_serializing_if = "is_no_bit")]
    pub fits: u16,
}

/// One sample of a window: the fields that the window is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The event.
    pub id: EventId,
    /// When it came, or happened where the rule has a `lateness`.
    pub at: Time,
    /// The fields, in the order in which the rule names them.
    pub values: Vec<Value>,
}

/// A firing that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// The rule's key for it.
    pub key: String,
    /// The event that it is about.
    pub event: Seen,
    /// The events that led to it.
    pub events: Vec<EventId>,
}

/// What one firing started and is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The event on which the rule fired.
    pub event: EventId,
    /// When it fired.
    pub at: Time,
    /// What is not over, in the order of the rule's effects.
    pub open: Vec<Begun>,
}

/// One execution that a firing started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// Which of the rule's effects it is, from 0.
    pub effect: u16,
    /// The execution, once it has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<ExecutionId>,
}

impl Started {
    /// The first execution that is not over.
    #[must_use]
    pub fn execution(&self) -> Option<ExecutionId> {
        self.open.first().and_then(|begun| begun.execution)
    }
}

impl Memory {
    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let plain = Self { meaning: self.meaning, ..Self::default() };
        *self == plain
    }
}
