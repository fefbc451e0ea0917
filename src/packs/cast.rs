//! Values to the types of parameters, by StackStorm's rules: JSON first, then Python's literals. Whether
//! what comes out has that type is asked afterwards: `"1"` for an object is 1, and refused then.

use serde_json::{Number, Value};

use crate::packs::literal;

/// What StackStorm's template filter `use_none` writes for null.
const NONE: &str = "%*****__%NONE%__*****%";

/// `value` cast to the JSON type `kind`.
///
/// # Errors
/// What was expected, for people.
pub fn cast(kind: &str, value: &Value) -> Result<Value, &'static str> {
    let value = if value == NONE { &Value::Null } else { value };
    let text = value.as_str().map(str::trim);
    match kind {
        "integer" => integer(value).map(Value::from).ok_or("a whole number"),
        "number" => number(value).map(Value::Number).ok_or("a number"),
        "boolean" => match text {
            Some(text) => literal::parse(&capitalised(text)).ok_or("`true` or `false`"),
            None => Ok(value.clone()),
        },
        "array" => structure(value).ok_or("a list in JSON, such as `[1, 2]`"),
        "object" => structure(value).ok_or("an object in JSON, such as `{\"a\": 1}`"),
        "string" if !value.is_string() && !value.is_null() => Err("a text"),
        _ => Ok(value.clone()),
    }
}

/// As Python's `int`.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::String(text) => text.trim().replace('_', "").parse().ok(),
        Value::Number(number) => number.as_i64().or_else(|| {
            let whole = Number::from_f64(number.as_f64()?.trunc())?;
            format!("{:.0}", whole.as_f64()?).parse().ok()
        }),
        _ => None,
    }
}

/// As Python's `float`, finite ones only.
fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Bool(flag) => Number::from_f64(f64::from(u8::from(*flag))),
        Value::String(text) => Number::from_f64(text.trim().replace('_', "").parse().ok()?),
        Value::Number(number) => Number::from_f64(number.as_f64()?),
        _ => None,
    }
}

fn structure(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => serde_json::from_str(text).ok().or_else(|| literal::parse(text)),
        other => Some(other.clone()),
    }
}

/// As Python's `str.capitalize`.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters.flat_map(char::to_lowercase)).collect()
}
