//! `name=value` and `name:=json` on the command line, read by the types that somebody described.

use serde_json::{Map, Value, json};

use crate::cli::failure::Failure;

/// One argument.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Field {
    /// `name=value`: of the type that is described, else a text.
    Text(String, String),
    /// `name:=json`.
    Json(String, Value),
}

/// Reads the form of arguments.
pub(crate) fn split(arguments: &[String]) -> Result<Vec<Field>, Failure> {
    let read = arguments.iter().map(|argument| {
        let (name, value) = argument.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{argument}` is neither `name=value` nor `name:=json`"))
        })?;
        Ok(match name.strip_suffix(':') {
            Some(name) => Field::Json(
                name.to_owned(),
                parse(name, value, "JSON").map_err(|failure| {
                    failure.help(format!("write `{name}={value}` for a text"))
                })?,
            ),
            None => Field::Text(name.to_owned(), value.to_owned()),
        })
    });
    read.collect()
}

/// The values of fields: `described` has for each name a JSON schema.
pub(crate) fn typed(fields: Vec<Field>, described: &Value) -> Result<Map<String, Value>, Failure> {
    let read = fields.into_iter().map(|field| match field {
        Field::Json(name, value) => Ok((name, value)),
        Field::Text(name, value) => {
            let value = cast(&name, &value, &described[&name]["type"])?;
            Ok((name, value))
        }
    });
    read.collect()
}

fn parse(name: &str, value: &str, what: &str) -> Result<Value, Failure> {
    serde_json::from_str(value)
        .map_err(|error| Failure::usage(format!("`{name}`: `{value}` is not {what}: {error}")))
}

/// A text as the first type that it fits. What fits none stays a text, for the server to refuse in its
/// own words.
fn cast(name: &str, value: &str, types: &Value) -> Result<Value, Failure> {
    let types: Vec<&str> = match types {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    for kind in &types {
        let read = match *kind {
            "integer" => value.parse::<i64>().ok().map(Value::from),
            "number" => serde_json::from_str(value).ok().filter(Value::is_number),
            "boolean" => match value.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" | "on" => Some(json!(true)),
                "false" | "no" | "0" | "off" => Some(json!(false)),
                _ => None,
            },
            "null" => (value == "null").then_some(Value::Null),
            "array" if value.trim_start().starts_with('[') => Some(parse(name, value, "an array")?),
            "array" => Some(value.split(',').map(str::trim).collect()),
            "object" => Some(object(name, value)?),
            "string" => Some(json!(value)),
            _ => None,
        };
        if let Some(read) = read {
            return Ok(read);
        }
    }
    Ok(json!(value))
}

/// `{"a": 1}`, or `a:1,b:2` as StackStorm's clients write it.
fn object(name: &str, value: &str) -> Result<Value, Failure> {
    if value.trim_start().starts_with('{') {
        return parse(name, value, "an object");
    }
    let pairs = value.split(',').map(|pair| {
        let (key, value) = pair.split_once([':', '=']).ok_or_else(|| {
            Failure::usage(format!("`{name}`: `{pair}` is not `key:value`"))
                .help(format!("write it as JSON: `{name}:={{\"key\": \"value\"}}`"))
        })?;
        Ok((key.trim().to_owned(), json!(value.trim())))
    });
    pairs.collect::<Result<Map<_, _>, Failure>>().map(Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_what_is_described() {
        let described = json!({
            "n": { "type": "integer" }, "x": { "type": "number" }, "yes": { "type": "boolean" },
            "list": { "type": "array" }, "map": { "type": "object" }, "text": { "type": "string" },
            "either": { "type": ["integer", "string"] },
        });
        let arguments = [
            "n=5",
            "x=0.5",
            "yes=True",
            "list=a, b",
            "map=a:1,b:2",
            "text=5",
            "either=five",
            "other=5",
            "raw:=[1, null]",
            "note=a=b",
        ];
        let arguments = arguments.map(str::to_owned);
        let expected = json!({
            "n": 5, "x": 0.5, "yes": true, "list": ["a", "b"], "map": { "a": "1", "b": "2" },
            "text": "5", "either": "five", "other": "5", "raw": [1, null],
            "note": "a=b",
        });
        assert_eq!(Value::Object(typed(split(&arguments).unwrap(), &described).unwrap()), expected);
    }
}
