//! Lists: making them, and their places.

use std::rc::Rc;

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::library::operator;
use crate::workflows::expression::yaql::library::text::count;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::Row;
use crate::workflows::expression::yaql::signature::Way::{Both, Function, Method};
use crate::workflows::expression::yaql::stream::{Cursor, Stream};
use crate::workflows::expression::yaql::value::{Datum, Set};

pub(super) const TABLE: &[Row] = &[
    ("list", Function, "*:any", |run, given| {
        let items = flat(run, given.values())?;
        run.list(items)
    }),
    ("set", Function, "*:any", |run, given| {
        let items = flat(run, given.values())?;
        to_set(run, items)
    }),
    ("toList", Method, "collection:iterable", |run, given| {
        let items = Cursor::over(&given.value(0)).rest(run)?;
        run.list(items)
    }),
    ("toSet", Method, "collection:iterable", |run, given| {
        let items = Cursor::over(&given.value(0)).rest(run)?;
        to_set(run, items)
    }),
    ("flatten", Method, "collection:iterable", flatten),
    ("#indexer", Method, "list:sequence, index:int", index),
    ("contains", Method, "collection:iterable, value:any", |run, given| {
        operator::contains(run, &given.value(1), &given.value(0))
    }),
    ("isList", Function, "arg:any", |_, given| Ok(Datum::Bool(given.value(0).is_sequence()))),
    ("isIterable", Function, "value:any", |_, given| Ok(Datum::Bool(given.value(0).is_iterable()))),
    ("len", Both, "sequence:sequence", |_, given| Ok(count(given.value(0).len().unwrap_or(0)))),
    ("len", Both, "collection:stream", counted),
    ("count", Method, "collection:iterable", counted),
    ("delete", Method, "collection:iterable, position:int, count:int=", delete),
    (
        "replace",
        Method,
        "collection:iterable, position:int, value:any, count:int=",
        |run, given| {
            let value = Datum::list(vec![given.value(2)])?;
            replace(run, given, value)
        },
    ),
    (
        "replaceMany",
        Method,
        "collection:iterable, position:int, values:iterable, count:int=",
        |run, given| {
            let values = given.value(2);
            replace(run, given, values)
        },
    ),
    ("insert", Method, "collection:sequence, position:int, value:any", insert_in_list),
    ("insert", Method, "collection:iterable, position:int, value:any", |run, given| {
        let value = Datum::list(vec![given.value(2)])?;
        insert(run, given, &value, false)
    }),
    ("insertMany", Method, "collection:iterable, position:int, values:iterable", |run, given| {
        let values = given.value(2);
        insert(run, given, &values, true)
    }),
    ("reverse", Method, "collection:iterable", |run, given| {
        let mut items = Cursor::over(&given.value(0)).rest(run)?;
        items.reverse();
        run.list(items)
    }),
    ("splitAt", Method, "collection:iterable, index:int", split_at),
    ("slice", Method, "collection:iterable, length:int", slice),
];

/// What streams among the values hold, in their place.
fn flat<'a>(run: &mut Run<'a>, values: Vec<Datum<'a>>) -> Result<Vec<Datum<'a>>, Fault> {
    let mut all = Vec::new();
    for value in values {
        if matches!(value, Datum::Stream(_) | Datum::Memo(_)) {
            let items = Cursor::over(&value).rest(run)?;
            all.extend(run.deeper(|run| flat(run, items))?);
        } else {
            all.push(value);
        }
    }
    Ok(all)
}

fn to_set<'a>(run: &mut Run<'a>, items: Vec<Datum<'a>>) -> Answer<'a> {
    let mut set = Set::default();
    for item in items {
        run.spend(1)?;
        set.add(item)?;
    }
    Ok(Datum::Set(Rc::new(set)))
}

fn flatten<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let mut open = vec![Cursor::over(&given.value(0))];
    run.step()?;
    Stream::over(given.value(0).depth(), move |run| {
        while let Some(cursor) = open.last_mut() {
            match cursor.next(run)? {
                Some(item) if item.is_iterable() => {
                    run.spend(1)?;
                    open.push(Cursor::over(&item));
                }
                Some(item) => return Ok(Some(item)),
                None => drop(open.pop()),
            }
        }
        Ok(None)
    })
}

fn index<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let item = given.value(0).item(given.int(1, 0));
    item.ok_or_else(|| Fault::new("IndexError", "tuple index out of range"))
}

fn counted<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let collection = given.value(0);
    if let Some(length) = collection.len() {
        return Ok(count(length));
    }
    let mut items = Cursor::over(&collection);
    let mut found = 0;
    while items.next(run)?.is_some() {
        found += 1;
    }
    Ok(count(found))
}

/// Whether a place is in `count` places from `position`; a negative count has no end.
fn is_within(at: i128, position: i128, count: i128) -> bool {
    at >= position && (count < 0 || at < position.saturating_add(count))
}

fn delete<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (position, count) = (given.int(1, 0), given.int(2, 1));
    let collection = given.value(0);
    let (mut items, mut at) = (Cursor::over(&collection), -1);
    Stream::over(collection.depth(), move |run| {
        while let Some(item) = items.next(run)? {
            at += 1;
            if !is_within(at, position, count) {
                return Ok(Some(item));
            }
        }
        Ok(None)
    })
}

fn replace<'a>(_: &mut Run<'a>, given: &mut Given<'a>, with: Datum<'a>) -> Answer<'a> {
    let (position, count) = (given.int(1, 0), given.int(3, 1));
    let collection = given.value(0);
    let (mut items, mut at) = (Cursor::over(&collection), -1);
    let depth = collection.depth().max(with.depth());
    let mut once = Some(with);
    let mut middle: Option<Cursor<'a>> = None;
    Stream::over(depth, move |run| {
        loop {
            if let Some(values) = &mut middle {
                if let Some(value) = values.next(run)? {
                    return Ok(Some(value));
                }
                middle = None;
            }
            let Some(item) = items.next(run)? else { return Ok(None) };
            at += 1;
            if !is_within(at, position, count) {
                return Ok(Some(item));
            }
            middle = once.take().as_ref().map(Cursor::over);
        }
    })
}

fn insert_in_list<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let mut items = Cursor::over(&given.value(0)).rest(run)?;
    let length = i128::try_from(items.len()).unwrap_or(i128::MAX);
    let place = given.int(1, 0);
    let place = if place < 0 { (place + length).max(0) } else { place.min(length) };
    items.insert(usize::try_from(place).unwrap_or(0), given.value(2));
    run.list(items)
}

fn insert<'a>(run: &mut Run<'a>, given: &Given<'a>, values: &Datum<'a>, many: bool) -> Answer<'a> {
    let items = Cursor::over(&given.value(0)).rest(run)?;
    let values = Cursor::over(values).rest(run)?;
    let place = given.int(1, 0);
    if place < 0 && !many {
        return run.list(items);
    }
    let place = usize::try_from(place.max(0)).unwrap_or(usize::MAX).min(items.len());
    let mut all = items[..place].to_vec();
    all.extend(values);
    all.extend_from_slice(&items[place..]);
    run.list(all)
}

fn split_at<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let items = Cursor::over(&given.value(0)).rest(run)?;
    let length = i128::try_from(items.len()).unwrap_or(i128::MAX);
    let place = given.int(1, 0);
    let place = if place < 0 { place + length } else { place };
    let place = usize::try_from(place.clamp(0, length)).unwrap_or(0);
    let (first, second) = (run.list(items[..place].to_vec())?, run.list(items[place..].to_vec())?);
    run.list(vec![first, second])
}

fn slice<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let collection = given.value(0);
    let length = usize::try_from(given.int(1, 0)).map_err(|_| {
        Fault::value(
            "Stop argument for islice() must be None or an integer: 0 <= x <= sys.maxsize.",
        )
    })?;
    let mut items = Cursor::over(&collection);
    Stream::over(collection.depth().saturating_add(1), move |run| {
        let mut part = Vec::new();
        while part.len() < length {
            match items.next(run)? {
                Some(item) => part.push(item),
                None => break,
            }
        }
        if part.is_empty() { Ok(None) } else { run.list(part).map(Some) }
    })
}
