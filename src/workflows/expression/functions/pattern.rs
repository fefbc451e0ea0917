//! Regular expressions on texts.

use fancy_regex::Regex;
use serde_json::Value;

use crate::script::jinja::methods::expansion;
use crate::script::python;
use crate::script::regex::{self, Fit};
use crate::workflows::expression::fault::Fault;

/// Matches of one call at most.
const MATCHES: usize = 100_000;
/// Bytes of one result at most.
const SIZE: usize = 8 * 1024 * 1024;

fn compiled(pattern: &Value, any_case: &Value) -> Result<Regex, Fault> {
    let fit = if python::is_true(any_case) { Fit::AnyCase } else { Fit::Anywhere };
    regex::compile(&python::text(pattern), fit).map_err(|message| Fault::new("error", message))
}

fn slow(_: fancy_regex::Error) -> Fault {
    Fault::limit("the pattern takes too many steps on this text")
}

pub(super) fn matches(given: &[Value]) -> Result<Value, Fault> {
    let regex = compiled(&given[1], &given[2])?;
    let text = python::text(&given[0]);
    // From the start: the leftmost match would begin there.
    let found = regex.find(text.as_str()).map_err(slow)?;
    if found.is_some_and(|found| found.start() == 0) {
        return Ok(Value::Bool(true));
    }
    let anchored = format!("\\A(?:{})", python::text(&given[1]));
    let regex = compiled(&Value::String(anchored), &given[2])?;
    regex.is_match(text.as_str()).map(Value::Bool).map_err(slow)
}

pub(super) fn search(given: &[Value]) -> Result<Value, Fault> {
    let regex = compiled(&given[1], &given[2])?;
    regex.is_match(python::text(&given[0]).as_str()).map(Value::Bool).map_err(slow)
}

pub(super) fn replace(given: &[Value]) -> Result<Value, Fault> {
    let regex = compiled(&given[1], &given[3])?;
    let (text, template) = (python::text(&given[0]), expansion(&python::text(&given[2])));
    let (mut out, mut end) = (String::new(), 0);
    for captures in regex.captures_iter(text.as_str()) {
        let captures = captures.map_err(slow)?;
        let Some(all) = captures.get(0) else { continue };
        out.push_str(&text[end..all.start()]);
        captures.expand(&template, &mut out);
        end = all.end();
        if out.len() > SIZE {
            return Err(Fault::limit("the text becomes too large"));
        }
    }
    out.push_str(&text[end..]);
    Ok(Value::String(out))
}

/// The match at a place: its group where the pattern has one, a list where it has several.
pub(super) fn substring(given: &[Value]) -> Result<Value, Fault> {
    let regex = compiled(&given[1], &given[3])?;
    let text = python::text(&given[0]);
    let mut all = Vec::new();
    for captures in regex.captures_iter(text.as_str()).take(MATCHES) {
        let captures = captures.map_err(slow)?;
        let group =
            |at| Value::from(captures.get(at).map_or("", |group| group.as_str()).to_owned());
        all.push(match captures.len() {
            1 => group(0),
            2 => group(1),
            length => (1..length).map(group).collect(),
        });
    }
    let length = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let index = given[2].as_i64().unwrap_or(0);
    let place = usize::try_from(if index < 0 { index + length } else { index }).ok();
    let found = place.and_then(|place| all.into_iter().nth(place));
    found.ok_or_else(|| Fault::new("IndexError", "list index out of range"))
}
