//! An action: a named thing that can be done; has parameters and a runner.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::parameter::Parameters;
use crate::model::policy::{Delivery, Retry};
use crate::model::reference::Reference;

/// A named thing that can be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its name.
    pub reference: Reference,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether it may be run.
    pub enabled: bool,
    /// The runner, by its short name (`shell`, `python`, …).
    pub runner: String,
    /// The runner as the file wrote it (`local-shell-cmd`), which API clients expect to read back.
    pub runner_type: String,
    /// The file that the runner starts from, absolute; none for runners that need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<PathBuf>,
    /// The pack's folder, absolute.
    pub folder: PathBuf,
    /// The action's own parameters, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Parameters,
    /// JSON Schema of the result; null where any result will do.
    #[serde(default, skip_serializing_if = "nothing")]
    pub output_schema: Arc<Value>,
    /// What may be done when nobody can know whether it ran.
    pub delivery: Delivery,
    /// How long one attempt may take, where the action says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// When to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether an attempt that runs can be held.
    #[serde(default)]
    pub pause: Pause,
    /// Free tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Value>,
    /// StackStorm's `notify` block, kept as written.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub notify: Value,
    /// A hash of the files that make it: what ran is told apart from what would run now.
    pub version: Arc<str>,
    /// The workflow that it is, where its runner is `workflow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Pinned>,
    /// The file it was read from, as seen from the home.
    pub file: PathBuf,
}

/// Whether an attempt that runs can be held, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// It cannot: what runs runs to its end.
    #[default]
    Never,
    /// Its processes are stopped where they are (`SIGSTOP`) and let go on there (`SIGCONT`).
    Signal,
}

/// A workflow's definition under a name that follows from its content: executions keep the name, and
/// the store keeps each definition once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pinned {
    /// SHA-256 of the definition, as text.
    pub hash: Arc<str>,
    /// The definition, in Orquesta's form; null in an execution that was read back from the store.
    #[serde(skip)]
    pub definition: Arc<Value>,
}

fn nothing(schema: &Arc<Value>) -> bool {
    schema.is_null()
}

impl Action {
    /// Stands in for an action that no pack provides, so that the execution that asked for it can
    /// say so.
    #[must_use]
    pub fn missing(reference: Reference) -> Self {
        Self {
            reference,
            description: String::new(),
            enabled: false,
            runner: "noop".to_owned(),
            runner_type: "noop".to_owned(),
            entry_point: None,
            folder: PathBuf::new(),
            parameters: Vec::new(),
            output_schema: Arc::new(Value::Null),
            delivery: Delivery::AtMostOnce,
            timeout: None,
            retry: None,
            pause: Pause::Never,
            tags: Vec::new(),
            notify: Value::Null,
            version: "".into(),
            workflow: None,
            file: PathBuf::new(),
        }
    }
}
