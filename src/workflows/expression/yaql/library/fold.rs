//! Queries that make one value of many.

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::library::operator;
use crate::workflows::expression::yaql::library::{math, query};
use crate::workflows::expression::yaql::run::{Run, no_match};
use crate::workflows::expression::yaql::signature::Row;
use crate::workflows::expression::yaql::signature::Way::{Both, Method};
use crate::workflows::expression::yaql::stream::{Cursor, Stream};
use crate::workflows::expression::yaql::value::{Datum, Dict};

pub(super) const TABLE: &[Row] = &[
    ("any", Both, "collection:iterable, predicate:lambda=", |run, given| any(run, given, true)),
    ("all", Both, "collection:iterable, predicate:lambda=", |run, given| any(run, given, false)),
    ("sum", Method, "collection:iterable, initial:any=", |run, given| {
        fold(run, given, |run, a, b| {
            operator::plus(run, &a, &b).unwrap_or_else(|| Err(no_match("#operator_+")))
        })
    }),
    ("max", Method, "collection:iterable, initial:any=", |run, given| {
        fold(run, given, |_, a, b| math::larger(a, b, true))
    }),
    ("min", Method, "collection:iterable, initial:any=", |run, given| {
        fold(run, given, |_, a, b| math::larger(a, b, false))
    }),
    ("first", Method, "collection:iterable, default:any=", |run, given| {
        let found = Cursor::over(&given.value(0)).next(run)?;
        found.or_else(|| given.maybe(1)).ok_or_else(Fault::empty)
    }),
    ("last", Method, "collection:iterable, default:any=", last),
    ("single", Method, "collection:iterable", single),
    ("indexOf", Method, "collection:iterable, item:any", |run, given| index(run, given, false)),
    ("lastIndexOf", Method, "collection:iterable, item:any", |run, given| index(run, given, true)),
    ("indexWhere", Method, "collection:iterable, predicate:lambda", |run, given| {
        index(run, given, false)
    }),
    ("lastIndexWhere", Method, "collection:iterable, predicate:lambda", |run, given| {
        index(run, given, true)
    }),
    ("aggregate", Method, "collection:iterable, selector:lambda, seed:any=", aggregate),
    ("reduce", Method, "collection:iterable, selector:lambda, seed:any=", aggregate),
    ("accumulate", Method, "collection:iterable, selector:lambda, seed:any=", accumulate),
    (
        "groupBy",
        Method,
        "collection:iterable, keySelector:lambda, valueSelector:lambda=, aggregator:lambda=",
        group_by,
    ),
];

/// Whether any item holds (`wanted`), or all do (not `wanted`).
fn any<'a>(run: &mut Run<'a>, given: &mut Given<'a>, wanted: bool) -> Answer<'a> {
    let predicate = given.maybe_lambda(1);
    let mut items = Cursor::over(&given.value(0));
    while let Some(item) = items.next(run)? {
        let holds = match &predicate {
            Some(predicate) => run.apply(predicate, &[item])?.is_true(),
            // `any()` asks whether there is an item, whatever it is.
            None => wanted || item.is_true(),
        };
        if holds == wanted {
            return Ok(Datum::Bool(wanted));
        }
    }
    Ok(Datum::Bool(!wanted))
}

fn fold<'a>(
    run: &mut Run<'a>,
    given: &Given<'a>,
    join: impl Fn(&mut Run<'a>, Datum<'a>, Datum<'a>) -> Answer<'a>,
) -> Answer<'a> {
    let mut items = Cursor::over(&given.value(0));
    let first = match given.maybe(1) {
        Some(initial) => Some(initial),
        None => items.next(run)?,
    };
    let Some(mut total) = first else { return Err(nothing("reduce")) };
    while let Some(item) = items.next(run)? {
        total = join(run, total, item)?;
    }
    Ok(total)
}

fn nothing(name: &str) -> Fault {
    let (of, value) = if name == "reduce" { ("iterable", "value") } else { ("sequence", "value") };
    Fault::kind_of_value(format!("{name}() of empty {of} with no initial {value}"))
}

fn last<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let collection = given.value(0);
    let mut found = collection.item(-1);
    if collection.len().is_none() || !collection.is_sequence() {
        let mut items = Cursor::over(&collection);
        while let Some(item) = items.next(run)? {
            found = Some(item);
        }
    }
    found.or_else(|| given.maybe(1)).ok_or_else(Fault::empty)
}

fn single<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let mut items = Cursor::over(&given.value(0));
    let first = items.next(run)?.ok_or_else(Fault::empty)?;
    match items.next(run)? {
        None => Ok(first),
        Some(_) => Err(Fault::new("StopIteration", "Collection contains more than one item")),
    }
}

fn index<'a>(run: &mut Run<'a>, given: &mut Given<'a>, last: bool) -> Answer<'a> {
    let (wanted, predicate) = (given.value(1), given.maybe_lambda(1));
    let mut items = Cursor::over(&given.value(0));
    let (mut at, mut found) = (0, None);
    while let Some(item) = items.next(run)? {
        let holds = match &predicate {
            Some(predicate) => run.apply(predicate, &[item])?.is_true(),
            None => item.equals(&wanted)?,
        };
        if holds {
            found = Some(at);
            if !last {
                break;
            }
        }
        at += 1;
    }
    Ok(query::place(found))
}

fn aggregate<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let selector = given.lambda(1);
    let mut items = Cursor::over(&given.value(0));
    let first = match given.maybe(2) {
        Some(seed) => Some(seed),
        None => items.next(run)?,
    };
    let Some(mut total) = first else { return Err(nothing("reduce")) };
    while let Some(item) = items.next(run)? {
        total = run.apply(&selector, &[total, item])?;
    }
    Ok(total)
}

fn accumulate<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (collection, selector) = (given.value(0), given.lambda(1));
    let mut items = Cursor::over(&collection);
    let mut total = given.maybe(2);
    let mut begun = false;
    run.step()?;
    let depth = collection.depth().max(selector.frame.depth());
    Stream::over(depth, move |run| {
        if !begun {
            begun = true;
            if total.is_none() {
                total = items.next(run)?;
            }
            return total.clone().map(Some).ok_or_else(|| nothing("accumulate"));
        }
        let Some(item) = items.next(run)? else { return Ok(None) };
        let before = total.take().unwrap_or(Datum::Null);
        total = Some(run.apply(&selector, &[before, item])?);
        Ok(total.clone())
    })
}

fn group_by<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (key, value) = (given.lambda(1), given.maybe_lambda(2));
    let mut items = Cursor::over(&given.value(0));
    let mut places = Dict::default();
    let mut groups: Vec<(Datum<'a>, Vec<Datum<'a>>)> = Vec::new();
    while let Some(item) = items.next(run)? {
        run.spend(1)?;
        let name = run.apply(&key, std::slice::from_ref(&item))?;
        let value = match &value {
            Some(value) => run.apply(value, &[item])?,
            None => item,
        };
        match places.get(&name.key()?) {
            Some(Datum::Int(place)) => {
                let place = usize::try_from(*place).unwrap_or(0);
                groups[place].1.push(value);
            }
            _ => {
                places.set(name.clone(), super::text::count(groups.len()))?;
                groups.push((name, vec![value]));
            }
        }
    }
    aggregated(run, given, groups)
}

/// An aggregator takes the values of a group; where it cannot, it is tried on the pair of the key and
/// the values, which was the way before YAQL 1.1.1.
fn aggregated<'a>(
    run: &mut Run<'a>,
    given: &Given<'a>,
    groups: Vec<(Datum<'a>, Vec<Datum<'a>>)>,
) -> Answer<'a> {
    let aggregator = given.maybe_lambda(3);
    let (mut all, mut failed, mut may_be_old) = (Vec::new(), None, true);
    for (key, values) in groups {
        let values = run.list(values)?;
        let pair = run.list(vec![key.clone(), values.clone()])?;
        let Some(aggregator) = &aggregator else {
            all.push(pair);
            continue;
        };
        if failed.is_none() {
            match run.apply(aggregator, std::slice::from_ref(&values)) {
                Ok(result) => {
                    let looks_old = values.len() == Some(2)
                        && result.is_sequence()
                        && result.len() == Some(2)
                        && match (result.item(0), values.item(0)) {
                            (Some(a), Some(b)) => a.equals(&b)?,
                            _ => false,
                        };
                    may_be_old &= looks_old;
                    all.push(run.list(vec![key, result])?);
                    continue;
                }
                Err(fault) if fault.is_mismatch() => failed = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        let old = if may_be_old { run.apply(aggregator, &[pair]).ok() } else { None };
        match (old.filter(|old| old.len() == Some(2)), &failed) {
            (Some(old), _) => all.push(old),
            (None, Some(fault)) => return Err(fault.clone()),
            (None, None) => {}
        }
    }
    run.list(all)
}
