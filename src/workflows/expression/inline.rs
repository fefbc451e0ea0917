//! Parameters written in one line: `core.local cmd="date" retry=<% ctx().n %>`.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// `name=value`: in brackets, in quotes, a number, a word of JSON, an expression.
static PAIR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let values = [
        r"\[.*\]\s*",
        r#""[^"]*"\s*"#,
        r"'[^']*'\s*",
        r"[-]?\d*\.\d+",
        r"[-]?\d+",
        r"(?i:true)",
        r"(?i:false)",
        r"null",
        r"\{\{.*?\}\}",
        r"<%.*?%>",
        r"\$\{.*?\}",
    ];
    Regex::new(&format!(r"(\w+)=({})", values.join("|"))).ok()
});

/// The parameters in a text, in their order; what is no pair is passed over.
#[must_use]
pub fn inline(text: &str) -> Vec<(String, Value)> {
    let Some(pair) = PAIR.as_ref() else { return Vec::new() };
    let pairs = pair.captures_iter(text);
    pairs.map(|found| (found[1].to_owned(), value(found[2].trim()))).collect()
}

/// The name of an action, and the parameters behind it.
#[must_use]
pub fn split_action(text: &str) -> (String, Vec<(String, Value)>) {
    let text = text.trim();
    // An action that an expression names may hold blanks.
    let end = match text {
        expression if expression.starts_with("<%") => expression.find("%>").map(|end| end + 2),
        expression if expression.starts_with("{{") => expression.find("}}").map(|end| end + 2),
        expression if expression.starts_with("${") => expression.find('}').map(|end| end + 1),
        _ => None,
    };
    let from = end.unwrap_or(0);
    let end = text[from..].find(char::is_whitespace).map_or(text.len(), |end| from + end);
    (text[..end].to_owned(), inline(&text[end..]))
}

/// A quoted text is a text, unless it is a map; everything else is JSON where it can be read so.
fn value(text: &str) -> Value {
    let quoted = ['"', '\''].iter().any(|quote| text.matches(*quote).count() >= 2);
    let bare = text.strip_prefix('"').unwrap_or(text);
    let bare = bare.strip_suffix('"').unwrap_or(bare);
    let bare = bare.strip_prefix('\'').unwrap_or(bare);
    let bare = bare.strip_suffix('\'').unwrap_or(bare);
    let is_map = bare.starts_with('{') && bare.ends_with('}');
    let plain = || Value::String(bare.to_owned());
    if bare.is_empty() || (quoted && !is_map) {
        return plain();
    }
    let lower = bare.to_lowercase();
    let json = if matches!(lower.as_str(), "true" | "false") { &lower } else { bare };
    serde_json::from_str(json).unwrap_or_else(|_| plain())
}
