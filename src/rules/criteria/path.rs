//! The key of a criterion: a path into the event, as StackStorm's JSONPath reads it. Of several
//! values that a path finds the first counts.

use serde_json::Value;

use crate::script::python;

/// A path, read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    /// What it begins with: `trigger`, or `item` inside a `search`.
    pub(crate) root: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// `.name`, `['name']`.
    Field(String),
    /// `.*`: every field.
    Fields,
    /// `[0]`, `[-1]`.
    Index(i64),
    /// `[*]`: every item; what is no list counts as its only item.
    Items,
    /// `..`: here and everywhere below.
    Below,
}

impl Path {
    /// Reads a key; what stands behind `#` tells keys of one path apart and means nothing.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn parse(key: &str) -> Result<Self, String> {
        let text = key.split('#').next().unwrap_or_default().trim();
        let text = text.strip_prefix("$.").unwrap_or(text);
        let wrong = |what: &str| format!("`{key}` is no path: {what}");
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let root = &text[..end];
        if !is_name(root) {
            return Err(wrong("it begins with no name"));
        }
        let mut steps = Vec::new();
        let mut rest = &text[end..];
        while !rest.is_empty() {
            let (step, after) = step(rest).map_err(|what| wrong(&what))?;
            steps.push(step);
            rest = after;
        }
        if steps.last() == Some(&Step::Below) {
            return Err(wrong("it ends in the middle"));
        }
        Ok(Self { root: root.to_owned(), steps })
    }

    /// The names on its way, where it is nothing but fields of fields.
    pub(crate) fn names(&self) -> Option<Vec<&str>> {
        let names = self.steps.iter().map(|step| match step {
            Step::Field(name) => Some(name.as_str()),
            _ => None,
        });
        let names: Option<Vec<&str>> = names.collect();
        names.filter(|names| !names.is_empty())
    }

    /// The first value that it finds in `value`, which stands under `root`.
    ///
    /// # Errors
    /// A number is asked of something that has no items.
    pub(crate) fn find(&self, root: &str, value: &Value) -> Result<Option<Value>, String> {
        if self.root == root { walk(&self.steps, value) } else { Ok(None) }
    }
}

/// One step at the start of `rest`, and what comes after it.
fn step(rest: &str) -> Result<(Step, &str), String> {
    if let Some(after) = rest.strip_prefix("..") {
        // The name behind `..` has no dot of its own.
        return match after.chars().next() {
            Some('[') | None => Ok((Step::Below, after)),
            Some(_) => Ok((Step::Below, &rest[1..])),
        };
    }
    if let Some(after) = rest.strip_prefix('.') {
        if after.starts_with(['\'', '"']) {
            let (name, after) = quoted(after)?;
            return Ok((Step::Field(name.to_owned()), after));
        }
        if after.starts_with('[') {
            return step(after);
        }
        let end = after.find(['.', '[']).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        return match name {
            "*" => Ok((Step::Fields, after)),
            name if is_name(name) => Ok((Step::Field(name.to_owned()), after)),
            name => Err(format!("`{name}` is no name; put others in brackets: `['{name}']`")),
        };
    }
    let Some(inside) = rest.strip_prefix('[') else {
        return Err(format!("`.` or `[` is missing before `{rest}`"));
    };
    let inside = inside.trim_start();
    let (step, after) = if inside.starts_with(['\'', '"']) {
        let (name, after) = quoted(inside)?;
        (Step::Field(name.to_owned()), after.trim_start())
    } else {
        let end = inside.find(']').ok_or("`]` is missing")?;
        let (text, after) = inside.split_at(end);
        let step = match text.trim() {
            "*" => Step::Items,
            text => Step::Index(text.parse().map_err(|_| {
                format!("`{text}` is no number; names stand in quotes: `['{text}']`")
            })?),
        };
        (step, after)
    };
    let after = after.strip_prefix(']').ok_or("`]` is missing")?;
    Ok((step, after))
}

fn quoted(text: &str) -> Result<(&str, &str), String> {
    let quote = text.chars().next().unwrap_or('\'');
    text[1..].split_once(quote).ok_or_else(|| format!("a {quote} is missing"))
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_alphabetic() || first == '_' || first == '@')
        && letters.all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '@'))
}

fn walk(steps: &[Step], value: &Value) -> Result<Option<Value>, String> {
    let Some((step, rest)) = steps.split_first() else { return Ok(Some(value.clone())) };
    match step {
        Step::Field(name) => match value.get(name) {
            Some(found) => walk(rest, found),
            None => Ok(None),
        },
        Step::Fields => first(value.as_object().into_iter().flat_map(|map| map.values()), rest),
        Step::Items => match value {
            Value::Array(items) => first(items.iter(), rest),
            Value::Object(_) | Value::String(_) | Value::Number(_) | Value::Bool(_) => {
                walk(rest, value)
            }
            Value::Null => Err("there are no items in nothing".to_owned()),
        },
        Step::Index(index) => match item(value, *index)? {
            Some(found) => walk(rest, &found),
            None => Ok(None),
        },
        Step::Below => below(rest, value),
    }
}

fn first<'v>(
    values: impl Iterator<Item = &'v Value>,
    rest: &[Step],
) -> Result<Option<Value>, String> {
    for value in values {
        if let Some(found) = walk(rest, value)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn below(rest: &[Step], value: &Value) -> Result<Option<Value>, String> {
    if let Some(found) = walk(rest, value).ok().flatten() {
        return Ok(Some(found));
    }
    let inner: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    for value in inner {
        if let Some(found) = below(rest, value)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The item at `index`, counted from 0, or from the end where it is negative.
fn item(value: &Value, index: i64) -> Result<Option<Value>, String> {
    let place = |length: usize| {
        let from = if index < 0 { i64::try_from(length).unwrap_or(i64::MAX) } else { 0 };
        usize::try_from(from + index).ok()
    };
    match value {
        Value::Array(items) => Ok(place(items.len()).and_then(|at| items.get(at)).cloned()),
        Value::String(text) => {
            let letter = place(text.chars().count()).and_then(|at| text.chars().nth(at));
            Ok(letter.map(|letter| Value::String(letter.to_string())))
        }
        other => Err(format!("{} has no item {index}", python::kind(other))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_finds_its_first_value() {
        let data = json!({
            "a": {"b c": 1, "x.y": 2, "X-H": 3},
            "l": [{"n": 1}, {"n": 2}], "s": "xyz",
        });
        for (key, expected) in [
            ("trigger", Some(data.clone())),
            ("trigger.a['b c']", Some(json!(1))),
            ("trigger.a[\"x.y\"]#2", Some(json!(2))),
            ("trigger.a.'b c'", Some(json!(1))),
            ("trigger.a.X-H", Some(json!(3))),
            ("trigger.l[1].n", Some(json!(2))),
            ("trigger.l[-1].n", Some(json!(2))),
            ("trigger.l[*].n", Some(json!(1))),
            ("trigger.l[7].n", None),
            ("trigger..n", Some(json!(1))),
            ("trigger.a.*", Some(json!(3))),
            ("trigger.s[0]", Some(json!("x"))),
            ("$.trigger.s", Some(json!("xyz"))),
            ("other.s", None),
        ] {
            let found = Path::parse(key).unwrap().find("trigger", &data);
            assert_eq!(found.unwrap_or_default(), expected, "{key}");
        }
    }

    #[test]
    fn what_is_no_path_is_told() {
        for key in
            ["", "trigger.[", "trigger.", "trigger..", "trigger[a]", "trigger['a", "a b", "[0]"]
        {
            assert!(Path::parse(key).is_err(), "{key}");
        }
    }
}
