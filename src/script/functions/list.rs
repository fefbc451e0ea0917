//! Lists: what Rhai's own functions leave out, or do in place.

use std::cmp::Ordering;

use rhai::plugin::export_module;
use rhai::{Array, Dynamic, EvalAltResult};

use crate::script::convert::{kind, to_json};

#[expect(clippy::cast_precision_loss, reason = "a mix of integers and floats is a float")]
fn number(value: &Dynamic) -> Result<f64, Box<EvalAltResult>> {
    let integer = value.as_int().map(|integer| integer as f64);
    integer
        .or_else(|_| value.as_float())
        .map_err(|_| format!("expected numbers, found {}", kind(value)).into())
}

fn order(a: &Dynamic, b: &Dynamic) -> Result<Ordering, Box<EvalAltResult>> {
    if let (Ok(a), Ok(b)) = (a.as_immutable_string_ref(), b.as_immutable_string_ref()) {
        return Ok(a.as_str().cmp(b.as_str()));
    }
    if let (Ok(a), Ok(b)) = (a.as_int(), b.as_int()) {
        return Ok(a.cmp(&b));
    }
    Ok(number(a)?.total_cmp(&number(b)?))
}

fn extreme(list: &Array, wanted: Ordering) -> Result<Dynamic, Box<EvalAltResult>> {
    let mut items = list.iter();
    let Some(mut best) = items.next() else { return Ok(Dynamic::UNIT) };
    for item in items {
        if order(item, best)? == wanted {
            best = item;
        }
    }
    Ok(best.clone())
}

#[export_module]
pub mod functions {
    /// The sum of numbers; an integer where all are.
    ///
    /// > sum([1, 2, 3]) => 6
    /// > sum([1, 0.5]) => 1.5
    /// > sum([]) => 0
    ///
    /// # Errors
    /// Where something is no number, or the sum is too large.
    #[rhai_fn(return_raw, pure)]
    pub fn sum(list: &mut Array) -> Result<Dynamic, Box<EvalAltResult>> {
        let integers: Option<Vec<i64>> = list.iter().map(|item| item.as_int().ok()).collect();
        if let Some(integers) = integers {
            let sum = integers.into_iter().try_fold(0i64, i64::checked_add);
            return sum.map(Into::into).ok_or_else(|| "the sum is too large".into());
        }
        let mut sum = 0.0;
        for item in list.iter() {
            sum += number(item)?;
        }
        Ok(Dynamic::from_float(sum))
    }

    /// The average of numbers; `()` of none.
    ///
    /// > average([1, 2]) => 1.5
    /// > average([]) => ()
    ///
    /// # Errors
    /// Where something is no number.
    #[rhai_fn(return_raw, pure)]
    #[expect(clippy::cast_precision_loss, reason = "lists are short")]
    pub fn average(list: &mut Array) -> Result<Dynamic, Box<EvalAltResult>> {
        if list.is_empty() {
            return Ok(Dynamic::UNIT);
        }
        let mut sum = 0.0;
        for item in list.iter() {
            sum += number(item)?;
        }
        Ok(Dynamic::from_float(sum / list.len() as f64))
    }

    /// The smallest of numbers or texts; `()` of none.
    ///
    /// > smallest([3, 1, 2]) => 1
    ///
    /// # Errors
    /// Where they cannot be compared.
    #[rhai_fn(return_raw, pure)]
    pub fn smallest(list: &mut Array) -> Result<Dynamic, Box<EvalAltResult>> {
        extreme(list, Ordering::Less)
    }

    /// The largest of numbers or texts; `()` of none.
    ///
    /// > largest(["a", "c", "b"]) => "c"
    ///
    /// # Errors
    /// Where they cannot be compared.
    #[rhai_fn(return_raw, pure)]
    pub fn largest(list: &mut Array) -> Result<Dynamic, Box<EvalAltResult>> {
        extreme(list, Ordering::Greater)
    }

    /// The list in order; Rhai's own `sort` changes a variable in place.
    ///
    /// > sorted([3, 1, 2]) => [1, 2, 3]
    ///
    /// # Errors
    /// Where the items cannot be compared.
    #[rhai_fn(return_raw, pure)]
    pub fn sorted(list: &mut Array) -> Result<Array, Box<EvalAltResult>> {
        for item in list.iter() {
            order(&list[0], item)?;
        }
        let mut copy = list.clone();
        copy.sort_by(|a, b| order(a, b).unwrap_or(Ordering::Equal));
        Ok(copy)
    }

    /// The list without repetitions, in the order of first occurrence.
    ///
    /// > distinct(["b", "a", "b"]) => ["b", "a"]
    ///
    /// # Errors
    /// Where something is no data.
    #[rhai_fn(return_raw, pure)]
    pub fn distinct(list: &mut Array) -> Result<Array, Box<EvalAltResult>> {
        let mut seen = std::collections::HashSet::new();
        let mut copy = Array::new();
        for item in list.iter() {
            let text = to_json(item).map_err(|error| error.to_string())?.to_string();
            if seen.insert(text) {
                copy.push(item.clone());
            }
        }
        Ok(copy)
    }

    /// The items as texts with `between` between them.
    ///
    /// > joined(["a", 1], ", ") => "a, 1"
    ///
    /// # Errors
    /// Where the result would be larger than texts may be.
    #[rhai_fn(return_raw, pure)]
    pub fn joined(list: &mut Array, between: &str) -> Result<String, Box<EvalAltResult>> {
        let limit = crate::script::limits::DECIDING.string_bytes;
        let mut text = String::new();
        for (number, item) in list.iter().enumerate() {
            if number > 0 {
                text.push_str(between);
            }
            text.push_str(&item.to_string());
            if text.len() > limit {
                return Err("a text grows too long".into());
            }
        }
        Ok(text)
    }
}
