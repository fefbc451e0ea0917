//! StackStorm's dialect of JSON Schema, draft 4: `required` is a boolean beside each property, and
//! `secret`, `immutable` and `position` are keywords.

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use crate::model::parameter::{Parameter, Parameters};
use crate::model::problem::{Place, Problem, Severity};
use crate::packs::fields::{Fields, listed, meant};
use crate::packs::yaml::{Node, Tree};

/// The words after `type:`.
const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Draft 4's keywords beyond those that a parameter has fields for.
const KEYWORDS: [&str; 29] = [
    "$ref",
    "$schema",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "definitions",
    "dependencies",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "id",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "properties",
    "title",
];

/// `uniqueItems` stands apart only to keep the list above at a round width.
const UNIQUE_ITEMS: &str = "uniqueItems";

/// Reads the mapping `name → schema` of an action's parameters or a pack's configuration.
pub(crate) fn parameters(
    node: Option<&Node>,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Parameters {
    let Some(node) = node else { return Vec::new() };
    if !matches!(node.tree, Tree::Mapping(_)) {
        let message = format!("expected parameters by name, found {}", node.kind());
        problems.push(Problem::error("not_a_mapping", node.place(place), message));
    }
    let read = |(key, value): &(_, _)| {
        let key: &crate::packs::yaml::Key = key;
        (key.name.clone(), parameter(value, place, problems))
    };
    node.entries().iter().map(read).collect()
}

fn parameter(node: &Node, place: &Place, problems: &mut Vec<Problem>) -> Parameter {
    let before = problems.len();
    let mut fields = Fields::new(node, place, "parameter", problems);
    let mut read = Parameter {
        types: types(&mut fields),
        description: fields.text("description").unwrap_or_default(),
        required: fields.flag("required").unwrap_or(false),
        default: node.get("default").map(Node::to_json),
        immutable: fields.flag("immutable").unwrap_or(false),
        secret: fields.flag("secret").unwrap_or(false),
        choices: fields.list("enum").iter().map(Node::to_json).collect(),
        position: fields.count("position"),
        schema: Map::new(),
    };
    let mut also = vec!["default", UNIQUE_ITEMS];
    also.extend(KEYWORDS);
    for (key, value) in node.entries() {
        if KEYWORDS.contains(&key.name.as_str()) || key.name == UNIQUE_ITEMS {
            read.schema.insert(key.name.clone(), value.to_json());
        }
    }
    fields.finish(Severity::Error, &also);
    if problems.len() == before
        && !read.schema.is_empty()
        && let Err(message) = compile(&Value::Object(read.schema.clone()))
    {
        problems.push(Problem::error("bad_schema", node.place(place), message));
    }
    read
}

fn types(fields: &mut Fields<'_, '_>) -> Vec<String> {
    let mut types = Vec::new();
    for node in fields.list("type") {
        match &node.tree {
            Tree::Text(word) if word == "any" => {}
            Tree::Text(word) if TYPES.contains(&word.as_str()) => types.push(word.clone()),
            // `type: null` without quotes is YAML's own null.
            Tree::Null => types.push("null".to_owned()),
            Tree::Text(word) => {
                let message = format!("`{word}` is not a type");
                let help =
                    meant(word, TYPES).unwrap_or_else(|| format!("a type is {}", listed(&TYPES)));
                fields.error("unknown_type", node, message, &help);
            }
            _ => {
                fields.wrong::<()>("type", node, &listed(&TYPES));
            }
        }
    }
    types
}

/// A parameter as the schema it stands for, without its default.
#[must_use]
pub fn of(parameter: &Parameter) -> Map<String, Value> {
    let mut schema = parameter.schema.clone();
    match parameter.types.as_slice() {
        [] => {}
        [one] => drop(schema.insert("type".to_owned(), json!(one))),
        many => drop(schema.insert("type".to_owned(), json!(many))),
    }
    if !parameter.choices.is_empty() {
        schema.insert("enum".to_owned(), json!(parameter.choices));
    }
    schema
}

/// Parameters as one JSON Schema of an object, as API clients read them.
#[must_use]
pub fn object(parameters: &Parameters) -> Value {
    let property = |(name, parameter): &(String, Parameter)| {
        let mut schema = of(parameter);
        let mut set = |key: &str, value: Value| drop(schema.insert(key.to_owned(), value));
        if !parameter.description.is_empty() {
            set("description", json!(parameter.description));
        }
        for (key, flag) in [
            ("required", parameter.required),
            ("immutable", parameter.immutable),
            ("secret", parameter.secret),
        ] {
            if flag {
                set(key, json!(true));
            }
        }
        if let Some(default) = &parameter.default {
            set("default", default.clone());
        }
        if let Some(position) = parameter.position {
            set("position", json!(position));
        }
        (name.clone(), Value::Object(schema))
    };
    let properties: Map<_, _> = parameters.iter().map(property).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// A validator for a schema in StackStorm's dialect.
///
/// # Errors
/// What is wrong with the schema, for people.
pub fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(Draft::Draft4)
        .should_validate_formats(true)
        .build(&standard(schema))
        .map_err(|error| format!("not a JSON Schema: {error}"))
}

/// The same in plain draft 4: booleans after `required` become the list of names that draft 4 wants.
#[must_use]
pub fn standard(schema: &Value) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    let mut plain = Map::new();
    for (key, value) in fields {
        let value = match (key.as_str(), value) {
            ("required", Value::Bool(_)) => continue,
            ("type", Value::String(word)) if word == "any" => continue,
            ("enum" | "default" | "examples", value) => value.clone(),
            ("properties" | "patternProperties" | "definitions", Value::Object(named)) => {
                named.iter().map(|(name, schema)| (name.clone(), standard(schema))).collect()
            }
            (_, Value::Array(items)) => items.iter().map(standard).collect(),
            (_, value) => standard(value),
        };
        plain.insert(key.clone(), value);
    }
    let needed = required(fields);
    if !needed.is_empty() {
        plain.insert("required".to_owned(), json!(needed));
    }
    Value::Object(plain)
}

/// The properties that must be given, said either way.
fn required(schema: &Map<String, Value>) -> Vec<String> {
    let mut needed: Vec<String> = match schema.get("required") {
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    if let Some(Value::Object(properties)) = schema.get("properties") {
        let said = |property: &Value| property.get("required") == Some(&Value::Bool(true));
        needed.extend(properties.iter().filter(|(_, one)| said(one)).map(|(name, _)| name.clone()));
    }
    needed.dedup();
    needed
}

/// An instance as StackStorm cleans it: with the defaults of the schema's properties where nothing, or
/// null, is given. Objects that are not given are not made.
#[must_use]
pub fn defaulted(instance: &Value, schema: &Value) -> Value {
    match instance {
        Value::Array(items) => items.iter().map(|item| defaulted(item, schema)).collect(),
        Value::Object(fields) => {
            let mut fields = fields.clone();
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, property) in properties.into_iter().flatten() {
                let missing = fields.get(name).is_none_or(Value::is_null)
                    && depended_on(name, schema).all(|other| {
                        fields.contains_key(other)
                            || schema["properties"][other].get("default").is_some()
                    });
                if let Some(default) = property.get("default").filter(|_| missing) {
                    fields.insert(name.clone(), default.clone());
                }
                let nested = match property.get("items") {
                    Some(items) if has_type(property, "array") => items,
                    _ => property,
                };
                if let (Some(given), Some(_)) = (fields.get(name), nested.get("properties")) {
                    let given = defaulted(given, nested);
                    fields.insert(name.clone(), given);
                }
            }
            Value::Object(fields)
        }
        other => other.clone(),
    }
}

/// What has to be there for the property `name` to make sense (`dependencies`).
fn depended_on<'s>(name: &str, schema: &'s Value) -> impl Iterator<Item = &'s str> {
    let others = schema.get("dependencies").and_then(|all| all.get(name)).and_then(Value::as_array);
    others.into_iter().flatten().filter_map(Value::as_str)
}

/// The schema with null allowed for every property that may be missing and has no default.
#[must_use]
pub fn nullable(schema: &Value) -> Value {
    let mut schema = schema.clone();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return schema;
    };
    for property in properties.values_mut().filter(|property| property.is_object()) {
        let optional = property.get("required") != Some(&Value::Bool(true));
        let has_default = property.get("default").is_some();
        let null_default = property.get("default").is_none_or(Value::is_null);
        if (optional || has_default) && null_default {
            allow_null(property);
        }
        if property.get("properties").is_some() {
            *property = nullable(property);
        }
        if let Some(items) = property.get_mut("items").filter(|items| items.is_object()) {
            *items = nullable(items);
        }
    }
    schema
}

fn allow_null(property: &mut Value) {
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(choices)) = property.get_mut(key) {
            if !choices.iter().any(|choice| has_type(choice, "null")) {
                choices.push(json!({"type": "null"}));
            }
            return;
        }
    }
    match property.get_mut("type") {
        Some(Value::Array(types)) if !types.contains(&json!("null")) => types.push(json!("null")),
        Some(Value::String(kind)) if kind != "null" => property["type"] = json!([*kind, "null"]),
        _ => {}
    }
}

fn has_type(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(types)) => types.iter().any(|one| one == kind),
        _ => false,
    }
}
