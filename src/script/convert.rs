//! JSON to Rhai and back.

use rhai::{Array, Dynamic, ImmutableString, Map};
use serde_json::{Number, Value};

/// What a script sees of a JSON value. Null is `()`; an integer beyond 64 bits signed is a decimal,
/// so that it stays exact.
pub fn to_dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(bool) => (*bool).into(),
        Value::Number(number) => number_to_dynamic(number),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(to_dynamic).collect::<Array>().into(),
        Value::Object(entries) => object_to_map(entries).into(),
    }
}

/// What a script sees of a JSON object.
#[must_use]
pub fn object_to_map(entries: &serde_json::Map<String, Value>) -> Map {
    entries.iter().map(|(name, value)| (name.as_str().into(), to_dynamic(value))).collect()
}

fn number_to_dynamic(number: &Number) -> Dynamic {
    if let Some(integer) = number.as_i64() {
        return integer.into();
    }
    if let Some(large) = number.as_u64() {
        return Dynamic::from_decimal(large.into());
    }
    number.as_f64().map_or(Dynamic::UNIT, Dynamic::from_float)
}

/// Something of a script that is no data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A closure, an effect, a range, ….
    #[error("{0} is not data")]
    NotData(String),
    /// JSON has no such numbers.
    #[error("{0} is not a number that JSON has")]
    NotFinite(String),
}

/// A script's value as JSON.
///
/// # Errors
/// `NotData` for closures and the like; `NotFinite` for infinities and NaN.
pub fn to_json(value: &Dynamic) -> Result<Value, Error> {
    if value.is_shared() {
        return to_json(&value.clone().flatten());
    }
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(bool) = value.as_bool() {
        return Ok(bool.into());
    }
    if let Ok(integer) = value.as_int() {
        return Ok(integer.into());
    }
    if let Ok(float) = value.as_float() {
        let number = Number::from_f64(float).ok_or_else(|| Error::NotFinite(float.to_string()))?;
        return Ok(Value::Number(number));
    }
    compound_to_json(value)
}

fn compound_to_json(value: &Dynamic) -> Result<Value, Error> {
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(text.as_str().into());
    }
    if let Ok(items) = value.as_array_ref() {
        return items.iter().map(to_json).collect::<Result<_, _>>().map(Value::Array);
    }
    if let Ok(entries) = value.as_map_ref() {
        return map_to_object(&entries).map(Value::Object);
    }
    if let Ok(letter) = value.as_char() {
        return Ok(letter.to_string().into());
    }
    if let Ok(decimal) = value.as_decimal() {
        // What JSON gave us comes back exactly; a fraction becomes the nearest float.
        let text = decimal.normalize().to_string();
        return text.parse().map(Value::Number).map_err(|_| Error::NotFinite(text));
    }
    Err(Error::NotData(kind(value)))
}

/// A script's map as a JSON object.
///
/// # Errors
/// As `to_json`.
pub fn map_to_object(entries: &Map) -> Result<serde_json::Map<String, Value>, Error> {
    entries.iter().map(|(name, value)| Ok((name.to_string(), to_json(value)?))).collect()
}

/// What a value is, in words for people: `a text`, `a list`, ….
#[must_use]
pub fn kind(value: &Dynamic) -> String {
    let name = match value.type_name() {
        "()" => "nothing (`()`)",
        "bool" => "true or false",
        "i64" => "an integer",
        "f64" | "decimal" => "a number",
        "string" | "char" => "a text",
        "array" => "a list",
        "map" => "a map",
        "Fn" => "a closure",
        name if name == std::any::type_name::<ImmutableString>() => "a text",
        name => return format!("`{}`", name.rsplit("::").next().unwrap_or(name)),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_comes_back_as_it_went() {
        let value = json!({
            "a": [1, -2, 2.5, "x", null, true, {"b": []}],
            "large": u64::MAX,
            "small": i64::MIN,
            "": {"é": "😀"},
        });
        assert_eq!(to_json(&to_dynamic(&value)).unwrap(), value);
    }

    #[test]
    fn what_json_has_not_is_refused() {
        assert!(matches!(to_json(&f64::NAN.into()), Err(Error::NotFinite(_))));
        let closure = rhai::FnPtr::new("f").unwrap();
        assert_eq!(to_json(&closure.into()), Err(Error::NotData("a closure".to_owned())));
    }
}
