//! `config.schema.yaml` and `configs/<pack>.yaml`: a pack's configuration, defaults filled in.

use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};

use crate::model::parameter::Parameters;
use crate::model::problem::{Place, Problem};
use crate::packs::fields::{listed, meant};
use crate::packs::schema;
use crate::packs::yaml::{Node, Tree};

/// A configuration as its schema wants it: what is given, checked, and defaults for the rest.
pub(crate) fn read(
    schema: Option<&Parameters>,
    given: Option<(&Node, &Place)>,
    problems: &mut Vec<Problem>,
) -> Value {
    let mut config = match given {
        Some((node, place)) => match &node.tree {
            Tree::Mapping(_) | Tree::Null => node.to_json(),
            _ => {
                let message = format!("expected settings by name, found {}", node.kind());
                problems.push(Problem::error("not_a_mapping", node.place(place), message));
                Value::Null
            }
        },
        None => Value::Null,
    };
    if config.is_null() {
        config = Value::Object(Map::new());
    }
    let Some(schema) = schema else { return config };
    if let (Some((node, place)), Value::Object(fields)) = (given, &config) {
        check(schema, fields, (node, place), problems);
    }
    if let Value::Object(fields) = &mut config {
        fill(schema, fields);
    }
    config
}

fn check(
    schema: &Parameters,
    fields: &Map<String, Value>,
    (node, place): (&Node, &Place),
    problems: &mut Vec<Problem>,
) {
    for (key, _) in node.entries() {
        if !schema.iter().any(|(name, _)| *name == key.name) {
            let message = format!("`config.schema.yaml` has no `{}`", key.name);
            let mut problem = Problem::error("unknown_config", key.place(place), message);
            problem.help = meant(&key.name, schema.iter().map(|(name, _)| name.as_str()))
                .or_else(|| Some("remove it, or add it to the schema".to_owned()));
            problems.push(problem);
        }
    }
    for (name, setting) in schema {
        let Some(value) = fields.get(name).filter(|value| !value.is_null()) else {
            if setting.required && setting.default.is_none() {
                let message = format!("`{name}` is missing: the pack requires it");
                let problem = Problem::error("missing_config", node.place(place), message);
                problems.push(problem.help(format!("add `{name}: …`")));
            }
            continue;
        };
        let mut wanted = Value::Object(schema::of(setting));
        wanted["description"] = Value::from(setting.description.as_str());
        let Ok(validator) = schema::compile(&wanted) else { continue };
        for error in validator.iter_errors(value) {
            if is_template(error.instance()) {
                continue;
            }
            let path = format!("{name}{}", error.instance_path()).replace('/', ".");
            let message = if setting.secret {
                format!("`{path}` does not fit `config.schema.yaml`; it is secret and not shown")
            } else {
                format!("`{path}`: {}", said(&error, &wanted))
            };
            let mut problem = Problem::error("bad_config", node.find(&path, place), message);
            problem.help = advice(&error, &wanted);
            problems.push(problem);
        }
    }
}

/// What is wrong, for people: a schema that says it in words is asked for them. What a secret stands in
/// is never shown.
fn said(error: &jsonschema::ValidationError<'_>, schema: &Value) -> String {
    let around = error.schema_path().to_string();
    let around = around.rsplit_once('/').and_then(|(path, _)| schema.pointer(path));
    let words = around.and_then(|around| around["description"].as_str());
    match (error.kind(), error.instance().as_ref()) {
        (ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. }, _) => {
            words.map_or_else(|| error.masked().to_string(), str::to_owned)
        }
        (ValidationErrorKind::Pattern { .. }, Value::String(text))
            if around.is_some_and(|around| around["secret"] != true) =>
        {
            format!("`{text}` is not written as it has to be")
        }
        (ValidationErrorKind::AdditionalProperties { .. }, _) => error.to_string(),
        (_, Value::Object(_) | Value::Array(_)) => error.masked().to_string(),
        _ if around.is_some_and(|around| around["secret"] == true) => error.masked().to_string(),
        _ => error.to_string(),
    }
}

/// What may stand there: the name that was probably meant, or what the schema says of the place.
fn advice(error: &jsonschema::ValidationError<'_>, schema: &Value) -> Option<String> {
    let path = error.schema_path().to_string();
    let parent = schema.pointer(path.rsplit_once('/')?.0)?;
    if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
        let known: Vec<&str> =
            parent["properties"].as_object()?.keys().map(String::as_str).collect();
        let near = unexpected.first().and_then(|name| meant(name, known.iter().copied()));
        return near.or_else(|| Some(format!("there may be {}", listed(&known))));
    }
    if matches!(
        error.kind(),
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. }
    ) {
        return None;
    }
    let about = parent["description"].as_str().filter(|about| !about.is_empty());
    about.map(str::to_owned)
}

/// `{{ st2kv.system.x }}` is known only when an action runs.
fn is_template(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("{{"))
}

fn fill(schema: &Parameters, fields: &mut Map<String, Value>) {
    for (name, setting) in schema {
        if let Some(default) = setting.default.as_ref().filter(|default| !default.is_null()) {
            fields.entry(name.clone()).or_insert_with(|| default.clone());
        }
        fill_nested(&Value::Object(setting.schema.clone()), name, fields);
    }
}

/// Defaults of nested properties; an object that is not given appears where one of its parts has one.
fn fill_nested(schema: &Value, name: &str, fields: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = schema.get("properties") else { return };
    let mut held = match fields.get(name) {
        Some(Value::Object(held)) => held.clone(),
        None => Map::new(),
        Some(_) => return,
    };
    for (part, property) in properties {
        if let Some(default) = property.get("default").filter(|default| !default.is_null()) {
            held.entry(part.clone()).or_insert_with(|| default.clone());
        }
        fill_nested(property, part, &mut held);
    }
    if !held.is_empty() {
        fields.insert(name.to_owned(), Value::Object(held));
    }
}
