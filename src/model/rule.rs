//! What rules ask for and what they decided. How they decide stands in the room `rules`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::execution::{Selector, Status, Wish};
use crate::model::id::{EventId, ExecutionId};
use crate::model::incident::Failure;
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
    /// Open an incident, or count one more report of it.
    Incident(Failure),
    /// Say that an incident is over.
    Resolve {
        /// Its key.
        key: String,
        /// How, where there is something to say.
        reason: Option<String>,
    },
    /// Write a value to the key-value store.
    Set {
        /// The key.
        key: String,
        /// The value; null removes the key.
        value: Value,
    },
    /// Pause, resume or cancel executions that are not over.
    Steer {
        /// Which of the three.
        wish: Wish,
        /// Which executions.
        selector: Selector,
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
    /// It waits for what its last firing started (`exclusive`).
    Busy {
        /// When that was.
        since: Time,
        /// The first execution that is not over, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<ExecutionId>,
    },
    /// It is true, and has to stay true until then (`hold`).
    Holding {
        /// When it fires, unless something breaks it.
        until: Time,
    },
    /// It stopped being true before its `hold` was over.
    Broken {
        /// Since when it had been true.
        since: Time,
    },
    /// Nothing was reported for as long as `stale` says: what it remembered is forgotten.
    Stale {
        /// The last report.
        since: Time,
    },
    /// It is still true, and has fired for that already.
    StillTrue {
        /// When it became true.
        since: Time,
    },
    /// It was true and is not any more; `recover` was asked where the rule has one.
    Recovered,
    /// It gathers: the window says no, steps are missing, a burst goes on, a sign of life came.
    Gathering {
        /// What it has and what it waits for.
        note: String,
    },
    /// It would fire, but its calendar says no; nothing: for as far as the calendar can say.
    Inactive {
        /// The first instant at which it may fire again.
        until: Option<Time>,
    },
    /// It has fired as often as its `limit` allows.
    Limited {
        /// The first instant at which it may fire again.
        until: Time,
    },
    /// It has fired as often as its `limit` allows, and will fire for this later.
    Queued {
        /// The first instant at which it may fire again.
        until: Time,
    },
    /// It fired more often than its `budget` allows: what it would do is kept until it is released.
    Quarantined {
        /// When it is released by itself, where the rule says so.
        until: Option<Time>,
    },
    /// The event came later than `lateness` allows, and is not remembered.
    Late {
        /// By how many milliseconds.
        ms: u64,
    },
    /// A named limit of its memory is reached.
    Full {
        /// Which, and how many.
        limit: String,
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

impl Verdict {
    /// The words of all verdicts.
    pub const WORDS: &[&str] = &[
        "fired",
        "shadowed",
        "not_matched",
        "cooling",
        "busy",
        "holding",
        "broken",
        "stale",
        "still_true",
        "recovered",
        "gathering",
        "inactive",
        "limited",
        "queued",
        "quarantined",
        "late",
        "full",
        "loop_stopped",
        "error",
    ];

    /// Its word, as counts, metrics and people know it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Shadowed => "shadowed",
            Self::NotMatched => "not_matched",
            Self::Cooling { .. } => "cooling",
            Self::Busy { .. } => "busy",
            Self::Holding { .. } => "holding",
            Self::Broken { .. } => "broken",
            Self::Stale { .. } => "stale",
            Self::StillTrue { .. } => "still_true",
            Self::Recovered => "recovered",
            Self::Gathering { .. } => "gathering",
            Self::Inactive { .. } => "inactive",
            Self::Limited { .. } => "limited",
            Self::Queued { .. } => "queued",
            Self::Quarantined { .. } => "quarantined",
            Self::Late { .. } => "late",
            Self::Full { .. } => "full",
            Self::LoopStopped { .. } => "loop_stopped",
            Self::Error { .. } => "error",
        }
    }

    /// What it says, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Fired => "it fired".to_owned(),
            Self::Shadowed => "it would have fired; it is a shadow".to_owned(),
            Self::NotMatched => "`when` said no".to_owned(),
            Self::Cooling { until } => format!("it fired a short time ago; it cools until {until}"),
            Self::Busy { since, execution: Some(execution) } => {
                format!("it waits for what it started at {since}: execution `{execution}`")
            }
            Self::Busy { since, execution: None } => {
                format!("it waits for what it started at {since}")
            }
            Self::Holding { until } => format!("it is true, and has to stay true until {until}"),
            Self::Broken { since } => {
                format!("it had been true since {since}, and stopped before its `hold` was over")
            }
            Self::Stale { since } => format!("nothing was reported since {since}: it is forgotten"),
            Self::StillTrue { since } => {
                format!("it is true since {since}, and has fired for that already")
            }
            Self::Recovered => "it was true and is not any more".to_owned(),
            Self::Gathering { note } => format!("it gathers: {note}"),
            Self::Inactive { until: Some(until) } => {
                format!("its calendar says no until {until}")
            }
            Self::Inactive { until: None } => "its calendar says no".to_owned(),
            Self::Limited { until } => format!("its `limit` is used up until {until}"),
            Self::Queued { until } => {
                format!("its `limit` is used up; it fires for this at {until}")
            }
            Self::Quarantined { until: Some(until) } => {
                format!("it is in quarantine until {until}; what it would do is kept")
            }
            Self::Quarantined { until: None } => {
                "it is in quarantine until somebody releases it; what it would do is kept"
                    .to_owned()
            }
            Self::Late { ms } => format!("the event came {ms} ms later than `lateness` allows"),
            Self::Full { limit } => limit.clone(),
            Self::LoopStopped { hops } => {
                format!("it feeds itself: the event has come through {hops} rules")
            }
            Self::Error { message, line: Some(line), .. } => {
                format!("it failed in line {line}: {message}")
            }
            Self::Error { message, .. } => format!("it failed: {message}"),
        }
    }

    /// Whether nothing came of it and nothing nearly did: such decisions are counted all, and kept
    /// as a sample.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        matches!(
            self,
            Self::NotMatched
                | Self::Holding { .. }
                | Self::StillTrue { .. }
                | Self::Gathering { .. }
        )
    }
}

/// The end of an execution that a rule started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The rule.
    pub rule: Reference,
    /// The event on which it fired.
    pub event: EventId,
    /// Which of its effects the execution is, from 0.
    pub effect: u16,
    /// The execution.
    pub execution: ExecutionId,
    /// Its action.
    pub action: Reference,
    /// What it was given.
    pub parameters: Map<String, Value>,
    /// How it ended.
    pub status: Status,
    /// What came of it.
    pub result: Value,
    /// When it ended.
    pub at: Time,
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
    /// The events that led to it, in order of arrival, where these are not just `event`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventId>,
    /// Something to know beside the verdict: a window that was full and let its oldest samples go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it asks for; empty unless fired, recovered or shadowed.
    #[serde(default)]
    pub effects: Vec<Effect>,
    /// The executions that the effects became, in their order.
    #[serde(default)]
    pub executions: Vec<ExecutionId>,
}
