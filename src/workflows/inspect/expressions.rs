//! Whether every expression can be parsed.

use serde_json::Value;

use crate::workflows::expression;
use crate::workflows::inspect::outline::{Outline, Task};
use crate::workflows::inspect::paths::Paths;
use crate::workflows::inspect::report::Fault;

/// The keys of a task that only we know and that may hold expressions.
pub(super) const OURS: [&str; 6] =
    ["approve", "compensate", "priority", "resume_when", "timeout", "until"];

/// What is done with a value that may hold expressions, and where it stands.
type Visit<'v> = dyn FnMut(&Value, &Paths) + 'v;

/// The expressions that cannot be parsed.
pub(super) fn check(outline: &Outline<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    visit(outline, &mut |value, paths| {
        faults.extend(expression::validate(value).into_iter().map(|wrong| Fault {
            language: wrong.dialect.map(expression::Dialect::name),
            expression: Some(wrong.expression),
            ..Fault::new(wrong.message, &paths.spec, &paths.schema)
        }));
    });
    faults
}

/// The functions and filters that expressions call and that nobody knows. Orquesta tells of them only
/// when it comes to them.
#[must_use]
pub fn strangers(definition: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    visit(&Outline::read(definition), &mut |value, paths| {
        faults.extend(expression::strangers(value).into_iter().map(|stranger| Fault {
            language: Some(stranger.dialect.name()),
            expression: Some(stranger.expression),
            help: stranger.meant.map(|name| format!("did you mean `{name}`?")),
            ..Fault::new(stranger.message, &paths.spec, &paths.schema)
        }));
    });
    faults
}

fn visit(outline: &Outline<'_>, see: &mut Visit<'_>) {
    for key in ["input", "vars", "output", "timeout", "resume_when"] {
        see(outline.get(key), &Paths::root(key));
    }
    for (name, task) in &outline.tasks {
        visit_task(task, &Paths::task(name), see);
    }
}

fn visit_task(task: &Task<'_>, paths: &Paths, see: &mut Visit<'_>) {
    if let Some(action) = &task.action {
        see(&Value::from(action.as_ref()), &paths.key("action"));
    }
    see(&task.input, &paths.key("input"));
    see(task.get("delay"), &paths.key("delay"));
    for key in OURS {
        see(task.get(key), &paths.key(key));
    }
    for (outer, keys, value) in [
        ("with", ["items", "concurrency"].as_slice(), task.with.as_ref()),
        ("retry", &["when", "count", "delay"], task.get("retry")),
    ] {
        for key in keys {
            see(&value[*key], &paths.key(outer).key(key));
        }
    }
    for (index, transition) in task.next.iter().enumerate() {
        let paths = paths.transition(index);
        see(transition.when, &paths.key("when"));
        see(&transition.publish, &paths.key("publish"));
        see(transition.written, &paths.key("do"));
    }
}
