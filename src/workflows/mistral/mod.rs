//! Mistral's direct workflows, version 2, as the conductor runs them: StackStorm had this engine
//! before Orquesta, and `OpenSDS` ships its workflows in this language.
//!
//! `rewrite` turns expressions over `$` into those over `ctx()`, `task` a task, `next` what follows
//! it. What has no counterpart is refused by name; nothing is passed over in silence.
//!
//! Three things come out a little differently. A task whose `on-complete` leads on after a failure
//! does not fail the workflow. `succeed` ends its own branch only. A value that is published where
//! `on-complete` follows is null after a failure, not unset.

mod keys;
mod next;
mod publish;
mod rewrite;
mod task;

use serde_json::{Map, Value, json};

use crate::workflows::inspect::Fault;

use keys::Reader;
use rewrite::Names;

/// The name of the workflow that a workbook starts with, where nobody says another.
pub const MAIN: &str = "main";

/// Turns the workflow `name` of a Mistral file, the YAML as JSON, into the same thing as Orquesta
/// would have it. A file with one workflow needs no name that fits.
///
/// # Errors
/// What cannot be turned, each with its path in the file.
pub fn load(file: &Value, name: &str) -> Result<Value, Vec<Fault>> {
    let mut reader = Reader::default();
    let turned =
        choose(file, name, &mut reader).map(|(path, workflow)| turn(workflow, &path, &mut reader));
    match turned {
        Some(turned) if reader.faults.is_empty() => Ok(turned),
        _ => Err(reader.faults),
    }
}

/// Where in the file of which `load` made a workflow the part at `path` of that workflow stands, as
/// near as can be told.
#[must_use]
pub fn origin(file: &Value, name: &str, path: &str) -> String {
    let Some((start, workflow)) = choose(file, name, &mut Reader::default()) else {
        return path.to_owned();
    };
    let written = path.strip_prefix("tasks.").and_then(|rest| {
        let (task, rest) = rest.split_once('.').unwrap_or((rest, ""));
        let tasks = workflow.get("tasks")?.as_object()?;
        let own = tasks.keys().find(|name| rewrite::plain(name) == task)?;
        Some(format!("{start}.tasks.{own}.{rest}"))
    });
    written.unwrap_or_else(|| format!("{start}.{path}"))
}

/// The path of the workflow in the file, and the workflow.
fn choose<'a>(file: &'a Value, name: &str, reader: &mut Reader) -> Option<(String, &'a Value)> {
    let version =
        file.get("version").map(|held| held.as_str().map_or(held.to_string(), str::to_owned));
    if version.as_deref().is_none_or(|version| !version.starts_with('2')) {
        reader.wrong("version", "is not that of a Mistral workflow", "expected `version: '2.0'`");
        return None;
    }
    let (prefix, workflows): (&str, Vec<(&String, &Value)>) = match file.get("workflows") {
        Some(workflows) => ("workflows.", workflows.as_object().into_iter().flatten().collect()),
        None => ("", alone(file)),
    };
    let found = workflows
        .iter()
        .find(|(held, _)| *held == name)
        .or_else(|| workflows.first().filter(|_| workflows.len() == 1));
    if found.is_none() {
        let names: Vec<String> = workflows.iter().map(|(name, _)| format!("`{name}`")).collect();
        let help = match names.as_slice() {
            [] => "add a workflow: `name:` and below it `tasks:`".to_owned(),
            names => format!("call one of {} `{name}`", names.join(", ")),
        };
        reader.wrong(
            prefix.trim_end_matches('.'),
            &format!("there is no workflow `{name}`"),
            &help,
        );
    }
    found.map(|(name, workflow)| (format!("{prefix}{name}"), *workflow))
}

/// The workflows of a file that is no workbook: each stands under its name.
fn alone(file: &Value) -> Vec<(&String, &Value)> {
    let entries = file.as_object().into_iter().flatten();
    entries.filter(|(_, value)| value.get("tasks").is_some()).collect()
}

fn turn(workflow: &Value, path: &str, reader: &mut Reader) -> Value {
    let fields = reader.mapping(workflow, path, &keys::WORKFLOW);
    if fields.get("type").is_some_and(|kind| kind != "direct") {
        reader.wrong(
            &format!("{path}.type"),
            "only direct workflows can be run",
            "say what follows each task with `on-success`, instead of `requires`",
        );
    }
    let names = Names::of(&fields);
    let mut turned = Map::from_iter([("version".to_owned(), json!(1.0))]);
    if let Some(Value::String(description)) = fields.get("description") {
        turned.insert("description".to_owned(), description.as_str().into());
    }
    if let Some(input) = fields.get("input").filter(|input| !is_empty(input)) {
        turned.insert("input".to_owned(), input.clone());
    }
    for (theirs, ours) in [("vars", "vars"), ("output", "output")] {
        let Some(held) = fields.get(theirs).filter(|held| !is_empty(held)) else { continue };
        let path = format!("{path}.{theirs}");
        turned.insert(ours.to_owned(), publish::read(held, &names, &path, reader).into());
    }
    let defaults = fields.get("task-defaults").cloned().unwrap_or_else(|| json!({}));
    let around = task::Around { names: &names, defaults: &defaults, path };
    let none = Value::Null;
    let tasks = task::all(fields.get("tasks").unwrap_or(&none), &around, reader);
    turned.insert("tasks".to_owned(), Value::Object(tasks));
    Value::Object(turned)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}
