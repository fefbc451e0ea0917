//! Forms made from parameters: what kind of box each has, and what was typed into it.

use serde_json::{Map, Value, json};

use crate::api::inside::Refused;
use crate::web::form::{Form, wrong};

/// What stands before the name of a parameter's field.
pub(crate) const LEAD: &str = "p.";
/// What the API shows in the place of a secret.
const MASK: &str = "********";

/// The boxes for parameters of this `schema` (the API's form), filled with what was `given`.
pub(crate) fn of(schema: &Value, given: &Value) -> Value {
    let mut fields: Vec<Value> = Vec::new();
    for (name, parameter) in schema.as_object().into_iter().flatten() {
        if parameter["immutable"] == true {
            continue;
        }
        fields.push(json!({
            "name": name,
            "kind": kind(parameter, &given[name]),
            "value": given.get(name).filter(|_| parameter["secret"] != true),
            "default": parameter["default"],
            "required": parameter["required"] == true && given.get(name).is_none(),
            "description": parameter["description"],
            "options": parameter["enum"],
            "position": parameter["position"],
        }));
    }
    for (name, value) in given.as_object().into_iter().flatten() {
        if schema.get(name).is_none() {
            let secret = value == MASK;
            let kind = if secret { "secret" } else { kind(&Value::Null, value) };
            let value = (!secret).then_some(value);
            fields.push(json!({ "name": name, "kind": kind, "value": value }));
        }
    }
    let place =
        |field: &Value| (field["position"].as_u64().unwrap_or(u64::MAX), field["required"] != true);
    fields.sort_by_key(place);
    Value::Array(fields)
}

/// The kind of box: `text`, `long`, `number`, `switch`, `choice`, `secret`, `json`.
fn kind(parameter: &Value, given: &Value) -> &'static str {
    if parameter["secret"] == true {
        return "secret";
    }
    if parameter["enum"].as_array().is_some_and(|options| !options.is_empty()) {
        return "choice";
    }
    match (parameter["type"].as_str(), given) {
        (Some("string"), Value::String(text)) if text.contains('\n') => "long",
        (Some("string"), _) | (None, Value::Null | Value::String(_)) => "text",
        (Some("integer" | "number"), _) | (None, Value::Number(_)) => "number",
        (Some("boolean"), _) | (None, Value::Bool(_)) => "switch",
        _ => "json",
    }
}

/// What was typed that is not what was `given` already; an empty box changes nothing.
///
/// # Errors
/// Where something typed is not of its parameter's kind.
pub(crate) fn changed(
    form: &Form,
    schema: &Value,
    given: &Value,
) -> Result<Map<String, Value>, Refused> {
    let mut changed = Map::new();
    for (name, text) in form.under(LEAD) {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            continue;
        }
        let (parameter, before) = (&schema[name], &given[name]);
        let value = match kind(parameter, before) {
            "text" | "long" | "secret" => {
                // Browsers end lines as mail does.
                Value::from(text.replace("\r\n", "\n"))
            }
            "choice" => {
                let mut options = parameter["enum"].as_array().into_iter().flatten();
                let chosen = options.find(|option| word(option) == text);
                chosen.cloned().unwrap_or_else(|| Value::from(text))
            }
            _ => serde_json::from_str(text)
                .map_err(|error| wrong(&format!("`{name}`: `{text}` cannot be read: {error}")))?,
        };
        if given.get(name) != Some(&value) {
            changed.insert(name.to_owned(), value);
        }
    }
    Ok(changed)
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_changed_is_sent_and_secrets_stay_where_they_are() {
        let schema = json!({
            "rate": { "type": "integer" }, "to": { "type": "string" },
            "key": { "type": "string", "secret": true }, "tags": { "type": "array" },
        });
        let given = json!({ "rate": 5, "to": "a", "key": MASK, "tags": ["x"] });
        let read = |body: &str| changed(&Form::read(body.as_bytes()), &schema, &given);
        let same = read("p.rate=5&p.to=a&p.key=&p.tags=%5B%22x%22%5D").unwrap();
        assert_eq!(same, Map::new());
        let new = read("p.rate=7&p.to=b%0D%0Ac&p.key=new").unwrap();
        assert_eq!(json!(new), json!({ "rate": 7, "to": "b\nc", "key": "new" }));
        assert!(read("p.rate=fast").is_err());
        let fields = of(&schema, &given).to_string();
        assert!(!fields.contains(MASK), "{fields}");
    }
}
