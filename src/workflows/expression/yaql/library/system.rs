//! Names, functions of one's own, assertions.

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::{Arguments, Given};
use crate::workflows::expression::yaql::frame::Frame;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::Row;
use crate::workflows::expression::yaql::signature::Way::{Function, Method};
use crate::workflows::expression::yaql::stream::{Cursor, Memo};
use crate::workflows::expression::yaql::value::Datum;

pub(super) const TABLE: &[Row] = &[
    ("let", Function, "*:any, **:any", bind),
    ("with", Function, "*:any", bind),
    ("unpack", Method, "sequence:iterable, *:text", unpack),
    ("def", Function, "name:text, func:lambda", define),
    ("assert", Method, "obj:any, condition:lambda, message:text=", assert),
    ("call", Function, "name:text, args:sequence, kwargs:map, receiver:any=", call),
];

fn bind<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let frame = Frame::inside(&given.frame)?;
    for (at, value) in given.values().into_iter().enumerate() {
        frame.set((at + 1).to_string(), value)?;
    }
    for (name, value) in &given.named {
        frame.set(name.as_str(), value.clone())?;
    }
    Ok(Datum::Frame(frame))
}

fn unpack<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let frame = Frame::inside(&given.frame)?;
    let items = Cursor::over(&given.value(0)).rest(run)?;
    let names = given.values();
    if !names.is_empty() && names.len() != items.len() {
        return Err(Fault::value(format!(
            "Cannot unpack {} elements into {}",
            items.len(),
            names.len()
        )));
    }
    for (at, item) in items.into_iter().enumerate() {
        match names.get(at) {
            Some(name) => frame.set(name.shown(), item)?,
            None => frame.set((at + 1).to_string(), item)?,
        }
    }
    Ok(Datum::Frame(frame))
}

fn define<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let frame = Frame::inside(&given.frame)?;
    frame.define(&*given.text(0), given.lambda(1).body);
    Ok(Datum::Frame(frame))
}

fn assert<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let value = match given.value(0) {
        stream @ Datum::Stream(_) => Memo::over(&stream)?,
        other => other,
    };
    if run.apply(&given.lambda(1), std::slice::from_ref(&value))?.is_true() {
        return Ok(value);
    }
    let message = given.maybe_text(2);
    Err(Fault::new("AssertionError", message.as_deref().unwrap_or("Assertion failed")))
}

fn call<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let values = Cursor::over(&given.value(1)).rest(run)?;
    let named = given.value(2).entries().into_iter().map(|(name, value)| (name.shown(), value));
    let arguments = Arguments::Given(values, named.collect(), &given.frame);
    super::call(run, &given.text(0), given.maybe(3), &arguments)
}
