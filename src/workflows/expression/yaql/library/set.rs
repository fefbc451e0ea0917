//! Sets.

use std::rc::Rc;

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::library::text::count;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::Row;
use crate::workflows::expression::yaql::signature::Way::{Both, Function, Method};
use crate::workflows::expression::yaql::value::{Datum, Set};

pub(super) const TABLE: &[Row] = &[
    ("isSet", Function, "arg:any", |_, given| {
        Ok(Datum::Bool(matches!(given.value(0), Datum::Set(_))))
    }),
    ("len", Both, "set:set", |_, given| Ok(count(given.value(0).len().unwrap_or(0)))),
    ("add", Method, "set:set, *:any", |run, given| {
        let (set, more) = (the_set(given, 0)?, given.values());
        joined(run, &[&set.items, &more])
    }),
    ("remove", Method, "set:set, *:any", |_, given| {
        let mut gone = Set::default();
        for value in given.values() {
            gone.add(value)?;
        }
        difference(&*the_set(given, 0)?, &gone)
    }),
    ("union", Method, "left:set, right:set", |run, given| {
        union(run, &*the_set(given, 0)?, &*the_set(given, 1)?)
    }),
    ("intersect", Method, "left:set, right:set", |_, given| {
        let right = the_set(given, 1)?;
        kept(&*the_set(given, 0)?, |key| right.has(key))
    }),
    ("difference", Method, "left:set, right:set", |_, given| {
        difference(&*the_set(given, 0)?, &*the_set(given, 1)?)
    }),
    ("symmetricDifference", Method, "left:set, right:set", symmetric),
];

fn the_set<'a>(given: &Given<'a>, at: usize) -> Result<Rc<Set<'a>>, Fault> {
    match given.value(at) {
        Datum::Set(set) => Ok(set),
        _ => Err(Fault::kind_of_value("not a set")),
    }
}

fn joined<'a>(run: &mut Run<'a>, parts: &[&[Datum<'a>]]) -> Answer<'a> {
    let mut all = Set::default();
    for item in parts.iter().copied().flatten() {
        run.spend(1)?;
        all.add(item.clone())?;
    }
    Ok(Datum::Set(Rc::new(all)))
}

/// What is in either.
///
/// # Errors
/// It is too large.
pub(super) fn union<'a>(run: &mut Run<'a>, left: &Set<'a>, right: &Set<'a>) -> Answer<'a> {
    joined(run, &[&left.items, &right.items])
}

fn kept<'a>(set: &Set<'a>, keep: impl Fn(&str) -> bool) -> Answer<'a> {
    let mut left = Set::default();
    for item in &set.items {
        if keep(&item.key()?) {
            left.add(item.clone())?;
        }
    }
    Ok(Datum::Set(Rc::new(left)))
}

/// What is only in the left one.
///
/// # Errors
/// None in practice: what is in a set has a key.
pub(super) fn difference<'a>(left: &Set<'a>, right: &Set<'a>) -> Answer<'a> {
    kept(left, |key| !right.has(key))
}

fn symmetric<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (left, right) = (the_set(given, 0)?, the_set(given, 1)?);
    match (difference(&left, &right)?, difference(&right, &left)?) {
        (Datum::Set(a), Datum::Set(b)) => union(run, &a, &b),
        (a, _) => Ok(a),
    }
}

/// Whether one holds the other.
///
/// # Errors
/// None in practice.
pub(super) fn compared<'a>(sign: &str, left: &Set<'a>, right: &Set<'a>) -> Result<bool, Fault> {
    let (small, large) = if sign.starts_with('<') { (left, right) } else { (right, left) };
    for item in &small.items {
        if !large.has(&item.key()?) {
            return Ok(false);
        }
    }
    Ok(sign.len() == 2 || small.items.len() < large.items.len())
}
