//! Fields of JSON rows as people read them. What comes from outside may hold anything: control
//! characters are shown, not obeyed.

use serde_json::Value;

use crate::model::time::Time;

/// A field as one line; `a.b` reaches inside. Empty where there is none.
#[must_use]
pub fn text(row: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(row, |value, name| value.get(name));
    match found {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => safe(text),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(Value::Array(all)) if all.iter().all(Value::is_string) => {
            all.iter().filter_map(Value::as_str).map(safe).collect::<Vec<_>>().join(", ")
        }
        Some(other) => other.to_string(),
    }
}

/// The time in a field; nothing where there is none.
#[must_use]
pub fn time(row: &Value, path: &str) -> Option<Time> {
    text(row, path).parse().ok()
}

/// A field as JSON, indented; empty where there is none or nothing in it.
#[must_use]
pub fn json(row: &Value, path: &str) -> String {
    match path.split('.').try_fold(row, |value, name| value.get(name)) {
        None | Some(Value::Null) => String::new(),
        Some(Value::Object(map)) if map.is_empty() => String::new(),
        Some(Value::Array(all)) if all.is_empty() => String::new(),
        Some(value) => format!("{value:#}"),
    }
}

/// Text on which a terminal does nothing but show it.
#[must_use]
pub fn safe(text: &str) -> String {
    let unsafe_one = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(unsafe_one) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            let (plain, escaped) =
                if unsafe_one(c) { (None, Some(c.escape_default())) } else { (Some(c), None) };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

/// The first line, cut to `most` characters.
#[must_use]
pub fn brief(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= most {
        return line.to_owned();
    }
    let cut: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_cannot_move_the_cursor() {
        assert_eq!(safe("a\x1b]0;title\x07b\r"), "a\\u{1b}]0;title\\u{7}b\\r");
    }
}
