//! What templates of StackStorm's call on texts and maps in Python's way, and its filters for regular
//! expressions.

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use crate::script::jinja::{json, wrong};
use crate::script::python;
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
        (ValueKind::Seq, "index" | "count") => on_list(value, method, given),
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
            let (from, to, count): (&str, &str, Option<i64>) = from_args(given)?;
            replaced(text, from, to, count.unwrap_or(-1))?.into()
        }
        "split" | "rsplit" => {
            let (at, most): (Option<&str>, Option<i64>) = from_args(given)?;
            let most = usize::try_from(most.unwrap_or(-1)).unwrap_or(usize::MAX - 1) + 1;
            let mut parts: Vec<&str> = match (at, method) {
                (Some(""), _) => {
                    return Err(wrong("`split` needs a text that is not empty".to_owned()));
                }
                (Some(at), "split") => text.splitn(most, at).collect(),
                (Some(at), _) => text.rsplitn(most, at).collect(),
                (None, _) => text.split_whitespace().collect(),
            };
            if at.is_some() && method == "rsplit" {
                parts.reverse();
            }
            parts.into_iter().map(Value::from).collect()
        }
        "partition" | "rpartition" => {
            let at = one()?;
            let first = method == "partition";
            let found = if first { text.split_once(at) } else { text.rsplit_once(at) };
            let parts = match found {
                Some((before, after)) => [before, at, after],
                None if first => [text, "", ""],
                None => ["", "", text],
            };
            parts.into_iter().map(Value::from).collect()
        }
        "splitlines" => text.lines().map(Value::from).collect(),
        "join" => {
            let (items,): (Value,) = from_args(given)?;
            let items: Vec<String> =
                items.try_iter()?.map(|item| shown(&item)).collect::<Result<_, _>>()?;
            items.join(text).into()
        }
        "format" => formatted(text, given)?.into(),
        _ => return on_letters(text, method, given),
    })
}

/// Methods that look at the letters of a text.
fn on_letters(text: &str, method: &str, given: &[Value]) -> Result<Value, Error> {
    let one = || from_args::<(&str,)>(given).map(|(one,)| one);
    let wide = || -> Result<(usize, char), Error> {
        let (width, fill): (usize, Option<&str>) = from_args(given)?;
        Ok((width, fill.and_then(|fill| fill.chars().next()).unwrap_or(' ')))
    };
    let all = |fits: fn(char) -> bool| Value::from(!text.is_empty() && text.chars().all(fits));
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(letters.as_str().to_lowercase().chars()).collect::<String>()
    };
    Ok(match method {
        "find" | "rfind" | "index" | "rindex" => {
            let part = one()?;
            let found = if method.starts_with('r') { text.rfind(part) } else { text.find(part) };
            match found {
                Some(at) => text[..at].chars().count().into(),
                None if method.ends_with("find") => Value::from(-1),
                None => return Err(wrong("substring not found".to_owned())),
            }
        }
        "count" => match one()? {
            "" => (text.chars().count() + 1).into(),
            part => text.matches(part).count().into(),
        },
        "title" => {
            let mut out = String::new();
            for word in text.split_inclusive(|c: char| !c.is_alphabetic()) {
                out.push_str(&capital(word));
            }
            out.into()
        }
        "capitalize" => capital(text).into(),
        "swapcase" => {
            let swap = |c: char| {
                if c.is_uppercase() {
                    c.to_lowercase().collect::<String>()
                } else {
                    c.to_uppercase().collect()
                }
            };
            text.chars().map(swap).collect::<String>().into()
        }
        "isdigit" | "isnumeric" | "isdecimal" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(char::is_whitespace),
        "isupper" => (text.chars().any(char::is_uppercase) && text.to_uppercase() == text).into(),
        "islower" => (text.chars().any(char::is_lowercase) && text.to_lowercase() == text).into(),
        "zfill" => {
            let (width,): (usize,) = from_args(given)?;
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => text.split_at(text.len() - digits.len()),
                None => ("", text),
            };
            let missing = missing(text, width)?;
            format!("{sign}{}{digits}", "0".repeat(missing)).into()
        }
        "center" => wide().and_then(|(width, fill)| centered(text, width, fill))?.into(),
        "ljust" | "rjust" => {
            let (width, fill) = wide()?;
            let fill = String::from(fill).repeat(missing(text, width)?);
            if method == "ljust" { format!("{text}{fill}") } else { format!("{fill}{text}") }.into()
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}

fn on_list(value: &Value, method: &str, given: &[Value]) -> Result<Value, Error> {
    let (wanted,): (Value,) = from_args(given)?;
    let mut items = value.try_iter()?;
    match method {
        "count" => Ok(items.filter(|item| *item == wanted).count().into()),
        _ => match items.position(|item| item == wanted) {
            Some(at) => Ok(at.into()),
            None => Err(wrong(format!("{wanted} is not in list"))),
        },
    }
}

/// Characters that one method may add at most.
const WIDTH: usize = 1024 * 1024;

fn missing(text: &str, width: usize) -> Result<usize, Error> {
    if width > WIDTH {
        return Err(wrong(format!("the width is {width}; {WIDTH} is the most")));
    }
    Ok(width.saturating_sub(text.chars().count()))
}

/// A text in the middle of a line.
pub(crate) fn centered(text: &str, width: usize, fill: char) -> Result<String, Error> {
    let missing = missing(text, width)?;
    // Python gives the odd one to the left where the width is odd.
    let left = missing / 2 + (missing & width & 1);
    let fill = String::from(fill);
    Ok(format!("{}{text}{}", fill.repeat(left), fill.repeat(missing - left)))
}

/// A text with the first `count` finds replaced; a negative count is no limit.
pub(crate) fn replaced(text: &str, from: &str, to: &str, count: i64) -> Result<String, Error> {
    let found = text.matches(from).count();
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(found);
    if text.len().saturating_add(count.saturating_mul(to.len())) > 8 * WIDTH {
        return Err(wrong("the text becomes too large".to_owned()));
    }
    Ok(text.replacen(from, to, count))
}

fn shown(value: &Value) -> Result<String, Error> {
    json(value).map(|value| python::text(&value))
}

/// `"{} {0} {name}".format(…)`, without widths and the like.
fn formatted(text: &str, given: &[Value]) -> Result<String, Error> {
    let (given, named): (&[Value], Kwargs) = from_args(given)?;
    let (mut out, mut rest, mut next) = (String::new(), text, 0);
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let mark = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(doubled) = rest.strip_prefix(mark) {
            out.push_str(mark);
            rest = doubled;
            continue;
        }
        let Some((name, behind)) = rest.split_once('}').filter(|_| mark == "{") else {
            return Err(wrong("a brace stands alone in the format".to_owned()));
        };
        rest = behind;
        let value = match name.parse::<usize>() {
            Ok(place) => given.get(place).cloned(),
            Err(_) if name.is_empty() => {
                next += 1;
                given.get(next - 1).cloned()
            }
            Err(_) => named.get::<Option<Value>>(name)?,
        };
        let value = value.ok_or_else(|| wrong(format!("the format wants `{{{name}}}`")))?;
        out.push_str(&shown(&value)?);
    }
    out.push_str(rest);
    Ok(out)
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
