//! `cloudevents`: CloudEvents 1.0 over Kafka, in the structured mode (one JSON object) and in the
//! binary mode (attributes in `ce_` headers, data in the payload).
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md>

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::event::Report;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::sensors::decode::{Decoder, Record, Stamp, Unreadable};

/// Reads CloudEvents. The type is the trigger (`com.example.pool_full` is the trigger
/// `example.pool_full` of the pack `com`) unless the sensor file maps it or names one for all.
pub struct CloudEvents {
    trigger: Option<Reference>,
    triggers: BTreeMap<String, Reference>,
}

impl CloudEvents {
    /// Events on the trigger that `triggers` has for their type, else on `trigger`, else on the type
    /// itself.
    #[must_use]
    pub fn new(trigger: Option<Reference>, triggers: BTreeMap<String, Reference>) -> Self {
        Self { trigger, triggers }
    }

    fn trigger_of(&self, kind: &str) -> Result<Reference, Unreadable> {
        if let Some(named) = self.triggers.get(kind).or(self.trigger.as_ref()) {
            return Ok(named.clone());
        }
        kind.parse().map_err(|_| {
            Unreadable(format!(
                "type `{kind}` names no trigger; name one under `trigger` or `triggers`"
            ))
        })
    }

    fn report(
        &self,
        attributes: &Attributes,
        data: Value,
        stamp: &Stamp<'_>,
    ) -> Result<Report, Unreadable> {
        let version = attributes.required("specversion")?;
        if !version.starts_with("1.") {
            return Err(Unreadable(format!("`specversion` is `{version}`; expected `1.0`")));
        }
        let (id, source) = (attributes.required("id")?, attributes.required("source")?);
        let trigger = self.trigger_of(attributes.required("type")?)?;
        let time = attributes
            .get("time")
            .map(|time| time.parse::<Time>().map_err(|wrong| Unreadable(wrong.to_string())))
            .transpose()?;
        let mut report = stamp.report(&trigger, data);
        report.source = source.into();
        report.subject = attributes.get("subject").map(Into::into);
        report.trace = attributes.get("traceparent").map(Into::into);
        report.once = Some(once(source, id));
        report.time = time;
        Ok(report)
    }

    fn structured(&self, payload: &[u8], stamp: &Stamp<'_>) -> Result<Report, Unreadable> {
        let mut object: Map<String, Value> =
            serde_json::from_slice(payload).map_err(|error| Unreadable::json(&error))?;
        let data = match (object.remove("data"), object.remove("data_base64")) {
            (Some(_), Some(_)) => {
                return Err(Unreadable("it has both `data` and `data_base64`".to_owned()));
            }
            (Some(data), None) => shaped(data),
            (None, Some(encoded)) => {
                Value::Object(Map::from_iter([("data_base64".to_owned(), encoded)]))
            }
            (None, None) => Value::Object(Map::new()),
        };
        let attributes = object.into_iter().filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            Value::Null => None,
            other => Some((name, other.to_string())),
        });
        self.report(&Attributes(attributes.collect()), data, stamp)
    }

    fn binary(&self, record: &Record<'_>, stamp: &Stamp<'_>) -> Result<Report, Unreadable> {
        let mut attributes = BTreeMap::new();
        for (header, value) in record.headers {
            let Some(name) = header.strip_prefix("ce_") else { continue };
            let value = std::str::from_utf8(value.unwrap_or_default())
                .map_err(|_| Unreadable(format!("header `{header}` is not UTF-8")))?;
            attributes.insert(name.to_owned(), value.to_owned());
        }
        let data = match record.payload {
            None | Some([]) => Value::Object(Map::new()),
            Some(payload) => typed(payload, content_type(record))?,
        };
        self.report(&Attributes(attributes), data, stamp)
    }
}

impl Decoder for CloudEvents {
    fn wants_headers(&self) -> bool {
        true
    }

    fn decode(
        &self,
        record: &Record<'_>,
        stamp: &Stamp<'_>,
        reports: &mut Vec<Report>,
    ) -> Result<(), Unreadable> {
        let declared = content_type(record).is_some_and(|kind| {
            kind.get(..23)
                .is_some_and(|start| start.eq_ignore_ascii_case("application/cloudevents"))
        });
        let binary = record.headers.iter().any(|(name, _)| name.starts_with("ce_"));
        let report = match record.payload {
            None if !binary => return Ok(()),
            Some(payload) if declared || !binary => self.structured(payload, stamp)?,
            _ => self.binary(record, stamp)?,
        };
        reports.push(report);
        Ok(())
    }
}

/// The key under which an event of `source` with `id` is taken in once, whichever way it comes:
/// CloudEvents promises that the pair is unique. The length keeps the two apart, whatever they hold.
#[must_use]
pub fn once(source: &str, id: &str) -> String {
    format!("cloudevents/{}/{source}/{id}", source.len())
}

struct Attributes(BTreeMap<String, String>);

impl Attributes {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn required(&self, name: &str) -> Result<&str, Unreadable> {
        self.get(name)
            .ok_or_else(|| Unreadable(format!("it is no CloudEvent: `{name}` is missing or empty")))
    }
}

fn content_type<'a>(record: &Record<'a>) -> Option<&'a str> {
    let held = record.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"))?;
    std::str::from_utf8(held.1?).ok()
}

/// Data in the shape that rules expect: an object; anything else stands under `value`.
pub(crate) fn shaped(data: Value) -> Value {
    match data {
        Value::Object(_) => data,
        Value::Null => Value::Object(Map::new()),
        bare => Value::Object(Map::from_iter([("value".to_owned(), bare)])),
    }
}

fn typed(payload: &[u8], kind: Option<&str>) -> Result<Value, Unreadable> {
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or(kind).trim().to_ascii_lowercase());
    let kind = kind.as_deref().unwrap_or("application/json");
    if kind.ends_with("/json") || kind.ends_with("+json") {
        return serde_json::from_slice(payload)
            .map(shaped)
            .map_err(|error| Unreadable::json(&error));
    }
    match std::str::from_utf8(payload) {
        Ok(text) => Ok(shaped(text.into())),
        Err(_) => Err(Unreadable(format!("its data of type `{kind}` are neither JSON nor text"))),
    }
}
