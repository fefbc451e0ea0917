//! A workflow as people write it, read once and never changed: tasks, what follows them, variables, output.
//!
//! It takes StackStorm's Orquesta language and what Ifso adds to it. Unknown words are the inspector's
//! business and are passed over here; what cannot be conducted at all is a `Problem`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::workflows::additions::{Additions, Backoff};
use crate::workflows::expression::{inline, split_action};
use crate::workflows::graph::Graph;

/// The words of a task list that are commands, not tasks.
pub const COMMANDS: &[&str] = &["continue", "fail", "noop", "retry"];

/// Why a definition cannot be conducted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    /// Where in the definition: `tasks.build.next[0].do`.
    pub path: String,
    /// What is wrong there: a lower-case fragment.
    pub message: String,
}

/// A workflow that can be conducted.
#[derive(Debug)]
pub struct Definition {
    /// What it takes: name and default, in their order.
    pub inputs: Vec<(String, Value)>,
    /// Variables, each of which may use those before it.
    pub vars: Vec<(String, Value)>,
    /// What it gives.
    pub output: Vec<(String, Value)>,
    /// How long it may take: seconds, `5m`, or an expression.
    pub timeout: Option<Value>,
    compensates: bool,
    tasks: HashMap<Arc<str>, Task>,
    command: Task,
    graph: Graph,
}

/// One task.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Task {
    /// The action, maybe as an expression; a task without one does nothing and succeeds.
    pub action: Option<String>,
    /// The action's parameters: an object or one expression.
    pub input: Value,
    /// Run the action once for each of these.
    pub items: Option<Items>,
    /// How many of those that lead here must have come.
    pub join: Option<Barrier>,
    /// Seconds before it starts: a number or an expression.
    pub delay: Option<Value>,
    /// When to try again.
    pub retry: Option<Retry>,
    /// What follows.
    pub next: Vec<Transition>,
    /// What Ifso adds.
    pub additions: Additions,
}

/// `with`.
#[derive(Debug, Clone, PartialEq)]
pub struct Items {
    /// The expression that gives the list.
    pub list: String,
    /// The names under which `item(name)` finds a part; none where the item is taken whole.
    pub names: Vec<String>,
    /// How many may run at once: a number or an expression; all of them where nothing is said.
    pub concurrency: Option<Value>,
}

/// `join`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    /// Every task that leads here.
    All,
    /// So many of them.
    Count(u32),
}

/// `retry`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// When to; nothing means when it failed.
    pub when: Option<String>,
    /// How many times at most: a number or an expression.
    pub count: Value,
    /// Seconds between: a number or an expression.
    pub delay: Option<Value>,
    /// How the time between grows.
    pub backoff: Backoff,
    /// How long it gets at most.
    pub max_delay: Option<Value>,
    /// The part of it, from 0 to 1, that is left to chance, so that not all try at once.
    pub jitter: f64,
    /// Whether it comes from the command `retry`, which knows no delay.
    pub command: bool,
}

/// One entry of `next`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transition {
    /// Whether it is followed; always where nothing is said.
    pub when: Option<String>,
    /// What is published on the way, in its order.
    pub publish: Vec<(String, Value)>,
    /// The tasks that follow.
    pub to: Vec<String>,
}

impl Definition {
    /// Reads a definition from the JSON that its YAML means.
    ///
    /// # Errors
    /// Everything because of which it cannot be conducted, in the order in which it stands there.
    pub fn new(source: &Value) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader { problems: Vec::new() };
        let Some(top) = source.as_object() else {
            return Err(vec![problem("workflow", "expected an object with `tasks`")]);
        };
        let inputs = reader.pairs(top.get("input"), "input");
        let vars = reader.pairs(top.get("vars"), "vars");
        let output = reader.pairs(top.get("output"), "output");
        let tasks = reader.tasks(top);
        reader.check_targets(&tasks);
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        let graph = Graph::compose(&tasks);
        if graph.nodes().is_empty() {
            let message = "no task starts the workflow; add one that leads into the circle";
            return Err(vec![problem("tasks", message)]);
        }
        let timeout = present(top, "timeout").cloned();
        let compensates = tasks.values().any(|task| task.additions.compensate.is_some());
        let command = Task::default();
        Ok(Self { inputs, vars, output, timeout, compensates, tasks, command, graph })
    }

    /// The graph of its tasks.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The task `name`; commands are tasks that do nothing.
    #[must_use]
    pub fn task(&self, name: &str) -> Option<&Task> {
        let command = || is_command(name).then_some(&self.command);
        self.tasks.get(name).or_else(command)
    }

    /// Whether any task can be undone.
    #[must_use]
    pub const fn compensates(&self) -> bool {
        self.compensates
    }

    /// Every task with its name, in no order.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, &Task)> {
        self.tasks.iter().map(|(name, task)| (name.as_ref(), task))
    }
}

/// Whether `name` is a command for the conductor instead of a task.
#[must_use]
pub fn is_command(name: &str) -> bool {
    COMMANDS.contains(&name)
}

fn problem(path: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem { path: path.into(), message: message.into() }
}

/// Collects problems while reading, so that people see all of them at once.
pub(super) struct Reader {
    problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn wrong(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(problem(path, message));
    }

    /// A list of names or one-key objects, or text such as `a=1 b=2`.
    fn pairs(&mut self, source: Option<&Value>, path: &str) -> Vec<(String, Value)> {
        match source {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => inline(text),
            Some(Value::Array(list)) => {
                list.iter().enumerate().filter_map(|(at, pair)| self.pair(pair, path, at)).collect()
            }
            Some(other) => {
                self.wrong(path, format!("expected a list of single-key objects, found `{other}`"));
                Vec::new()
            }
        }
    }

    fn pair(&mut self, pair: &Value, path: &str, at: usize) -> Option<(String, Value)> {
        match pair {
            Value::String(name) => return Some((name.clone(), Value::Null)),
            Value::Object(map) if map.len() == 1 => {
                return map.iter().next().map(|(name, value)| (name.clone(), value.clone()));
            }
            _ => self.wrong(&format!("{path}[{at}]"), "expected a name or an object with one key"),
        }
        None
    }

    fn tasks(&mut self, top: &Map<String, Value>) -> HashMap<Arc<str>, Task> {
        let map = top.get("tasks").and_then(Value::as_object).filter(|map| !map.is_empty());
        let Some(map) = map else {
            self.wrong("tasks", "expected an object with at least one task");
            return HashMap::new();
        };
        let empty = Map::new();
        let mut tasks = HashMap::with_capacity(map.len());
        for (name, source) in map {
            let path = format!("tasks.{name}");
            if is_command(name) {
                self.wrong(&path, format!("the task name `{name}` is a command"));
            }
            let source = match source {
                Value::Object(source) => source,
                Value::Null => &empty,
                _ => {
                    self.wrong(&path, "expected an object");
                    continue;
                }
            };
            let mut task = self.task(source, &path);
            task.additions = self.additions(source, top, &path);
            tasks.insert(name.as_str().into(), task);
        }
        tasks
    }

    fn task(&mut self, source: &Map<String, Value>, path: &str) -> Task {
        let (action, parameters) = match self.text(source, "action", path) {
            Some(text) => {
                let (action, parameters) = split_action(&text);
                (Some(action), parameters)
            }
            None => (None, Vec::new()),
        };
        let input = match source.get("input") {
            _ if !parameters.is_empty() => Value::Object(parameters.into_iter().collect()),
            None | Some(Value::Null) => Value::Null,
            Some(input @ (Value::Object(_) | Value::String(_))) => input.clone(),
            Some(_) => {
                self.wrong(&format!("{path}.input"), "expected an object or an expression");
                Value::Null
            }
        };
        Task {
            action,
            input,
            items: self.items(source.get("with"), path),
            join: self.join(source.get("join"), path),
            delay: present(source, "delay").cloned(),
            retry: self.retry(source.get("retry"), path),
            next: self.next(source.get("next"), path),
            additions: Additions::default(),
        }
    }

    fn text(&mut self, source: &Map<String, Value>, key: &str, path: &str) -> Option<String> {
        match present(source, key)? {
            Value::String(text) => Some(text.clone()),
            other => {
                self.wrong(&format!("{path}.{key}"), format!("expected text, found `{other}`"));
                None
            }
        }
    }

    fn items(&mut self, source: Option<&Value>, path: &str) -> Option<Items> {
        let path = format!("{path}.with");
        let (text, concurrency) = match source? {
            Value::Null => return None,
            Value::String(text) => (text.clone(), None),
            Value::Object(map) => {
                let Some(text) = self.text(map, "items", &path) else {
                    self.wrong(&path, "expected `items`, an expression that gives a list");
                    return None;
                };
                (text, present(map, "concurrency").cloned())
            }
            _ => {
                self.wrong(&path, "expected text or an object with `items`");
                return None;
            }
        };
        let (names, list) = split_items(text.trim());
        Some(Items { list, names, concurrency })
    }

    fn join(&mut self, source: Option<&Value>, path: &str) -> Option<Barrier> {
        match source? {
            Value::Null => None,
            Value::String(all) if all == "all" => Some(Barrier::All),
            Value::Number(n) if n.as_u64().and_then(|n| u32::try_from(n).ok()).is_some() => {
                n.as_u64().and_then(|n| u32::try_from(n).ok()).map(Barrier::Count)
            }
            other => {
                let message = format!("expected `all` or how many, found `{other}`");
                self.wrong(&format!("{path}.join"), message);
                None
            }
        }
    }

    fn retry(&mut self, source: Option<&Value>, path: &str) -> Option<Retry> {
        let path = format!("{path}.retry");
        let map = match source? {
            Value::Null => return None,
            Value::Object(map) => map,
            _ => {
                self.wrong(&path, "expected an object with `count`");
                return None;
            }
        };
        let Some(count) = present(map, "count").cloned() else {
            self.wrong(&path, "expected `count`, how many times to try again");
            return None;
        };
        let backoff = match present(map, "backoff").map(Value::as_str) {
            None => Backoff::Constant,
            Some(Some("linear")) => Backoff::Linear,
            Some(Some("exponential")) => Backoff::Exponential,
            _ => {
                self.wrong(&format!("{path}.backoff"), "expected `linear` or `exponential`");
                Backoff::Constant
            }
        };
        let jitter = match present(map, "jitter") {
            Some(Value::Bool(true)) => 1.0,
            Some(given) => given.as_f64().unwrap_or(0.0).clamp(0.0, 1.0),
            None => 0.0,
        };
        Some(Retry {
            when: self.text(map, "when", &path),
            count,
            delay: present(map, "delay").cloned(),
            backoff,
            max_delay: present(map, "max_delay").cloned(),
            jitter,
            command: false,
        })
    }

    fn next(&mut self, source: Option<&Value>, path: &str) -> Vec<Transition> {
        let path = format!("{path}.next");
        let list = match source {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => {
                self.wrong(&path, "expected a list");
                return Vec::new();
            }
        };
        let mut next = Vec::with_capacity(list.len());
        for (at, source) in list.iter().enumerate() {
            let path = format!("{path}[{at}]");
            match source {
                Value::Object(map) => next.push(self.transition(map, &path)),
                _ => self.wrong(&path, "expected an object with `when`, `publish` or `do`"),
            }
        }
        next
    }

    fn transition(&mut self, map: &Map<String, Value>, path: &str) -> Transition {
        let to = match present(map, "do") {
            None => Vec::new(),
            Some(Value::String(text)) => {
                text.split(',').map(|name| name.trim().to_owned()).collect()
            }
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(_) => {
                self.wrong(&format!("{path}.do"), "expected the name of a task or a list of them");
                Vec::new()
            }
        };
        let to = if to.is_empty() { vec!["continue".to_owned()] } else { to };
        let publish = self.pairs(map.get("publish"), &format!("{path}.publish"));
        Transition { when: self.text(map, "when", path), publish, to }
    }

    fn check_targets(&mut self, tasks: &HashMap<Arc<str>, Task>) {
        let mut names: Vec<_> = tasks.keys().collect();
        names.sort();
        for name in names {
            for (at, transition) in tasks[name].next.iter().enumerate() {
                let known = |to: &str| tasks.contains_key(to) || is_command(to);
                for to in transition.to.iter().filter(|to| !known(to)) {
                    let path = format!("tasks.{name}.next[{at}].do");
                    self.wrong(&path, format!("there is no task `{to}`"));
                }
            }
        }
    }
}

pub(super) fn present<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null())
}

/// `x, y in <% ... %>` as names and expression; an expression alone has no names.
fn split_items(text: &str) -> (Vec<String>, String) {
    let bare = ["<%", "{{", "${"].iter().any(|open| text.starts_with(open));
    match text.split_once(" in ").filter(|_| !bare) {
        Some((names, list)) => {
            let names = names.replace(' ', "");
            (names.split(',').map(str::to_owned).collect(), list.trim().to_owned())
        }
        None => (Vec::new(), text.to_owned()),
    }
}
