//! `metricspec`: what SODA's controller (hotpot) sends to the topic `metrics`, one JSON object per
//! record with one or several values. Empty texts are left out by its encoder, unknown keys are
//! tolerated, anything else (such as anomaly-detection's bare objects on the same topic) is refused.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::event::Report;
use crate::model::reference::Reference;
use crate::sensors::decode::metric::{self, Metric};
use crate::sensors::decode::{Decoder, Record, Stamp, Unreadable, trigger};

/// Reads `MetricSpec` records: one event per value.
pub struct MetricSpec {
    trigger: Reference,
}

impl MetricSpec {
    /// Events on `trigger`; on `storage.metric` where none is named.
    #[must_use]
    pub fn new(named: Option<Reference>) -> Self {
        Self { trigger: named.unwrap_or_else(|| trigger(metric::TRIGGER)) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(rename = "instanceID", borrow, default)]
    instance_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    instance_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    job: Option<Cow<'a, str>>,
    #[serde(default)]
    labels: Option<Map<String, Value>>,
    #[serde(borrow, default)]
    component: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    unit: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    aggr_type: Option<Cow<'a, str>>,
    #[serde(default)]
    metric_values: Option<Vec<Point>>,
}

#[derive(Deserialize)]
struct Point {
    #[serde(default)]
    timestamp: Value,
    #[serde(default)]
    value: Value,
}

impl Decoder for MetricSpec {
    fn decode(
        &self,
        record: &Record<'_>,
        stamp: &Stamp<'_>,
        reports: &mut Vec<Report>,
    ) -> Result<(), Unreadable> {
        let Some(payload) = record.payload else { return Ok(()) };
        if payload.trim_ascii_start().first() == Some(&b'[') {
            let specs: Vec<Spec<'_>> =
                serde_json::from_slice(payload).map_err(|error| Unreadable::json(&error))?;
            if specs.is_empty() {
                return Err(Unreadable("the list of MetricSpecs is empty".to_owned()));
            }
            return specs
                .into_iter()
                .try_for_each(|spec| self.values(spec, record, stamp, reports));
        }
        let spec = serde_json::from_slice(payload).map_err(|error| Unreadable::json(&error))?;
        self.values(spec, record, stamp, reports)
    }
}

impl MetricSpec {
    fn values(
        &self,
        spec: Spec<'_>,
        record: &Record<'_>,
        stamp: &Stamp<'_>,
        reports: &mut Vec<Report>,
    ) -> Result<(), Unreadable> {
        let name = spec.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            return Err(Unreadable("it is no MetricSpec: `name` is missing".to_owned()));
        }
        let points = spec.metric_values.unwrap_or_default();
        if points.is_empty() {
            return Err(Unreadable(format!("`metricValues` of `{name}` is missing or empty")));
        }
        let instance_id = spec.instance_id.as_deref().unwrap_or_default();
        let instance_name = spec.instance_name.as_deref().unwrap_or_default();
        let subject = [instance_name, instance_id].into_iter().find(|text| !text.is_empty());
        let metric = Metric {
            name,
            component: spec.component.as_deref().unwrap_or_default(),
            job: spec.job.as_deref().unwrap_or_default(),
            unit: spec.unit.as_deref().unwrap_or_default(),
            instance_id,
            instance_name,
            aggregation: spec.aggr_type.as_deref().unwrap_or_default(),
            labels: spec.labels.unwrap_or_default(),
            subject: subject.map(Into::into),
        };
        for point in points {
            let value = metric::number(&point.value).ok_or_else(|| {
                Unreadable(format!("a value of `{name}` is {}; expected a number", point.value))
            })?;
            let time = match &point.timestamp {
                Value::Null => record.time,
                given => Some(metric::number(given).as_ref().and_then(metric::time).ok_or_else(
                    || Unreadable(format!("`timestamp` of `{name}` is {given}; expected seconds")),
                )?),
            };
            reports.push(metric.report(stamp, &self.trigger, value, time));
        }
        Ok(())
    }
}
