//! The one form in which measured values of SODA's and delfin's streams become events on
//! `storage.metric`, so that one rule serves both.

use std::sync::Arc;

use serde_json::{Map, Number, Value};

use crate::model::event::Report;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::sensors::decode::Stamp;

/// The trigger where the sensor file names none.
pub(super) const TRIGGER: &str = "storage.metric";

/// A metric of one resource, without its values. Empty texts become null.
pub(super) struct Metric<'a> {
    /// What is measured: `iops`, `responseTime`, …
    pub(super) name: &'a str,
    /// The kind of resource: `volume`, `pool`, `storagePool`, …
    pub(super) component: &'a str,
    /// Who measures: `lvm`, `ceph`, `delfin`, …
    pub(super) job: &'a str,
    /// The unit of the value, as the source spells it.
    pub(super) unit: &'a str,
    /// The resource's id.
    pub(super) instance_id: &'a str,
    /// The resource's name.
    pub(super) instance_name: &'a str,
    /// How the value was aggregated.
    pub(super) aggregation: &'a str,
    /// Whatever else tells series apart.
    pub(super) labels: Map<String, Value>,
    /// About what the events are.
    pub(super) subject: Option<Arc<str>>,
}

impl Metric<'_> {
    /// The event for one value.
    pub(super) fn report(
        &self,
        stamp: &Stamp<'_>,
        trigger: &Reference,
        value: Number,
        time: Option<Time>,
    ) -> Report {
        let text = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
        let data = Map::from_iter([
            ("name".to_owned(), text(self.name)),
            ("component".to_owned(), text(self.component)),
            ("job".to_owned(), text(self.job)),
            ("unit".to_owned(), text(self.unit)),
            ("instance_id".to_owned(), text(self.instance_id)),
            ("instance_name".to_owned(), text(self.instance_name)),
            ("aggregation".to_owned(), text(self.aggregation)),
            ("labels".to_owned(), Value::Object(self.labels.clone())),
            ("value".to_owned(), Value::Number(value)),
            ("timestamp".to_owned(), time.map(Time::millis).into()),
        ]);
        let mut report = stamp.report(trigger, Value::Object(data));
        report.subject.clone_from(&self.subject);
        report.time = time;
        report
    }
}

/// A number that may have been sent as text.
pub(super) fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => match text.trim().parse::<i64>() {
            Ok(whole) => Some(whole.into()),
            Err(_) => text.trim().parse().ok().and_then(Number::from_f64),
        },
        _ => None,
    }
}

/// From here on a Unix time counts milliseconds: in seconds it would lie beyond the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// A Unix time in seconds or milliseconds, told apart by its size.
pub(super) fn time(value: &Number) -> Option<Time> {
    let unix = value.as_f64().filter(|unix| unix.is_finite())?;
    let millis = if unix.abs() < MILLISECONDS_FROM { unix * 1000.0 } else { unix };
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and ours is a time in reach")]
    (millis.abs() < 8e15).then(|| Time::from_millis(millis.round() as i64))
}
