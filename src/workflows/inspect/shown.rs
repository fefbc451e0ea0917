//! Values as Python shows them: Orquesta's messages quote what is wrong in this form.

use serde_json::Value;

/// Deeper values are shown as `...`; nobody reads them in a message.
const DEPTH_LIMIT: usize = 32;

/// The value as Python would write it down.
pub(super) fn shown(value: &Value) -> String {
    let mut text = String::new();
    write(value, DEPTH_LIMIT, &mut text);
    text
}

/// A text in Python's quotes. What Python would escape stands as it is, for Orquesta takes the
/// escapes out of its messages again.
pub(super) fn quoted(text: &str) -> String {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    format!("{mark}{text}{mark}")
}

fn write(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Null => text.push_str("None"),
        Value::Bool(true) => text.push_str("True"),
        Value::Bool(false) => text.push_str("False"),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(held) => text.push_str(&quoted(held)),
        Value::Array(_) | Value::Object(_) if depth == 0 => text.push_str("..."),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                write(item, depth - 1, text);
            }
            text.push(']');
        }
        Value::Object(entries) => {
            text.push('{');
            for (at, (key, item)) in entries.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                text.push_str(&quoted(key));
                text.push_str(": ");
                write(item, depth - 1, text);
            }
            text.push('}');
        }
    }
}
