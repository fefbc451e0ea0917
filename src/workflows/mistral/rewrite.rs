//! Expressions over Mistral's context, `$` in YAQL and `_` in Jinja, as expressions over `ctx()`.
//!
//! Names, brackets and texts in quotes are told apart; the rest passes as it stands. Within the
//! argument of `where`, `select` and their like `$` is the element, as it is here.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::workflows::mistral::keys::Reader;

/// Deeper values are refused; the files that people write nest a few levels.
const DEPTH_LIMIT: usize = 64;

/// The functions in whose arguments `$` is an element of the list before them. `join` and `mergeWith`
/// are not among them: their first argument is what people give, and there `$` is the context.
const OVER_ELEMENTS: [&str; 22] = [
    "accumulate",
    "aggregate",
    "all",
    "any",
    "assert",
    "distinct",
    "filter",
    "groupBy",
    "indexWhere",
    "lastIndexWhere",
    "map",
    "orderBy",
    "orderByDescending",
    "reduce",
    "select",
    "selectMany",
    "skipWhile",
    "sliceWhere",
    "takeWhile",
    "thenBy",
    "toDict",
    "where",
];

/// Functions that asked Mistral about itself, and what to write here.
const GONE: [(&str, &str); 3] = [
    ("env", "what StackStorm put there stands in `ctx().st2`, in a workflow written for Orquesta"),
    ("execution", "`ctx().st2.workflow_execution_id` gives its id, in a workflow for Orquesta"),
    ("global", "publish the value: every task behind sees it"),
];

/// What the names in expressions mean.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// All tasks of the workflow, as they are written.
    pub(super) tasks: BTreeSet<String>,
    /// All variables: inputs, `vars`, what any task publishes.
    pub(super) variables: BTreeSet<String>,
    /// The task in which the expression stands.
    pub(super) own: Option<String>,
    /// The names of its item's parts.
    pub(super) items: Vec<String>,
}

impl Names {
    /// The names of the workflow with these `fields`.
    pub(super) fn of(fields: &Map<String, Value>) -> Self {
        let mut names = Self::default();
        for key in ["input", "vars"] {
            names.variables.extend(keys(fields.get(key)));
        }
        let tasks = fields.get("tasks").and_then(Value::as_object).into_iter().flatten();
        for (name, task) in tasks {
            names.tasks.insert(name.clone());
            for clause in [task, &task["on-success"], &task["on-error"], &task["on-complete"]] {
                for key in ["publish", "publish-on-error"] {
                    names.variables.extend(keys(clause.get(key)));
                    for scope in ["branch", "global", "atomic"] {
                        names
                            .variables
                            .extend(keys(clause.get(key).and_then(|held| held.get(scope))));
                    }
                }
            }
        }
        names
    }

    /// What `$.name` is called here.
    fn meaning(&self, name: &str) -> String {
        if self.items.iter().any(|item| item == name) {
            format!("item('{name}')")
        } else if self.variables.contains(name) || !self.tasks.contains(name) {
            format!("ctx().{name}")
        } else if self.is_own(name) {
            "result()".to_owned()
        } else {
            format!("{}.result", task(name))
        }
    }

    fn is_own(&self, name: &str) -> bool {
        name.is_empty() || self.own.as_deref() == Some(name)
    }
}

/// The call that gives the task `name`.
fn task(name: &str) -> String {
    format!("task('{}')", plain(name))
}

fn keys(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Object(entries)) => entries.keys().cloned().collect(),
        Some(Value::Array(items)) => items
            .iter()
            .flat_map(|item| match item {
                Value::String(name) => vec![name.clone()],
                item => keys(Some(item)),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The name of a task as it may be called here: letters, digits and `_`, and no command's name.
pub(super) fn plain(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    if matches!(name.as_str(), "retry" | "continue") { format!("{name}_") } else { name }
}

/// Rewrites all expressions in `value`, those in keys too.
pub(super) fn value(value: &Value, names: &Names, path: &str, reader: &mut Reader) -> Value {
    deep(value, names, (path, DEPTH_LIMIT), reader)
}

fn deep(value: &Value, names: &Names, (path, depth): (&str, usize), reader: &mut Reader) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if depth == 0 => {
            reader.wrong(path, "nests too deeply", "split the value up");
            Value::Null
        }
        Value::String(held) => text(held, names, path, reader).into(),
        Value::Array(items) => {
            items.iter().map(|item| deep(item, names, (path, depth - 1), reader)).collect()
        }
        Value::Object(entries) => {
            let entry = |(key, held): (&String, &Value)| {
                let key = text(key, names, path, reader);
                (key, deep(held, names, (path, depth - 1), reader))
            };
            Value::Object(entries.iter().map(entry).collect())
        }
        other => other.clone(),
    }
}

/// Rewrites the expressions in `text`.
pub(super) fn text(text: &str, names: &Names, path: &str, reader: &mut Reader) -> String {
    static EXPRESSION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?s)<%(.*?)%>|\{\{(.*?)\}\}|\{%(.*?)%\}").expect("the pattern is written here")
    });
    let mut turned = String::with_capacity(text.len());
    let mut end = 0;
    for found in EXPRESSION.captures_iter(text) {
        let Some((inner, yaql)) = inner(&found) else { continue };
        turned += &text[end..inner.start()];
        turned += &Scan::new(inner.as_str(), names, yaql).run(path, reader);
        end = inner.end();
    }
    turned + &text[end..]
}

fn inner<'t>(found: &regex::Captures<'t>) -> Option<(regex::Match<'t>, bool)> {
    let yaql = found.get(1).map(|inner| (inner, true));
    yaql.or_else(|| found.get(2).or_else(|| found.get(3)).map(|inner| (inner, false)))
}

/// A walk over one expression.
struct Scan<'a> {
    rest: &'a str,
    names: &'a Names,
    yaql: bool,
    turned: String,
    /// For each bracket that is open, whether `$` is an element in it.
    open: Vec<bool>,
    /// The name that ended last, where nothing stands between, and whether it followed a dot.
    last: Option<(&'a str, bool)>,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str, names: &'a Names, yaql: bool) -> Self {
        let (turned, open, last) = (String::with_capacity(text.len()), Vec::new(), None);
        Self { rest: text, names, yaql, turned, open, last }
    }

    fn run(mut self, path: &str, reader: &mut Reader) -> String {
        while let Some(next) = self.rest.chars().next() {
            let last = self.last.take();
            match next {
                '\'' | '"' | '`' => self.quoted(next),
                '$' if self.yaql => self.context("$"),
                c if c.is_alphanumeric() || c == '_' => self.name(path, reader),
                c => {
                    match c {
                        '(' | '[' | '{' => self.open.push(over_elements(last)),
                        ')' | ']' | '}' => drop(self.open.pop()),
                        c if c.is_whitespace() => self.last = last,
                        _ => {}
                    }
                    self.copy(c.len_utf8());
                }
            }
        }
        self.turned
    }

    fn copy(&mut self, bytes: usize) {
        let (head, rest) = self.rest.split_at(bytes);
        self.turned += head;
        self.rest = rest;
    }

    fn quoted(&mut self, mark: char) {
        let mut escaped = false;
        let mut inside = self.rest.char_indices().skip(1);
        let end = inside.find(|(_, c)| {
            let ends = *c == mark && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        self.copy(end.map_or(self.rest.len(), |(at, c)| at + c.len_utf8()));
    }

    /// `$` or `_`, and the variable behind it.
    fn context(&mut self, mark: &str) {
        let rest = &self.rest[mark.len()..];
        let named = name_at(rest);
        if !named.is_empty() || self.open.contains(&true) {
            // `$1` and `$x` are what `let` and `def` set.
            return self.copy(mark.len() + named.len());
        }
        let variable = rest.strip_prefix('.').map(name_at).unwrap_or_default();
        let called = rest[rest.len().min(1 + variable.len())..].trim_start().starts_with('(');
        if variable.is_empty() || called {
            self.turned += "ctx()";
            self.rest = rest;
        } else {
            self.turned += &self.names.meaning(variable);
            self.rest = &rest[1 + variable.len()..];
        }
    }

    fn name(&mut self, path: &str, reader: &mut Reader) {
        let name = name_at(self.rest);
        let dotted = self.turned.trim_end().ends_with('.');
        let called = self.rest[name.len()..].trim_start().starts_with('(');
        if !dotted && !self.yaql && name == "_" {
            return self.context("_");
        }
        if !dotted && name == "task" && called && self.task() {
            return;
        }
        if let Some((_, help)) = GONE.iter().find(|(gone, _)| !dotted && called && *gone == name) {
            reader.wrong(path, &format!("`{name}()` cannot be run"), help);
        }
        self.last = Some((name, dotted));
        self.copy(name.len());
    }

    /// `task(name)`, which may be the one that just ended. Says whether it was one.
    fn task(&mut self) -> bool {
        static TASK: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r#"^task\s*\(\s*(?:'([^']*)'|"([^"]*)"|([\w-]*))\s*\)(\.result\b)?"#)
                .expect("the pattern is written here")
        });
        let Some(found) = TASK.captures(self.rest) else { return false };
        let name = (1..=3).find_map(|group| found.get(group)).map_or("", |name| name.as_str());
        let result = found.get(4).is_some();
        if self.names.is_own(name) && result {
            self.turned += "result()";
        } else {
            let own = self.names.own.as_deref().unwrap_or_default();
            self.turned += &task(if name.is_empty() { own } else { name });
            self.turned += if result { ".result" } else { "" };
        }
        let bytes = found[0].len();
        self.rest = &self.rest[bytes..];
        true
    }
}

fn name_at(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

fn over_elements(last: Option<(&str, bool)>) -> bool {
    last.is_some_and(|(name, dotted)| dotted && OVER_ELEMENTS.contains(&name))
}
