//! The keys of Mistral's language, and what is wrong with those that a file has.

use serde_json::{Map, Value};

use crate::model::problem::nearest;
use crate::workflows::inspect::Fault;

/// What may stand at one place.
pub(super) struct Keys {
    /// What the mapping is, for people.
    what: &'static str,
    /// What is turned, or changes nothing.
    known: &'static [&'static str],
    /// What has no counterpart, and what to do instead.
    refused: &'static [(&'static str, &'static str)],
}

const PAUSE: &str = "put a task with `approve: true` before it, in a workflow written for Orquesta";

/// A workflow.
pub(super) const WORKFLOW: Keys = Keys {
    what: "workflow",
    known: &[
        "name",
        "version",
        "type",
        "description",
        "tags",
        "input",
        "vars",
        "output",
        "task-defaults",
        "tasks",
    ],
    refused: &[("output-on-error", "leave it out: `output` holds after a failure, too")],
};

/// `task-defaults`.
pub(super) const DEFAULTS: Keys = Keys {
    what: "task-defaults",
    known: &[
        "on-success",
        "on-error",
        "on-complete",
        "retry",
        "wait-before",
        "wait-after",
        "timeout",
        "concurrency",
        "safe-rerun",
    ],
    refused: &[("pause-before", PAUSE)],
};

/// A task.
pub(super) const TASK: Keys = Keys {
    what: "task",
    known: &[
        "name",
        "version",
        "type",
        "description",
        "tags",
        "action",
        "workflow",
        "input",
        "publish",
        "publish-on-error",
        "on-success",
        "on-error",
        "on-complete",
        "join",
        "with-items",
        "concurrency",
        "retry",
        "wait-before",
        "wait-after",
        "timeout",
        "keep-result",
        "safe-rerun",
    ],
    refused: &[
        ("pause-before", PAUSE),
        ("requires", "say what follows each task with `on-success` instead"),
        ("fail-on", "give `on-success` an entry `- fail: <% … %>` instead"),
        ("target", "Ifso runs all actions itself: leave it out"),
    ],
};

/// `retry`.
pub(super) const RETRY: Keys =
    Keys { what: "retry", known: &["count", "delay", "break-on", "continue-on"], refused: &[] };

/// `on-success` and its like in the long form.
pub(super) const CLAUSE: Keys = Keys { what: "clause", known: &["publish", "next"], refused: &[] };

/// `publish` in the long form.
pub(super) const SCOPES: Keys =
    Keys { what: "publish", known: &["branch", "global", "atomic"], refused: &[] };

/// Collects what is wrong while a file is turned.
#[derive(Default)]
pub(super) struct Reader {
    /// What is wrong so far.
    pub(super) faults: Vec<Fault>,
}

impl Reader {
    /// Remembers that `what` is wrong at `path`.
    pub(super) fn wrong(&mut self, path: &str, what: &str, help: &str) {
        let message = if path.is_empty() { what.to_owned() } else { format!("`{path}`: {what}") };
        self.faults.push(Fault {
            message,
            spec_path: path.to_owned(),
            help: Some(help.to_owned()),
            ..Fault::default()
        });
    }

    /// The entries of `value`, after a look at their keys; none where it is no mapping.
    pub(super) fn mapping(&mut self, value: &Value, path: &str, keys: &Keys) -> Map<String, Value> {
        let Value::Object(entries) = value else {
            let what = format!("a {} must be a mapping", keys.what);
            self.wrong(path, &what, &format!("its keys are {}", listed(keys.known)));
            return Map::new();
        };
        for key in entries.keys().filter(|key| !keys.known.contains(&key.as_str())) {
            let at = format!("{path}.{key}");
            if let Some((_, help)) = keys.refused.iter().find(|(refused, _)| refused == key) {
                self.wrong(&at, &format!("`{key}` cannot be run"), help);
                continue;
            }
            let help = nearest(key, keys.known.iter().copied()).map_or_else(
                || format!("the keys here are {}", listed(keys.known)),
                |near| format!("did you mean `{near}`?"),
            );
            self.wrong(&at, &format!("a {} has no `{key}`", keys.what), &help);
        }
        entries.clone()
    }
}

fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
