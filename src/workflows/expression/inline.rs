//! Parameters written in one line: `core.local cmd="date" retry=<% ctx().n %>`.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::workflows::expression::text::expression_at;

/// What a parameter begins with.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(\w+)=").ok());

/// A value without quotes: in brackets, a number, a word of JSON, whatever has an expression's marks.
static BARE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let values = [
        r"\[.*\]\s*",
        r"[-]?\d*\.\d+",
        r"[-]?\d+",
        r"(?i:true)",
        r"(?i:false)",
        r"null",
        r"\{\{.*?\}\}",
        r"<%.*?%>",
        r"\$\{.*?\}",
    ];
    Regex::new(&format!("^(?:{})", values.join("|"))).ok()
});

/// One `name=value` and where it stands in its text.
struct Pair {
    start: usize,
    end: usize,
    name: String,
    value: Value,
}

/// The parameters in a text, in their order; what is no pair is passed over.
#[must_use]
pub fn inline(text: &str) -> Vec<(String, Value)> {
    pairs(text).into_iter().map(|pair| (pair.name, pair.value)).collect()
}

/// The name of an action, and the parameters behind it.
#[must_use]
pub fn split_action(text: &str) -> (String, Vec<(String, Value)>) {
    let (action, rest) = action_and_rest(text);
    (action.to_owned(), inline(rest))
}

/// The first piece behind an action that is no part of its parameters, where it has parameters.
#[must_use]
pub fn stray(text: &str) -> Option<&str> {
    let (_, rest) = action_and_rest(text);
    let pairs = pairs(rest);
    if pairs.is_empty() {
        return None;
    }
    let starts = pairs.iter().map(|pair| pair.start).chain([rest.len()]);
    let ends = [0].into_iter().chain(pairs.iter().map(|pair| pair.end));
    let between = ends.zip(starts).map(|(end, start)| &rest[end..start]);
    let is_separator = |letter: char| letter.is_whitespace() || letter == ',' || letter == ';';
    between.map(|piece| piece.trim_matches(is_separator)).find(|piece| !piece.is_empty())
}

fn action_and_rest(text: &str) -> (&str, &str) {
    let text = text.trim();
    // An action that an expression names may hold blanks.
    let from = expression_at(text).unwrap_or(0);
    let end = text[from..].find(char::is_whitespace).map_or(text.len(), |end| from + end);
    text.split_at(end)
}

fn pairs(text: &str) -> Vec<Pair> {
    let (mut pairs, mut from) = (Vec::new(), 0);
    let Some(form) = NAME.as_ref() else { return pairs };
    while let Some(found) = form.captures_at(text, from) {
        let Some((head, name)) = found.get(0).zip(found.get(1)) else { break };
        from = head.end();
        if let Some((length, value)) = value_at(&text[from..]) {
            from += length;
            let (start, name) = (head.start(), name.as_str().to_owned());
            pairs.push(Pair { start, end: from, name, value });
        }
    }
    pairs
}

/// The value that begins here, and its length.
fn value_at(text: &str) -> Option<(usize, Value)> {
    if let Some(mark) = text.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        // A backslash that escapes nothing may end a text, as in `"C:\dir\"`.
        let (length, inside) = quoted(&text[1..], mark).or_else(|| {
            let end = text[1..].find(mark)?;
            Some((end, text[1..=end].to_owned()))
        })?;
        return Some((length + 2, text_or_map(inside)));
    }
    if let Some(length) = expression_at(text) {
        return Some((length, Value::String(text[..length].to_owned())));
    }
    let found = BARE.as_ref()?.find(text)?;
    Some((found.end(), bare(found.as_str().trim())))
}

/// A text up to its closing quote, and its length as written. An expression is taken whole, whatever
/// quotes it has; elsewhere a backslash before the quote keeps the text open.
fn quoted(text: &str, mark: char) -> Option<(usize, String)> {
    let escaped = format!("\\{mark}");
    let (mut inside, mut at) = (String::new(), 0);
    loop {
        let rest = &text[at..];
        let first = rest.chars().next()?;
        if let Some(length) = expression_at(rest) {
            let expression = &rest[..length];
            // Who escaped every quote did so for this text, not for the expression.
            let plain = expression.replace(&escaped, "");
            let verbatim = plain.contains(mark);
            inside.push_str(&if verbatim {
                expression.to_owned()
            } else {
                expression.replace(&escaped, &mark.to_string())
            });
            at += length;
        } else if rest.starts_with(&escaped) {
            inside.push(mark);
            at += escaped.len();
        } else if rest.starts_with(r"\\") {
            // An escaped backslash escapes no quote; both stay, as patterns need them.
            inside.push_str(r"\\");
            at += 2;
        } else if first == mark {
            return Some((at, inside));
        } else {
            inside.push(first);
            at += first.len_utf8();
        }
    }
}

/// What stood in quotes is a text, unless it is a map.
fn text_or_map(inside: String) -> Value {
    let map = inside.starts_with('{') && inside.ends_with('}');
    let map = map.then(|| serde_json::from_str(&inside).ok()).flatten();
    map.unwrap_or(Value::String(inside))
}

/// What stood without quotes is JSON where it can be read so; a list of texts stays a text, as in
/// Orquesta.
fn bare(text: &str) -> Value {
    let plain = || Value::String(text.to_owned());
    if ['"', '\''].iter().any(|quote| text.matches(*quote).count() >= 2) {
        return plain();
    }
    let lower = text.to_lowercase();
    let json = if matches!(lower.as_str(), "true" | "false") { &lower } else { text };
    serde_json::from_str(json).unwrap_or_else(|_| plain())
}
