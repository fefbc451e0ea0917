//! What Ifso adds to Orquesta's language: tasks that pause on failure, wait for a person, are undone, poll,
//! and end in time.

use serde_json::{Map, Value, json};

use crate::workflows::definition::{Reader, present};
use crate::workflows::expression::split_action;

/// What a task says beyond Orquesta.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Additions {
    /// Whether a failure that nothing remedies pauses the workflow instead of failing it.
    pub pauses: bool,
    /// How a workflow that this task's failure paused goes on by itself.
    pub resume_when: Option<Probe>,
    /// What undoes the task.
    pub compensate: Option<Call>,
    /// How long one run may take: seconds, `5m`, or an expression.
    pub timeout: Option<Value>,
    /// Parameters of the question that must be answered with yes before it runs.
    pub approve: Option<Value>,
    /// Run it again until something holds.
    pub until: Option<Until>,
    /// Before whom its action goes: a whole number or an expression; higher first.
    pub priority: Option<Value>,
}

/// An action with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The action, maybe as an expression.
    pub action: String,
    /// Its parameters: an object or an expression.
    pub input: Value,
}

/// `resume_when`.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// What is run to see whether it may go on.
    pub call: Call,
    /// When it may, with the probe's `result()`; when the probe succeeds where nothing is said.
    pub when: String,
    /// The time between two probes.
    pub every: Value,
}

/// `until`.
#[derive(Debug, Clone, PartialEq)]
pub struct Until {
    /// When it is enough.
    pub when: String,
    /// The time between two runs.
    pub every: Value,
    /// Runs at most.
    pub limit: Option<Value>,
    /// Time at most, from the first run.
    pub within: Option<Value>,
}

/// How the pause between two tries grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// It stays.
    #[default]
    Constant,
    /// Once, twice, three times the first.
    Linear,
    /// It doubles.
    Exponential,
}

/// Runs of `until` where neither `limit` nor `within` says how many.
const RUNS: u32 = 60;

impl Reader {
    /// What `source`, the task at `path`, says beyond Orquesta; `workflow` may say it for all.
    pub(super) fn additions(
        &mut self,
        source: &Map<String, Value>,
        workflow: &Map<String, Value>,
        path: &str,
    ) -> Additions {
        let own = |key: &str| present(source, key);
        let on_error = own("on_error").or_else(|| present(workflow, "on_error"));
        let resume_when = own("resume_when").or_else(|| present(workflow, "resume_when"));
        let additions = Additions {
            pauses: self.on_error(on_error, path),
            resume_when: resume_when.and_then(|probe| self.probe(probe, path)),
            compensate: own("compensate").and_then(|call| self.call(call, path, "compensate")),
            timeout: own("timeout").cloned(),
            approve: own("approve").and_then(|approve| self.approve(approve, path)),
            until: own("until").and_then(|until| self.until(until, own("within"), path)),
            priority: own("priority").cloned(),
        };
        if additions.until.is_some() && own("with").is_some() {
            self.wrong(&format!("{path}.until"), "a task has either `until` or `with`, not both");
        }
        additions
    }

    fn on_error(&mut self, source: Option<&Value>, path: &str) -> bool {
        match source.map(Value::as_str) {
            None | Some(Some("fail")) => false,
            Some(Some("pause")) => true,
            _ => {
                self.wrong(&format!("{path}.on_error"), "expected `pause` or `fail`");
                false
            }
        }
    }

    fn call(&mut self, source: &Value, path: &str, key: &str) -> Option<Call> {
        let (action, input) = match source {
            Value::String(text) => {
                let (action, input) = split_action(text);
                (action, Value::Object(input.into_iter().collect()))
            }
            Value::Object(map) => {
                let Some(text) = map.get("action").and_then(Value::as_str) else {
                    self.wrong(&format!("{path}.{key}"), "expected `action`");
                    return None;
                };
                let (action, inline) = split_action(text);
                let input = map.get("input").cloned().unwrap_or_default();
                let inline = Some(inline).filter(|inline| !inline.is_empty());
                (action, inline.map_or(input, |pairs| Value::Object(pairs.into_iter().collect())))
            }
            _ => {
                self.wrong(&format!("{path}.{key}"), "expected an action, or an object with one");
                return None;
            }
        };
        Some(Call { action, input })
    }

    fn probe(&mut self, source: &Value, path: &str) -> Option<Probe> {
        let call = self.call(source, path, "resume_when")?;
        let when = source.get("when").and_then(Value::as_str).unwrap_or("<% succeeded() %>");
        let every = source.get("every").cloned().unwrap_or_else(|| json!(30));
        Some(Probe { call, when: when.to_owned(), every })
    }

    fn approve(&mut self, source: &Value, path: &str) -> Option<Value> {
        let yes = json!({
            "type": "object",
            "properties": { "approved": { "type": "boolean", "required": true } },
        });
        match source {
            Value::Bool(false) => None,
            Value::Bool(true) => Some(json!({ "schema": yes })),
            Value::Object(map) => {
                let mut parameters = map.clone();
                parameters.entry("schema").or_insert(yes);
                Some(Value::Object(parameters))
            }
            _ => {
                let path = format!("{path}.approve");
                self.wrong(
                    &path,
                    "expected `true`, or an object with `users`, `roles` or `schema`",
                );
                None
            }
        }
    }

    fn until(&mut self, source: &Value, within: Option<&Value>, path: &str) -> Option<Until> {
        let Some(when) = source.get("when").and_then(Value::as_str) else {
            self.wrong(&format!("{path}.until"), "expected `when`, an expression that ends it");
            return None;
        };
        let own = |key: &str| source.get(key).filter(|value| !value.is_null()).cloned();
        let within = own("within").or_else(|| within.cloned());
        let bound = || within.is_none().then(|| json!(RUNS));
        let limit = own("limit").or_else(bound);
        let every = own("every").unwrap_or_else(|| json!(10));
        Some(Until { when: when.to_owned(), every, limit, within })
    }
}
