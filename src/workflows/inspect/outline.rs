//! A definition as far as it can be read: what has the wrong type is passed over, `syntax` tells it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::workflows::expression;
use crate::workflows::inspect::circles::Follows;

/// Names that mean what the engine does, not a task.
pub(super) const RESERVED: [&str; 4] = ["continue", "fail", "noop", "retry"];

/// A definition as far as it can be read.
pub(super) struct Outline<'a> {
    /// The whole of it.
    pub(super) root: &'a Value,
    /// The tasks in the order of their names.
    pub(super) tasks: BTreeMap<&'a str, Task<'a>>,
    /// What follows each task, in the order of names; twice where two entries lead to it.
    pub(super) follows: Follows<'a>,
    /// How many entries lead to each task.
    pub(super) ways: BTreeMap<&'a str, usize>,
}

/// One task.
pub(super) struct Task<'a> {
    /// As it was written.
    node: &'a Map<String, Value>,
    /// The action, without the parameters that may stand behind it.
    pub(super) action: Option<Cow<'a, str>>,
    /// Its parameters, those behind the action too; null where there are none.
    pub(super) input: Cow<'a, Value>,
    /// `with`, its short form resolved; null where there is none.
    pub(super) with: Cow<'a, Value>,
    /// Whether it says `join` at all.
    pub(super) joins: bool,
    /// Whether it waits for more than nothing.
    pub(super) waits: bool,
    /// Where it goes.
    pub(super) next: Vec<Transition<'a>>,
}

/// One entry of `next`.
pub(super) struct Transition<'a> {
    /// `when`; null where it does not say.
    pub(super) when: &'a Value,
    /// `publish`, its short form resolved; null where it does not say.
    pub(super) publish: Cow<'a, Value>,
    /// The tasks and commands that follow; `continue` where it does not say.
    pub(super) to: Vec<&'a str>,
    /// `do` as it was written; null where it does not say.
    pub(super) written: &'a Value,
}

/// What stands at a path that is not there.
static NOTHING: Value = Value::Null;

impl<'a> Outline<'a> {
    /// Reads what can be read of `definition`.
    pub(super) fn read(definition: &'a Value) -> Self {
        let tasks = definition.get("tasks").and_then(Value::as_object).into_iter().flatten();
        let task = |(name, value): (&'a String, &'a Value)| {
            Some((name.as_str(), Task::read(value.as_object()?)))
        };
        let tasks: BTreeMap<&str, Task<'_>> = tasks.filter_map(task).collect();
        let (mut follows, mut ways) = (Follows::new(), BTreeMap::new());
        for (name, task) in tasks.iter().filter(|(name, _)| !RESERVED.contains(*name)) {
            let mut next: Vec<&str> = task.next.iter().flat_map(|one| one.to.clone()).collect();
            next.sort_unstable();
            for to in &next {
                *ways.entry(*to).or_insert(0) += 1;
            }
            follows.insert(*name, next);
        }
        Self { root: definition, tasks, follows, ways }
    }

    /// The value of the workflow's own key.
    pub(super) fn get(&self, key: &str) -> &'a Value {
        self.root.get(key).unwrap_or(&NOTHING)
    }

    /// The task `name`; the engine's own commands are none.
    pub(super) fn task(&self, name: &str) -> Option<&Task<'a>> {
        if RESERVED.contains(&name) { None } else { self.tasks.get(name) }
    }

    /// Whether something of that name can follow a task.
    pub(super) fn knows(&self, name: &str) -> bool {
        RESERVED.contains(&name) || self.tasks.contains_key(name)
    }

    /// What follows `name`.
    pub(super) fn after(&self, name: &str) -> &[&'a str] {
        self.follows.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The tasks to which no way leads: the workflow starts with them.
    pub(super) fn starts(&self) -> Vec<&'a str> {
        self.tasks.keys().copied().filter(|name| !self.ways.contains_key(name)).collect()
    }
}

impl<'a> Task<'a> {
    fn read(node: &'a Map<String, Value>) -> Self {
        let get = |key: &str| node.get(key).unwrap_or(&NOTHING);
        let written = get("action").as_str().filter(|action| !action.is_empty());
        let (action, inline) = written.map(called).unzip();
        let inline: Map<String, Value> = inline.unwrap_or_default();
        let own = Cow::Borrowed(get("input"));
        let join = get("join");
        Self {
            node,
            action: action.map(Cow::Owned),
            input: if inline.is_empty() { own } else { Cow::Owned(Value::Object(inline)) },
            with: match get("with") {
                Value::String(items) => Cow::Owned(serde_json::json!({ "items": items })),
                with => Cow::Borrowed(with),
            },
            joins: !join.is_null(),
            waits: holds(join),
            next: get("next").as_array().into_iter().flatten().map(Transition::read).collect(),
        }
    }
}

impl<'a> Task<'a> {
    /// The value under `key`; null where there is none.
    pub(super) fn get(&self, key: &str) -> &'a Value {
        self.node.get(key).unwrap_or(&NOTHING)
    }
}

impl<'a> Transition<'a> {
    fn read(node: &'a Value) -> Self {
        let get = |key: &str| node.get(key).unwrap_or(&NOTHING);
        let publish = match get("publish") {
            Value::String(text) if !text.is_empty() => Cow::Owned(one_by_one(text)),
            other => Cow::Borrowed(other),
        };
        let mut to: Vec<&str> = match get("do") {
            Value::String(text) if !text.is_empty() => text.split(',').map(str::trim).collect(),
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if to.is_empty() {
            to.push("continue");
        }
        Self { when: get("when"), publish, to, written: get("do") }
    }
}

/// Whether Python takes `value` for true.
pub(super) fn holds(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(held) => *held,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

/// The action in a text, and the parameters behind it; the whole text where there are none.
pub(super) fn called(text: &str) -> (String, Map<String, Value>) {
    let (action, inline) = expression::split_action(text);
    if inline.is_empty() {
        return (text.to_owned(), Map::new());
    }
    (action, inline.into_iter().collect())
}

/// `a=1 b=2` as a list of `{a: 1}` and `{b: 2}`.
pub(super) fn one_by_one(text: &str) -> Value {
    let entry = |(name, value)| Value::Object(Map::from_iter([(name, value)]));
    expression::inline(text).into_iter().map(entry).collect()
}
