//! Queries that give items again, one by one as they are asked for.

use std::rc::Rc;

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::frame::Lambda;
use crate::workflows::expression::yaql::library::operator::{chained, whole};
use crate::workflows::expression::yaql::library::text::count;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::Row;
use crate::workflows::expression::yaql::signature::Way::{Both, Function, Method};
use crate::workflows::expression::yaql::stream::{Cursor, Memo, Sorted, Stream};
use crate::workflows::expression::yaql::value::{Datum, Set, around};

pub(super) const TABLE: &[Row] = &[
    ("where", Method, "collection:iterable, predicate:lambda", filter),
    ("filter", Method, "collection:iterable, predicate:lambda", filter),
    ("select", Method, "collection:iterable, selector:lambda", select),
    ("map", Method, "collection:iterable, selector:lambda", select),
    ("selectMany", Method, "collection:iterable, selector:lambda", select_many),
    ("skip", Method, "collection:iterable, count:int", skip),
    ("limit", Method, "collection:iterable, count:int", limit),
    ("take", Method, "collection:iterable, count:int", limit),
    ("takeWhile", Method, "collection:iterable, predicate:lambda", take_while),
    ("skipWhile", Method, "collection:iterable, predicate:lambda", skip_while),
    ("append", Both, "collection:iterable, *:any", |run, given| {
        let more = run.list(given.values())?;
        chained(vec![given.value(0), more])
    }),
    ("concat", Both, "*:iterable", |_, given| chained(given.values())),
    ("distinct", Both, "collection:iterable, keySelector:lambda=", distinct),
    ("enumerate", Both, "collection:iterable, start:int=", enumerate),
    ("memorize", Method, "collection:iterable", |_, given| match given.value(0) {
        stream @ (Datum::Stream(_) | Datum::Sorted(_)) => Memo::over(&stream),
        other => Ok(other),
    }),
    ("range", Function, "stop:int", |_, given| counting(0, Some(given.int(0, 0)), 1)),
    ("range", Function, "start:int, stop:int, step:int=", |_, given| {
        counting(given.int(0, 0), Some(given.int(1, 0)), given.int(2, 1))
    }),
    ("sequence", Function, "start:int=, step:int=", |_, given| {
        counting(given.int(0, 0), None, given.int(1, 1))
    }),
    ("orderBy", Method, "collection:iterable, selector:lambda", |_, given| order(given, true)),
    ("orderByDescending", Method, "collection:iterable, selector:lambda", |_, given| {
        order(given, false)
    }),
    ("thenBy", Method, "collection:sorted, selector:lambda", |_, given| then(given, true)),
    ("thenByDescending", Method, "collection:sorted, selector:lambda", |_, given| {
        then(given, false)
    }),
    ("zip", Method, "*:iterable", |_, given| zip(given, false)),
    ("zipLongest", Method, "*:iterable, **:any", |_, given| zip(given, true)),
    (
        "join",
        Method,
        "collection1:iterable, collection2:iterable, predicate:lambda, selector:lambda",
        join,
    ),
    ("repeat", Method, "value:any, times:int=", repeat),
    ("cycle", Method, "collection:iterable", cycle),
    ("splitWhere", Method, "collection:iterable, predicate:lambda", split_where),
    ("sliceWhere", Method, "collection:iterable, predicate:lambda", slice_where),
    (
        "generate",
        Function,
        "initial:any, predicate:lambda, producer:lambda, selector:lambda=, decycle:flag=",
        generate,
    ),
    (
        "generateMany",
        Function,
        "initial:any, producer:lambda, selector:lambda=, decycle:flag=, depthFirst:flag=",
        generate_many,
    ),
    ("defaultIfEmpty", Method, "collection:iterable, default:iterable", default_if_empty),
];

fn one<'b, 'a>(item: &'b Datum<'a>) -> &'b [Datum<'a>] {
    std::slice::from_ref(item)
}

/// How deep a stream over `collection` with this lambda nests.
fn depth<'a>(collection: &Datum<'a>, lambda: &Lambda<'a>) -> u16 {
    collection.depth().max(lambda.frame.depth())
}

fn filter<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (collection, predicate) = (given.value(0), given.lambda(1));
    let mut items = Cursor::over(&collection);
    Stream::over(depth(&collection, &predicate), move |run| {
        while let Some(item) = items.next(run)? {
            if run.apply(&predicate, one(&item))?.is_true() {
                return Ok(Some(item));
            }
        }
        Ok(None)
    })
}

fn select<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (collection, selector) = (given.value(0), given.lambda(1));
    let mut items = Cursor::over(&collection);
    Stream::over(depth(&collection, &selector), move |run| {
        let Some(item) = items.next(run)? else { return Ok(None) };
        run.apply(&selector, one(&item)).map(Some)
    })
}

fn select_many<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (collection, selector) = (given.value(0), given.lambda(1));
    let mut items = Cursor::over(&collection);
    let mut inner: Option<Cursor<'a>> = None;
    Stream::over(depth(&collection, &selector), move |run| {
        loop {
            if let Some(cursor) = &mut inner {
                if let Some(item) = cursor.next(run)? {
                    return Ok(Some(item));
                }
                inner = None;
            }
            let Some(item) = items.next(run)? else { return Ok(None) };
            let found = run.apply(&selector, one(&item))?;
            if !found.is_iterable() {
                return Ok(Some(found));
            }
            inner = Some(Cursor::over(&found));
        }
    })
}

fn places(given: &Given<'_>) -> Result<usize, Fault> {
    usize::try_from(given.int(1, 0)).map_err(|_| {
        Fault::value("Indices for islice() must be None or an integer: 0 <= x <= sys.maxsize.")
    })
}

fn skip<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (collection, mut left) = (given.value(0), places(given)?);
    let mut items = Cursor::over(&collection);
    Stream::over(collection.depth(), move |run| {
        while left > 0 {
            left -= 1;
            if items.next(run)?.is_none() {
                return Ok(None);
            }
        }
        items.next(run)
    })
}

fn limit<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (collection, mut left) = (given.value(0), places(given)?);
    let mut items = Cursor::over(&collection);
    Stream::over(collection.depth(), move |run| {
        if left == 0 {
            return Ok(None);
        }
        left -= 1;
        items.next(run)
    })
}

fn take_while<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (collection, predicate) = (given.value(0), given.lambda(1));
    let mut items = Cursor::over(&collection);
    Stream::over(depth(&collection, &predicate), move |run| {
        let Some(item) = items.next(run)? else { return Ok(None) };
        Ok(run.apply(&predicate, one(&item))?.is_true().then_some(item))
    })
}

fn skip_while<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (collection, predicate) = (given.value(0), given.lambda(1));
    let mut items = Cursor::over(&collection);
    let mut begun = false;
    Stream::over(depth(&collection, &predicate), move |run| {
        while let Some(item) = items.next(run)? {
            if begun || !run.apply(&predicate, one(&item))?.is_true() {
                begun = true;
                return Ok(Some(item));
            }
        }
        Ok(None)
    })
}

fn distinct<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (collection, selector) = (given.value(0), given.maybe_lambda(1));
    let mut items = Cursor::over(&collection);
    let mut seen = Set::default();
    let frames = selector.as_ref().map_or(0, |selector| selector.frame.depth());
    Stream::over(collection.depth().max(frames), move |run| {
        while let Some(item) = items.next(run)? {
            let key = match &selector {
                Some(selector) => run.apply(selector, one(&item))?,
                None => item.clone(),
            };
            run.spend(1)?;
            if seen.add(key)? {
                return Ok(Some(item));
            }
        }
        Ok(None)
    })
}

fn enumerate<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (collection, mut at) = (given.value(0), given.int(1, 0));
    let mut items = Cursor::over(&collection);
    Stream::over(collection.depth().saturating_add(1), move |run| {
        let Some(item) = items.next(run)? else { return Ok(None) };
        at += 1;
        run.list(vec![Datum::Int(at - 1), item]).map(Some)
    })
}

fn counting<'a>(first: i128, stop: Option<i128>, by: i128) -> Answer<'a> {
    if by == 0 && stop.is_some() {
        return Err(Fault::value("range() arg 3 must not be zero"));
    }
    let mut next = first;
    Stream::over(0, move |_| {
        let at_end = stop.is_some_and(|stop| if by > 0 { next >= stop } else { next <= stop });
        if at_end {
            return Ok(None);
        }
        let number = next;
        match whole(next.checked_add(by))? {
            Datum::Int(following) => next = following,
            _ => return Ok(None),
        }
        Ok(Some(Datum::Int(number)))
    })
}

fn order<'a>(given: &Given<'a>, upwards: bool) -> Answer<'a> {
    sorted(given.value(0), vec![(given.lambda(1), upwards)])
}

fn then<'a>(given: &Given<'a>, upwards: bool) -> Answer<'a> {
    let Datum::Sorted(before) = given.value(0) else {
        return Err(Fault::kind_of_value("`thenBy` comes behind `orderBy`"));
    };
    let mut by = before.by.clone();
    by.push((given.lambda(1), upwards));
    sorted(before.source.clone(), by)
}

fn sorted<'a>(source: Datum<'a>, by: Vec<(Lambda<'a>, bool)>) -> Answer<'a> {
    let frames = by.iter().map(|(lambda, _)| lambda.frame.depth()).max().unwrap_or(0);
    let depth = around(source.depth().max(frames))?;
    Ok(Datum::Sorted(Rc::new(Sorted { source, by, depth })))
}

fn zip<'a>(given: &Given<'a>, longest: bool) -> Answer<'a> {
    let fill = given.named.iter().find(|(name, _)| name == "default");
    let fill = fill.map_or(Datum::Null, |(_, value)| value.clone());
    let parts = given.values();
    let depth = parts.iter().map(Datum::depth).max().unwrap_or(0).max(fill.depth());
    let mut parts: Vec<Cursor<'a>> = parts.iter().map(Cursor::over).collect();
    Stream::over(depth.saturating_add(1), move |run| {
        let (mut row, mut found) = (Vec::with_capacity(parts.len()), 0);
        for part in &mut parts {
            match part.next(run)? {
                Some(item) => {
                    found += 1;
                    row.push(item);
                }
                None if longest => row.push(fill.clone()),
                None => return Ok(None),
            }
        }
        if found == 0 { Ok(None) } else { run.list(row).map(Some) }
    })
}

fn join<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (left, predicate, selector) = (given.value(0), given.lambda(2), given.lambda(3));
    let right = Cursor::over(&given.value(1)).rest(run)?;
    let nested = right.iter().map(Datum::depth).max().unwrap_or(0);
    let (mut items, mut current, mut at) = (Cursor::over(&left), None, 0);
    let depth = depth(&left, &predicate).max(selector.frame.depth()).max(nested);
    Stream::over(depth, move |run| {
        loop {
            if current.is_none() || at >= right.len() {
                let Some(item) = items.next(run)? else { return Ok(None) };
                (current, at) = (Some(item), 0);
            }
            let (Some(item), Some(other)) = (&current, right.get(at)) else { continue };
            at += 1;
            let both = [item.clone(), other.clone()];
            if run.apply(&predicate, &both)?.is_true() {
                return run.apply(&selector, &both).map(Some);
            }
        }
    })
}

fn repeat<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (value, times) = (given.value(0), given.int(1, -1));
    let mut done = 0;
    Stream::over(value.depth(), move |_| {
        done += 1;
        Ok((times < 0 || done <= times).then(|| value.clone()))
    })
}

fn cycle<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let collection = given.value(0);
    run.step()?;
    let mut items = Some(Cursor::over(&collection));
    let (mut seen, mut at) = (Vec::new(), 0);
    Stream::over(collection.depth(), move |run| {
        if let Some(first) = &mut items {
            if let Some(item) = first.next(run)? {
                run.spend(1)?;
                seen.push(item.clone());
                return Ok(Some(item));
            }
            items = None;
        }
        at += 1;
        Ok((!seen.is_empty()).then(|| seen[(at - 1) % seen.len()].clone()))
    })
}

fn split_where<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let predicate = given.lambda(1);
    let (mut parts, mut part) = (Vec::new(), Vec::new());
    let mut is_open = false;
    for item in Cursor::over(&given.value(0)).rest(run)? {
        if run.apply(&predicate, one(&item))?.is_true() {
            parts.push(run.list(std::mem::take(&mut part))?);
            is_open = false;
        } else {
            part.push(item);
            is_open = true;
        }
    }
    if is_open {
        parts.push(run.list(part)?);
    }
    run.list(parts)
}

fn slice_where<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let predicate = given.lambda(1);
    let (mut parts, mut part) = (Vec::new(), Vec::new());
    let mut before: Option<Datum<'a>> = None;
    for item in Cursor::over(&given.value(0)).rest(run)? {
        let now = run.apply(&predicate, one(&item))?;
        if let Some(before) = &before
            && !now.equals(before)?
        {
            parts.push(run.list(std::mem::take(&mut part))?);
        }
        before = Some(now);
        part.push(item);
    }
    if !part.is_empty() {
        parts.push(run.list(part)?);
    }
    run.list(parts)
}

fn generate<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (predicate, producer) = (given.lambda(1), given.lambda(2));
    let (selector, decycle) = (given.maybe_lambda(3), given.flag(4));
    let first = given.value(0);
    let nested = depth(&first, &predicate);
    let mut seen = Set::default();
    let (mut current, mut begun) = (first, false);
    Stream::over(nested, move |run| {
        if begun {
            current = run.apply(&producer, one(&current))?;
        }
        begun = true;
        run.spend(1)?;
        if !run.apply(&predicate, one(&current))?.is_true() {
            return Ok(None);
        }
        if decycle && !seen.add(current.clone())? {
            return Ok(None);
        }
        match &selector {
            Some(selector) => run.apply(selector, one(&current)).map(Some),
            None => Ok(Some(current.clone())),
        }
    })
}

fn generate_many<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (producer, selector) = (given.lambda(1), given.maybe_lambda(2));
    let (decycle, depth_first) = (given.flag(3), given.flag(4));
    let first = given.value(0);
    let nested = depth(&first, &producer);
    let mut seen = Set::default();
    let mut waiting = std::collections::VecDeque::from([first]);
    Stream::over(nested, move |run| {
        while let Some(item) = waiting.pop_front() {
            run.step()?;
            if decycle && !seen.add(item.clone())? {
                continue;
            }
            let more = run.apply(&producer, one(&item))?;
            let more = Cursor::over(&more).rest(run)?;
            if depth_first {
                more.into_iter().rev().for_each(|item| waiting.push_front(item));
            } else {
                waiting.extend(more);
            }
            return match &selector {
                Some(selector) => run.apply(selector, one(&item)).map(Some),
                None => Ok(Some(item)),
            };
        }
        Ok(None)
    })
}

fn default_if_empty<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let collection = given.value(0);
    if collection.len().is_some_and(|length| length > 0) {
        return Ok(collection);
    }
    let mut items = Cursor::over(&collection);
    let Some(first) = items.next(run)? else { return Ok(given.value(1)) };
    let mut first = Some(first);
    Stream::over(collection.depth(), move |run| match first.take() {
        Some(first) => Ok(Some(first)),
        None => items.next(run),
    })
}

/// The place of something, counted from 0; -1 where it is nowhere.
pub(super) fn place<'a>(found: Option<usize>) -> Datum<'a> {
    found.map_or(Datum::Int(-1), count)
}
