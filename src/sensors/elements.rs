//! The elements of an answer: what a JSONPath finds in it. Finding nothing is told apart from an answer
//! that has no list at all, such as an error in the place of the list. Pure.

use serde_json::Value;
use serde_json_path::{JsonPath, ParseError};

/// Where the elements stand.
pub(crate) struct Elements {
    path: JsonPath,
    /// Whether the path names one node: the list itself.
    is_single: bool,
    /// The nodes that must be lists (or maps) where the path finds nothing: up to the first part that
    /// may name several nodes, and all but a last wildcard.
    lists: Vec<JsonPath>,
}

impl Elements {
    /// Reads a JSONPath (RFC 9535).
    pub(crate) fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        let path = JsonPath::parse(text)?;
        let parts = parts(text);
        let many = parts.iter().position(|place| !is_single(part(text, &parts, *place)));
        let Some(many) = many else {
            return Ok(Self { path, is_single: true, lists: Vec::new() });
        };
        let mut lists = vec![JsonPath::parse(&text[..parts[many]])?];
        if let Some(last) = parts.last().filter(|last| is_wildcard(&text[**last..])) {
            lists.push(JsonPath::parse(&text[..*last])?);
        }
        Ok(Self { path, is_single: false, lists })
    }

    /// The elements in `answer`.
    ///
    /// # Errors
    /// What there is in place of the list.
    pub(crate) fn of<'a>(&self, answer: &'a Value) -> Result<Vec<&'a Value>, String> {
        let found = self.path.query(answer).all();
        if self.is_single {
            return match found[..] {
                [Value::Array(list)] => Ok(list.iter().collect()),
                [other] => Err(format!("`{}` is {}, no list", self.path, word(other))),
                _ => Err(format!("`{}` is not there", self.path)),
            };
        }
        if !found.is_empty() {
            return Ok(found);
        }
        for list in &self.lists {
            let held = list.query(answer).all();
            if held.is_empty() {
                return Err(format!("`{list}` is not there"));
            }
            if let Some(other) = held.iter().find(|one| !one.is_array() && !one.is_object()) {
                return Err(format!("`{list}` is {}, no list", word(other)));
            }
            if held.iter().all(|one| one.as_array().is_some_and(Vec::is_empty)) {
                break;
            }
        }
        Ok(found)
    }
}

impl std::fmt::Display for Elements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.fmt(f)
    }
}

/// Where the parts of a path begin: `.name`, `[…]`, `..name`.
fn parts(text: &str) -> Vec<usize> {
    let (mut parts, mut depth, mut after_dot) = (Vec::new(), 0_usize, false);
    let (mut quote, mut escaped) = (None, false);
    for (place, letter) in text.char_indices() {
        if let Some(mark) = quote {
            let ends = letter == mark && !escaped;
            escaped = letter == '\\' && !escaped;
            quote = quote.filter(|_| !ends);
            continue;
        }
        if depth == 0 && matches!(letter, '.' | '[') && !after_dot {
            parts.push(place);
        }
        match letter {
            '\'' | '"' => quote = Some(letter),
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        after_dot = depth == 0 && letter == '.';
    }
    parts
}

/// The part that begins at `place`.
fn part<'a>(text: &'a str, parts: &[usize], place: usize) -> &'a str {
    let end = parts.iter().copied().find(|next| *next > place).unwrap_or(text.len());
    &text[place..end]
}

/// Whether a part names one node at most.
fn is_single(part: &str) -> bool {
    if let Some(inner) = part.strip_prefix('[').and_then(|part| part.trim_end().strip_suffix(']')) {
        let inner = inner.trim();
        let quoted = |mark: char| {
            let text = inner.strip_prefix(mark).and_then(|inner| inner.strip_suffix(mark));
            text.is_some_and(|text| !text.contains(mark))
        };
        return inner.parse::<i64>().is_ok() || quoted('\'') || quoted('"');
    }
    !part.starts_with("..") && !is_wildcard(part)
}

fn is_wildcard(part: &str) -> bool {
    let bare: String = part.chars().filter(|letter| !letter.is_whitespace()).collect();
    bare == ".*" || bare == "[*]"
}

/// What kind of value it is, for people.
fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(path: &str, answer: &Value, expected: Result<usize, &str>) {
        let elements = Elements::parse(path).unwrap();
        let found = elements.of(answer).map(|found| found.len());
        assert_eq!(found.as_ref().map_err(String::as_str), expected.as_ref().map_err(|e| *e));
    }

    #[test]
    fn only_a_list_that_is_there_is_empty() {
        for path in ["$.items[*]", "$.items.*", "$.items", "$.items[?@.free > 5]", "$.items[0:5]"] {
            check(path, &json!({ "items": [] }), Ok(0));
            check(path, &json!({ "error": "backend busy" }), Err("`$.items` is not there"));
            check(path, &json!({ "items": "x" }), Err("`$.items` is a text, no list"));
            check(path, &json!({ "items": null }), Err("`$.items` is null, no list"));
        }
        check("$.items", &json!({ "items": [1, 2] }), Ok(2));
        check("$.items[?@.free > 5]", &json!({ "items": [{ "free": 1 }] }), Ok(0));
    }

    #[test]
    fn lists_in_lists_may_be_empty_but_not_missing() {
        let path = "$['a b'][*].pools[*]";
        check(path, &json!({ "a b": [] }), Ok(0));
        check(path, &json!({ "a b": [{ "pools": [] }] }), Ok(0));
        check(path, &json!({ "a b": [{ "pools": [1, 2] }, { "pools": [3] }] }), Ok(3));
        check(path, &json!({ "a b": [{ "error": 1 }] }), Err("`$['a b'][*].pools` is not there"));
        check(path, &json!([]), Err("`$['a b']` is not there"));
        check("$..pool", &json!({ "a": { "pool": 1 } }), Ok(1));
        check("$[*]", &json!("busy"), Err("`$` is a text, no list"));
    }
}
