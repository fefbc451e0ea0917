//! Parameters written behind an action's name: `core.echo message=<% ctx(x) %>`.

use serde_json::Value;

/// The parameters in `text`, in their order.
#[must_use]
pub fn inline(text: &str) -> Vec<(String, Value)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let end = [("<%", "%>"), ("{{", "}}"), ("${", "}"), ("\"", "\""), ("'", "'")]
            .iter()
            .find(|(open, _)| after.starts_with(open))
            .and_then(|(open, close)| {
                after[open.len()..].find(close).map(|at| at + open.len() + close.len())
            })
            .or_else(|| after.find(' '))
            .unwrap_or(after.len());
        let (value, left) = after.split_at(end);
        let bare = value.trim_matches(['"', '\'']);
        let value = if bare.len() == value.len() {
            serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))
        } else {
            Value::from(bare)
        };
        pairs.push((name.trim().to_owned(), value));
        rest = left.trim_start_matches([' ', ',', ';']);
    }
    pairs
}

/// The action's name and the parameters behind it.
#[must_use]
pub fn split_action(text: &str) -> (String, Vec<(String, Value)>) {
    let expression = text.starts_with("<%") || text.starts_with("{{") || text.starts_with("${");
    match text.split_once(' ').filter(|_| !expression) {
        Some((action, rest)) if rest.contains('=') => (action.to_owned(), inline(rest)),
        _ => (text.to_owned(), Vec::new()),
    }
}
