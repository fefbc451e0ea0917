//! Expressions in workflows: `${ }` Rhai, `<% %>` YAQL, `{{ }}` Jinja. The delimiters say which.

use serde_json::Value;

use crate::model::time::Time;
use crate::workflows::Context;

/// What an expression may see.
pub struct Scope<'a> {
    /// `ctx()`.
    pub context: &'a Context,
    /// The task that just ended, where there is one: `result()`, `succeeded()`, `failed()`, `completed()`.
    pub task: Option<Seen<'a>>,
    /// `item()`.
    pub item: Option<&'a Value>,
    /// What else there is to ask.
    pub world: &'a dyn World,
}

/// A task as expressions see it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Its name.
    pub name: &'a str,
    /// The route on which it ran, from 0.
    pub route: u32,
    /// Its status, as a word.
    pub status: &'a str,
    /// What it gave.
    pub result: &'a Value,
}

/// What expressions ask beyond their context.
pub trait World {
    /// The status of the task `name` on `route` (or the nearest before it): `task_status()`.
    fn task_status(&self, name: &str, route: Option<u32>) -> Option<String>;

    /// StackStorm's `task(name)`: id, name, status, result, and so on.
    fn task(&self, name: &str, route: Option<u32>) -> Option<Value>;

    /// A stored key (`system.x`, `user.x`): `st2kv()`; nothing where there is none.
    ///
    /// # Errors
    /// A sentence for people where it cannot be read.
    fn key(&self, name: &str, decrypt: bool) -> Result<Option<Value>, String>;

    /// The present moment, the same for all expressions of one step.
    fn now(&self) -> Time;
}

pub mod inline;
mod simple;

pub use simple::{Error, evaluate, truthy};
