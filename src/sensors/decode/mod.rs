//! What stands in a record of a stream: bytes, key and headers in; reports out, or one reason why
//! not. Decoders are pure and whole: a record becomes all of its events or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::model::cause::Cause;
use crate::model::event::{Origin, Report};
use crate::model::reference::Reference;
use crate::model::time::Time;

pub mod json;
pub mod cloudevents;
mod metric;
pub mod metricspec;
pub mod delfin;

/// Events that one record may become at most: a small record cannot flood the engine.
pub const EVENTS_LIMIT: usize = 10_000;

/// A header: its name, and its value where it has one.
pub type Header<'a> = (&'a str, Option<&'a [u8]>);

/// One record as its source holds it; borrowed, so that decoding copies only what it keeps.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// Where in the partition, from 0.
    pub offset: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The content; none for a tombstone.
    pub payload: Option<&'a [u8]>,
    /// The headers in their order; empty unless the decoder `wants_headers`.
    pub headers: &'a [Header<'a>],
    /// When it was produced or appended.
    pub time: Option<Time>,
}

/// What every report of one record has in common.
#[derive(Debug)]
pub struct Stamp<'a> {
    /// The sensor's reference.
    pub sensor: &'a str,
    /// Who reports, unless the record says so itself.
    pub source: &'a Arc<str>,
    /// Where the record stands.
    pub origin: Origin,
}

impl Stamp<'_> {
    /// A report of `data` on `trigger`.
    #[must_use]
    pub fn report(&self, trigger: &Reference, data: Value) -> Report {
        Report {
            trigger: trigger.clone(),
            source: Arc::clone(self.source),
            subject: None,
            time: None,
            data: Arc::new(data),
            origin: Some(self.origin.clone()),
            once: None,
            cause: Cause::Sensor(self.sensor.to_owned()),
            hops: 0,
            trace: None,
            replay: None,
        }
    }
}

/// Why a record became no event: for the person who looks at the dead letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

impl Unreadable {
    fn json(error: &serde_json::Error) -> Self {
        Self(format!("it is not the JSON that was expected: {error}"))
    }
}

/// Reads one kind of record.
pub trait Decoder: Send + Sync {
    /// Whether it looks at headers; collecting them costs time.
    fn wants_headers(&self) -> bool {
        false
    }

    /// Adds the record's events to `reports`, in their order. A tombstone that means nothing to this
    /// decoder adds none.
    ///
    /// # Errors
    /// `Unreadable`; then `reports` may hold a part of the record's events, which the caller drops.
    fn decode(
        &self,
        record: &Record<'_>,
        stamp: &Stamp<'_>,
        reports: &mut Vec<Report>,
    ) -> Result<(), Unreadable>;
}

/// Decodes one record, whole or not at all: after an error `reports` is as it was.
///
/// # Errors
/// `Unreadable` with the reason.
pub fn decode(
    decoder: &dyn Decoder,
    record: &Record<'_>,
    stamp: &Stamp<'_>,
    reports: &mut Vec<Report>,
) -> Result<(), Unreadable> {
    let before = reports.len();
    let mut outcome = decoder.decode(record, stamp, reports);
    let count = reports.len() - before;
    if outcome.is_ok() && count > EVENTS_LIMIT {
        let reason = format!("it holds {count} events; at most {EVENTS_LIMIT} are taken from one");
        outcome = Err(Unreadable(reason));
    }
    if outcome.is_err() {
        reports.truncate(before);
    }
    outcome
}

/// How the records of a topic are read, as a sensor file says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which decoder: one of `NAMES`; `json` where it is not said.
    #[serde(rename = "as", default)]
    pub name: Name,
    /// The trigger of the events; each decoder has its own default.
    #[serde(default)]
    pub trigger: Option<Reference>,
    /// `cloudevents` only: the trigger for each type of event.
    #[serde(default)]
    pub triggers: BTreeMap<String, Reference>,
    /// `json` only: puts the record's coordinates around it.
    #[serde(default)]
    pub wrap: bool,
    /// `json` only: what becomes of a record without content.
    #[serde(default)]
    pub tombstones: json::Tombstones,
}

/// The decoders.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// Any JSON.
    #[default]
    Json,
    /// CloudEvents 1.0, structured or binary.
    CloudEvents,
    /// SODA's `MetricSpec`.
    MetricSpec,
    /// delfin's arrays of metrics.
    Delfin,
}

impl Settings {
    /// The settings of the decoder `name` and nothing more.
    #[must_use]
    pub fn of(name: Name) -> Self {
        Self { name, ..Self::default() }
    }

    /// The decoder that they describe.
    ///
    /// # Errors
    /// Says which key does not go with the decoder.
    pub fn decoder(&self) -> Result<Box<dyn Decoder>, String> {
        if self.name != Name::Json && (self.wrap || self.tombstones != json::Tombstones::Skip) {
            return Err("`wrap` and `tombstones` go with `as: json` only".to_owned());
        }
        if self.name != Name::CloudEvents && !self.triggers.is_empty() {
            return Err(
                "`triggers` goes with `as: cloudevents` only; `trigger` names one".to_owned()
            );
        }
        let trigger = self.trigger.clone();
        Ok(match self.name {
            Name::Json => Box::new(json::Json::new(trigger, self.wrap, self.tombstones)),
            Name::CloudEvents => {
                Box::new(cloudevents::CloudEvents::new(trigger, self.triggers.clone()))
            }
            Name::MetricSpec => Box::new(metricspec::MetricSpec::new(trigger)),
            Name::Delfin => Box::new(delfin::Delfin::new(trigger)),
        })
    }
}

/// A trigger that is written down here.
fn trigger(text: &str) -> Reference {
    text.parse().expect("a trigger written in this room is a reference")
}

/// Bytes as text, where they are text of at most `limit` bytes.
fn text(bytes: Option<&[u8]>, limit: usize) -> Option<&str> {
    bytes.filter(|bytes| bytes.len() <= limit).and_then(|bytes| std::str::from_utf8(bytes).ok())
}
