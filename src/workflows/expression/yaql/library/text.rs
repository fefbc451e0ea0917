//! Texts. Places and lengths count characters.

use crate::workflows::expression::fault::Fault;
use crate::workflows::expression::yaql::Answer;
use crate::workflows::expression::yaql::call::Given;
use crate::workflows::expression::yaql::run::Run;
use crate::workflows::expression::yaql::signature::Row;
use crate::workflows::expression::yaql::signature::Way::{Both, Function, Method};
use crate::workflows::expression::yaql::stream::Cursor;
use crate::workflows::expression::yaql::value::Datum;

pub(super) const TABLE: &[Row] = &[
    ("concat", Function, "*:text", concat),
    ("toUpper", Method, "string:text", |run, given| run.text(given.text(0).to_uppercase())),
    ("toLower", Method, "string:text", |run, given| run.text(given.text(0).to_lowercase())),
    ("len", Both, "string:text", |_, given| Ok(count(given.text(0).chars().count()))),
    ("split", Method, "string:text, separator:text?=, maxSplits:int=", split),
    ("rightSplit", Method, "string:text, separator:text?=, maxSplits:int=", right_split),
    ("join", Method, "sequence:iterable, separator:text", |run, given| join(run, given, 0, 1)),
    ("join", Method, "separator:text, sequence:iterable", |run, given| join(run, given, 1, 0)),
    ("str", Function, "value:any", |run, given| run.text(said(&given.value(0)))),
    ("trim", Method, "string:text, chars:text?=", |run, given| trim(run, given, true, true)),
    ("trimLeft", Method, "string:text, chars:text?=", |run, given| trim(run, given, true, false)),
    ("trimRight", Method, "string:text, chars:text?=", |run, given| trim(run, given, false, true)),
    ("norm", Both, "string:text?, chars:text?=", norm),
    ("isEmpty", Both, "string:text?, trim:flag=, chars:text?=", is_empty),
    ("replace", Method, "string:text, old:text, new:text, count:int=", replace),
    ("replace", Method, "string:text, replacements:map, count:int=", replace_all),
    ("substring", Method, "string:text, start:int, length:int=", substring),
    ("indexOf", Method, "string:text, sub:text, start:int=", |_, given| {
        find(given, |text, part| text.find(part))
    }),
    ("indexOf", Method, "string:text, sub:text, start:int, length:int", |_, given| {
        find(given, |text, part| text.find(part))
    }),
    ("lastIndexOf", Method, "string:text, sub:text, start:int=", |_, given| {
        find(given, |text, part| text.rfind(part))
    }),
    ("lastIndexOf", Method, "string:text, sub:text, start:int, length:int", |_, given| {
        find(given, |text, part| text.rfind(part))
    }),
    ("toCharArray", Method, "string:text", characters_of),
    ("characters", Function, CHARACTERS, characters),
    ("isString", Function, "arg:any", |_, given| {
        Ok(Datum::Bool(matches!(given.value(0), Datum::Text(_))))
    }),
    ("startsWith", Method, "string:text, *:text", |_, given| {
        Ok(Datum::Bool(affix(given, |text, part| text.starts_with(part))))
    }),
    ("endsWith", Method, "string:text, *:text", |_, given| {
        Ok(Datum::Bool(affix(given, |text, part| text.ends_with(part))))
    }),
];

const CHARACTERS: &str = "digits:any=, hexdigits:any=, asciiLowercase:any=, \
    asciiUppercase:any=, asciiLetters:any=, letters:any=, octdigits:any=, punctuation:any=, \
    printable:any=, lowercase:any=, uppercase:any=, whitespace:any=";

/// A number of things.
pub(super) fn count<'a>(number: usize) -> Datum<'a> {
    Datum::Int(i128::try_from(number).unwrap_or(i128::MAX))
}

/// `str()`: null and flags are written as in YAQL.
pub(super) fn said(value: &Datum<'_>) -> String {
    match value {
        Datum::Null => "null".to_owned(),
        Datum::Bool(flag) => flag.to_string(),
        other => other.shown(),
    }
}

fn concat<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let mut all = String::new();
    for value in given.values() {
        let text = value.shown();
        run.spend_bytes(text.len())?;
        all.push_str(&text);
    }
    Ok(Datum::text(all))
}

fn list<'a>(run: &mut Run<'a>, parts: Vec<String>) -> Answer<'a> {
    let mut all = Vec::with_capacity(parts.len());
    for part in parts {
        all.push(run.text(part)?);
    }
    run.list(all)
}

/// How many splits at most; a negative number is no limit.
fn splits(given: &Given<'_>) -> usize {
    usize::try_from(given.int(2, -1)).unwrap_or(usize::MAX - 1)
}

fn split<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (text, most) = (given.text(0), splits(given));
    let parts = match given.maybe_text(1) {
        Some(separator) if separator.is_empty() => return Err(Fault::value("empty separator")),
        Some(separator) => text.splitn(most + 1, &*separator).map(str::to_owned).collect(),
        None => words(&text, most),
    };
    list(run, parts)
}

fn words(text: &str, most: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = if parts.len() < most { rest.find(char::is_whitespace) } else { None };
        match end {
            Some(end) => {
                parts.push(rest[..end].to_owned());
                rest = rest[end..].trim_start();
            }
            None => {
                let last = if parts.len() < most { rest.trim_end() } else { rest };
                parts.push(last.to_owned());
                rest = "";
            }
        }
    }
    parts
}

fn right_split<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (text, most) = (given.text(0), splits(given));
    let mut parts: Vec<String> = match given.maybe_text(1) {
        Some(separator) if separator.is_empty() => return Err(Fault::value("empty separator")),
        Some(separator) => text.rsplitn(most + 1, &*separator).map(str::to_owned).collect(),
        None => {
            let backwards: String = text.chars().rev().collect();
            let parts = words(&backwards, most);
            parts.iter().map(|part| part.chars().rev().collect()).collect()
        }
    };
    parts.reverse();
    list(run, parts)
}

fn join<'a>(run: &mut Run<'a>, given: &Given<'a>, items: usize, separator: usize) -> Answer<'a> {
    let (items, separator) = (given.value(items), given.text(separator));
    let mut all = String::new();
    for (at, item) in Cursor::over(&items).rest(run)?.iter().enumerate() {
        let text = said(item);
        run.spend_bytes(text.len() + separator.len())?;
        all.push_str(if at == 0 { "" } else { &separator });
        all.push_str(&text);
    }
    Ok(Datum::text(all))
}

fn trimmed<'t>(text: &'t str, letters: Option<&str>, start: bool, end: bool) -> &'t str {
    let drop = |c: char| letters.map_or(c.is_whitespace(), |letters| letters.contains(c));
    let text = if start { text.trim_start_matches(drop) } else { text };
    if end { text.trim_end_matches(drop) } else { text }
}

fn trim<'a>(run: &mut Run<'a>, given: &Given<'a>, start: bool, end: bool) -> Answer<'a> {
    let (text, letters) = (given.text(0), given.maybe_text(1));
    run.text(trimmed(&text, letters.as_deref(), start, end))
}

fn norm<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let Some(text) = given.maybe_text(0) else { return Ok(Datum::Null) };
    match trimmed(&text, given.maybe_text(1).as_deref(), true, true) {
        "" => Ok(Datum::Null),
        text => run.text(text),
    }
}

fn is_empty<'a>(_: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let Some(text) = given.maybe_text(0) else { return Ok(Datum::Bool(true)) };
    let trim = given.maybe(1).is_none() || given.flag(1);
    let letters = given.maybe_text(2);
    let text = if trim { trimmed(&text, letters.as_deref(), true, true) } else { &text };
    Ok(Datum::Bool(text.is_empty()))
}

fn replaced(
    run: &mut Run<'_>,
    text: &str,
    from: &str,
    to: &str,
    most: i128,
) -> Result<String, Fault> {
    let found = if from.is_empty() { text.chars().count() + 1 } else { text.matches(from).count() };
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(found);
    run.spend_bytes(text.len().saturating_add(most.saturating_mul(to.len())))?;
    Ok(text.replacen(from, to, most))
}

fn replace<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let (text, from, to) = (given.text(0), given.text(1), given.text(2));
    replaced(run, &text, &from, &to, given.int(3, -1)).map(Datum::text)
}

fn replace_all<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let mut text = given.text(0).to_string();
    for (from, to) in given.value(1).entries() {
        text = replaced(run, &text, &said(&from), &said(&to), given.int(2, -1))?;
    }
    Ok(Datum::text(text))
}

/// Python's way with places: negative ones count from behind, and nothing is out of range.
fn clamp(place: i128, length: usize) -> usize {
    let length = i128::try_from(length).unwrap_or(i128::MAX);
    let place = if place < 0 { place + length } else { place };
    usize::try_from(place.clamp(0, length)).unwrap_or(0)
}

fn substring<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let text = given.text(0);
    let letters: Vec<char> = text.chars().collect();
    let all = i128::try_from(letters.len()).unwrap_or(i128::MAX);
    let (start, length) = (given.int(1, 0), given.int(2, -1));
    let length = if length < 0 { all } else { length };
    let start = if start < 0 { start.saturating_add(all) } else { start };
    let end = clamp(start.saturating_add(length), letters.len());
    let start = clamp(start, letters.len());
    run.text(letters[start.min(end)..end].iter().collect::<String>())
}

fn find<'a>(given: &Given<'a>, search: impl Fn(&str, &str) -> Option<usize>) -> Answer<'a> {
    let (text, part) = (given.text(0), given.text(1));
    let letters: Vec<char> = text.chars().collect();
    let all = i128::try_from(letters.len()).unwrap_or(i128::MAX);
    let mut start = given.int(2, 0);
    let mut end = all;
    if given.maybe(3).is_some() {
        start = if start < 0 { start.saturating_add(all) } else { start };
        let length = given.int(3, -1);
        end = start.saturating_add(if length < 0 { all - start } else { length });
    }
    if start > all {
        return Ok(Datum::Int(-1));
    }
    let (start, end) = (clamp(start, letters.len()), clamp(end, letters.len()));
    if start > end {
        return Ok(Datum::Int(-1));
    }
    let window: String = letters[start..end].iter().collect();
    Ok(match search(&window, &part) {
        Some(place) => count(start + window[..place].chars().count()),
        None => Datum::Int(-1),
    })
}

fn characters_of<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    let letters = given.text(0).chars().map(String::from).collect();
    list(run, letters)
}

fn characters<'a>(run: &mut Run<'a>, given: &mut Given<'a>) -> Answer<'a> {
    const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
    const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const DIGITS: &str = "0123456789";
    const SIGNS: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    const SPACE: &str = " \t\n\r\u{b}\u{c}";
    let groups: [&[&str]; 12] = [
        &[DIGITS],
        &[DIGITS, "abcdefABCDEF"],
        &[LOWER],
        &[UPPER],
        &[LOWER, UPPER],
        &[LOWER, UPPER],
        &["01234567"],
        &[SIGNS],
        &[DIGITS, LOWER, UPPER, SIGNS, SPACE],
        &[LOWER],
        &[UPPER],
        &[SPACE],
    ];
    let mut found: Vec<char> = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        if given.flag(at) {
            found.extend(group.concat().chars().filter(|c| !found.contains(c)).collect::<Vec<_>>());
        }
    }
    list(run, found.into_iter().map(String::from).collect())
}

fn affix(given: &Given<'_>, fits: impl Fn(&str, &str) -> bool) -> bool {
    let text = given.text(0);
    given.values().iter().any(|part| match part {
        Datum::Text(part) => fits(&text, part),
        _ => false,
    })
}
