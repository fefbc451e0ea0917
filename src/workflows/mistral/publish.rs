//! Variables that are set together. Mistral gives all of them what held before any of them was set,
//! Orquesta one after another; so whatever reads a variable stands before what sets it.

use serde_json::{Map, Value, json};

use crate::workflows::mistral::keys::{self, Reader};
use crate::workflows::mistral::next::Condition;
use crate::workflows::mistral::rewrite::{self, Names};

/// What `value` sets, a list with one name and its value in each entry: `publish`, `vars`, `output`.
pub(super) fn read(value: &Value, names: &Names, path: &str, reader: &mut Reader) -> Vec<Value> {
    let Value::Object(entries) = value else {
        if !value.is_null() {
            reader.wrong(path, "is not a mapping", "write `name: value` below it");
        }
        return Vec::new();
    };
    let parts = ["branch", "global", "atomic"];
    let scoped =
        entries.iter().any(|(key, held)| parts.contains(&key.as_str()) && held.is_object());
    let mut flat = Map::new();
    if scoped {
        for scope in reader.mapping(value, path, &keys::SCOPES).values() {
            flat.extend(scope.as_object().cloned().unwrap_or_default());
        }
    } else {
        flat.clone_from(entries);
    }
    let Value::Object(turned) = rewrite::value(&Value::Object(flat), names, path, reader) else {
        return Vec::new();
    };
    in_order(turned, path, reader)
}

fn in_order(mut left: Map<String, Value>, path: &str, reader: &mut Reader) -> Vec<Value> {
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let read = |name: &str| {
            left.iter().any(|(other, value)| other != name && mentions(&value.to_string(), name))
        };
        let Some(free) = left.keys().find(|name| !read(name)).cloned() else {
            let names: Vec<String> = left.keys().map(|name| format!("`{name}`")).collect();
            let what = format!("{} read each other's old values", names.join(", "));
            reader.wrong(path, &what, "publish them in two tasks, one after the other");
            break;
        };
        let value = left.remove(&free).unwrap_or_default();
        ordered.push(json!({ free: value }));
    }
    ordered
}

/// Whether `text`, which was rewritten, asks for the variable `name`.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    let asked = format!("ctx().{name}");
    text.match_indices(&asked).any(|(at, _)| {
        let next = text[at + asked.len()..].chars().next();
        next.is_none_or(|next| !(next.is_alphanumeric() || next == '_'))
    })
}

/// The same where the task may have failed: then the variable keeps what it was. Nothing where a value
/// is more than one expression in YAQL.
pub(super) fn guarded(list: &[Value]) -> Option<Vec<Value>> {
    let guard = |entry: &Value| {
        let (name, value) = entry.as_object()?.iter().next()?;
        let after = format!("), true => ctx().get({name}))");
        let value = Condition::read(value.as_str()?).filter(Condition::is_yaql)?;
        Some(json!({ name: value.within("switch(succeeded() => (", &after) }))
    };
    list.iter().map(guard).collect()
}
