//! Whether conditions can hold together, by the values that each leaves to the fields.

use std::collections::HashMap;

use crate::rules::condition::{Condition, Kind, Literal, Operator};
use crate::rules::field::{Field, Root};
use crate::rules::lint::values::{Span, Values};
use crate::rules::payload::Payload;

/// Parts that are looked at for one question; beyond that anything may hold.
const PARTS_LIMIT: usize = 5_000;

/// What the fields of a condition are.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'s> {
    pub(crate) fields: &'s [Field],
    /// What the schemas say of them.
    pub(crate) payload: Option<&'s Payload<'s>>,
}

/// What a part asks about: a field, or its length.
pub(crate) type Subject<'s> = (&'s Field, bool);

impl<'s> Sight<'s> {
    /// What a part without parts inside asks about.
    pub(crate) fn subject(&self, leaf: &Condition) -> Option<Subject<'s>> {
        let length = matches!(leaf.kind, Kind::Length { .. });
        match *leaf.fields() {
            [field] => Some((&self.fields[usize::from(field)], length)),
            _ => None,
        }
    }

    /// What a subject may be before anything is asked.
    pub(crate) fn values(&self, (field, length): Subject<'_>) -> Values {
        match self.payload {
            _ if length => Values::span(Span::new((0.0, true), (f64::INFINITY, false))),
            Some(payload) if field.root == Root::Data => payload.values(&field.steps),
            _ => Values::all(),
        }
    }
}

/// A condition that is to hold, or not to hold.
pub(crate) type Goal<'s> = (&'s Condition, Sight<'s>, bool);

/// Whether all of these can come true for one event. Yes, where that is not certain.
pub(crate) fn possible(goals: Vec<Goal<'_>>) -> bool {
    let mut left = PARTS_LIMIT;
    search(goals, HashMap::new(), &mut left)
}

fn search<'s>(
    mut goals: Vec<Goal<'s>>,
    mut values: HashMap<Subject<'s>, Values>,
    left: &mut usize,
) -> bool {
    let mut choices: Vec<Goal<'s>> = Vec::new();
    while let Some((part, sight, wanted)) = goals.pop() {
        let Some(less) = left.checked_sub(1) else { return true };
        *left = less;
        match (&part.kind, wanted) {
            (Kind::All(parts), true) | (Kind::Any(parts), false) => {
                goals.extend(parts.iter().map(|part| (part, sight, wanted)));
            }
            (Kind::All(_), false) | (Kind::Any(_), true) => choices.push((part, sight, wanted)),
            (Kind::Not(part), _) => goals.push((part, sight, !wanted)),
            _ => {
                let Some(subject) = sight.subject(part) else { continue };
                let here = values.entry(subject).or_insert_with(|| sight.values(subject));
                *here = here.and(&truth(part, wanted));
                if here.is_empty() {
                    return false;
                }
            }
        }
    }
    let Some((part, sight, wanted)) = choices.pop() else { return true };
    part.children().iter().any(|child| {
        let goals = choices.iter().copied().chain([(child, sight, wanted)]).collect();
        search(goals, values.clone(), left)
    })
}

/// The values for which a part without parts inside gives this answer; more where it is not known.
pub(crate) fn truth(leaf: &Condition, wanted: bool) -> Values {
    let exact = |values: Values| if wanted { values } else { values.complement() };
    let only = |values: Values| if wanted { values } else { Values::all() };
    match &leaf.kind {
        Kind::Compare { operator, literal, .. } | Kind::Length { operator, literal, .. } => {
            match Values::compared(*operator, literal) {
                Some(values) => exact(values),
                None if *operator == Operator::Unequal => Values::all(),
                None => only(Values::kind(literal)),
            }
        }
        Kind::Among { set, .. } => {
            let items: Option<Vec<Values>> = set.iter().map(Values::equal).collect();
            match items {
                Some(items) => exact(Values::any(items)),
                None => only(Values::any(set.iter().map(Values::kind).collect())),
            }
        }
        Kind::Within { first, last, inclusive, .. } => {
            let low = Values::compared(Operator::AtLeast, &Literal::Whole(*first));
            let below = if *inclusive { Operator::AtMost } else { Operator::Less };
            let high = Values::compared(below, &Literal::Whole(*last));
            low.zip(high).map_or_else(Values::all, |(low, high)| exact(low.and(&high)))
        }
        Kind::Text { .. } | Kind::Matches { .. } => only(Values::texts()),
        Kind::Holds { item: Literal::Text(_) | Literal::Letter(_), .. } => {
            only(Values::texts().or(&Values::others()))
        }
        Kind::Holds { .. } => only(Values::others()),
        Kind::Present { .. } => exact(Values::missing().complement()),
        Kind::Flag { .. } => exact(Values::flags(true, false)),
        _ => Values::all(),
    }
}

/// How far two conditions hold for the same events.
#[derive(Debug, PartialEq)]
pub(crate) enum Overlap {
    /// Wherever the first does.
    Whole,
    /// For this value of the only field that both ask.
    At(String),
}

/// How far the second holds where the first does; nothing where that is not simple to tell.
pub(crate) fn overlap<'s>(
    (first, here): (&'s Condition, Sight<'s>),
    (second, there): (&'s Condition, Sight<'s>),
) -> Option<Overlap> {
    let (left, right) = (plain(first)?, plain(second)?);
    if !possible(vec![(first, here, true), (second, there, false)]) {
        return Some(Overlap::Whole);
    }
    let subject = here.subject(left.first()?)?;
    let same = left.iter().all(|part| here.subject(part) == Some(subject))
        && right.iter().all(|part| there.subject(part) == Some(subject));
    if !same {
        return None;
    }
    let both = left
        .iter()
        .chain(&right)
        .fold(here.values(subject), |values, part| values.and(&truth(part, true)));
    both.example().map(Overlap::At)
}

/// The parts that all have to hold, where each is a comparison that is understood exactly.
fn plain(condition: &Condition) -> Option<Vec<&Condition>> {
    let parts = match &condition.kind {
        Kind::All(parts) => parts.iter().collect(),
        _ => vec![condition],
    };
    let exact = |part: &&Condition| match &part.kind {
        Kind::Compare { operator, literal, .. } => Values::compared(*operator, literal).is_some(),
        Kind::Among { .. } | Kind::Within { .. } | Kind::Flag { .. } => true,
        _ => false,
    };
    parts.iter().all(exact).then_some(parts)
}
