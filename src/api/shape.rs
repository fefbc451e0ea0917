//! What rows look like to clients: StackStorm's shapes, with what is ours beside it.

use serde_json::{Map, Value, json};

use crate::model::action::Action;
use crate::model::parameter::{Parameter, Parameters};
use crate::model::reference::Reference;

/// What stands in the place of a secret.
pub(crate) const MASK: &str = "********";

/// `ref`, `pack`, `name` and `uid` of a pack's content.
pub(crate) fn named(kind: &str, reference: &Reference) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("id".to_owned(), json!(reference));
    row.insert("ref".to_owned(), json!(reference));
    row.insert(
        "uid".to_owned(),
        json!(format!("{kind}:{}:{}", reference.pack(), reference.name())),
    );
    row.insert("pack".to_owned(), json!(reference.pack()));
    row.insert("name".to_owned(), json!(reference.name()));
    row
}

/// A row of `named` with more fields.
pub(crate) fn with(mut row: Map<String, Value>, more: Value) -> Value {
    if let Value::Object(more) = more {
        row.extend(more);
    }
    Value::Object(row)
}

/// The attributes of an action's row.
pub(crate) const ACTION: &[&str] = &[
    "id",
    "ref",
    "uid",
    "pack",
    "name",
    "description",
    "enabled",
    "entry_point",
    "runner_type",
    "parameters",
    "output_schema",
    "notify",
    "tags",
    "metadata_file",
    "delivery",
    "timeout",
    "pause",
    "version",
];

/// An action.
pub(crate) fn action(action: &Action) -> Value {
    let entry_point = action
        .entry_point
        .as_ref()
        .map(|path| path.strip_prefix(&action.folder).unwrap_or(path).display().to_string());
    with(
        named("action", &action.reference),
        json!({
            "description": action.description,
            "enabled": action.enabled,
            "entry_point": entry_point.unwrap_or_default(),
            "runner_type": action.runner_type,
            "parameters": parameters(&action.parameters),
            "output_schema": or_object(&action.output_schema),
            "notify": or_object(&action.notify),
            "tags": action.tags,
            "metadata_file": action.file,
            "delivery": action.delivery,
            "timeout": action.timeout.map(|timeout| timeout.as_secs()),
            "pause": action.pause,
            "version": action.version,
        }),
    )
}

/// Null is an empty object to StackStorm's clients.
pub(crate) fn or_object(value: &Value) -> Value {
    if value.is_null() { json!({}) } else { value.clone() }
}

/// Parameters as the pack's author wrote them.
pub(crate) fn parameters(parameters: &Parameters) -> Value {
    parameters.iter().map(|(name, p)| (name.clone(), parameter(p))).collect::<Map<_, _>>().into()
}

fn parameter(parameter: &Parameter) -> Value {
    let mut row = parameter.schema.clone();
    match parameter.types.as_slice() {
        [] => None,
        [one] => row.insert("type".to_owned(), json!(one)),
        many => row.insert("type".to_owned(), json!(many)),
    };
    if !parameter.description.is_empty() {
        row.insert("description".to_owned(), json!(parameter.description));
    }
    if let Some(default) = &parameter.default {
        let shown = if parameter.secret { json!(MASK) } else { default.clone() };
        row.insert("default".to_owned(), shown);
    }
    for (name, set) in [
        ("required", parameter.required),
        ("immutable", parameter.immutable),
        ("secret", parameter.secret),
    ] {
        if set {
            row.insert(name.to_owned(), json!(true));
        }
    }
    if !parameter.choices.is_empty() {
        row.insert("enum".to_owned(), json!(parameter.choices));
    }
    if let Some(position) = parameter.position {
        row.insert("position".to_owned(), json!(position));
    }
    Value::Object(row)
}

/// Given parameters with the secret ones struck out.
pub(crate) fn masked<'a>(
    given: &Map<String, Value>,
    described: impl Iterator<Item = &'a (String, Parameter)>,
) -> Value {
    let secrets: Vec<&String> =
        described.filter(|(_, parameter)| parameter.secret).map(|(name, _)| name).collect();
    given
        .iter()
        .map(|(name, value)| {
            (name.clone(), if secrets.contains(&name) { json!(MASK) } else { value.clone() })
        })
        .collect::<Map<_, _>>()
        .into()
}
