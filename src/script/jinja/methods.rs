//! What templates of StackStorm's call on texts and maps in Python's way, and its filters for regular
//! expressions.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use crate::script::jinja::wrong;
use crate::script::regex::{self, Fit};

/// Python's methods that templates are seen to use.
pub(crate) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    given: &[Value],
) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        return on_text(text, method, given);
    }
    match (value.kind(), method) {
        (ValueKind::Map, "get") => {
            let (key, default): (&Value, Option<Value>) = from_args(given)?;
            let found = value.get_item(key)?;
            Ok(if found.is_undefined() { default.unwrap_or(Value::from(())) } else { found })
        }
        (ValueKind::Map, "items") => state.apply_filter("items", std::slice::from_ref(value)),
        (ValueKind::Map, "keys") => state.apply_filter("list", std::slice::from_ref(value)),
        (ValueKind::Map, "values") => {
            let keys = value.try_iter()?;
            keys.map(|key| value.get_item(&key)).collect::<Result<Vec<_>, _>>().map(Value::from)
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn on_text(text: &str, method: &str, given: &[Value]) -> Result<Value, Error> {
    let one = || from_args::<(&str,)>(given).map(|(one,)| one);
    Ok(match method {
        "lower" => text.to_lowercase().into(),
        "upper" => text.to_uppercase().into(),
        "strip" | "lstrip" | "rstrip" => {
            let (letters,): (Option<&str>,) = from_args(given)?;
            let drop = |c: char| letters.map_or(c.is_whitespace(), |letters| letters.contains(c));
            match method {
                "strip" => text.trim_matches(drop).into(),
                "lstrip" => text.trim_start_matches(drop).into(),
                _ => text.trim_end_matches(drop).into(),
            }
        }
        "startswith" => text.starts_with(one()?).into(),
        "endswith" => text.ends_with(one()?).into(),
        "replace" => {
            let (from, to): (&str, &str) = from_args(given)?;
            text.replace(from, to).into()
        }
        "split" => {
            let (at,): (Option<&str>,) = from_args(given)?;
            let parts: Vec<&str> = match at {
                Some("") => return Err(wrong("`split` needs a text that is not empty".to_owned())),
                Some(at) => text.split(at).collect(),
                None => text.split_whitespace().collect(),
            };
            parts.into_iter().map(Value::from).collect()
        }
        "splitlines" => text.lines().map(Value::from).collect(),
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

/// `regex_match` and `regex_search`.
pub(crate) fn fits(pattern: &str, text: &str, fit: Fit) -> Result<bool, Error> {
    regex::compile(pattern, fit).and_then(|regex| regex::fits(&regex, text)).map_err(wrong)
}

/// `regex_replace(pattern, value)`; `\1` in the value is what the first group found.
pub(crate) fn replace(text: &str, pattern: &str, value: &str) -> Result<String, Error> {
    let regex = regex::compile(pattern, Fit::Anywhere).map_err(wrong)?;
    let template = expansion(value);
    regex
        .try_replacen(text, 0, template.as_str())
        .map(std::borrow::Cow::into_owned)
        .map_err(|error| wrong(error.to_string()))
}

/// A replacement of Python's (`\1`, `\g<name>`) as Rust's engine writes it.
pub(crate) fn expansion(value: &str) -> String {
    let mut template = String::new();
    let mut letters = value.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some(digit)) if digit.is_ascii_digit() => {
                template.extend(['$', '{', *digit, '}']);
                letters.next();
            }
            ('\\', Some('g')) => {
                let rest: String = letters.clone().skip(1).take_while(|c| *c != '>').collect();
                match rest.strip_prefix('<') {
                    Some(name) => {
                        template.extend(["${", name, "}"]);
                        letters.nth(rest.chars().count() + 1);
                    }
                    None => template.push('\\'),
                }
            }
            ('\\', Some('n')) => {
                template.push('\n');
                letters.next();
            }
            ('$', _) => template.push_str("$$"),
            (letter, _) => template.push(letter),
        }
    }
    template
}

/// `regex_substring(pattern, result_index)`: what the pattern found there, counted from 0.
pub(crate) fn substring(text: &str, pattern: &str, index: Option<usize>) -> Result<String, Error> {
    let regex = regex::compile(pattern, Fit::Anywhere).map_err(wrong)?;
    let mut found = regex.captures_iter(text);
    let Some(Ok(found)) = found.nth(index.unwrap_or(0)) else {
        return Err(wrong(format!("`{pattern}` is not found")));
    };
    let group = found.get(1).or_else(|| found.get(0));
    Ok(group.map(|group| group.as_str().to_owned()).unwrap_or_default())
}
