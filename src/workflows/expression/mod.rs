//! Expressions in workflows: `${ }` Rhai, `<% %>` YAQL, `{{ }}` Jinja. The delimiters say which.
//!
//! A text that is one expression and nothing else keeps the type of its value; in any other text the
//! values are written as Python writes them. A text has one dialect: where several stand in it, Jinja
//! counts before YAQL and YAQL before Rhai, and the rest stays as it is.
//!
//! What an expression gives is data and is never evaluated again, whatever it looks like. (Orquesta
//! does so: there whoever fills a ticket's title can read every secret.)
//!
//! In Rhai the context is `ctx.name` or `ctx("name")`; a field that is missing is `()`. A shell's
//! `${HOME}` is no expression: see `text`.

mod fault;
mod text;
mod ask;
mod path;
mod functions;
mod yaql;
mod jinja;
mod rhai;
mod variable;
mod stranger;
mod inline;

use serde_json::{Map, Value};

use crate::model::time::Time;
use crate::workflows::Context;
use crate::workflows::expression::fault::{Fault as Reason, Kind};
use crate::workflows::expression::text::Part;

pub use crate::workflows::expression::inline::{inline, split_action, stray};
pub use crate::workflows::expression::stranger::{Stranger, strangers};
pub use crate::workflows::expression::variable::{Variable, references, variables};

/// Values inside values at most, in what is evaluated.
const DEPTH: usize = 100;
/// Bytes that one text with expressions may become.
const TEXT_BYTES: usize = 16 * 1024 * 1024;

/// What an expression may see.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// `ctx()`.
    pub context: &'a Context,
    /// The task that just ended, where there is one: `result()`, `succeeded()`, `failed()`, `completed()`.
    pub task: Option<Seen<'a>>,
    /// `item()`.
    pub item: Option<&'a Value>,
    /// What else there is to ask.
    pub world: &'a dyn World,
}

/// A task as expressions see it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Its name.
    pub name: &'a str,
    /// The route on which it ran, from 0.
    pub route: u32,
    /// Its status, as a word.
    pub status: &'a str,
    /// What it gave.
    pub result: &'a Value,
}

/// What expressions ask beyond their context.
pub trait World {
    /// The status of the task `name` on `route` (or the nearest before it): `task_status()`.
    fn task_status(&self, name: &str, route: Option<u32>) -> Option<String>;

    /// StackStorm's `task(name)`: id, name, status, result, and so on.
    fn task(&self, name: &str, route: Option<u32>) -> Option<Value>;

    /// A stored key (`system.x`, `user.x`): `st2kv()`; nothing where there is none.
    ///
    /// # Errors
    /// A sentence for people where it cannot be read.
    fn key(&self, name: &str, decrypt: bool) -> Result<Option<Value>, String>;

    /// The present moment, the same for all expressions of one step.
    fn now(&self) -> Time;
}

/// A language of expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// `{{ }}` and `{% %}`.
    Jinja,
    /// `<% %>`.
    Yaql,
    /// `${ }`.
    Rhai,
}

impl Dialect {
    /// All, in the order in which they are looked for.
    const ALL: [Self; 3] = [Self::Jinja, Self::Yaql, Self::Rhai];

    /// Its name in reports: `jinja`, `yaql`, `rhai`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jinja => "jinja",
            Self::Yaql => "yaql",
            Self::Rhai => "rhai",
        }
    }
}

/// What is wrong with an expression that nobody evaluated yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its language; nothing where a text mixes several.
    pub dialect: Option<Dialect>,
    /// The expression with its delimiters, or the whole text.
    pub expression: String,
    /// What is wrong with it.
    pub message: String,
}

/// Why an expression has no value. `Display` is what Orquesta writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Jinja names what is not there.
    #[error("There are unresolved variables: {names}")]
    Unresolved {
        /// The expressions, with commas between them.
        names: String,
    },
    /// YAQL reads a key that a dictionary does not have.
    #[error("Unable to resolve key '{key}' in expression '{expression}' from context.")]
    Key {
        /// The key.
        key: String,
        /// The expression with its delimiters.
        expression: String,
    },
    /// Anything else.
    #[error("Unable to evaluate expression '{expression}'. {kind}: {message}")]
    Failed {
        /// The language.
        dialect: Dialect,
        /// The expression with its delimiters.
        expression: String,
        /// The kind of failure, by its name in Python.
        kind: &'static str,
        /// What happened.
        message: String,
    },
    /// A value holds values that hold values, too deeply.
    #[error("the value nests more than {DEPTH} deep")]
    TooDeep,
}

/// Orquesta takes the quotes off at both ends of what YAQL says.
fn stripped(dialect: Dialect, kind: &str, message: String) -> String {
    let own = kind.starts_with("Yaql") || kind.starts_with("No") || kind == "JSONDecodeError";
    if dialect == Dialect::Yaql && (own || kind == "ValueError" || kind == "TypeError") {
        message.trim_matches('\'').to_owned()
    } else {
        message
    }
}

impl Error {
    fn of(dialect: Dialect, expression: &str, reason: Reason) -> Self {
        let expression = expression.to_owned();
        match (reason.kind, dialect) {
            (Kind::Key, Dialect::Yaql) => Self::Key { key: reason.message, expression },
            (kind, _) => {
                let kind = match kind {
                    Kind::Key => "KeyError",
                    Kind::Named(kind) => kind,
                };
                Self::Failed {
                    dialect,
                    expression,
                    kind,
                    message: stripped(dialect, kind, reason.message),
                }
            }
        }
    }

    /// The kind of exception that Orquesta raises.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unresolved { .. } | Self::Failed { dialect: Dialect::Jinja, .. } => {
                "JinjaEvaluationException"
            }
            Self::Key { .. } | Self::Failed { dialect: Dialect::Yaql, .. } => {
                "YaqlEvaluationException"
            }
            Self::Failed { dialect: Dialect::Rhai, .. } => "RhaiEvaluationException",
            Self::TooDeep => "ValueError",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unresolved { .. } => {
                "publish the variable before, or give a default: `{{ ctx().get('name', 'default') }}`"
            }
            Self::Key { .. } => {
                "publish the variable before, or ask with a default: `<% ctx().get(name, default) %>`"
            }
            Self::Failed { dialect: Dialect::Yaql, .. } => {
                "correct the expression; `ifso check` reads every expression of a workflow"
            }
            Self::Failed { dialect: Dialect::Jinja, .. } => {
                "correct the template; values that may be missing take `| default(…)`"
            }
            Self::Failed { dialect: Dialect::Rhai, .. } => {
                "correct the expression; a field that may be missing is `()`"
            }
            Self::TooDeep => "make the input flatter",
        }
    }
}

/// The value with all its expressions evaluated: in texts, in lists, in the names and values of maps.
///
/// # Errors
/// The first expression that has no value.
pub fn evaluate(value: &Value, scope: &Scope<'_>) -> Result<Value, Error> {
    evaluated(value, scope, 0)
}

fn evaluated(value: &Value, scope: &Scope<'_>, depth: usize) -> Result<Value, Error> {
    if depth > DEPTH {
        return Err(Error::TooDeep);
    }
    match value {
        Value::String(text) => evaluate_text(text, scope),
        Value::Array(items) => items.iter().map(|item| evaluated(item, scope, depth + 1)).collect(),
        Value::Object(fields) => {
            let mut all = Map::new();
            for (name, field) in fields {
                let name = match evaluate_text(name, scope)? {
                    Value::String(name) => name,
                    other => crate::script::python::text(&other),
                };
                all.insert(name, evaluated(field, scope, depth + 1)?);
            }
            Ok(Value::Object(all))
        }
        other => Ok(other.clone()),
    }
}

/// The value of a text: of its expression, or the text with the values of its expressions.
///
/// # Errors
/// The first expression that has no value.
pub fn evaluate_text(text: &str, scope: &Scope<'_>) -> Result<Value, Error> {
    let Some(dialect) = dialect_of(text) else { return Ok(Value::String(text.to_owned())) };
    if dialect == Dialect::Jinja && text::has_block(text) {
        return jinja::render(text, scope)
            .map(Value::String)
            .map_err(|reason| Error::of(dialect, text, reason));
    }
    let parts = text::parts(text, dialect);
    let one = |expression: &str| -> Result<Option<Value>, Error> {
        let inside = text::inside(expression, dialect);
        if dialect != Dialect::Yaql
            && let Some(value) = path::value(inside, scope)
        {
            return Ok(Some(value));
        }
        match dialect {
            Dialect::Jinja => jinja::evaluate(inside, scope),
            Dialect::Yaql => yaql::evaluate(inside, scope).map(Some),
            Dialect::Rhai => rhai::evaluate(inside, scope).map(Some),
        }
        .map_err(|reason| Error::of(dialect, expression, reason))
    };
    if let [Part::Expression(expression)] = parts.as_slice() {
        return one(expression)?.ok_or_else(|| Error::Unresolved {
            names: text::inside(expression, dialect).to_owned(),
        });
    }
    let (mut out, mut unresolved) = (String::with_capacity(text.len()), Vec::new());
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Expression(expression) => match one(expression)? {
                Some(value) => out.push_str(&crate::script::python::text(&value)),
                None => unresolved.push(text::inside(expression, dialect)),
            },
        }
        if out.len() > TEXT_BYTES {
            let reason = Reason::limit("the text becomes too large");
            return Err(Error::of(dialect, text, reason));
        }
    }
    if unresolved.is_empty() {
        Ok(Value::String(out))
    } else {
        Err(Error::Unresolved { names: unresolved.join(", ") })
    }
}

/// Whether a condition holds, as Python's `if` would say of its value. A text without an expression is
/// a text: true unless it is empty.
///
/// # Errors
/// The first expression that has no value.
pub fn truthy(text: &str, scope: &Scope<'_>) -> Result<bool, Error> {
    evaluate_text(text, scope).map(|value| crate::script::python::is_true(&value))
}

/// Whether a text holds an expression of any dialect.
#[must_use]
pub fn has_expression(text: &str) -> bool {
    dialect_of(text).is_some()
}

/// The dialect in which a text is evaluated.
fn dialect_of(text: &str) -> Option<Dialect> {
    Dialect::ALL.into_iter().find(|dialect| text::has(text, *dialect))
}

/// Everything that is wrong with the expressions of a value, as far as they can be read without
/// evaluating them.
#[must_use]
pub fn validate(value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    walk(value, &mut |text| faults.extend(validate_text(text)), 0);
    faults
}

fn validate_text(text: &str) -> Vec<Fault> {
    let found: Vec<Dialect> =
        Dialect::ALL.into_iter().filter(|dialect| text::has(text, *dialect)).collect();
    let [dialect] = found.as_slice() else {
        let mixed = Fault {
            dialect: None,
            expression: text.to_owned(),
            message: "Expression with multiple types is not supported.".to_owned(),
        };
        return if found.is_empty() { Vec::new() } else { vec![mixed] };
    };
    let fault = |expression: &str, message: String| Fault {
        dialect: Some(*dialect),
        expression: expression.to_owned(),
        message,
    };
    let mut faults = Vec::new();
    if *dialect == Dialect::Jinja
        && let Err(message) = jinja::check(text)
    {
        faults.push(fault(text, message));
    }
    for part in text::parts(text, *dialect) {
        let Part::Expression(expression) = part else { continue };
        if faults.iter().any(|fault| fault.expression == expression) {
            continue;
        }
        let inside = text::inside(expression, *dialect);
        let checked = match dialect {
            Dialect::Jinja => jinja::check_expression(inside),
            Dialect::Yaql => yaql::check(inside).map_err(|reason| reason.message),
            Dialect::Rhai => rhai::check(inside),
        };
        if let Err(message) = checked {
            faults.push(fault(expression, message));
        }
    }
    faults
}

/// Shows every text of a value, names of maps included, in their order.
fn walk(value: &Value, see: &mut dyn FnMut(&str), depth: usize) {
    if depth > DEPTH {
        return;
    }
    match value {
        Value::String(text) => see(text),
        Value::Array(items) => items.iter().for_each(|item| walk(item, see, depth + 1)),
        Value::Object(fields) => {
            for (name, field) in fields {
                see(name);
                walk(field, see, depth + 1);
            }
        }
        _ => {}
    }
}
