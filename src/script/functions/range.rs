//! `x in 80..95` for more than integers, and `in` of what is missing.

use std::ops::{Range, RangeInclusive};

use rhai::Dynamic;
use rhai::plugin::export_module;

#[expect(clippy::cast_precision_loss, reason = "ends of ranges in rules are small")]
fn between(value: &Dynamic, first: i64, last: i64, inclusive: bool) -> bool {
    let Ok(value) = value.as_float() else { return false };
    let (first, last) = (first as f64, last as f64);
    value >= first && (value < last || inclusive && value <= last)
}

#[export_module]
pub mod functions {
    /// Whether a number lies in a range; what is no number lies in none.
    ///
    /// > 85.5 in 80..95 => true
    /// > 95.0 in 80..95 => false
    /// > () in 80..95 => false
    #[rhai_fn(name = "contains", pure)]
    pub fn in_range(range: &mut Range<i64>, value: Dynamic) -> bool {
        between(&value, range.start, range.end, false)
    }

    /// Whether a number lies in a range that includes its end.
    ///
    /// > 95.0 in 80..=95 => true
    /// > 95.5 in 80..=95 => false
    #[rhai_fn(name = "contains", pure)]
    pub fn in_range_inclusive(range: &mut RangeInclusive<i64>, value: Dynamic) -> bool {
        between(&value, *range.start(), *range.end(), true)
    }

    /// Nothing is in what is missing.
    ///
    /// > "a" in () => false
    #[rhai_fn(name = "contains", pure)]
    pub fn in_nothing(_nothing: &mut (), _value: Dynamic) -> bool {
        false
    }
}
