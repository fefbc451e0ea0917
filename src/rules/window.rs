//! What `having` is asked about: the samples of a window, and what they add up to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rhai::plugin::export_module;
use rhai::{Array, Dynamic, EvalAltResult, Module, Shared};
use serde_json::Value;

use crate::model::memory::Sample;
use crate::script::convert::to_dynamic;

/// The functions that take a field's name.
pub(crate) const FIELD_FUNCTIONS: &[&str] = &[
    "sum",
    "avg",
    "min",
    "max",
    "p50",
    "p75",
    "p90",
    "p95",
    "p99",
    "percentile",
    "first",
    "last",
    "distinct",
    "values",
    "delta",
];

/// The samples of a window, as a rule sees them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Window {
    samples: Arc<[Sample]>,
    fields: Arc<[String]>,
    span: Duration,
}

impl Window {
    pub(crate) fn new(samples: Arc<[Sample]>, fields: Arc<[String]>, span: Duration) -> Self {
        Self { samples, fields, span }
    }

    /// As a closure takes it.
    pub(crate) fn to_dynamic(&self) -> Dynamic {
        Dynamic::from(self.clone())
    }

    fn field(&self, name: &str) -> Result<impl Iterator<Item = &Value>, Box<EvalAltResult>> {
        let Some(at) = self.fields.iter().position(|known| known == name) else {
            let message =
                format!("the window keeps no field `{name}`: name it in the rule outright");
            return Err(message.into());
        };
        let values = self.samples.iter().filter_map(move |sample| sample.values.get(at));
        Ok(values.filter(|value| !value.is_null()))
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>, Box<EvalAltResult>> {
        Ok(self.field(name)?.filter_map(Value::as_f64).collect())
    }

    /// The nearest rank: the smallest value that at least this share of the values do not exceed.
    fn rank(&self, name: &str, percent: f64) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut numbers = self.numbers(name)?;
        if numbers.is_empty() {
            return Ok(Dynamic::UNIT);
        }
        numbers.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "windows are short, and the rank is within them"
        )]
        let rank = (percent / 100.0 * numbers.len() as f64).ceil().max(1.0) as usize;
        Ok(numbers[rank.min(numbers.len()) - 1].into())
    }
}

/// The functions, for an engine.
#[must_use]
pub fn module() -> Shared<Module> {
    rhai::exported_module!(functions).into()
}

#[export_module]
#[expect(unreachable_pub, reason = "Rhai's macro wants public functions")]
#[expect(clippy::cast_precision_loss, reason = "windows are short")]
mod functions {
    /// How many samples the window holds.
    #[rhai_fn(get = "count")]
    pub fn count(window: Window) -> i64 {
        i64::try_from(window.samples.len()).unwrap_or(i64::MAX)
    }

    /// Samples per second, over the window's whole length.
    #[rhai_fn(get = "rate")]
    pub fn rate(window: Window) -> f64 {
        window.samples.len() as f64 / window.span.as_secs_f64()
    }

    /// The sum of a field's numbers; 0 where there are none.
    #[rhai_fn(return_raw)]
    pub fn sum(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        let integers: Option<i64> = window
            .field(field)?
            .filter(|value| value.is_number())
            .try_fold(0i64, |sum, value| sum.checked_add(value.as_i64()?));
        match integers {
            Some(sum) => Ok(sum.into()),
            None => Ok(window.numbers(field)?.iter().sum::<f64>().into()),
        }
    }

    /// The mean of a field's numbers; `()` where there are none.
    #[rhai_fn(return_raw)]
    pub fn avg(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        let numbers = window.numbers(field)?;
        if numbers.is_empty() {
            return Ok(Dynamic::UNIT);
        }
        Ok((numbers.iter().sum::<f64>() / numbers.len() as f64).into())
    }

    /// The smallest of a field's numbers; `()` where there are none.
    #[rhai_fn(return_raw)]
    pub fn min(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        let numbers = window.field(field)?.filter(|value| value.is_number());
        let least = numbers.min_by(|a, b| super::order(a, b));
        Ok(least.map_or(Dynamic::UNIT, to_dynamic))
    }

    /// The largest of a field's numbers; `()` where there are none.
    #[rhai_fn(return_raw)]
    pub fn max(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        let numbers = window.field(field)?.filter(|value| value.is_number());
        let most = numbers.max_by(|a, b| super::order(a, b));
        Ok(most.map_or(Dynamic::UNIT, to_dynamic))
    }

    /// The median of a field's numbers, by nearest rank; `()` where there are none.
    #[rhai_fn(return_raw)]
    pub fn p50(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        window.rank(field, 50.0)
    }

    /// The 75th percentile of a field's numbers, by nearest rank; `()` where there are none.
    #[rhai_fn(return_raw)]
    pub fn p75(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        window.rank(field, 75.0)
    }

    /// The 90th percentile of a field's numbers, by nearest rank; `()` where there are none.
    #[rhai_fn(return_raw)]
    pub fn p90(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        window.rank(field, 90.0)
    }

    /// The 95th percentile of a field's numbers, by nearest rank; `()` where there are none.
    #[rhai_fn(return_raw)]
    pub fn p95(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        window.rank(field, 95.0)
    }

    /// The 99th percentile of a field's numbers, by nearest rank; `()` where there are none.
    #[rhai_fn(return_raw)]
    pub fn p99(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        window.rank(field, 99.0)
    }

    /// Any percentile of a field's numbers, 0 to 100, by nearest rank; `()` where there are none.
    #[rhai_fn(return_raw)]
    pub fn percentile(
        window: Window,
        field: &str,
        percent: Dynamic,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let number = percent.as_float().or_else(|_| percent.as_int().map(|int| int as f64));
        match number {
            Ok(number) if (0.0..=100.0).contains(&number) => window.rank(field, number),
            _ => Err("`percentile` takes a number from 0 to 100".into()),
        }
    }

    /// A field's first value in the window; `()` where no sample has it.
    #[rhai_fn(return_raw)]
    pub fn first(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        Ok(window.field(field)?.next().map_or(Dynamic::UNIT, to_dynamic))
    }

    /// A field's last value in the window; `()` where no sample has it.
    #[rhai_fn(return_raw)]
    pub fn last(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        Ok(window.field(field)?.last().map_or(Dynamic::UNIT, to_dynamic))
    }

    /// By how much a field's number grew from the first sample to the last; `()` without any.
    #[rhai_fn(return_raw)]
    pub fn delta(window: Window, field: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        let numbers = window.numbers(field)?;
        let ends = numbers.first().zip(numbers.last());
        Ok(ends.map_or(Dynamic::UNIT, |(first, last)| (last - first).into()))
    }

    /// How many different values a field has; samples without it do not count.
    #[rhai_fn(return_raw)]
    pub fn distinct(window: Window, field: &str) -> Result<i64, Box<EvalAltResult>> {
        let different: BTreeSet<String> = window.field(field)?.map(Value::to_string).collect();
        Ok(i64::try_from(different.len()).unwrap_or(i64::MAX))
    }

    /// All values of a field, oldest first; samples without it are left out.
    #[rhai_fn(return_raw)]
    pub fn values(window: Window, field: &str) -> Result<Array, Box<EvalAltResult>> {
        Ok(window.field(field)?.map(to_dynamic).collect())
    }
}

/// The order of two numbers.
fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().unwrap_or(f64::NAN).total_cmp(&b.as_f64().unwrap_or(f64::NAN)),
    }
}
