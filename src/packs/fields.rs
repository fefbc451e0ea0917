//! Reads the fields of one mapping and says what is wrong with each, at its place.

use std::time::Duration;

use serde_json::Value;

use crate::model::problem::{Place, Problem, Severity, nearest};
use crate::model::span;
use crate::packs::yaml::{Node, Tree};

/// Texts that YAML 1.1, and with it StackStorm, takes for booleans.
const TRUE: [&str; 4] = ["yes", "Yes", "on", "On"];
const FALSE: [&str; 4] = ["no", "No", "off", "Off"];

/// One mapping on its way into a struct.
pub(crate) struct Fields<'n, 'p> {
    node: &'n Node,
    place: &'n Place,
    /// What the mapping is, for people: "action", "trigger", ….
    noun: &'static str,
    known: Vec<&'static str>,
    problems: &'p mut Vec<Problem>,
}

impl<'n, 'p> Fields<'n, 'p> {
    /// The fields of `node`, which describes a `noun`; a problem where it is no mapping.
    pub(crate) fn new(
        node: &'n Node,
        place: &'n Place,
        noun: &'static str,
        problems: &'p mut Vec<Problem>,
    ) -> Self {
        let a = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        if node.tree == Tree::Null {
            let message = format!("the file is empty; expected the fields of {a} {noun}");
            problems.push(Problem::error("empty_file", place.clone(), message));
        } else if !matches!(node.tree, Tree::Mapping(_)) {
            let message = format!("expected the fields of {a} {noun}, found {}", node.kind());
            problems.push(Problem::error("not_a_mapping", node.place(place), message));
        }
        Self { node, place, noun, known: Vec::new(), problems }
    }

    /// The value of `name`, `null` taken for absent.
    pub(crate) fn node(&mut self, name: &'static str) -> Option<&'n Node> {
        self.known.push(name);
        self.node.get(name).filter(|node| node.tree != Tree::Null)
    }

    /// The value of `name` as JSON; null where absent.
    pub(crate) fn json(&mut self, name: &'static str) -> Value {
        self.node(name).map_or(Value::Null, Node::to_json)
    }

    /// The text of `name`; numbers are taken as written.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        let node = self.node(name)?;
        match &node.tree {
            Tree::Text(text) => Some(text.clone()),
            Tree::Number(number) => Some(number.to_string()),
            _ => self.wrong(name, node, "a text"),
        }
    }

    /// As `text`, but it has to be there.
    pub(crate) fn required(&mut self, name: &'static str) -> String {
        // Where it is no mapping that is said already.
        if self.node(name).is_none() && matches!(self.node.tree, Tree::Mapping(_)) {
            let message = format!("`{name}` is missing");
            let problem = Problem::error("missing_field", self.node.place(self.place), message)
                .help(format!("add `{name}: …` to the {}", self.noun));
            self.problems.push(problem);
        }
        self.text(name).unwrap_or_default()
    }

    /// The boolean of `name`.
    pub(crate) fn flag(&mut self, name: &'static str) -> Option<bool> {
        let node = self.node(name)?;
        match &node.tree {
            Tree::Bool(flag) => Some(*flag),
            Tree::Text(text) if TRUE.contains(&text.as_str()) => Some(true),
            Tree::Text(text) if FALSE.contains(&text.as_str()) => Some(false),
            _ => self.wrong(name, node, "`true` or `false`"),
        }
    }

    /// The whole number of `name`, from 0.
    pub(crate) fn count(&mut self, name: &'static str) -> Option<u32> {
        let node = self.node(name)?;
        let count = match &node.tree {
            Tree::Number(number) => number.as_u64().and_then(|count| u32::try_from(count).ok()),
            _ => None,
        };
        count.or_else(|| self.wrong(name, node, "a whole number from 0"))
    }

    /// The span of `name`: `30s`, `1h 30m`, or a number of seconds.
    pub(crate) fn span(&mut self, name: &'static str) -> Option<Duration> {
        let node = self.node(name)?;
        let span = match &node.tree {
            Tree::Number(number) => {
                number.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            }
            Tree::Text(text) => span::parse(text).ok(),
            _ => None,
        };
        span.or_else(|| self.wrong(name, node, "a span such as `30s`, `5m` or `1h 30m`"))
    }

    /// The list of `name`; a single value stands for a list of one.
    pub(crate) fn list(&mut self, name: &'static str) -> &'n [Node] {
        match self.node(name) {
            Some(Node { tree: Tree::List(items), .. }) => items,
            Some(single) => std::slice::from_ref(single),
            None => &[],
        }
    }

    /// The texts of the list `name`.
    pub(crate) fn texts(&mut self, name: &'static str) -> Vec<String> {
        let items = self.list(name);
        let mut texts = Vec::new();
        for item in items {
            match &item.tree {
                Tree::Text(text) => texts.push(text.clone()),
                Tree::Number(number) => texts.push(number.to_string()),
                _ => texts.extend(self.wrong::<String>(name, item, "a text")),
            }
        }
        texts
    }

    /// A problem at `node`: the value of `name` is not `expected`.
    pub(crate) fn wrong<T>(&mut self, name: &str, node: &Node, expected: &str) -> Option<T> {
        let message = format!("`{name}` is {}; expected {expected}", shown(node));
        let problem = Problem::error("wrong_type", node.place(self.place), message);
        self.problems.push(problem);
        None
    }

    /// Adds an error at `node`.
    pub(crate) fn error(&mut self, code: &str, node: &Node, message: String, help: &str) {
        let problem = Problem::error(code, node.place(self.place), message).help(help);
        self.problems.push(problem);
    }

    /// A word out of `words` under `name`.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let node = self.node(name)?;
        let text = self.text(name)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("`{name}` is `{text}`; expected {}", listed(&known));
        let mut problem = Problem::error("unknown_word", node.place(self.place), message);
        problem.help = meant(&text, known);
        self.problems.push(problem);
        None
    }

    /// Reports every key that nobody asked for. `also` are keys that are known and not used.
    pub(crate) fn finish(self, severity: Severity, also: &[&'static str]) {
        for (key, _) in self.node.entries() {
            let known = || self.known.iter().chain(also).copied();
            if known().any(|name| name == key.name) {
                continue;
            }
            let message = format!("unknown field `{}`", key.name);
            let mut problem = Problem::error("unknown_field", key.place(self.place), message);
            problem.severity = severity;
            let mut every: Vec<&str> = Vec::new();
            known().for_each(|name| {
                if !every.contains(&name) {
                    every.push(name);
                }
            });
            problem.help = meant(&key.name, every.iter().copied())
                .or_else(|| Some(format!("the {} may have {}", self.noun, listed(&every))));
            self.problems.push(problem);
        }
    }
}

/// "did you mean `x`?", where something known is close to `given`.
pub(crate) fn meant<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    nearest(given, known).map(|name| format!("did you mean `{name}`?"))
}

/// `a`, `b` and `c`.
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => "nothing".to_owned(),
    }
}

fn shown(node: &Node) -> String {
    match &node.tree {
        Tree::Bool(value) => format!("`{value}`"),
        Tree::Number(value) => format!("`{value}`"),
        Tree::Text(value) if value.len() <= 40 => format!("`{value}`"),
        _ => node.kind().to_owned(),
    }
}
