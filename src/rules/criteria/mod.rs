//! Rules in StackStorm's form: criteria instead of a closure, one action instead of `then`. They
//! become the same `Rule` as Rhai's and are asked without Rhai.
//!
//! What StackStorm calls a failed enforcement, a criterion or a parameter that raises, is the verdict
//! `error` here: the rule does not act, and its decision says why.

pub mod form;
mod compile;
mod moment;
pub(crate) mod operator;
mod path;
pub(crate) mod template;
mod action;
mod lookup;
pub(crate) mod backstop;

use serde_json::Value;

use crate::model::event::Event;
use crate::model::problem::Place;
use crate::model::time::Time;
use crate::rules::Facts;
use crate::rules::criteria::operator::Operator;
use crate::rules::criteria::path::Path;
use crate::rules::criteria::template::{Names, Template, Templates};
use crate::rules::indexing::{By, Degree, Indexing, Part};
use crate::script::fault::Fault;
use crate::script::{jinja, python, regex};

pub(crate) use crate::rules::criteria::action::Wanted;
pub use crate::rules::criteria::compile::rule;

/// The name under which criteria see the event's data.
const TRIGGER: &str = "trigger";
/// The name under which the criteria of a `search` see one item.
const ITEM: &str = "item";

/// Criteria: all have to hold.
#[derive(Debug)]
pub(crate) struct Criteria {
    /// The sensor whose events alone are meant.
    only: Option<String>,
    all: Vec<Criterion>,
    templates: Templates,
}

/// One criterion.
#[derive(Debug)]
struct Criterion {
    key: String,
    /// The operator as it was written.
    name: String,
    path: Path,
    operator: Operator,
    pattern: Pattern,
    place: Place,
}

/// What a value is held against.
#[derive(Debug)]
enum Pattern {
    Constant(Value),
    /// A regular expression or wildcard, compiled once.
    Regex(Box<fancy_regex::Regex>),
    /// First as JSON, where it is one expression; else as text.
    Template {
        complex: Option<Template>,
        text: Template,
    },
    Search(Condition, Vec<Criterion>),
}

/// How a `search` counts: of the items, and of the criteria for each.
#[derive(Debug, Clone, Copy)]
enum Condition {
    /// Some item holds all.
    Any,
    /// Every item holds all.
    All,
    /// Every item holds some.
    AllToAny,
    /// Some item holds some.
    AnyToAny,
}

/// What criteria look at: the event, or one item of a `search`.
struct Sight<'s> {
    root: &'static str,
    value: &'s Value,
    facts: &'s Facts,
}

impl Criteria {
    /// Whether all hold for an event.
    ///
    /// # Errors
    /// The first criterion that cannot be asked, and its place: where StackStorm raises.
    pub(crate) fn hold(&self, event: &Event, facts: &Facts) -> Result<bool, Fault> {
        if self.only.as_deref().is_some_and(|only| only != &*event.source) {
            return Ok(false);
        }
        if !self.all.is_empty() && !python::is_true(&event.data) {
            return Ok(false);
        }
        let sight = Sight { root: TRIGGER, value: &event.data, facts };
        for criterion in &self.all {
            match criterion.holds(&self.templates, &sight) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(message) => {
                    let message = format!("criterion `{}`: {message}", criterion.key);
                    return Err(fault(message, &criterion.place));
                }
            }
        }
        Ok(true)
    }
}

/// What one criterion says of an event.
pub(crate) struct Told {
    pub(crate) text: String,
    pub(crate) answer: Result<bool, String>,
    /// What it looked at; nothing where that is missing.
    pub(crate) value: Option<Value>,
    pub(crate) place: Place,
}

impl Criteria {
    /// What each says of an event, in the order of asking.
    pub(crate) fn each(&self, event: &Event, facts: &Facts) -> Vec<Told> {
        let sight = Sight { root: TRIGGER, value: &event.data, facts };
        let told = |criterion: &Criterion| {
            let pattern = match &criterion.pattern {
                Pattern::Constant(value) => value.to_string(),
                Pattern::Regex(regex) => regex.as_str().to_owned(),
                Pattern::Template { .. } => "(a template)".to_owned(),
                Pattern::Search(_, inner) => format!("({} criteria)", inner.len()),
            };
            Told {
                text: format!("{} {} {pattern}", criterion.key, criterion.name),
                answer: criterion.holds(&self.templates, &sight),
                value: criterion.path.find(sight.root, sight.value).ok().flatten(),
                place: criterion.place.clone(),
            }
        };
        self.all.iter().map(told).collect()
    }

    /// How a rule is found by them: texts are looked up, the rest is asked without Rhai.
    pub(crate) fn indexed(&self) -> Indexing {
        let mut sure = true;
        let mut by = |criterion: &Criterion| {
            sure &= lookup::is_sure(criterion);
            let found = sure && lookup::looked_up(criterion).is_some();
            if found { By::Value } else { By::Check }
        };
        let part = |criterion: &Criterion| Part {
            text: criterion.key.clone(),
            by: by(criterion),
            why: None,
            line: criterion.place.line,
            column: criterion.place.column,
        };
        let parts: Vec<Part> = self.all.iter().map(part).collect();
        let found = parts.iter().filter(|part| part.by == By::Value).count();
        let degree = match (found, self.only.is_some()) {
            (found, _) if found == parts.len() => Degree::Whole,
            (0, false) => Degree::Not,
            _ => Degree::Partly,
        };
        Indexing { degree, parts }
    }
}

impl Criterion {
    fn holds(&self, templates: &Templates, sight: &Sight<'_>) -> Result<bool, String> {
        // StackStorm renders first: a template that fails is told whatever the value is.
        let rendered = match &self.pattern {
            Pattern::Template { complex, text } => Some(render(*complex, *text, templates, sight)?),
            _ => None,
        };
        let value = self.path.find(sight.root, sight.value)?.unwrap_or_default();
        let now = sight.facts.now;
        match &self.pattern {
            Pattern::Constant(pattern) => self.operator.holds(&value, pattern, now),
            Pattern::Template { .. } => {
                self.operator.holds(&value, &rendered.unwrap_or_default(), now)
            }
            Pattern::Regex(regex) => match &value {
                Value::String(text) => regex::fits(regex, text),
                other => Err(format!("the value is {}, not a text", python::kind(other))),
            },
            Pattern::Search(condition, criteria) => {
                search(&value, *condition, criteria, templates, sight.facts)
            }
        }
    }
}

/// A pattern, rendered: JSON where it is one expression, so that a number stays a number.
fn render(
    complex: Option<Template>,
    text: Template,
    templates: &Templates,
    sight: &Sight<'_>,
) -> Result<Value, String> {
    let names = sight.names();
    if let Some(complex) = complex {
        let text = templates.text(complex, &names)?;
        if let Ok(value) = serde_json::from_str(&text) {
            return Ok(value);
        }
    }
    templates.text(text, &names).map(Value::String)
}

/// Asks criteria of the items of a list. A criterion that cannot be asked does not hold.
fn search(
    value: &Value,
    condition: Condition,
    criteria: &[Criterion],
    templates: &Templates,
    facts: &Facts,
) -> Result<bool, String> {
    let items: Vec<Value> = match value {
        Value::Array(items) => items.clone(),
        Value::Object(_) => vec![value.clone()],
        Value::String(text) => text.chars().map(|one| Value::String(one.into())).collect(),
        other => return Err(format!("{} has no items to search", python::kind(other))),
    };
    let one = |item: &Value, criterion: &Criterion| {
        let sight = Sight { root: ITEM, value: item, facts };
        criterion.holds(templates, &sight).unwrap_or(false)
    };
    let all = |item: &Value| criteria.iter().all(|criterion| one(item, criterion));
    let any = |item: &Value| criteria.iter().any(|criterion| one(item, criterion));
    Ok(match condition {
        Condition::Any => items.iter().any(all),
        Condition::All => items.iter().all(all),
        Condition::AllToAny => items.iter().all(any),
        Condition::AnyToAny => items.iter().any(any),
    })
}

impl Sight<'_> {
    fn names(&self) -> Names {
        let (scopes, system) = template::keys(&self.facts.keys);
        Names::from([(self.root, jinja::name(self.value)), ("st2kv", scopes), ("system", system)])
    }
}

fn fault(message: String, place: &Place) -> Fault {
    Fault { message, line: place.line, column: place.column, file: None }
}

/// What StackStorm's operator of this name says of a value and a pattern.
///
/// # Errors
/// There is no such operator, or Python would raise.
pub fn compare(operator: &str, value: &Value, pattern: &Value, now: Time) -> Result<bool, String> {
    let known = Operator::named(operator);
    known.ok_or("there is no such operator")?.holds(value, pattern, now)
}
