//! Which parts of parameters, configurations and results are secret, and how they look when shown.

use serde_json::{Map, Value};

use crate::model::parameter::Parameters;
use crate::packs::schema;

/// What stands in the place of a secret: StackStorm's.
pub const MASK: &str = "********";

/// The secret parts of parameters as a tree: the type of a secret where there is one (null where it
/// says none), an object or a one-item list around deeper ones. An empty object where nothing is secret.
#[must_use]
pub fn of(parameters: &Parameters) -> Value {
    let schema = |(name, parameter): &(String, _)| {
        let parameter: &crate::model::parameter::Parameter = parameter;
        let mut schema = schema::of(parameter);
        schema.insert("secret".to_owned(), Value::Bool(parameter.secret));
        (name.clone(), Value::Object(schema))
    };
    find(&Value::Object(parameters.iter().map(schema).collect()))
}

/// The secret parts of what `schema` describes; `schema` is a JSON Schema or a map of names to such.
#[must_use]
pub fn find(schema: &Value) -> Value {
    inside(schema).unwrap_or_else(|| Value::Object(Map::new()))
}

fn inside(schema: &Value) -> Option<Value> {
    let kind = schema.get("type").filter(|kind| kind.is_string() || kind.is_array());
    if kind.is_some() && schema.get("secret") == Some(&Value::Bool(true)) {
        // Of several types the first: a list would read as a list of secrets.
        let first = kind.and_then(|kind| kind.get(0)).or(kind);
        return first.cloned();
    }
    if kind.is_none() && is_schema(schema) {
        return (schema.get("secret") == Some(&Value::Bool(true))).then_some(Value::Null);
    }
    let properties = match (kind, schema.get("items"), schema.get("properties")) {
        (Some(_), Some(items), _) => return inside(items).map(|items| Value::Array(vec![items])),
        (Some(_), None, properties) => properties?.as_object()?,
        (None, ..) => schema.as_object()?,
    };
    let found: Map<_, _> = properties
        .iter()
        .filter_map(|(name, property)| Some((name.clone(), inside(property)?)))
        .collect();
    (!found.is_empty()).then_some(Value::Object(found))
}

/// Whether an object without a type is a schema by itself, not a map of names to schemas.
fn is_schema(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| fields.values().any(|field| !field.is_object()))
}

/// `value` with the parts that `secrets` (of `of` or `find`) names masked.
#[must_use]
pub fn mask(value: &Value, secrets: &Value) -> Value {
    match (secrets, value) {
        (Value::Object(named), Value::Object(fields)) => {
            let field = |(name, field): (&String, &Value)| {
                let shown = named.get(name).map_or_else(|| field.clone(), |part| mask(field, part));
                (name.clone(), shown)
            };
            Value::Object(fields.iter().map(field).collect())
        }
        (Value::Array(each), Value::Array(items)) => match each.first() {
            Some(each) => items.iter().map(|item| mask(item, each)).collect(),
            None => value.clone(),
        },
        (Value::Object(_) | Value::Array(_), _) => value.clone(),
        _ => Value::String(MASK.to_owned()),
    }
}

/// The texts and numbers in the secret parts of `value`: what has to be struck out of output.
#[must_use]
pub fn texts(value: &Value, secrets: &Value) -> Vec<String> {
    parts(value, secrets).into_iter().flat_map(leaves).collect()
}

/// Whether `value` has any of the secret parts.
#[must_use]
pub fn is_any(value: &Value, secrets: &Value) -> bool {
    parts(value, secrets).into_iter().any(|part| !part.is_null())
}

/// Whether an execution with these parameters holds any secret, given or by default.
#[must_use]
pub fn held(parameters: &Parameters, given: &Map<String, Value>) -> bool {
    // What a question asks for is described by one of its parameters.
    let asked = given.get("schema").map(find);
    if asked.is_some_and(|asked| asked != Value::Object(Map::new())) {
        return true;
    }
    parameters.iter().any(|(name, parameter)| {
        let value = given.get(name).filter(|value| !value.is_null());
        if parameter.secret {
            return value.is_some() || parameter.default.is_some();
        }
        let deep = ["properties", "items"].iter().any(|part| parameter.schema.contains_key(*part));
        let part = || inside(&Value::Object(schema::of(parameter)));
        let within = |value| deep && part().is_some_and(|part| is_any(value, &part));
        value.is_some_and(within)
    })
}

/// The texts and numbers in a value.
#[must_use]
pub fn leaves(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.iter().flat_map(leaves).collect(),
        Value::Object(fields) => fields.values().flat_map(leaves).collect(),
        Value::Bool(_) | Value::Null => Vec::new(),
    }
}

/// The secret parts themselves.
fn parts<'v>(value: &'v Value, secrets: &Value) -> Vec<&'v Value> {
    match (secrets, value) {
        (Value::Object(named), Value::Object(fields)) => named
            .iter()
            .filter_map(|(name, part)| Some(parts(fields.get(name)?, part)))
            .flatten()
            .collect(),
        (Value::Array(each), Value::Array(items)) => match each.first() {
            Some(each) => items.iter().flat_map(|item| parts(item, each)).collect(),
            None => Vec::new(),
        },
        (Value::Object(_) | Value::Array(_), _) => Vec::new(),
        _ => vec![value],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parameter::Parameter;
    use serde_json::json;

    fn parameter(types: &[&str], secret: bool) -> Parameter {
        let types = types.iter().map(|kind| (*kind).to_owned()).collect();
        Parameter { types, secret, ..Parameter::default() }
    }

    #[test]
    fn a_secret_of_several_types_is_masked_whatever_it_is() {
        let parameters = vec![
            ("token".to_owned(), parameter(&["string", "null"], true)),
            ("any".to_owned(), parameter(&[], true)),
            ("open".to_owned(), parameter(&["string"], false)),
        ];
        let secrets = of(&parameters);
        let given = json!({"token": ["a"], "any": {"x": 7, "y": "b"}, "open": "c"});
        let shown = json!({"token": "********", "any": "********", "open": "c"});
        assert_eq!(mask(&given, &secrets), shown);
        assert_eq!(texts(&given, &secrets), ["7", "b", "a"]);
    }
}
