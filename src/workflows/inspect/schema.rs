//! A small JSON Schema: the keywords that the workflow language needs, with the messages of Python's
//! `jsonschema` and, beside them, what people should have written.

use regex::Regex;
use serde_json::Value;

use crate::model::problem::nearest;
use crate::model::span;
use crate::workflows::expression;
use crate::workflows::inspect::report::Fault;
use crate::workflows::inspect::shown::{quoted, shown};
use crate::workflows::inspect::words::meant_or_listed;

/// The pattern that Orquesta's schema has for names of tasks and variables.
pub(super) const NAME: &str = r"^\w+$";

/// What a value must be.
pub(super) struct Schema {
    /// All of them must hold.
    pub(super) rules: &'static [Rule],
    /// The right form in words, after "expected"; empty where the message says it.
    pub(super) expected: &'static str,
}

/// One keyword of a schema.
pub(super) enum Rule {
    /// `type`.
    Type(Type),
    /// `minLength`, `minItems` or `minProperties`, whichever is written, of 1.
    NonEmpty(&'static str),
    /// `maxProperties` of 1.
    OneProperty,
    /// `uniqueItems`.
    Unique,
    /// `minimum` of 0, which messages show as written here.
    FromZero(&'static str),
    /// `enum`, as JSON.
    Enum(&'static str),
    /// `pattern`: how messages show it, and what is asked here.
    Pattern(&'static str, fn() -> &'static Regex),
    /// A text that is a span of time, a number or holds an expression; ours.
    Span,
    /// `oneOf`, of schemas that exclude each other, or `anyOf`.
    Either(&'static str, &'static [&'static Schema]),
    /// `items`.
    Items(&'static Schema),
    /// `patternProperties` for `NAME`.
    Each(&'static Schema),
    /// `properties` with `additionalProperties: false`.
    Keys(&'static [(&'static str, &'static Schema)]),
    /// `required`.
    Required(&'static str),
}

/// A JSON type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Type {
    const fn word(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    fn of(self, value: &Value) -> bool {
        match self {
            Self::Object => value.is_object(),
            Self::Array => value.is_array(),
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
        }
    }
}

/// Where a value stands in the definition, and its schema in the schema.
#[derive(Clone, Default)]
struct At {
    spec: String,
    schema: String,
}

impl At {
    fn keyword(&self, keyword: &str) -> String {
        joined(&self.schema, keyword)
    }

    fn key(&self, key: &str, schema: &str) -> Self {
        Self { spec: joined(&self.spec, key), schema: joined(&self.schema, schema) }
    }

    fn item(&self, index: usize) -> Self {
        Self { spec: format!("{}[{index}]", self.spec), schema: joined(&self.schema, "items") }
    }
}

fn joined(path: &str, part: &str) -> String {
    if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") }
}

/// What of `value` does not fit `schema`. The schema's own depth bounds how deep this goes.
pub(super) fn check(value: &Value, schema: &Schema) -> Vec<Fault> {
    let mut faults = Vec::new();
    walk(value, schema, &At::default(), &mut faults);
    faults
}

fn walk(value: &Value, schema: &Schema, at: &At, faults: &mut Vec<Fault>) {
    for rule in schema.rules {
        match rule {
            Rule::Items(item) => {
                for (index, held) in value.as_array().into_iter().flatten().enumerate() {
                    walk(held, item, &at.item(index), faults);
                }
            }
            Rule::Each(each) => {
                let entries = value.as_object().into_iter().flatten();
                for (key, held) in entries.filter(|(key, _)| is_name(key)) {
                    let schema = format!("patternProperties.{NAME}");
                    walk(held, each, &at.key(key, &schema), faults);
                }
            }
            Rule::Keys(keys) => {
                for (key, schema) in *keys {
                    if let Some(held) = value.get(key) {
                        walk(held, schema, &at.key(key, &format!("properties.{key}")), faults);
                    }
                }
                faults.extend(unexpected(value, keys, at));
            }
            rule => {
                let fault = broken(value, rule).map(|(keyword, message)| {
                    let fault = Fault::new(message, &at.spec, &at.keyword(keyword));
                    if schema.expected.is_empty() {
                        return fault;
                    }
                    fault.help(format!("expected {}", schema.expected))
                });
                faults.extend(fault);
            }
        }
    }
}

/// Whether Orquesta takes `text` for a name: letters, digits and `_`.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The keyword and the message, where `value` breaks a rule that looks at it alone.
fn broken(value: &Value, rule: &Rule) -> Option<(&'static str, String)> {
    let shown = || shown(value);
    match rule {
        Rule::Type(wanted) if !wanted.of(value) => {
            Some(("type", format!("{} is not of type {}", shown(), quoted(wanted.word()))))
        }
        Rule::NonEmpty(keyword) if is_empty(value, keyword) => {
            Some((keyword, format!("{} should be non-empty", shown())))
        }
        Rule::OneProperty if value.as_object().is_some_and(|held| held.len() > 1) => {
            Some(("maxProperties", format!("{} has too many properties", shown())))
        }
        Rule::Unique if value.as_array().is_some_and(|items| has_twice(items)) => {
            Some(("uniqueItems", format!("{} has non-unique elements", shown())))
        }
        Rule::FromZero(zero) if value.as_f64().is_some_and(|number| number < 0.0) => {
            Some(("minimum", format!("{} is less than the minimum of {zero}", shown())))
        }
        Rule::Enum(allowed) => {
            let list: Vec<Value> = serde_json::from_str(allowed).unwrap_or_default();
            let within = list.iter().any(|one| same(one, value));
            let message = || {
                let list = self::shown(&Value::Array(list.clone()));
                format!("{} is not one of {list}", shown())
            };
            (!within).then(|| ("enum", message()))
        }
        Rule::Pattern(pattern, regex) => {
            let text = value.as_str().filter(|text| !regex().is_match(text))?;
            Some(("pattern", format!("{} does not match '{pattern}'", quoted(text))))
        }
        Rule::Span => {
            let text = value.as_str().filter(|text| !is_span(text))?;
            Some(("format", format!("{} is not a span of time", quoted(text))))
        }
        Rule::Either(keyword, choices) => {
            let fits = choices.iter().any(|choice| check(value, choice).is_empty());
            let message = || format!("{} is not valid under any of the given schemas", shown());
            (!fits).then(|| (*keyword, message()))
        }
        Rule::Required(key) if value.as_object().is_some_and(|held| !held.contains_key(*key)) => {
            Some(("required", format!("{} is a required property", quoted(key))))
        }
        _ => None,
    }
}

fn is_empty(value: &Value, keyword: &str) -> bool {
    match (keyword, value) {
        ("minLength", Value::String(text)) => text.is_empty(),
        ("minItems", Value::Array(items)) => items.is_empty(),
        ("minProperties", Value::Object(entries)) => entries.is_empty(),
        _ => false,
    }
}

fn has_twice(items: &[Value]) -> bool {
    let written: std::collections::BTreeSet<String> = items.iter().map(Value::to_string).collect();
    written.len() < items.len()
}

fn is_span(text: &str) -> bool {
    let number = || text.trim().parse::<f64>().is_ok_and(|seconds| seconds >= 0.0);
    expression::has_expression(text) || number() || span::parse(text).is_ok()
}

/// Numbers as Python compares them: 1 is 1.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() < f64::EPSILON,
        _ => a == b,
    }
}

fn unexpected(value: &Value, keys: &[(&str, &Schema)], at: &At) -> Option<Fault> {
    let known = || keys.iter().map(|(key, _)| *key);
    let given = value.as_object()?.keys();
    let others: Vec<&String> = given.filter(|key| !known().any(|known| known == *key)).collect();
    let first = others.first()?;
    let quoted: Vec<String> = others.iter().map(|key| quoted(key)).collect();
    let were = if others.len() == 1 { "was" } else { "were" };
    let message =
        format!("Additional properties are not allowed ({} {were} unexpected)", quoted.join(", "));
    // One that looks like a slip of the pen tells more than the first.
    let slip = others.iter().find(|key| nearest(key, known()).is_some()).unwrap_or(first);
    let mut fault = Fault::new(message, &at.spec, &at.keyword("additionalProperties"));
    fault.help = meant_or_listed(slip, "the keys here are", known());
    fault.key = Some((*slip).clone());
    Some(fault)
}
