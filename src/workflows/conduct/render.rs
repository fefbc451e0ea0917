//! What a task runs, worked out from its context: actions, parameters, items, pauses.

use std::time::Duration;

use serde_json::Value;

use crate::model::span;
use crate::model::time::Time;
use crate::workflows::Context;
use crate::workflows::conduct::World;
use crate::workflows::conduct::flow::Flow;
use crate::workflows::conduct::state::State;
use crate::workflows::definition::{Items, Task};
use crate::workflows::expression::{self, Scope, Seen};

/// An action with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// The action; null where the task names none.
    pub action: Value,
    /// Its parameters; null where the task names none.
    pub input: Value,
    /// The item it is for, from 0.
    pub item: Option<u32>,
}

/// What expressions see of a flow.
pub(super) struct Seer<'a> {
    pub(super) flow: &'a Flow,
    pub(super) world: &'a dyn World,
    /// The route of the task that asks.
    pub(super) route: u32,
}

impl Seer<'_> {
    /// The last entry of `name` on `route`, or on the nearest route before it that leads onto it.
    fn entry(&self, name: &str, route: Option<u32>) -> Option<u32> {
        let route = route.unwrap_or(self.route);
        if let Some(at) = self.flow.latest(name, route) {
            return Some(at);
        }
        let mine = self.flow.routes.get(route as usize)?;
        let leads_here = |before: &u32| {
            self.flow.routes[*before as usize].iter().all(|edge| mine.contains(edge))
        };
        (0..route).rev().filter(leads_here).find_map(|before| self.flow.latest(name, before))
    }
}

impl expression::World for Seer<'_> {
    fn task_status(&self, name: &str, route: Option<u32>) -> Option<String> {
        self.entry(name, route).map(|at| self.flow.entries[at as usize].state.word().to_owned())
    }

    fn task(&self, name: &str, route: Option<u32>) -> Option<Value> {
        self.entry(name, route).map(|at| self.flow.describe(at))
    }

    fn key(&self, name: &str, decrypt: bool) -> Result<Option<Value>, String> {
        self.world.key(name, decrypt)
    }

    fn now(&self) -> Time {
        self.world.now()
    }
}

/// Where expressions of one task are evaluated.
pub(super) struct Eyes<'a> {
    pub(super) seer: Seer<'a>,
    pub(super) context: &'a Context,
    pub(super) task: Option<Seen<'a>>,
}

impl Eyes<'_> {
    /// Evaluates whatever holds expressions; the error is what Orquesta writes down.
    pub(super) fn value(&self, value: &Value) -> Result<Value, String> {
        self.with_item(value, None)
    }

    pub(super) fn with_item(&self, value: &Value, item: Option<&Value>) -> Result<Value, String> {
        let scope = self.scope(item);
        expression::evaluate(value, &scope).map_err(|error| said(&error))
    }

    pub(super) fn truth(&self, text: &str) -> Result<bool, String> {
        expression::truthy(text, &self.scope(None)).map_err(|error| said(&error))
    }

    fn scope<'s>(&'s self, item: Option<&'s Value>) -> Scope<'s> {
        Scope { context: self.context, task: self.task, item, world: &self.seer }
    }

    /// The list that a task's items come from.
    pub(super) fn list(&self, items: &Items) -> Result<Vec<Value>, String> {
        match self.value(&Value::String(items.list.clone()))? {
            Value::Array(list) => Ok(list),
            _ => Err(format!("TypeError: The value of \"{}\" is not type of list.", items.list)),
        }
    }

    /// How many items may run at once, at least one; nothing means all.
    pub(super) fn concurrency(&self, items: &Items) -> Result<Option<i64>, String> {
        let Some(given) = &items.concurrency else { return Ok(None) };
        let value = self.value(given)?;
        let wrong =
            || "TypeError: The value of task concurrency is not type of integer.".to_owned();
        match value {
            Value::Null => Ok(None),
            value => integer(&value).map(|count| Some(count.max(1))).ok_or_else(wrong),
        }
    }

    /// The action of a task without items.
    pub(super) fn action(&self, task: &Task) -> Result<Rendered, String> {
        self.one(task, None, None)
    }

    /// The action for the item `at` of a task.
    pub(super) fn item(&self, task: &Task, at: u32, value: &Value) -> Result<Rendered, String> {
        let names = task.items.as_ref().map_or(&[][..], |items| &items.names);
        let parts = name_item(names, value);
        self.one(task, Some(at), Some(parts.as_ref().unwrap_or(value)))
    }

    fn one(
        &self,
        task: &Task,
        item: Option<u32>,
        value: Option<&Value>,
    ) -> Result<Rendered, String> {
        let action = match &task.action {
            Some(action) => self.with_item(&Value::String(action.clone()), value)?,
            None => Value::Null,
        };
        let input = self.with_item(&task.input, value)?;
        Ok(Rendered { action, input, item })
    }

    /// A span of time: seconds as a number, or text such as `5m`. `what` is named where it is none.
    pub(super) fn span(&self, given: &Value, what: &str) -> Result<Duration, String> {
        let value = self.value(given)?;
        let wrong = || format!("TypeError: The value of {what} is not type of integer.");
        match &value {
            Value::Number(n) => {
                let seconds = n.as_f64().filter(|seconds| *seconds >= 0.0).unwrap_or(0.0);
                Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
            }
            Value::String(text) => span::parse(text).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

/// An error as Orquesta writes it down.
fn said(error: &expression::Error) -> String {
    format!("{}: {error}", error.kind())
}

/// The item as `item(name)` sees it.
fn name_item(names: &[String], value: &Value) -> Option<Value> {
    match (names, value) {
        ([], _) => None,
        (names, Value::Array(parts)) => {
            let pairs = names.iter().cloned().zip(parts.iter().cloned());
            Some(Value::Object(pairs.collect()))
        }
        ([name], value) => {
            Some(Value::Object([(name.clone(), value.clone())].into_iter().collect()))
        }
        _ => None,
    }
}

/// A whole number, as Python would take it for one.
pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(truth) => Some(i64::from(*truth)),
        value => value.as_i64(),
    }
}

/// What a task shows of itself to its own expressions.
pub(super) fn seen<'a>(name: &'a str, route: u32, state: State, result: &'a Value) -> Seen<'a> {
    Seen { name, route, status: state.word(), result }
}
