//! YAQL, `<% %>`: StackStorm's query language, evaluated here.
//!
//! The grammar and the library are those of YAQL 3; what StackStorm adds (`ctx`, `result`, `st2kv`, …)
//! stands in `library/stackstorm.rs`. Not here: calls of lambdas as values, and Python's objects.

#![expect(clippy::single_match_else, reason = "what is found and what is not weigh the same")]

mod tree;
mod token;
mod parse;
mod value;
mod shown;
mod moment;
mod frame;
mod stream;
mod signature;
mod call;
mod run;
mod library;
mod stranger;

use std::rc::Rc;

use serde_json::Value;

use crate::workflows::expression::Scope;
use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::frame::Frame;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::value::Datum;

/// What a part of an expression gives.
type Answer<'a> = Result<Datum<'a>, Fault>;

/// The value of an expression, without its `<% %>`.
///
/// # Errors
/// Why it has none.
pub(super) fn evaluate(text: &str, scope: &Scope<'_>) -> Result<Value, Fault> {
    let tree = parse::parse(text)?;
    let mut run = Run::new(scope);
    let frame = Rc::new(Frame::default());
    let value = run.eval(&tree, &frame)?;
    value.to_json(&mut run)
}

/// What is wrong with an expression, as far as it can be read.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    parse::parse(text).map(drop)
}

/// The functions and methods that an expression calls and that are not known, each as what to say
/// and the name that may be meant.
pub(super) fn strangers(text: &str) -> Vec<(String, Option<String>)> {
    parse::parse(text).map(|tree| stranger::strangers(&tree)).unwrap_or_default()
}
