//! Filters of Jinja2 that our engine does not have, or has otherwise.

#![expect(clippy::needless_pass_by_value, reason = "the engine hands values over")]

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, State};

use crate::script::jinja::methods::{centered, replaced};
use crate::script::jinja::{json, wrong};
use crate::script::python;

/// Characters of one result at most.
const SIZE: usize = 8 * 1024 * 1024;

/// Adds the filters to an environment.
pub(super) fn add(environment: &mut Environment<'static>) {
    bound(environment);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("replace", |text: Value, from: &str, to: &str, count: Option<i64>| {
        replaced(&shown(&text)?, from, to, count.unwrap_or(-1))
    });
    environment.add_filter("wordcount", |text: Value| {
        shown(&text).map(|text| text.split(|c: char| !is_word(c)).filter(|w| !w.is_empty()).count())
    });
    environment.add_filter("center", |text: Value, width: Option<usize>| {
        centered(&shown(&text)?, width.unwrap_or(80), ' ')
    });
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordwrap", wordwrap);
    environment.add_filter("striptags", |text: Value| shown(&text).map(|text| without_tags(&text)));
    environment.add_filter("urlencode", urlencode);
    environment.add_filter("filesizeformat", filesize);
    environment.add_filter("forceescape", |text: Value| shown(&text).map(|text| escaped(&text)));
    environment.add_filter("pprint", |value: Value| json(&value).map(|value| python::repr(&value)));
    environment.add_filter("xmlattr", xmlattr);
}

/// Filters whose numbers say how much they write: the engine's own stand behind ours.
fn bound(environment: &mut Environment<'static>) {
    environment.add_filter("__indent", minijinja::filters::indent);
    environment.add_filter("__batch", minijinja::filters::batch);
    environment.add_filter("__slice", minijinja::filters::slice);
    environment.add_filter("__format", minijinja::filters::format);
    for (name, own) in
        [("indent", "__indent"), ("batch", "__batch"), ("slice", "__slice"), ("format", "__format")]
    {
        environment.add_filter(
            name,
            move |state: &mut State<'_, '_>, given: Rest<ValueOrKwargs>| -> Result<Value, Error> {
                let given = given.into_values();
                let is_format = name == "format";
                if given.iter().enumerate().any(|(at, value)| is_wide(value, at == 0, is_format)) {
                    return Err(wrong(format!("a width of `{name}` is above {WIDE}")));
                }
                state.apply_filter(own, &given)
            },
        );
    }
}

/// The largest width of such a filter.
const WIDE: i64 = 1_000;

fn is_wide(value: &Value, is_first: bool, is_format: bool) -> bool {
    match (is_first, is_format) {
        // `%9999d`: four digits in a row are a width that nobody reads.
        (true, true) => value.as_str().is_some_and(|text| {
            text.split('%').skip(1).any(|form| {
                let digits = form.trim_start_matches(['-', '+', ' ', '#', '0', '.']);
                digits.bytes().take_while(u8::is_ascii_digit).count() > 3
                    || form.split('.').nth(1).is_some_and(|precision| {
                        precision.bytes().take_while(u8::is_ascii_digit).count() > 3
                    })
            })
        }),
        (true, false) | (false, true) => false,
        (false, false) => {
            let width = value.get_attr("width").ok().and_then(|width| width.as_i64());
            value.as_i64().or(width).is_some_and(|width| width > WIDE)
        }
    }
}

fn shown(value: &Value) -> Result<String, Error> {
    json(value).map(|value| python::text(&value))
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// A number of a text, or the default where it is none.
fn int(
    value: Value,
    default: Option<Value>,
    base: Option<u32>,
    named: Kwargs,
) -> Result<Value, Error> {
    let default = default.or(named.get("default")?).unwrap_or(Value::from(0));
    let base = base.or(named.get("base")?).unwrap_or(10);
    named.assert_all_used()?;
    let Some(text) = value.as_str() else {
        #[expect(clippy::cast_possible_truncation, reason = "what is larger is cut")]
        return Ok(match (value.kind(), value.as_i64(), f64::try_from(value.clone())) {
            (ValueKind::Bool, ..) => Value::from(i64::from(value.is_true())),
            (ValueKind::Number, Some(_), _) if value.is_integer() => value,
            (ValueKind::Number, _, Ok(number)) if number.is_finite() => Value::from(number as i64),
            _ => default,
        });
    };
    let text = text.trim();
    let digits = match base {
        16 => text.trim_start_matches("0x"),
        8 => text.trim_start_matches("0o"),
        2 => text.trim_start_matches("0b"),
        _ => text,
    };
    let read = if (2..=36).contains(&base) { i64::from_str_radix(digits, base).ok() } else { None };
    #[expect(clippy::cast_possible_truncation, reason = "what is larger is cut")]
    let whole = || text.parse().ok().filter(|n: &f64| n.is_finite()).map(|n| n as i64);
    Ok(read.or_else(whole).map_or(default, Value::from))
}

fn float(value: Value, default: Option<f64>) -> f64 {
    let read = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None if value.kind() == ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        None => f64::try_from(value).ok(),
    };
    read.or(default).unwrap_or(0.0)
}

fn truncate(
    text: Value,
    length: Option<usize>,
    kill_words: Option<bool>,
    end: Option<&str>,
    leeway: Option<usize>,
) -> Result<String, Error> {
    let text = shown(&text)?;
    let (length, end) = (length.unwrap_or(255), end.unwrap_or("..."));
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= length.saturating_add(leeway.unwrap_or(5)) {
        return Ok(text);
    }
    let Some(kept) = length.checked_sub(end.chars().count()) else {
        return Err(wrong(format!("expected length >= {}, got {length}", end.chars().count())));
    };
    let cut: String = letters[..kept].iter().collect();
    if kill_words == Some(true) {
        return Ok(cut + end);
    }
    Ok(cut.rsplit_once(' ').map_or(cut.as_str(), |(before, _)| before).to_owned() + end)
}

fn wordwrap(text: Value, width: Option<usize>) -> Result<String, Error> {
    let (text, width) = (shown(&text)?, width.unwrap_or(79).max(1));
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut current = String::new();
        let mut length = 0;
        for word in line.split_whitespace() {
            let letters: Vec<char> = word.chars().collect();
            for piece in letters.chunks(width) {
                if length > 0 && length + 1 + piece.len() > width {
                    lines.push(std::mem::take(&mut current));
                    length = 0;
                }
                if length > 0 {
                    current.push(' ');
                    length += 1;
                }
                current.extend(piece);
                length += piece.len();
            }
        }
        lines.push(current);
    }
    Ok(lines.join("\n"))
}

fn without_tags(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let Some(end) = rest[start..].find('>') else { break };
        out.push_str(&rest[..start]);
        rest = &rest[start + end + 1..];
    }
    out.push_str(rest);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn quoted(text: &str, plus: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if !plus => out.push('/'),
            b' ' if plus => out.push('+'),
            byte => out.extend([format!("%{byte:02X}")]),
        }
    }
    out
}

fn urlencode(value: Value) -> Result<String, Error> {
    if value.kind() != ValueKind::Map {
        return shown(&value).map(|text| quoted(&text, false));
    }
    let mut pairs = Vec::new();
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        pairs.push(format!("{}={}", quoted(&shown(&key)?, true), quoted(&shown(&item)?, true)));
    }
    Ok(pairs.join("&"))
}

fn filesize(bytes: f64, binary: Option<bool>) -> String {
    let (base, units) = if binary == Some(true) {
        (1024.0, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
    } else {
        (1000.0, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
    };
    if bytes < base {
        return match format!("{bytes:.0}").as_str() {
            "1" => "1 Byte".to_owned(),
            bytes => format!("{bytes} Bytes"),
        };
    }
    let mut unit = base;
    let mut name = units[0];
    for next in units {
        name = next;
        unit *= base;
        if bytes < unit {
            break;
        }
    }
    format!("{:.1} {name}", base * bytes / unit)
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('\'', "&#39;").replace('"', "&#34;")
}

fn xmlattr(value: Value) -> Result<String, Error> {
    let mut out = String::new();
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        if !item.is_none() && !item.is_undefined() {
            let (name, item) = (escaped(&shown(&key)?), escaped(&shown(&item)?));
            out.extend([" ", &name, "=\"", &item, "\""]);
        }
        if out.len() > SIZE {
            return Err(wrong("the text becomes too large".to_owned()));
        }
    }
    Ok(out)
}
