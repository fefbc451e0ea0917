//! Dictionaries.

use std::rc::Rc;

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::frame::Lambda;
use crate::workflows::expression::yaql::library::text::count;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::Row;
use crate::workflows::expression::yaql::signature::Way::{Both, Function, Method};
use crate::workflows::expression::yaql::stream::Cursor;
use crate::workflows::expression::yaql::value::{Datum, Dict, Set};

pub(super) const TABLE: &[Row] = &[
    ("#map", Function, "!*:rule", of_rules),
    ("dict", Function, "!*:rule", of_rules),
    ("dict", Function, "!items:iterable", of_pairs),
    ("toDict", Method, "collection:iterable, keySelector:lambda, valueSelector:lambda=", to_dict),
    ("#indexer", Method, "dict:map, key:any", index),
    ("#indexer", Method, "dict:map, key:any, default:any", get),
    ("get", Method, "dict:map, key:any, default:any=", get),
    ("set", Method, "!dict:map, key:any, value:any", |run, given| {
        let entry = (given.value(1), given.value(2));
        with(run, &given.value(0), vec![entry])
    }),
    ("set", Method, "!dict:map, replacements:map", |run, given| {
        with(run, &given.value(0), given.value(1).entries())
    }),
    ("set", Method, "!dict:map, *:rule", |run, given| {
        let entries = ruled(run, &given.rules())?;
        with(run, &given.value(0), entries)
    }),
    ("keys", Method, "dict:map", |run, given| {
        let mut keys = Set::default();
        for (name, _) in given.value(0).entries() {
            run.spend(1)?;
            keys.add(name)?;
        }
        Ok(Datum::Set(Rc::new(keys)))
    }),
    ("values", Method, "dict:map", |run, given| {
        let values = given.value(0).entries().into_iter().map(|(_, value)| value).collect();
        run.list(values)
    }),
    ("items", Method, "dict:map", items),
    ("containsKey", Method, "dict:map, key:any", |_, given| {
        Ok(Datum::Bool(given.value(0).get(&given.value(1))?.is_some()))
    }),
    ("containsValue", Method, "dict:map, value:any", contains_value),
    ("isDict", Function, "arg:any", |_, given| Ok(Datum::Bool(given.value(0).is_map()))),
    ("len", Both, "dict:map", |_, given| Ok(count(given.value(0).len().unwrap_or(0)))),
    ("delete", Method, "dict:map, *:any", |run, given| {
        without(run, &given.value(0), &given.values())
    }),
    ("deleteAll", Method, "dict:map, keys:iterable", |run, given| {
        let keys = Cursor::over(&given.value(1)).rest(run)?;
        without(run, &given.value(0), &keys)
    }),
    (
        "mergeWith",
        Method,
        "dict:map, another:map, listMerger:lambda=, itemMerger:lambda=, maxLevels:int=",
        merge_with,
    ),
];

type Entries<'a> = Vec<(Datum<'a>, Datum<'a>)>;

fn ruled<'a>(run: &mut Run<'a>, rules: &[(Lambda<'a>, Lambda<'a>)]) -> Result<Entries<'a>, Fault> {
    let mut entries = Vec::with_capacity(rules.len());
    for (name, value) in rules {
        let name = run.apply_in(name, &name.frame)?;
        entries.push((name, run.apply_in(value, &value.frame)?));
    }
    Ok(entries)
}

fn of_rules<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let entries = ruled(run, &given.rules())?;
    build(run, entries)
}

fn build<'a>(run: &mut Run<'a>, entries: Entries<'a>) -> Answer<'a> {
    let mut dict = Dict::default();
    for (name, value) in entries {
        run.spend(1)?;
        dict.set(name, value)?;
    }
    Ok(Datum::Dict(Rc::new(dict)))
}

fn with<'a>(run: &mut Run<'a>, dict: &Datum<'a>, more: Entries<'a>) -> Answer<'a> {
    let mut entries = dict.entries();
    entries.extend(more);
    build(run, entries)
}

fn of_pairs<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let mut pairs = Cursor::over(&given.value(0));
    let mut entries = Vec::new();
    while let Some(pair) = pairs.next(run)? {
        if let Datum::Text(text) = &pair {
            let mut letters = text.chars().map(|letter| Datum::text(letter.to_string()));
            let (Some(name), Some(value)) = (letters.next(), letters.next()) else {
                return Err(Fault::empty());
            };
            entries.push((name, value));
            continue;
        }
        if !pair.is_iterable() {
            let kind = super::math::kind(&pair);
            return Err(Fault::kind_of_value(format!("'{kind}' object is not iterable")));
        }
        let mut parts = Cursor::over(&pair);
        let (Some(name), Some(value)) = (parts.next(run)?, parts.next(run)?) else {
            return Err(Fault::empty());
        };
        entries.push((name, value));
    }
    build(run, entries)
}

fn to_dict<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (key, value) = (given.lambda(1), given.maybe_lambda(2));
    let mut items = Cursor::over(&given.value(0));
    let mut entries = Vec::new();
    while let Some(item) = items.next(run)? {
        let name = run.apply(&key, std::slice::from_ref(&item))?;
        let value = match &value {
            Some(value) => run.apply(value, std::slice::from_ref(&item))?,
            None => item,
        };
        entries.push((name, value));
    }
    build(run, entries)
}

fn index<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let key = given.value(1);
    given.value(0).get(&key)?.ok_or_else(|| Fault::key(key.shown()))
}

fn get<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    Ok(given.value(0).get(&given.value(1))?.unwrap_or_else(|| given.value(2)))
}

fn items<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let mut pairs = Set::default();
    for (name, value) in given.value(0).entries() {
        pairs.add(run.list(vec![name, value])?)?;
    }
    Ok(Datum::Set(Rc::new(pairs)))
}

fn contains_value<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let wanted = given.value(1);
    for (_, value) in given.value(0).entries() {
        if value.equals(&wanted)? {
            return Ok(Datum::Bool(true));
        }
    }
    Ok(Datum::Bool(false))
}

fn without<'a>(run: &mut Run<'a>, dict: &Datum<'a>, keys: &[Datum<'a>]) -> Answer<'a> {
    let mut gone = Set::default();
    for key in keys {
        gone.add(key.clone())?;
    }
    let mut left = Vec::new();
    for (name, value) in dict.entries() {
        if !gone.has(&name.key()?) {
            left.push((name, value));
        }
    }
    build(run, left)
}

/// How `mergeWith` joins what both sides have.
struct Merge<'a> {
    lists: Option<Lambda<'a>>,
    items: Option<Lambda<'a>>,
}

fn merge_with<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let merge = Merge { lists: given.maybe_lambda(2), items: given.maybe_lambda(3) };
    merge.dicts(run, (&given.value(0), &given.value(1)), given.int(4, 0))
}

impl<'a> Merge<'a> {
    fn dicts(
        &self,
        run: &mut Run<'a>,
        (left, right): (&Datum<'a>, &Datum<'a>),
        levels: i128,
    ) -> Answer<'a> {
        let mut entries = Vec::new();
        for (name, a) in left.entries() {
            let merged = match right.get(&name)? {
                None => a,
                Some(b) => run.deeper(|run| self.values(run, (&a, &b), levels))?,
            };
            entries.push((name, merged));
        }
        for (name, value) in right.entries() {
            if left.get(&name)?.is_none() {
                entries.push((name, value));
            }
        }
        build(run, entries)
    }

    fn values(
        &self,
        run: &mut Run<'a>,
        (a, b): (&Datum<'a>, &Datum<'a>),
        levels: i128,
    ) -> Answer<'a> {
        let cannot =
            || Fault::kind_of_value("Cannot merge a dictionary or a list with another kind");
        if levels != 1 && b.is_map() {
            if !a.is_map() {
                return Err(cannot());
            }
            return self.dicts(run, (a, b), if levels == 0 { 0 } else { levels - 1 });
        }
        if levels != 1 && b.is_sequence() {
            if !a.is_sequence() {
                return Err(cannot());
            }
            return match &self.lists {
                Some(lambda) => run.apply(lambda, &[a.clone(), b.clone()]),
                None => {
                    let mut both = Set::default();
                    for side in [a, b] {
                        for item in Cursor::over(side).rest(run)? {
                            both.add(item)?;
                        }
                    }
                    run.list(both.items)
                }
            };
        }
        match &self.items {
            Some(lambda) => run.apply(lambda, &[a.clone(), b.clone()]),
            None => Ok(b.clone()),
        }
    }
}
