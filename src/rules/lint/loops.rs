//! Rules that feed themselves: what one emits, it hears again, by itself or by way of others.
//!
//! Only what is simple to tell is said: a condition that the emitted event may not meet, or one that
//! Rhai has to be asked about, ends the matter.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use rhai::{ASTNode, Expr, FnCallExpr, Stmt};
use serde_json::Value;

use crate::model::cause::MAX_HOPS;
use crate::model::problem::{Place, Problem};
use crate::model::reference::Reference;
use crate::rules::closure::Closure;
use crate::rules::condition::{Condition, Kind};
use crate::rules::field::Root;
use crate::rules::lint::fields;
use crate::rules::lint::reach::{Sight, possible, truth};
use crate::rules::lint::values::Values;
use crate::rules::pattern::Pattern;
use crate::rules::read::place;
use crate::rules::rule::{Closures, Rule, When};
use crate::rules::temporal::Shape;
use crate::script::convert::to_json;

/// An event that a rule emits, as far as its file says so outright.
#[derive(Debug)]
pub(crate) struct Emit {
    trigger: Reference,
    place: Place,
    data: Data,
}

/// The data of an emitted event.
#[derive(Debug)]
enum Data {
    /// The event that was heard.
    Same,
    /// A map that stands there.
    Map(Vec<(String, Given)>),
    /// Anything else.
    Unknown,
}

/// A field of an emitted event.
#[derive(Debug)]
enum Given {
    Constant(Value),
    /// The field of the same name of the event that was heard.
    Same,
    Computed,
}

/// What a rule's closures emit whenever they are asked. What they emit under some condition only is
/// left out: that may be what ends the circle.
pub(crate) fn emitted(closures: &Closures, file: &Place) -> Box<[Emit]> {
    let mut emits = Vec::new();
    for closure in closures.then.closure().into_iter().chain(&closures.recover) {
        let (mut own, mut returns) = (Vec::new(), false);
        closure.body().walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
            match path.last() {
                Some(
                    ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _)),
                ) if !path.iter().any(forks) => own.extend(emit(call, closure, file)),
                Some(ASTNode::Stmt(Stmt::Return(..))) => returns = true,
                _ => {}
            }
            true
        });
        emits.extend(own.into_iter().filter(|_| !returns));
    }
    emits.into()
}

/// Whether what stands inside is not always reached.
fn forks(node: &ASTNode) -> bool {
    match node {
        ASTNode::Stmt(statement) => matches!(
            statement,
            Stmt::If(..)
                | Stmt::Switch(..)
                | Stmt::While(..)
                | Stmt::Do(..)
                | Stmt::For(..)
                | Stmt::TryCatch(..)
        ),
        ASTNode::Expr(Expr::And(..) | Expr::Or(..) | Expr::Coalesce(..)) => true,
        _ => false,
    }
}

fn emit(call: &FnCallExpr, closure: &Closure, file: &Place) -> Option<Emit> {
    let ("emit", [Expr::StringConstant(trigger, at), data]) = (call.name.as_str(), &*call.args)
    else {
        return None;
    };
    let trigger = trigger.parse().ok()?;
    let constant = || data.get_literal_value(None).and_then(|data| to_json(&data).ok());
    let data = match data {
        Expr::Variable(variable, ..) if fields::is_event(&variable.1, closure) => Data::Same,
        Expr::Map(map, _) => {
            let given = |(name, value): &(rhai::Ident, Expr)| {
                (name.name.to_string(), given(name.name.as_str(), value, closure))
            };
            Data::Map(map.0.iter().map(given).collect())
        }
        _ => match constant() {
            Some(Value::Object(fields)) => Data::Map(
                fields.into_iter().map(|(name, value)| (name, Given::Constant(value))).collect(),
            ),
            _ => Data::Unknown,
        },
    };
    Some(Emit { trigger, place: place(file, *at), data })
}

fn given(name: &str, value: &Expr, closure: &Closure) -> Given {
    let constant = value.get_literal_value(None).and_then(|value| to_json(&value).ok());
    if let Some(constant) = constant {
        return Given::Constant(constant);
    }
    match fields::names(value, closure).as_deref() {
        Some([only]) if **only == *name => Given::Same,
        _ => Given::Computed,
    }
}

/// Warnings about rules that feed themselves, one for each circle.
#[must_use]
pub fn warnings(rules: &[Arc<Rule>]) -> Vec<Problem> {
    let emitting: Vec<&Rule> = rules
        .iter()
        .map(|rule| &**rule)
        .filter(|rule| rule.enabled && !rule.shadow && !rule.emits.is_empty())
        .collect();
    let hearing = Hearing::of(&emitting);
    let next: Vec<Vec<(usize, &Emit)>> =
        emitting.iter().map(|rule| hearing.next(rule, &emitting)).collect();
    let (mut warnings, mut told) = (Vec::new(), HashSet::new());
    for start in 0..emitting.len() {
        if told.contains(&start) {
            continue;
        }
        let Some(circle) = circle(start, &next) else { continue };
        told.extend(circle.iter().map(|(rule, _)| *rule));
        warnings.push(warning(&circle, &emitting));
    }
    warnings.sort_by_key(|one| one.place.to_string());
    warnings.dedup_by(|a, b| a.place == b.place);
    warnings
}

/// Rules by what they are on.
struct Hearing<'h> {
    exact: HashMap<&'h Reference, Vec<usize>>,
    globs: Vec<(&'h Pattern, usize)>,
}

impl<'h> Hearing<'h> {
    fn of(rules: &[&'h Rule]) -> Self {
        let mut hearing = Self { exact: HashMap::new(), globs: Vec::new() };
        for (index, rule) in rules.iter().enumerate() {
            for pattern in &rule.on {
                match pattern {
                    Pattern::Exact(trigger) => {
                        hearing.exact.entry(trigger).or_default().push(index);
                    }
                    Pattern::Glob(_) => hearing.globs.push((pattern, index)),
                }
            }
        }
        hearing
    }

    /// Who fires on what a rule emits.
    fn next<'e>(&self, rule: &'e Rule, rules: &[&Rule]) -> Vec<(usize, &'e Emit)> {
        let mut next = Vec::new();
        for emit in &rule.emits {
            let exact = self.exact.get(&emit.trigger).into_iter().flatten().copied();
            let globs = self.globs.iter().filter(|(glob, _)| glob.fits(&emit.trigger));
            let hearing: BTreeSet<usize> = exact.chain(globs.map(|(_, index)| *index)).collect();
            let fires = hearing.into_iter().filter(|index| fires(rule, emit, rules[*index]));
            next.extend(fires.map(|index| (index, emit)));
        }
        next
    }
}

/// Whether `to` fires on what `from` emits, as far as that is simple to tell.
fn fires(from: &Rule, emit: &Emit, to: &Rule) -> bool {
    match &to.temporal.shape {
        Shape::Absent { .. } => return false,
        Shape::Sequence(steps) | Shape::AllOf(steps) => {
            let asks = |step: &crate::rules::temporal::Step| step.when.is_some() || step.not;
            if steps.steps.iter().any(asks) {
                return false;
            }
        }
        _ => {}
    }
    if matches!(to.closures.when, Some(When::Criteria(_))) {
        return false;
    }
    to.analysis.condition.as_ref().is_none_or(|condition| meets(from, emit, to, condition))
}

/// Whether the emitted event meets a condition of `to`.
fn meets(from: &Rule, emit: &Emit, to: &Rule, condition: &Condition) -> bool {
    match &condition.kind {
        Kind::All(parts) => parts.iter().all(|part| meets(from, emit, to, part)),
        Kind::Any(parts) => parts.iter().any(|part| meets(from, emit, to, part)),
        Kind::Constant(answer) => *answer,
        Kind::Not(_) | Kind::Opaque { .. } | Kind::Fields { .. } | Kind::Length { .. } => false,
        _ => leaf(from, emit, to, condition),
    }
}

fn leaf(from: &Rule, emit: &Emit, to: &Rule, part: &Condition) -> bool {
    let sight = Sight { fields: &to.analysis.fields, payload: None };
    let Some((field, _)) = sight.subject(part) else { return false };
    if field.root == Root::Envelope {
        return false;
    }
    let same = || {
        let before = from.analysis.condition.as_ref();
        let here = Sight { fields: &from.analysis.fields, payload: None };
        let before = before.map(|condition| (condition, here, true));
        possible(before.into_iter().chain([(part, sight, true)]).collect())
    };
    let value = match (&emit.data, &*field.steps) {
        (Data::Same, _) => return same(),
        (Data::Unknown, _) | (Data::Map(_), []) => return false,
        (Data::Map(map), [first, rest @ ..]) => {
            match map.iter().find(|(name, _)| **name == **first) {
                Some((_, Given::Same)) => return same(),
                Some((_, Given::Computed)) => return false,
                Some((_, Given::Constant(value))) => {
                    rest.iter().try_fold(value, |value, name| value.get(&**name))
                }
                None => None,
            }
        }
    };
    let value = value.map_or_else(Values::missing, Values::of);
    // A part of a text is looked for in what is known as a text only.
    let sure = !matches!(part.kind, Kind::Text { .. } | Kind::Matches { .. } | Kind::Holds { .. });
    sure && !truth(part, true).and(&value).is_empty()
}

/// The shortest way from a rule back to itself: each rule with what it emits.
fn circle<'e>(start: usize, next: &[Vec<(usize, &'e Emit)>]) -> Option<Vec<(usize, &'e Emit)>> {
    let mut before: HashMap<usize, (usize, &'e Emit)> = HashMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(rule) = waiting.pop_front() {
        for (heard, emit) in &next[rule] {
            if *heard == start {
                let mut circle = vec![(rule, *emit)];
                while let Some((from, emit)) = before.get(&circle[circle.len() - 1].0) {
                    circle.push((*from, *emit));
                }
                circle.reverse();
                return Some(circle);
            }
            if !before.contains_key(heard) {
                before.insert(*heard, (rule, *emit));
                waiting.push_back(*heard);
            }
        }
    }
    None
}

fn warning(circle: &[(usize, &Emit)], rules: &[&Rule]) -> Problem {
    let name = |index: usize| &rules[index].reference;
    let (first, emit) = circle[0];
    let message = if circle.len() == 1 {
        format!("rule `{}` fires on what it emits: `{}`", name(first), emit.trigger)
    } else {
        let steps: Vec<String> = circle
            .iter()
            .map(|(rule, emit)| format!("`{}` emits `{}`", name(*rule), emit.trigger))
            .collect();
        format!(
            "rules feed each other in a circle: {}, which `{}` is on",
            steps.join(", "),
            name(first)
        )
    };
    let help = format!(
        "emit another trigger, or ask in `when` for what the emitted event does not have; such a \
         circle is cut after {MAX_HOPS} rules"
    );
    Problem::warning("feeds_itself", emit.place.clone(), message).help(help)
}
