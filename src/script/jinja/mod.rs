//! Jinja as StackStorm's templates speak it: its filters, Python's methods on texts and maps, and values
//! written as Python writes them. Rules and workflows share it.

pub(crate) mod methods;
mod filters;

use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use crate::script::python;
use crate::script::regex::Fit;

/// What `use_none` writes for nothing; a parameter that is only this is null.
pub(crate) const NONE: &str = "%*****__%NONE%__*****%";

/// An environment for templates of StackStorm's: what is undefined is an error, values are written as
/// Python writes them, and a template takes at most `fuel` steps.
pub(crate) fn environment(fuel: u64) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(fuel));
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|out, _, value| {
        let text = match value.as_str() {
            Some(text) => text.to_owned(),
            None => python::text(&json(value)?),
        };
        out.write_str(&text).map_err(Error::from)
    });
    // Nothing of a template outlives a turn of its loop, so that nothing doubles with every turn.
    environment.add_function("namespace", minijinja::functions::dict);
    filters::add(&mut environment);
    // Values come opened from the store; StackStorm's templates say so.
    environment.add_filter("decrypt_kv", |value: minijinja::Value| value);
    environment.add_filter("use_none", |value: minijinja::Value| {
        if value.is_none() { minijinja::Value::from(NONE) } else { value }
    });
    environment.add_filter("to_complex", |value: minijinja::Value| written(&value));
    environment.add_filter("to_json_string", |value: minijinja::Value| written(&value));
    environment.add_filter("from_json_string", |text: &str| {
        let read: Result<Value, _> = serde_json::from_str(text);
        read.map(|value| name(&value)).map_err(|error| wrong(error.to_string()))
    });
    environment.add_filter("regex_match", |text: &str, pattern: &str| {
        methods::fits(pattern, text, Fit::Start)
    });
    environment.add_filter("regex_search", |text: &str, pattern: &str| {
        methods::fits(pattern, text, Fit::Anywhere)
    });
    environment.add_filter("regex_replace", methods::replace);
    environment.add_filter("regex_substring", methods::substring);
    environment
}

/// A value for the names of templates.
pub(crate) fn name(value: &Value) -> minijinja::Value {
    minijinja::Value::from(Serde(value))
}

/// A template's value as JSON.
///
/// # Errors
/// It is no data.
pub(crate) fn json(value: &minijinja::Value) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|error| wrong(error.to_string()))
}

/// An error of a filter or a function.
pub(crate) fn wrong(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// What an error says, for people.
pub(crate) fn said(error: &Error) -> String {
    match (error.detail(), error.kind()) {
        (Some(detail), _) => detail.to_owned(),
        (None, ErrorKind::UndefinedError) => "something that it names is not there".to_owned(),
        (None, kind) => kind.to_string(),
    }
}

fn written(value: &minijinja::Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    json(value).map(|value| value.to_string())
}
