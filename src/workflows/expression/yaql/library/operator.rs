//! Operators between values: which kinds go together, and what comes of it.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::script::python;
use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::library::{pattern, set};
use crate::workflows::expression::yaql::moment::{Moment, Span};
use crate::workflows::expression::yaql::run::{Run, no_match};
use crate::workflows::expression::yaql::stream::{Cursor, Stream};
use crate::workflows::expression::yaql::value::{Datum, Dict};

/// `-value`, `+value`, `not value`.
///
/// # Errors
/// The value has no sign.
pub(in super::super) fn unary<'a>(sign: &str, value: &Datum<'a>) -> Answer<'a> {
    Ok(match (sign, value) {
        ("not", value) => Datum::Bool(!value.is_true()),
        ("+", Datum::Int(_) | Datum::Float(_) | Datum::Span(_)) => value.clone(),
        ("-", Datum::Int(number)) => Datum::Int(-number),
        ("-", Datum::Float(number)) => Datum::Float(-number),
        ("-", Datum::Span(span)) => Datum::Span(Span { micros: -span.micros }),
        _ => return Err(no_match(&format!("#unary_operator_{sign}"))),
    })
}

/// `left sign right`, but for dots, `and`, `or` and `->`.
///
/// # Errors
/// The operator does not take such values.
pub(in super::super) fn binary<'a>(
    run: &mut Run<'a>,
    sign: &str,
    left: &Datum<'a>,
    right: &Datum<'a>,
) -> Answer<'a> {
    let answer = match sign {
        "=" => return left.equals(right).map(Datum::Bool),
        "!=" => return left.equals(right).map(|same| Datum::Bool(!same)),
        "<" | ">" | "<=" | ">=" => compare(sign, left, right),
        "=~" | "!~" => {
            return pattern::found(left, right)?
                .map(|found| Datum::Bool(found == (sign == "=~")))
                .ok_or_else(|| no_match(&format!("#operator_{sign}")));
        }
        "in" => return contains(run, left, right),
        "+" => plus(run, left, right),
        "-" => minus(left, right),
        "*" => times(run, left, right),
        "/" => divided(left, right),
        "mod" => modulo(left, right),
        _ => None,
    };
    answer.unwrap_or_else(|| Err(no_match(&format!("#operator_{sign}"))))
}

/// Which of two values comes first, where they have an order; null comes before everything.
///
/// # Errors
/// They have none.
pub(in super::super) fn order(a: &Datum<'_>, b: &Datum<'_>) -> Result<Ordering, Fault> {
    Ok(match (a, b) {
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Less,
        (_, Datum::Null) => Ordering::Greater,
        (Datum::Int(a), Datum::Int(b)) => a.cmp(b),
        (Datum::Float(a), Datum::Float(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (Datum::Int(a), Datum::Float(b)) => python::mixed(*a, *b),
        (Datum::Float(a), Datum::Int(b)) => python::mixed(*b, *a).reverse(),
        (Datum::Text(a), Datum::Text(b)) => a.cmp(b),
        (Datum::Moment(a), Datum::Moment(b)) => a.micros.cmp(&b.micros),
        (Datum::Span(a), Datum::Span(b)) => a.micros.cmp(&b.micros),
        _ => return Err(no_match("#operator_<")),
    })
}

fn compare<'a>(sign: &str, a: &Datum<'a>, b: &Datum<'a>) -> Option<Answer<'a>> {
    if let (Datum::Set(a), Datum::Set(b)) = (a, b) {
        return Some(set::compared(sign, a, b).map(Datum::Bool));
    }
    if let (Datum::Float(a), _) | (_, Datum::Float(a)) = (a, b)
        && a.is_nan()
    {
        return Some(Ok(Datum::Bool(false)));
    }
    let order = order(a, b).ok()?;
    Some(Ok(Datum::Bool(match sign {
        "<" => order.is_lt(),
        ">" => order.is_gt(),
        "<=" => order.is_le(),
        _ => order.is_ge(),
    })))
}

/// `left in right`.
///
/// # Errors
/// The right side holds nothing.
pub(super) fn contains<'a>(run: &mut Run<'a>, item: &Datum<'a>, all: &Datum<'a>) -> Answer<'a> {
    match (item, all) {
        (Datum::Text(part), Datum::Text(text)) => Ok(Datum::Bool(text.contains(&**part))),
        (item, Datum::Set(set)) => Ok(Datum::Bool(set.has(&item.key()?))),
        (item, all) if all.is_iterable() => {
            let mut items = Cursor::over(all);
            while let Some(next) = items.next(run)? {
                if next.equals(item)? {
                    return Ok(Datum::Bool(true));
                }
            }
            Ok(Datum::Bool(false))
        }
        _ => Err(no_match("#operator_in")),
    }
}

/// Numbers as floats, unless both are integers.
enum Pair {
    Whole(i128, i128),
    Float(f64, f64),
}

#[expect(clippy::cast_precision_loss, reason = "so does Python")]
fn pair(a: &Datum<'_>, b: &Datum<'_>) -> Option<Pair> {
    Some(match (a, b) {
        (Datum::Int(a), Datum::Int(b)) => Pair::Whole(*a, *b),
        (Datum::Int(a), Datum::Float(b)) => Pair::Float(*a as f64, *b),
        (Datum::Float(a), Datum::Int(b)) => Pair::Float(*a, *b as f64),
        (Datum::Float(a), Datum::Float(b)) => Pair::Float(*a, *b),
        _ => return None,
    })
}

/// An integer, unless it does not fit ours.
///
/// # Errors
/// It does not.
pub(super) fn whole<'a>(number: Option<i128>) -> Answer<'a> {
    number
        .map(Datum::Int)
        .ok_or_else(|| Fault::new("OverflowError", "the integer has more than 128 bits"))
}

fn span<'a>(micros: Option<i64>) -> Answer<'a> {
    micros
        .map(|micros| Datum::Span(Span { micros }))
        .ok_or_else(|| Fault::new("OverflowError", "the span is too long"))
}

fn moved<'a>(moment: Moment, micros: Option<i64>) -> Answer<'a> {
    let micros = micros.ok_or_else(|| Fault::new("OverflowError", "date value out of range"))?;
    Ok(Datum::Moment(Moment { micros, ..moment }))
}

/// `left + right`; also what `sum` does.
pub(super) fn plus<'a>(
    run: &mut Run<'a>,
    left: &Datum<'a>,
    right: &Datum<'a>,
) -> Option<Answer<'a>> {
    if let Some(pair) = pair(left, right) {
        return Some(match pair {
            Pair::Whole(a, b) => whole(a.checked_add(b)),
            Pair::Float(a, b) => Ok(Datum::Float(a + b)),
        });
    }
    Some(match (left, right) {
        (Datum::Text(a), Datum::Text(b)) => run.text([&**a, &**b].concat()),
        (Datum::Moment(a), Datum::Span(b)) | (Datum::Span(b), Datum::Moment(a)) => {
            moved(*a, a.micros.checked_add(b.micros))
        }
        (Datum::Span(a), Datum::Span(b)) => span(a.micros.checked_add(b.micros)),
        (Datum::Set(a), Datum::Set(b)) => set::union(run, a, b),
        (a, b) if a.is_map() && b.is_map() => joined(run, a, b),
        (a, b) if a.is_sequence() && b.is_sequence() => {
            let mut all = Vec::new();
            for side in [a, b] {
                match Cursor::over(side).rest(run) {
                    Ok(items) => all.extend(items),
                    Err(fault) => return Some(Err(fault)),
                }
            }
            Datum::list(all)
        }
        (a, b) if a.is_iterable() && b.is_iterable() => chained(vec![a.clone(), b.clone()]),
        _ => return None,
    })
}

/// One after the other.
///
/// # Errors
/// They nest too deeply.
pub(super) fn chained<'a>(parts: Vec<Datum<'a>>) -> Answer<'a> {
    let depth = parts.iter().map(Datum::depth).max().unwrap_or(0);
    let mut parts = parts.into_iter();
    let mut current: Option<Cursor<'a>> = None;
    Stream::over(depth, move |run| {
        loop {
            if let Some(cursor) = &mut current
                && let Some(item) = cursor.next(run)?
            {
                return Ok(Some(item));
            }
            run.step()?;
            match parts.next() {
                Some(part) => current = Some(Cursor::over(&part)),
                None => return Ok(None),
            }
        }
    })
}

fn joined<'a>(run: &mut Run<'a>, left: &Datum<'a>, right: &Datum<'a>) -> Answer<'a> {
    let mut dict = Dict::default();
    for (name, value) in left.entries().into_iter().chain(right.entries()) {
        run.spend(1)?;
        dict.set(name, value)?;
    }
    Ok(Datum::Dict(Rc::new(dict)))
}

fn minus<'a>(left: &Datum<'a>, right: &Datum<'a>) -> Option<Answer<'a>> {
    if let Some(pair) = pair(left, right) {
        return Some(match pair {
            Pair::Whole(a, b) => whole(a.checked_sub(b)),
            Pair::Float(a, b) => Ok(Datum::Float(a - b)),
        });
    }
    Some(match (left, right) {
        (Datum::Moment(a), Datum::Span(b)) => moved(*a, a.micros.checked_sub(b.micros)),
        (Datum::Moment(a), Datum::Moment(b)) => span(a.micros.checked_sub(b.micros)),
        (Datum::Span(a), Datum::Span(b)) => span(a.micros.checked_sub(b.micros)),
        (Datum::Set(a), Datum::Set(b)) => set::difference(a, b),
        _ => return None,
    })
}

fn times<'a>(run: &mut Run<'a>, left: &Datum<'a>, right: &Datum<'a>) -> Option<Answer<'a>> {
    if let Some(pair) = pair(left, right) {
        return Some(match pair {
            Pair::Whole(a, b) => whole(a.checked_mul(b)),
            Pair::Float(a, b) => Ok(Datum::Float(a * b)),
        });
    }
    let count = |number: &Datum<'a>| match number {
        Datum::Int(number) => Some(usize::try_from((*number).max(0)).unwrap_or(usize::MAX)),
        Datum::Bool(flag) => Some(usize::from(*flag)),
        _ => None,
    };
    match (left, right) {
        (Datum::Span(span), number) | (number, Datum::Span(span)) => {
            Some(scaled(*span, factor(number)?))
        }
        (Datum::Text(text), number) | (number, Datum::Text(text)) => {
            let count = count(number)?;
            if let Err(fault) = run.spend_bytes(text.len().saturating_mul(count)) {
                return Some(Err(fault));
            }
            Some(Ok(Datum::text(text.repeat(count))))
        }
        (items, number) | (number, items) if items.is_sequence() => {
            let count = count(number)?;
            if let Err(fault) = run.spend(items.len()?.saturating_mul(count)) {
                return Some(Err(fault));
            }
            let items = match Cursor::over(items).rest(run) {
                Ok(items) => items,
                Err(fault) => return Some(Err(fault)),
            };
            let length = items.len() * count;
            Some(Datum::list(items.into_iter().cycle().take(length).collect()))
        }
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "so does Python")]
fn factor(number: &Datum<'_>) -> Option<f64> {
    match number {
        Datum::Int(number) => Some(*number as f64),
        Datum::Float(number) => Some(*number),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "checked")]
fn scaled<'a>(whole: Span, factor: f64) -> Answer<'a> {
    let micros = (whole.micros as f64 * factor).round();
    let fits = micros.abs() < 9.2e18;
    span(fits.then_some(micros as i64))
}

#[expect(clippy::cast_precision_loss, reason = "so does Python")]
fn divided<'a>(left: &Datum<'a>, right: &Datum<'a>) -> Option<Answer<'a>> {
    let zero = |message: &str| Some(Err(Fault::new("ZeroDivisionError", message)));
    match (left, right) {
        (Datum::Span(_), Datum::Span(Span { micros: 0 })) => zero("float division by zero"),
        (Datum::Span(a), Datum::Span(b)) => {
            Some(Ok(Datum::Float(a.micros as f64 / b.micros as f64)))
        }
        (Datum::Span(span), number) => match factor(number)? {
            0.0 => zero("float division by zero"),
            number => Some(scaled(*span, 1.0 / number)),
        },
        _ => match pair(left, right)? {
            Pair::Whole(_, 0) => zero("integer division or modulo by zero"),
            Pair::Whole(a, b) => Some(whole(floored(a, b).map(|(quotient, _)| quotient))),
            Pair::Float(_, 0.0) => zero("float division by zero"),
            Pair::Float(a, b) => Some(Ok(Datum::Float(a / b))),
        },
    }
}

/// Python's `divmod` of integers: the quotient is rounded down, the rest has the divisor's sign.
fn floored(a: i128, b: i128) -> Option<(i128, i128)> {
    let (quotient, rest) = (a.checked_div(b)?, a.checked_rem(b)?);
    Some(if rest != 0 && (rest < 0) != (b < 0) {
        (quotient - 1, rest + b)
    } else {
        (quotient, rest)
    })
}

fn modulo<'a>(left: &Datum<'a>, right: &Datum<'a>) -> Option<Answer<'a>> {
    let zero = |message: &str| Err(Fault::new("ZeroDivisionError", message));
    Some(match pair(left, right)? {
        Pair::Whole(_, 0) => zero("integer modulo by zero"),
        Pair::Whole(a, b) => whole(floored(a, b).map(|(_, rest)| rest)),
        Pair::Float(_, 0.0) => zero("float modulo"),
        Pair::Float(a, b) => {
            let rest = a % b;
            let shifted = rest != 0.0 && (rest < 0.0) != (b < 0.0);
            Ok(Datum::Float(if shifted { rest + b } else { rest }))
        }
    })
}
