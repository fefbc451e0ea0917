//! A rule as StackStorm's YAML writes it, read and not yet understood: every part with its place.

use serde_json::Value;

use crate::model::problem::Place;

/// A part, and where it stands.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The part.
    pub what: T,
    /// Where it stands.
    pub place: Place,
}

/// One file.
#[derive(Debug, Clone)]
pub struct Form {
    /// Its name, without the pack.
    pub name: At<String>,
    /// `description`.
    pub about: String,
    /// Whether it is asked at all.
    pub enabled: bool,
    /// `type: backstop`: it is asked when no other rule matched the event.
    pub backstop: bool,
    /// `tags`, as they were written.
    pub tags: Vec<Value>,
    /// `trigger.type`.
    pub trigger: At<String>,
    /// The sensor whose events alone are meant, where the trigger has parameters.
    pub only: Option<String>,
    /// `criteria`, in the order of the file.
    pub criteria: Vec<Criterion>,
    /// `criteria`, as they were written.
    pub criteria_written: Value,
    /// `action.ref`.
    pub action: At<String>,
    /// `action.parameters` (or `action.params`), in the order of the file.
    pub parameters: Vec<(At<String>, At<Value>)>,
}

/// One criterion.
#[derive(Debug, Clone)]
pub struct Criterion {
    /// The path that it looks at.
    pub key: At<String>,
    /// `type`: the operator.
    pub operator: At<String>,
    /// `pattern`.
    pub pattern: Option<At<Pattern>>,
    /// `condition`, for `search`.
    pub condition: Option<At<String>>,
}

/// What a value is held against.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// A value, or a template.
    Value(Value),
    /// The criteria of a `search`.
    Criteria(Vec<Criterion>),
}
