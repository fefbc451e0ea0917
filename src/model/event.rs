//! An event: one thing that happened; immutable.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::cause::Cause;
use crate::model::id::EventId;
use crate::model::reference::Reference;
use crate::model::time::Time;

/// One thing that happened. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its name for ever; minted when it was accepted.
    pub id: EventId,
    /// What kind of thing happened.
    pub trigger: Reference,
    /// Who reported it: CloudEvents' `source`.
    pub source: Arc<str>,
    /// About what, where the reporter said so: CloudEvents' `subject`.
    #[serde(default)]
    pub subject: Option<Arc<str>>,
    /// When it happened, as the reporter said, else when it was accepted.
    pub time: Time,
    /// When it was accepted.
    pub accepted: Time,
    /// What a rule's closure takes as its first parameter. A JSON object by convention.
    pub data: Arc<Value>,
    /// What led to it.
    pub cause: Cause,
    /// How many rules stand between it and the outside, from 0.
    #[serde(default)]
    pub hops: u16,
    /// A tag that StackStorm's clients send along (`St2-Trace-Tag`), or a W3C trace parent.
    #[serde(default)]
    pub trace: Option<Arc<str>>,
    /// That it is a kept event which goes through again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

/// A kept event that goes through again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The event that it was.
    pub of: EventId,
    /// Whether what it leads to is done. Otherwise decisions are kept, and memory stays as it was.
    pub acts: bool,
}

/// What a sensor reports: an event that has no id yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What kind of thing happened.
    pub trigger: Reference,
    /// Who reports it.
    pub source: Arc<str>,
    /// About what.
    #[serde(default)]
    pub subject: Option<Arc<str>>,
    /// When it happened, where the reporter knows.
    #[serde(default)]
    pub time: Option<Time>,
    /// The payload.
    pub data: Arc<Value>,
    /// Where in a stream it stood, for sources that have an order.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// Reports with the same key are one event, for 24 hours.
    #[serde(default)]
    pub once: Option<String>,
    /// What led to it.
    pub cause: Cause,
    /// How many rules stand between it and the outside, from 0.
    #[serde(default)]
    pub hops: u16,
    /// A trace tag or parent.
    #[serde(default)]
    pub trace: Option<Arc<str>>,
    /// That it is a kept event which goes through again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

impl Report {
    /// A report of `data` on `trigger` by the sensor `sensor`.
    #[must_use]
    pub fn new(trigger: Reference, sensor: &str, data: Value) -> Self {
        Self {
            trigger,
            source: sensor.into(),
            subject: None,
            time: None,
            data: Arc::new(data),
            origin: None,
            once: None,
            cause: Cause::Sensor(sensor.to_owned()),
            hops: 0,
            trace: None,
            replay: None,
        }
    }
}

/// A place in an ordered stream. What stands at or before the place already committed for its stream
/// is a duplicate and is dropped: that is how offsets make an event exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The stream: `kafka/<sensor>/<cluster>/<topic>/<partition>`, `schedule/<sensor>`, …
    pub stream: Arc<str>,
    /// The place in it; grows. Kafka's offset, a schedule's nominal instant in milliseconds.
    pub at: i64,
}
