//! Choices: only what is chosen is evaluated.

use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::library::text::count;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::Row;
use crate::workflows::expression::yaql::signature::Way::{Function, Method};
use crate::workflows::expression::yaql::stream::Stream;
use crate::workflows::expression::yaql::value::Datum;

pub(super) const TABLE: &[Row] = &[
    ("switch", Function, "!*:rule", switch),
    ("selectCase", Function, "*:lambda", select_case),
    ("selectAllCases", Function, "*:lambda", select_all),
    ("examine", Function, "*:lambda", examine),
    ("switchCase", Method, "case:int, *:lambda", switch_case),
    ("coalesce", Function, "*:lambda", coalesce),
    ("bool", Function, "value:any", |_, given| Ok(Datum::Bool(given.value(0).is_true()))),
    ("isBoolean", Function, "value:any", |_, given| {
        Ok(Datum::Bool(matches!(given.value(0), Datum::Bool(_))))
    }),
];

fn switch<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    for (condition, value) in given.rules() {
        if run.apply_in(&condition, &condition.frame)?.is_true() {
            return run.apply_in(&value, &value.frame);
        }
    }
    Ok(Datum::Null)
}

fn select_case<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let cases = given.lambdas();
    for (at, case) in cases.iter().enumerate() {
        if run.apply_in(case, &case.frame)?.is_true() {
            return Ok(count(at));
        }
    }
    Ok(count(cases.len()))
}

fn select_all<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let mut cases = given.lambdas().into_iter().enumerate();
    Stream::over(given.frame.depth(), move |run| {
        for (at, case) in cases.by_ref() {
            if run.apply_in(&case, &case.frame)?.is_true() {
                return Ok(Some(count(at)));
            }
        }
        Ok(None)
    })
}

fn examine<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let mut cases = given.lambdas().into_iter();
    Stream::over(given.frame.depth(), move |run| {
        let Some(case) = cases.next() else { return Ok(None) };
        Ok(Some(Datum::Bool(run.apply_in(&case, &case.frame)?.is_true())))
    })
}

fn switch_case<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let cases = given.lambdas();
    let chosen = usize::try_from(given.int(0, 0)).ok().and_then(|at| cases.get(at));
    match chosen.or(cases.last()) {
        Some(case) => run.apply_in(case, &case.frame),
        None => Ok(Datum::Null),
    }
}

fn coalesce<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    for case in given.lambdas() {
        let value = run.apply_in(&case, &case.frame)?;
        if !matches!(value, Datum::Null) {
            return Ok(value);
        }
    }
    Ok(Datum::Null)
}
