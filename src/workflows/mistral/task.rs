//! One task of Mistral as a task of Orquesta, with the steps that stand between it and the next.

use serde_json::{Map, Value, json};

use crate::workflows::expression;
use crate::workflows::mistral::keys::{self, Reader};
use crate::workflows::mistral::next;
use crate::workflows::mistral::rewrite::{self, Names, plain};

/// What stands around the tasks.
pub(super) struct Around<'a> {
    /// What names mean.
    pub(super) names: &'a Names,
    /// `task-defaults`.
    pub(super) defaults: &'a Value,
    /// The path of the workflow.
    pub(super) path: &'a str,
}

/// A task that is being turned.
pub(super) struct Turning<'a> {
    /// Its fields, with what `task-defaults` gives.
    pub(super) fields: Map<String, Value>,
    /// Its path in the file.
    pub(super) path: String,
    /// What names mean in it.
    pub(super) names: Names,
    /// All that is turned, itself and the steps behind it.
    pub(super) turned: &'a mut Map<String, Value>,
}

/// Mistral's keys that `task-defaults` may give.
const DEFAULTS: [&str; 8] = [
    "on-success",
    "on-error",
    "on-complete",
    "retry",
    "wait-before",
    "wait-after",
    "timeout",
    "concurrency",
];

/// Turns all `tasks`.
pub(super) fn all(tasks: &Value, around: &Around<'_>, reader: &mut Reader) -> Map<String, Value> {
    let mut turned = Map::new();
    let path = format!("{}.tasks", around.path);
    let defaults =
        reader.mapping(around.defaults, &format!("{}.task-defaults", around.path), &keys::DEFAULTS);
    let Some(entries) = tasks.as_object().filter(|entries| !entries.is_empty()) else {
        reader.wrong(&path, "there are no tasks", "add `name:` and below it `action:`");
        return turned;
    };
    for (name, task) in entries {
        let path = format!("{path}.{name}");
        let mut fields = reader.mapping(task, &path, &keys::TASK);
        for key in DEFAULTS {
            if let (None, Some(held)) = (fields.get(key), defaults.get(key)) {
                fields.insert(key.to_owned(), held.clone());
            }
        }
        let names = Names { own: Some(name.clone()), ..around.names.clone() };
        if turned.contains_key(&plain(name)) {
            let what = format!("`{name}` is the name of two tasks once it is `{}`", plain(name));
            reader.wrong(&path, &what, "give one of the two another name");
        }
        one(name, Turning { fields, path, names, turned: &mut turned }, reader);
    }
    turned
}

fn one(name: &str, mut task: Turning<'_>, reader: &mut Reader) {
    let mut turned = Map::new();
    if let Some(with) = items(&mut task, reader) {
        turned.insert("with".to_owned(), with);
    }
    if let Some((action, input)) = call(&task, reader) {
        turned.insert("action".to_owned(), action.into());
        if !input.is_empty() {
            turned.insert("input".to_owned(), Value::Object(input));
        }
    }
    if let Some(join) = task.fields.get("join") {
        let join = if join == "one" { json!(1) } else { join.clone() };
        turned.insert("join".to_owned(), join);
    }
    for (theirs, ours) in [("wait-before", "delay"), ("timeout", "timeout")] {
        if let Some(held) = task.fields.get(theirs) {
            let path = format!("{}.{theirs}", task.path);
            turned.insert(ours.to_owned(), rewrite::value(held, &task.names, &path, reader));
        }
    }
    if let Some(retry) = retry(&task, reader) {
        turned.insert("retry".to_owned(), retry);
    }
    let next = next::all(&plain(name), &mut task, reader);
    if !next.is_empty() {
        turned.insert("next".to_owned(), next.into());
    }
    task.turned.insert(plain(name), Value::Object(turned));
}

/// What it does, and with what; nothing where it only leads on.
fn call(task: &Turning<'_>, reader: &mut Reader) -> Option<(String, Map<String, Value>)> {
    let get = |key: &str| task.fields.get(key).and_then(Value::as_str);
    let written = match (get("action"), get("workflow")) {
        (Some(_), Some(_)) => {
            reader.wrong(&task.path, "has both `action` and `workflow`", "keep one of the two");
            return None;
        }
        (Some(action), None) => action,
        (None, Some(workflow)) if workflow.contains('.') => workflow,
        (None, Some(workflow)) => {
            let what = format!("`{workflow}` is no action, and only actions can be run");
            let path = format!("{}.workflow", task.path);
            let help = "put that workflow into a file of its own, with an action that runs it: \
                        `workflow: pack.name`";
            reader.wrong(&path, &what, help);
            return None;
        }
        (None, None) => return None,
    };
    let (action, inline) = expression::split_action(written);
    let mut given: Map<String, Value> = inline.into_iter().collect();
    let path = format!("{}.input", task.path);
    match task.fields.get("input") {
        None | Some(Value::Null) => {}
        Some(Value::Object(input)) => given.extend(input.clone()),
        Some(_) => reader.wrong(&path, "is not a mapping", "write `name: value` below it"),
    }
    let given = match rewrite::value(&Value::Object(given), &task.names, &path, reader) {
        Value::Object(given) => given,
        _ => Map::new(),
    };
    let path = format!("{}.action", task.path);
    let action = rewrite::text(&action, &task.names, &path, reader);
    match action.as_str() {
        "std.noop" => None,
        "std.fail" => Some(("core.local".to_owned(), Map::from_iter([entry("cmd", "exit 1")]))),
        _ if action.starts_with("std.") => {
            let what = format!("`{action}` comes with Mistral and is not here");
            reader.wrong(&path, &what, "use an action of a pack, such as `core.http`");
            None
        }
        _ => Some((action, given)),
    }
}

fn entry(name: &str, value: &str) -> (String, Value) {
    (name.to_owned(), value.into())
}

/// `with-items` and `concurrency` as `with`; the names of the parts are known from here on.
fn items(task: &mut Turning<'_>, reader: &mut Reader) -> Option<Value> {
    let written = task.fields.get("with-items")?;
    let path = format!("{}.with-items", task.path);
    let lists: Vec<&str> = match written {
        Value::String(one) => vec![one],
        Value::Array(lists) => lists.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let help = "write `name in <% $.list %>`, or a list of such lines";
    let parts: Vec<(&str, &str)> =
        lists.iter().filter_map(|list| list.split_once(" in ")).collect();
    if parts.is_empty() || parts.len() < lists.len() {
        reader.wrong(&path, "does not name the items and their list", help);
        return None;
    }
    let turned: Vec<String> = parts
        .iter()
        .map(|(_, list)| rewrite::text(list.trim(), &task.names, &path, reader))
        .collect();
    let list = match turned.as_slice() {
        [one] => one.clone(),
        several => {
            let inner = several
                .iter()
                .map(|list| Some(list.strip_prefix("<%")?.strip_suffix("%>")?.trim()));
            let Some(inner) = inner.collect::<Option<Vec<&str>>>() else {
                reader.wrong(&path, "holds a list that is no YAQL expression", help);
                return None;
            };
            format!("<% zip({}) %>", inner.join(", "))
        }
    };
    let names: Vec<String> = parts.iter().map(|(name, _)| name.trim().to_owned()).collect();
    let mut with = Map::from_iter([entry("items", &format!("{} in {list}", names.join(", ")))]);
    task.names.items = names;
    if let Some(concurrency) = task.fields.get("concurrency") {
        let path = format!("{}.concurrency", task.path);
        with.insert(
            "concurrency".to_owned(),
            rewrite::value(concurrency, &task.names, &path, reader),
        );
    }
    Some(Value::Object(with))
}

fn retry(task: &Turning<'_>, reader: &mut Reader) -> Option<Value> {
    let path = format!("{}.retry", task.path);
    let written = match task.fields.get("retry")? {
        Value::String(text) => Value::Object(expression::inline(text).into_iter().collect()),
        other => other.clone(),
    };
    let fields = reader.mapping(&written, &path, &keys::RETRY);
    let mut turned = Map::new();
    for key in ["count", "delay"] {
        if let Some(held) = fields.get(key) {
            turned.insert(key.to_owned(), rewrite::value(held, &task.names, &path, reader));
        }
    }
    if !turned.contains_key("count") {
        reader.wrong(&path, "does not say how often", "add `count`");
    }
    let mut condition = |key: &str| {
        let text = fields.get(key)?.as_str()?;
        let turned = rewrite::text(text, &task.names, &path, reader);
        let condition = next::Condition::read(&turned);
        if condition.is_none() {
            reader.wrong(&format!("{path}.{key}"), "is no expression", "write `<% … %>`");
        }
        condition
    };
    // Mistral tries again after a failure unless `break-on` holds; with `continue-on`, as long as
    // that holds, after a success too.
    let (stop, more) = (condition("break-on"), condition("continue-on"));
    let when = match (more, stop) {
        (None, None) => None,
        (None, Some(stop)) => Some(stop.within("failed() and not (", ")")),
        (Some(more), None) => Some(more.within("", "")),
        (Some(more), Some(stop)) => more.and(&stop, " and not (failed() and (", "))"),
    };
    if let Some(when) = when {
        turned.insert("when".to_owned(), when.into());
    } else if fields.contains_key("break-on") && fields.contains_key("continue-on") {
        reader.wrong(&path, "mixes YAQL and Jinja", "write both conditions in one language");
    }
    Some(Value::Object(turned))
}
