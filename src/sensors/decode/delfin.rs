//! `delfin`: a JSON array of metrics, each as delfin really sends it, a named tuple turned array
//! (`[name, labels, values]`), or as its design shows it, an object with those three keys.
//! `values` maps milliseconds since 1970, as text, to numbers; null is no measurement.

use serde_json::{Map, Value};

use crate::model::event::Report;
use crate::model::reference::Reference;
use crate::sensors::decode::metric::{self, Metric};
use crate::sensors::decode::{Decoder, Record, Stamp, Unreadable, trigger};

/// Reads delfin's records: one event per value.
pub struct Delfin {
    trigger: Reference,
}

impl Delfin {
    /// Events on `trigger`; on `storage.metric` where none is named.
    #[must_use]
    pub fn new(named: Option<Reference>) -> Self {
        Self { trigger: named.unwrap_or_else(|| trigger(metric::TRIGGER)) }
    }
}

impl Decoder for Delfin {
    fn decode(
        &self,
        record: &Record<'_>,
        stamp: &Stamp<'_>,
        reports: &mut Vec<Report>,
    ) -> Result<(), Unreadable> {
        let Some(payload) = record.payload else { return Ok(()) };
        let whole: Value =
            serde_json::from_slice(payload).map_err(|error| Unreadable::json(&error))?;
        let before = reports.len();
        match whole {
            Value::Array(list) if !list.first().is_some_and(Value::is_string) => {
                for (at, metric) in list.into_iter().enumerate() {
                    self.values(metric, stamp, reports)
                        .map_err(|reason| Unreadable(format!("metric {at}: {reason}")))?;
                }
            }
            single => self.values(single, stamp, reports)?,
        }
        if reports.len() == before {
            return Err(Unreadable("it holds no values".to_owned()));
        }
        Ok(())
    }
}

impl Delfin {
    fn values(
        &self,
        metric: Value,
        stamp: &Stamp<'_>,
        reports: &mut Vec<Report>,
    ) -> Result<(), Unreadable> {
        let (name, labels, values) = parts(metric)?;
        let label = |key: &str| labels.get(key).and_then(Value::as_str).unwrap_or_default();
        let (storage, resource) = (label("storage_id"), label("resource_id"));
        let subject = match (storage, resource) {
            ("", "") => None,
            ("", one) | (one, "") => Some(one.into()),
            _ => Some(format!("{storage}/{resource}").into()),
        };
        let metric = Metric {
            name: &name,
            component: label("resource_type"),
            job: "delfin",
            unit: label("unit"),
            instance_id: resource,
            instance_name: "",
            aggregation: "",
            labels: labels.clone(),
            subject,
        };
        for (at, value) in values.into_iter().filter(|(_, value)| !value.is_null()) {
            let time = metric::number(&Value::String(at.clone()))
                .as_ref()
                .and_then(metric::time)
                .ok_or_else(|| {
                Unreadable(format!("`{at}` of `{name}` is no time; expected milliseconds"))
            })?;
            let value = metric::number(&value).ok_or_else(|| {
                Unreadable(format!("a value of `{name}` is {value}; expected a number"))
            })?;
            reports.push(metric.report(stamp, &self.trigger, value, Some(time)));
        }
        Ok(())
    }
}

type Parts = (String, Map<String, Value>, Map<String, Value>);

fn parts(metric: Value) -> Result<Parts, Unreadable> {
    let mut three = match metric {
        Value::Array(three) => three.try_into().unwrap_or_default(),
        Value::Object(mut object) => ["name", "labels", "values"]
            .map(|key| object.get_mut(key).map(Value::take).unwrap_or_default()),
        _ => <[Value; 3]>::default(),
    };
    match three.each_mut().map(Value::take) {
        [Value::String(name), Value::Object(labels), Value::Object(values)] if !name.is_empty() => {
            Ok((name, labels, values))
        }
        _ => Err(Unreadable(
            "it is no metric of delfin's; expected `[name, labels, values]` or an object with these keys"
                .to_owned(),
        )),
    }
}
