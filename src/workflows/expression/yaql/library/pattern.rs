//! Regular expressions, in Python's words.

use std::rc::Rc;

use fancy_regex::{Captures, Regex};

use crate::script::jinja::methods::expansion;
use crate::script::regex::{self, Fit};
use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::frame::{Frame, Lambda};
use crate::workflows::expression::yaql::library::text::{count, said};
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::Row;
use crate::workflows::expression::yaql::signature::Way::{Function, Method};
use crate::workflows::expression::yaql::value::{Datum, Dict};

pub(super) const TABLE: &[Row] = &[
    ("regex", Function, "pattern:text, ignoreCase:any=, multiLine:any=, dotAll:any=", build),
    ("matches", Method, "regexp:regex, string:text", |_, given| matches(given, 1, 0)),
    ("matches", Method, "string:text, regexp:text", |_, given| matches(given, 0, 1)),
    ("search", Method, "regexp:regex, string:text, selector:lambda=", search),
    ("searchAll", Method, "regexp:regex, string:text, selector:lambda=", search_all),
    ("split", Method, "regexp:regex, string:text, maxSplit:int=", |run, given| {
        split(run, given, 0, 1)
    }),
    ("split", Method, "string:text, regexp:regex, maxSplit:int=", |run, given| {
        split(run, given, 1, 0)
    }),
    ("replace", Method, "regexp:regex, string:text, repl:text, count:int=", |run, given| {
        replace(run, given, 0, 1)
    }),
    ("replace", Method, "string:text, regexp:regex, repl:text, count:int=", |run, given| {
        replace(run, given, 1, 0)
    }),
    ("replaceBy", Method, "regexp:regex, string:text, repl:lambda, count:int=", |run, given| {
        replace(run, given, 0, 1)
    }),
    ("replaceBy", Method, "string:text, regexp:regex, repl:lambda, count:int=", |run, given| {
        replace(run, given, 1, 0)
    }),
    ("escapeRegex", Function, "string:text", escape),
    ("isRegex", Function, "value:any", |_, given| {
        Ok(Datum::Bool(matches!(given.value(0), Datum::Regex(_))))
    }),
];

/// Matches of one call at most.
const MATCHES: usize = 100_000;

fn compiled(pattern: &str) -> Result<Rc<Regex>, Fault> {
    let regex = regex::compile(pattern, Fit::Anywhere);
    regex.map(Rc::new).map_err(|message| Fault::new("error", message))
}

fn slow(_: fancy_regex::Error) -> Fault {
    Fault::limit("the pattern takes too many steps on this text")
}

fn build<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let mut flags = String::new();
    for (at, flag) in [(1, 'i'), (2, 'm'), (3, 's')] {
        if given.flag(at) {
            flags.push(flag);
        }
    }
    let pattern = given.text(0);
    let pattern =
        if flags.is_empty() { pattern.to_string() } else { format!("(?{flags}){}", &*pattern) };
    compiled(&pattern).map(Datum::Regex)
}

/// Whether a pattern is found in a text; nothing for other kinds of values.
///
/// # Errors
/// The pattern cannot be read, or is too slow.
pub(super) fn found(text: &Datum<'_>, pattern: &Datum<'_>) -> Result<Option<bool>, Fault> {
    let Datum::Text(text) = text else { return Ok(None) };
    let regex = match pattern {
        Datum::Regex(regex) => Rc::clone(regex),
        Datum::Text(pattern) => compiled(pattern)?,
        _ => return Ok(None),
    };
    regex.is_match(&**text).map(Some).map_err(slow)
}

fn matches<'a>(given: &Given<'a>, text: usize, pattern: usize) -> Answer<'a> {
    let found = found(&given.value(text), &given.value(pattern))?;
    Ok(Datum::Bool(found.unwrap_or(false)))
}

fn the_regex(given: &Given<'_>, at: usize) -> Result<Rc<Regex>, Fault> {
    match given.value(at) {
        Datum::Regex(regex) => Ok(regex),
        _ => Err(Fault::kind_of_value("not a pattern")),
    }
}

/// Publishes what was found: `$1` all of it, `$2` the first group, and so on.
fn selected<'a>(
    run: &mut Run<'a>,
    selector: &Lambda<'a>,
    text: &str,
    captures: &Captures<'_, str>,
) -> Answer<'a> {
    let frame = Frame::inside(&selector.frame)?;
    for at in 0..captures.len() {
        let mut record = Dict::default();
        let group = captures.get(at);
        let place = |byte: Option<usize>| {
            byte.map_or(Datum::Int(-1), |byte| count(text[..byte].chars().count()))
        };
        let value = match group {
            Some(group) => run.text(group.as_str())?,
            None => Datum::Null,
        };
        record.set(Datum::text("value"), value)?;
        record.set(Datum::text("start"), place(group.map(|group| group.start())))?;
        record.set(Datum::text("end"), place(group.map(|group| group.end())))?;
        frame.set((at + 1).to_string(), Datum::Dict(Rc::new(record)))?;
    }
    run.apply_in(selector, &frame)
}

fn search<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (regex, text) = (the_regex(given, 0)?, given.text(1));
    let Some(captures) = regex.captures(&*text).map_err(slow)? else { return Ok(Datum::Null) };
    match given.maybe_lambda(2) {
        Some(selector) => selected(run, &selector, &text, &captures),
        None => run.text(captures.get(0).map_or("", |all| all.as_str())),
    }
}

fn search_all<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (regex, text) = (the_regex(given, 0)?, given.text(1));
    let mut all = Vec::new();
    for captures in regex.captures_iter(&*text).take(MATCHES) {
        run.step()?;
        let captures = captures.map_err(slow)?;
        all.push(match given.maybe_lambda(2) {
            Some(selector) => selected(run, &selector, &text, &captures)?,
            None => run.text(captures.get(0).map_or("", |all| all.as_str()))?,
        });
    }
    run.list(all)
}

/// How many matches at most; 0 is no limit, as in Python.
fn most(given: &Given<'_>, at: usize) -> usize {
    match given.int(at, 0) {
        0 => MATCHES,
        number => usize::try_from(number).unwrap_or(0),
    }
}

fn split<'a>(run: &mut Run<'a>, given: &Given<'a>, regex: usize, text: usize) -> Answer<'a> {
    let (regex, text) = (the_regex(given, regex)?, given.text(text));
    let (mut parts, mut end) = (Vec::new(), 0);
    for captures in regex.captures_iter(&*text).take(most(given, 2)) {
        let captures = captures.map_err(slow)?;
        let Some(all) = captures.get(0) else { continue };
        parts.push(run.text(&text[end..all.start()])?);
        for group in captures.iter().skip(1) {
            parts.push(match group {
                Some(group) => run.text(group.as_str())?,
                None => Datum::Null,
            });
        }
        end = all.end();
    }
    parts.push(run.text(&text[end..])?);
    run.list(parts)
}

fn replace<'a>(run: &mut Run<'a>, given: &Given<'a>, regex: usize, text: usize) -> Answer<'a> {
    let (regex, text) = (the_regex(given, regex)?, given.text(text));
    let template = given.maybe_text(2).map(|template| expansion(&template));
    let lambda = given.maybe_lambda(2);
    let (mut out, mut end) = (String::new(), 0);
    for captures in regex.captures_iter(&*text).take(most(given, 3)) {
        let captures = captures.map_err(slow)?;
        let Some(all) = captures.get(0) else { continue };
        out.push_str(&text[end..all.start()]);
        let from = out.len();
        match (&template, &lambda) {
            (Some(template), _) => captures.expand(template, &mut out),
            (None, Some(lambda)) => out.push_str(&said(&selected(run, lambda, &text, &captures)?)),
            (None, None) => {}
        }
        run.step()?;
        run.spend_bytes(out.len() - from)?;
        end = all.end();
    }
    out.push_str(&text[end..]);
    run.text(out)
}

/// Python escapes what has a meaning in patterns, and nothing else.
fn escape<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    const SPECIAL: &str = "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}";
    let mut out = String::new();
    for letter in given.text(0).chars() {
        if SPECIAL.contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    run.text(out)
}
