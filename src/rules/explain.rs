//! Why a rule did or did not act on an event: its condition as a tree with the value of every part, what
//! it remembered before and after, and what it would have done.

use serde::Serialize;
use serde_json::Value;

use crate::model::event::Event;
use crate::model::memory::Memory;
use crate::model::reference::Reference;
use crate::model::rule::{Decision, Verdict};
use crate::model::time::Time;
use crate::rules::Facts;
use crate::rules::closure::Asked;
use crate::rules::condition::{Condition, Kind, View};
use crate::rules::criteria::{Criteria, Told};
use crate::rules::evaluate::Hearing;
use crate::rules::field::Seen;
use crate::rules::rule::{Rule, When};
use crate::rules::set::Set;
use crate::rules::simulation::Simulation;
use crate::rules::temporal::Shape;
use crate::script::convert::kind;
use crate::script::fault::{column, line};

/// Why a rule did or did not act on an event.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The rule.
    pub rule: Reference,
    /// The version of the rule that was asked now; it may have been another one then.
    pub version: std::sync::Arc<str>,
    /// In one sentence.
    pub why: String,
    /// Its condition; nothing where it has none, or does not listen to this trigger.
    pub condition: Option<Part>,
    /// What `until` says, where it has one that looks at the event.
    pub until: Option<bool>,
    /// The key under which it remembers what it makes of the event.
    pub key: Option<String>,
    /// What it remembered before.
    pub before: Option<Memory>,
    /// What it remembers after.
    pub after: Option<Memory>,
    /// When it acts next by itself.
    pub due: Option<Time>,
    /// What it decides, with what it would do.
    pub decisions: Vec<Decision>,
    /// Since when kept events were heard to work out what it remembered.
    pub heard_since: Option<Time>,
}

/// A part of a condition, and what it says about the event.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// As it was written; `all of`, `any of` and `not` of parts that hold others.
    pub text: String,
    /// What it says; nothing where it failed.
    pub answer: Option<bool>,
    /// Whether the answer hangs on it.
    pub decisive: bool,
    /// The fields that it reads, with their values; null where they are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(String, Value)>,
    /// Why it has no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The parts inside, in the order in which they are asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Line of the rule's file, from 1.
    pub line: Option<u32>,
    /// Column, from 1.
    pub column: Option<u32>,
}

/// Explains what a rule makes of an event, from what it remembers by now: `simulation` has heard what
/// came before, and holds this rule.
#[must_use]
pub fn explain(
    simulation: &mut Simulation,
    reference: &Reference,
    event: &Event,
    heard_since: Option<Time>,
) -> Option<Explanation> {
    let set = simulation.set().clone();
    let rule = set.get(reference)?.clone();
    let index = set.position(reference)?;
    simulation.advance(event.accepted);
    let facts = Facts { now: event.accepted, ..simulation.facts().clone() };
    let listens = rule.on.iter().any(|on| on.fits(&event.trigger));
    let mut hearing = Hearing::open(&set, event, &facts, Asked::default());
    let condition = if listens { tree(&mut hearing, index, &rule, event, &facts) } else { None };
    let key = if listens { hearing.key(index).ok().flatten() } else { None };
    let until = until(&mut hearing, index, &rule, listens);
    drop(hearing.close());
    let named = key.clone().unwrap_or_default();
    let before = simulation.memories().get(reference, &named).cloned();
    let (_, decisions) = simulation.accept(event);
    let after = simulation.memories().get(reference, &named).cloned();
    // What fell due before is bookkeeping that nobody sees.
    let due = simulation.memories().due_of(reference, &named).filter(|due| *due > event.accepted);
    let why = sentence(&rule, event, listens, condition.as_ref(), decisions.first());
    let version = rule.version.clone();
    let rule = reference.clone();
    Some(Explanation {
        rule,
        version,
        why,
        condition,
        until,
        key,
        before,
        after,
        due,
        decisions,
        heard_since,
    })
}

/// What `until` says about the event; nothing where it looks at a window, or fails.
fn until(hearing: &mut Hearing<'_>, index: usize, rule: &Rule, listens: bool) -> Option<bool> {
    let until = rule.closures.until.as_ref().filter(|_| listens)?;
    let window = matches!(rule.temporal.shape, Shape::Window(_));
    (!window).then(|| hearing.ask(index, until).ok()?.as_bool().ok()).flatten()
}

/// Why each rule on the event's trigger that is not among `told` did not act, as the rules are now.
/// `limit` of them at most.
#[must_use]
pub fn refusals(
    set: &Set,
    event: &Event,
    facts: &Facts,
    told: &[&Reference],
    limit: usize,
) -> Vec<(Reference, String)> {
    let mut found = Vec::new();
    let mut hearing = Hearing::open(set, event, facts, Asked::default());
    for rule in set.subscribed(&event.trigger) {
        if told.contains(&&rule.reference) || found.len() >= limit {
            continue;
        }
        let Some(index) = set.position(&rule.reference) else { continue };
        let condition = tree(&mut hearing, index, rule, event, facts);
        let says_no = condition.as_ref().is_some_and(|part| part.answer == Some(false));
        let why = if says_no {
            sentence(rule, event, true, condition.as_ref(), None)
        } else {
            "it would match as it is now; `ifso rule explain` says what comes of it".to_owned()
        };
        found.push((rule.reference.clone(), why));
    }
    drop(hearing.close());
    found
}

fn tree(
    hearing: &mut Hearing<'_>,
    index: usize,
    rule: &Rule,
    event: &Event,
    facts: &Facts,
) -> Option<Part> {
    if let Some(When::Criteria(criteria)) = &rule.closures.when {
        return Some(criteria_tree(criteria, event, facts));
    }
    let condition = rule.analysis.condition.as_ref()?;
    let row: Vec<Seen<'_>> = rule.analysis.fields.iter().map(|field| field.look(event)).collect();
    let slots: Vec<u32> = (0..).take(row.len()).collect();
    let mut part =
        Teller { hearing, index, rule, view: View { row: &row, slots: &slots } }.part(condition);
    decide(&mut part);
    Some(part)
}

/// StackStorm's criteria: all have to hold.
fn criteria_tree(criteria: &Criteria, event: &Event, facts: &Facts) -> Part {
    let leaf = |told: Told| {
        let key = told.text.split(' ').next().unwrap_or_default().to_owned();
        let (answer, error) = match told.answer {
            Ok(answer) => (Some(answer), None),
            Err(message) => (None, Some(message)),
        };
        let (line, column) = (told.place.line, told.place.column);
        let values = vec![(key, told.value.unwrap_or_default())];
        let (text, parts) = (told.text, Vec::new());
        Part { text, answer, decisive: false, values, error, parts, line, column }
    };
    let parts: Vec<Part> = criteria.each(event, facts).into_iter().map(leaf).collect();
    let (text, answer) = ("all of".to_owned(), all(&parts));
    let (values, error, line, column) = (Vec::new(), None, None, None);
    let mut part = Part { text, answer, decisive: false, values, error, parts, line, column };
    decide(&mut part);
    part
}

struct Teller<'t, 'h> {
    hearing: &'t mut Hearing<'h>,
    index: usize,
    rule: &'t Rule,
    view: View<'t, 't>,
}

impl Teller<'_, '_> {
    fn part(&mut self, condition: &Condition) -> Part {
        let parts: Vec<Part> = condition.children().iter().map(|child| self.part(child)).collect();
        let (text, answer, error) = match &condition.kind {
            Kind::All(_) => ("all of".to_owned(), all(&parts), None),
            Kind::Any(_) => ("any of".to_owned(), any(&parts), None),
            Kind::Not(_) => ("not".to_owned(), parts[0].answer.map(|answer| !answer), None),
            _ => self.leaf(condition),
        };
        let name = |field: &u16| {
            let value = self.view.get(*field).value().unwrap_or_default();
            (self.rule.analysis.fields[usize::from(*field)].to_string(), value)
        };
        let values = condition.fields().iter().map(name).collect();
        let (line, column) = (line(condition.place), column(condition.place));
        Part { text, answer, decisive: false, values, error, parts, line, column }
    }

    fn leaf(&mut self, condition: &Condition) -> (String, Option<bool>, Option<String>) {
        let text = condition.text(&self.rule.analysis.fields, &self.rule.source);
        if let Some(answer) = condition.holds(self.view) {
            return (text, Some(answer), None);
        }
        let Kind::Opaque { expression, .. } = &condition.kind else {
            return (text, None, Some("only Rhai can say, about the whole condition".to_owned()));
        };
        let Some(When::Closure(when)) = &self.rule.closures.when else { return (text, None, None) };
        match self.hearing.ask(self.index, &when.part((**expression).clone())) {
            Ok(answer) => match answer.as_bool() {
                Ok(bool) => (text, Some(bool), None),
                Err(_) => (text, None, Some(format!("it gave {}", kind(&answer)))),
            },
            Err(fault) => (text, None, Some(fault.message)),
        }
    }
}

/// As Rhai asks: the first that says no ends it, one that fails ends it too.
fn all(parts: &[Part]) -> Option<bool> {
    parts.iter().find(|part| part.answer != Some(true)).map_or(Some(true), |part| part.answer)
}

fn any(parts: &[Part]) -> Option<bool> {
    parts.iter().find(|part| part.answer != Some(false)).map_or(Some(false), |part| part.answer)
}

/// Marks the parts that the answer hangs on.
fn decide(part: &mut Part) {
    part.decisive = true;
    let answer = part.answer;
    match part.text.as_str() {
        "all of" if answer == Some(true) => part.parts.iter_mut().for_each(decide),
        "any of" if answer == Some(false) => part.parts.iter_mut().for_each(decide),
        "all of" | "any of" => {
            if let Some(first) = part.parts.iter_mut().find(|inner| inner.answer == answer) {
                decide(first);
            }
        }
        _ => part.parts.iter_mut().for_each(decide),
    }
}

/// The parts without parts inside that the answer hangs on.
fn reasons<'p>(part: &'p Part, found: &mut Vec<&'p Part>) {
    if part.parts.is_empty() && part.decisive {
        found.push(part);
    }
    for inner in part.parts.iter().filter(|inner| inner.decisive) {
        reasons(inner, found);
    }
}

fn sentence(
    rule: &Rule,
    event: &Event,
    listens: bool,
    condition: Option<&Part>,
    decision: Option<&Decision>,
) -> String {
    if !listens {
        let on: Vec<String> = rule.on.iter().map(|on| format!("`{}`", on.text())).collect();
        return format!("it listens to {}, not to `{}`", on.join(", "), event.trigger);
    }
    if !rule.enabled {
        return "it is disabled".to_owned();
    }
    if let Some(decision) = decision.filter(|decision| decision.verdict != Verdict::NotMatched) {
        return decision.verdict.sentence();
    }
    let Some(condition) = condition else { return "it was not asked".to_owned() };
    let mut found = Vec::new();
    reasons(condition, &mut found);
    let each = found.iter().map(|part| {
        let answer = part.answer.map_or("no answer".to_owned(), |answer| answer.to_string());
        let values: Vec<String> = part
            .values
            .iter()
            .map(|(name, value)| match value {
                Value::Null => format!("`{name}` is missing"),
                value => format!("`{name}` is {value}"),
            })
            .collect();
        let because =
            if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) };
        format!("`{}` is {answer}{because}", part.text)
    });
    each.collect::<Vec<_>>().join("; ")
}
