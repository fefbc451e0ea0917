//! Text to typed values, by StackStorm's rules: JSON first, then Python's literals.

use serde_json::{Number, Value};

/// `text` as a value of the JSON type `kind`.
///
/// # Errors
/// What was expected, for people.
pub fn cast(kind: &str, text: &str) -> Result<Value, String> {
    let trimmed = text.trim();
    match kind {
        "integer" => {
            trimmed.parse::<i64>().map(Value::from).map_err(|_| "a whole number".to_owned())
        }
        "number" => trimmed
            .parse::<f64>()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| "a number".to_owned()),
        "boolean" => match trimmed.to_lowercase().as_str() {
            "true" | "1" => Ok(Value::Bool(true)),
            "false" | "0" => Ok(Value::Bool(false)),
            _ => Err("`true` or `false`".to_owned()),
        },
        "array" => json(trimmed).filter(Value::is_array).ok_or_else(|| "a list in JSON".to_owned()),
        "object" => {
            json(trimmed).filter(Value::is_object).ok_or_else(|| "an object in JSON".to_owned())
        }
        "null" => match trimmed {
            "" | "null" => Ok(Value::Null),
            _ => Err("nothing".to_owned()),
        },
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}
