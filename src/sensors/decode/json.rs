//! `json`: the object is the event's data, so that a rule says `e.used_pct`. With `wrap: true` the
//! record's coordinates stand around it, in the words of StackStorm's kafka pack.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::event::Report;
use crate::model::reference::Reference;
use crate::sensors::decode::{Decoder, Record, Stamp, Unreadable, text, trigger};

/// What a key may be long at most to become the event's subject.
const SUBJECT_LIMIT: usize = 1024;

/// What becomes of a record without content, by which compacted topics say that a key is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tombstones {
    /// Nothing.
    #[default]
    Skip,
    /// An event whose data are `key` and `deleted: true`.
    Event,
}

/// Reads any JSON.
pub struct Json {
    trigger: Reference,
    wrap: bool,
    tombstones: Tombstones,
}

impl Json {
    /// Events on `trigger`; on `kafka.message` (wrapped: `kafka.new_message`) where none is named.
    #[must_use]
    pub fn new(named: Option<Reference>, wrap: bool, tombstones: Tombstones) -> Self {
        let default = if wrap { "kafka.new_message" } else { "kafka.message" };
        Self { trigger: named.unwrap_or_else(|| trigger(default)), wrap, tombstones }
    }

    fn data(&self, record: &Record<'_>) -> Result<Option<Value>, Unreadable> {
        let Some(payload) = record.payload else {
            return Ok((self.tombstones == Tombstones::Event).then(|| self.deleted(record)));
        };
        let message: Value =
            serde_json::from_slice(payload).map_err(|error| Unreadable::json(&error))?;
        Ok(Some(match message {
            message if self.wrap => wrapped(record, message),
            Value::Object(_) => message,
            bare => Value::Object(Map::from_iter([("value".to_owned(), bare)])),
        }))
    }

    fn deleted(&self, record: &Record<'_>) -> Value {
        if self.wrap {
            return wrapped(record, Value::Null);
        }
        Value::Object(Map::from_iter([
            ("key".to_owned(), readable(record.key)),
            ("deleted".to_owned(), Value::Bool(true)),
        ]))
    }
}

impl Decoder for Json {
    fn wants_headers(&self) -> bool {
        self.wrap
    }

    fn decode(
        &self,
        record: &Record<'_>,
        stamp: &Stamp<'_>,
        reports: &mut Vec<Report>,
    ) -> Result<(), Unreadable> {
        if let Some(data) = self.data(record)? {
            let mut report = stamp.report(&self.trigger, data);
            report.subject = text(record.key, SUBJECT_LIMIT).map(Into::into);
            report.time = record.time;
            reports.push(report);
        }
        Ok(())
    }
}

fn wrapped(record: &Record<'_>, message: Value) -> Value {
    let headers =
        record.headers.iter().map(|(name, value)| ((*name).to_owned(), readable(*value))).collect();
    Value::Object(Map::from_iter([
        ("topic".to_owned(), record.topic.into()),
        ("partition".to_owned(), record.partition.into()),
        ("offset".to_owned(), record.offset.into()),
        ("key".to_owned(), readable(record.key)),
        ("headers".to_owned(), Value::Object(headers)),
        ("timestamp".to_owned(), record.time.map(crate::model::time::Time::millis).into()),
        ("message".to_owned(), message),
    ]))
}

/// Bytes for people: text, with what is no UTF-8 replaced.
fn readable(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| String::from_utf8_lossy(bytes).into())
}
