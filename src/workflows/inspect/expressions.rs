//! Whether every expression can be parsed.

use serde_json::Value;

use crate::workflows::expression;
use crate::workflows::inspect::outline::{Outline, Task};
use crate::workflows::inspect::paths::Paths;
use crate::workflows::inspect::report::Fault;

/// The keys of a task that only we know and that may hold expressions.
pub(super) const OURS: [&str; 6] =
    ["approve", "compensate", "priority", "resume_when", "timeout", "until"];

/// The expressions that cannot be parsed.
pub(super) fn check(outline: &Outline<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for key in ["input", "vars", "output", "timeout", "resume_when"] {
        ask(outline.get(key), &Paths::root(key), &mut faults);
    }
    for (name, task) in &outline.tasks {
        ask_task(task, &Paths::task(name), &mut faults);
    }
    faults
}

fn ask_task(task: &Task<'_>, paths: &Paths, faults: &mut Vec<Fault>) {
    if let Some(action) = &task.action {
        ask(&Value::from(action.as_ref()), &paths.key("action"), faults);
    }
    ask(&task.input, &paths.key("input"), faults);
    ask(task.get("delay"), &paths.key("delay"), faults);
    for key in OURS {
        ask(task.get(key), &paths.key(key), faults);
    }
    for (outer, keys, value) in [
        ("with", ["items", "concurrency"].as_slice(), task.with.as_ref()),
        ("retry", &["when", "count", "delay"], task.get("retry")),
    ] {
        for key in keys {
            ask(&value[*key], &paths.key(outer).key(key), faults);
        }
    }
    for (index, transition) in task.next.iter().enumerate() {
        let paths = paths.transition(index);
        ask(transition.when, &paths.key("when"), faults);
        ask(&transition.publish, &paths.key("publish"), faults);
        ask(transition.written, &paths.key("do"), faults);
    }
}

fn ask(value: &Value, paths: &Paths, faults: &mut Vec<Fault>) {
    faults.extend(expression::validate(value).into_iter().map(|wrong| Fault {
        language: wrong.dialect.map(expression::Dialect::name),
        expression: Some(wrong.expression),
        ..Fault::new(wrong.message, &paths.spec, &paths.schema)
    }));
}
