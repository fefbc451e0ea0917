//! A person's answer to a question: read from text and checked against the schema that the question
//! came with, in StackStorm's dialect.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};

use crate::packs::{cast, schema, secrets};

/// The answer with the schema's defaults, where it fits.
///
/// # Errors
/// What does not fit, one line per finding for people; a secret value is in none of them.
pub fn check(
    schema: &Value,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<String>> {
    let whole = schema::defaulted(&Value::Object(given.clone()), schema);
    let validator = schema::compile(&schema::nullable(schema)).map_err(|error| vec![error])?;
    let hidden = secrets::find(schema);
    let problems: Vec<String> =
        validator.iter_errors(&whole).map(|error| problem(&error, schema, &hidden)).collect();
    match whole {
        Value::Object(fields) if problems.is_empty() => Ok(fields),
        _ => Err(problems),
    }
}

fn problem(error: &ValidationError<'_>, schema: &Value, hidden: &Value) -> String {
    let path = error.instance_path().to_string();
    let path = path.trim_start_matches('/').replace('/', ".");
    if let ValidationErrorKind::Required { property } = error.kind() {
        let name = property.as_str().unwrap_or_default();
        let name = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        return format!("`{name}` is missing");
    }
    let first = path.split('.').next().unwrap_or_default();
    let secret = hidden.get(first).is_some() || !hidden.is_object();
    // What is wrong with the whole would show every field of it.
    let masks = secret || (path.is_empty() && hidden.as_object().is_some_and(|h| !h.is_empty()));
    let property = &schema["properties"][path.as_str()];
    if let (ValidationErrorKind::Type { .. }, [_, ..]) = (error.kind(), kinds(property).as_slice())
    {
        // In its own words: the schema that was asked takes null too, for what may be left out.
        let given = if masks { "what was given".to_owned() } else { error.instance().to_string() };
        let kinds = kinds(property).join("\" or \"");
        return format!("`{path}`: {given} is not of type \"{kinds}\"");
    }
    let said =
        if masks { error.masked_with("what was given").to_string() } else { error.to_string() };
    if path.is_empty() { said } else { format!("`{path}`: {said}") }
}

/// The value of the field `name` as somebody typed it, read by the type that the schema wants. What
/// cannot be read stays a text, for `check` to refuse.
#[must_use]
pub fn read(schema: &Value, name: &str, text: &str) -> Value {
    let property = &schema["properties"][name];
    if let Some(choice) = choices(property).find(|choice| plain(choice) == text) {
        return choice.clone();
    }
    let typed = kinds(property).into_iter().find_map(|kind| match kind {
        "string" => Some(Value::String(text.to_owned())),
        "boolean" => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" => Some(Value::Bool(true)),
            "false" | "no" | "n" => Some(Value::Bool(false)),
            _ => None,
        },
        "null" => None,
        kind => cast::cast(kind, &Value::String(text.to_owned())).ok(),
    });
    let any = || serde_json::from_str(text).ok().filter(|_| kinds(property).is_empty());
    typed.or_else(any).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// The fields of an answer in the order in which they are asked: by `position`, then those that must be
/// given, then by name.
#[must_use]
pub fn fields(schema: &Value) -> Vec<(&str, &Value)> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut fields: Vec<_> = properties.map(|(name, one)| (name.as_str(), one)).collect();
    fields.sort_by_key(|(name, property)| {
        (property["position"].as_u64().unwrap_or(u64::MAX), !is_required(schema, name))
    });
    fields
}

/// The types that a property may have; none where it does not say.
#[must_use]
pub fn kinds(property: &Value) -> Vec<&str> {
    match &property["type"] {
        Value::String(one) if one != "any" => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The values of which a property is one, where it lists them.
pub fn choices(property: &Value) -> impl Iterator<Item = &Value> {
    property["enum"].as_array().into_iter().flatten()
}

/// Whether the property `name` must be given, said in either of the two ways.
#[must_use]
pub fn is_required(schema: &Value, name: &str) -> bool {
    let listed = schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    listed || schema["properties"][name]["required"] == true
}

/// A value as people read and type it.
#[must_use]
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The result of a question as anybody may see it: it says itself which parts of the answer are secret.
/// Whatever else stands there stays as it is.
#[must_use]
pub fn shown(result: &Value) -> Value {
    match result {
        Value::Object(fields) if is_answered(fields) => {
            let mut fields = fields.clone();
            let masked = secrets::mask(&fields["response"], &secrets::find(&fields["schema"]));
            fields.insert("response".to_owned(), masked);
            Value::Object(fields)
        }
        // The items of one task.
        Value::Array(items) => items.iter().map(shown).collect(),
        other => other.clone(),
    }
}

fn is_answered(fields: &Map<String, Value>) -> bool {
    ["schema", "route", "response"].iter().all(|name| fields.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(properties: &Value, given: Value) -> Result<Value, String> {
        let schema = json!({ "type": "object", "properties": properties });
        let Value::Object(given) = given else { panic!("not an object") };
        check(&schema, &given).map(Value::Object).map_err(|problems| problems.join("; "))
    }

    #[test]
    fn an_answer_that_does_not_fit_is_told_what_does_not() {
        let go = json!({ "continue": { "type": "boolean", "required": true } });
        let pin = json!({ "pin": { "type": "string", "secret": true, "minLength": 4 } });
        let size = json!({ "size": { "type": "integer", "default": 5, "maximum": 9 } });
        for (properties, given, said) in [
            (&go, json!({ "continue": true }), Ok(json!({ "continue": true }))),
            (&go, json!({}), Err("`continue` is missing")),
            (&go, json!({ "continue": 123 }), Err("`continue`: 123 is not of type \"boolean\"")),
            (
                &pin,
                json!({ "pin": "123" }),
                Err("`pin`: what was given is shorter than 4 characters"),
            ),
            (&size, json!({}), Ok(json!({ "size": 5 }))),
            (&size, json!({ "size": "x" }), Err("`size`: \"x\" is not of type \"integer\"")),
            (&size, json!({ "size": 10 }), Err("`size`: 10 is greater than the maximum of 9")),
        ] {
            let got = checked(properties, given.clone());
            assert_eq!(got, said.map_err(str::to_owned), "{properties} {given}");
        }
    }

    #[test]
    fn text_becomes_what_the_schema_wants() {
        let schema = json!({ "properties": {
            "go": { "type": "boolean" }, "size": { "type": "integer" }, "to": { "enum": [1, "b"] },
            "more": { "type": "object" }, "who": { "type": ["null", "string"] }, "any": {},
        } });
        for (name, text, value) in [
            ("go", "Yes", json!(true)),
            ("go", "perhaps", json!("perhaps")),
            ("size", "7", json!(7)),
            ("size", "seven", json!("seven")),
            ("to", "1", json!(1)),
            ("to", "b", json!("b")),
            ("more", "{\"a\": 1}", json!({ "a": 1 })),
            ("who", "7", json!("7")),
            ("any", "7", json!(7)),
            ("any", "ann", json!("ann")),
        ] {
            assert_eq!(read(&schema, name, text), value, "{name}={text}");
        }
    }

    #[test]
    fn a_secret_in_an_answer_is_struck_out_when_shown() {
        let result = json!({
            "schema": { "type": "object", "properties": {
                "pin": { "type": "string", "secret": true }, "go": { "type": "boolean" },
            } },
            "route": "", "response": { "pin": "1234", "go": true },
        });
        let shown = shown(&json!([result]));
        assert_eq!(shown[0]["response"], json!({ "pin": "********", "go": true }));
    }
}
