//! A workflow's graph as people look at it: a picture (SVG) or text. What there is to draw comes in as a
//! `Picture`; nothing here knows where it was read.

pub mod layout;
pub mod svg;
pub mod text;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::workflows::conduct::outline::Outline;
use crate::workflows::conduct::state::State;
use crate::workflows::definition::{Barrier, Definition, Task, is_command};

/// Characters of a condition that stand in a drawing; the whole is its title.
const CONDITION_CHARS: usize = 28;

/// What is drawn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Picture {
    /// What it is called.
    pub title: String,
    /// Whether it is of one execution: tasks then have states.
    pub lives: bool,
    /// The tasks.
    pub nodes: Vec<Node>,
    /// What leads from one to another, each pair once.
    pub edges: Vec<Edge>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Its action; nothing for a command or a task without one.
    pub action: Option<String>,
    /// What is to be known of it: `joins all`, `with items`, `retry`.
    pub notes: Vec<String>,
    /// Whether it waits for several.
    pub joins: bool,
    /// Whether it is a command (`fail`).
    pub command: bool,
    /// Where it stands, where it has begun.
    pub state: Option<&'static str>,
    /// How often it ran, where more than once.
    pub runs: usize,
}

/// What leads from one task to another.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Edge {
    /// The node it leaves.
    pub from: usize,
    /// The node it leads to.
    pub to: usize,
    /// When it is followed, whole; nothing: always.
    pub conditions: Vec<String>,
    /// Whether it was followed; nothing while that is not known.
    pub followed: Option<bool>,
}

impl Edge {
    /// The conditions in a few words, in `most` characters at most; empty for always.
    #[must_use]
    pub fn label(&self, most: usize) -> String {
        let words: Vec<String> = self.conditions.iter().map(|when| short(when)).collect();
        cut(&words.join(" or "), most)
    }
}

impl Picture {
    /// The picture of a definition, and of the run that `outline` tells of. Commands that lead nowhere
    /// (`continue`, `noop`) are left out: they would tie together what has nothing to do with each other.
    #[must_use]
    pub fn of(title: &str, definition: &Definition, outline: Option<&Outline>) -> Self {
        let graph = definition.graph();
        let shown = |name: &str| !matches!(name, "continue" | "noop" | "retry");
        let mut places = HashMap::new();
        let mut nodes = Vec::new();
        for (at, node) in (0u32..).zip(graph.nodes()).filter(|(_, node)| shown(&node.name)) {
            places.insert(at, nodes.len());
            let task = definition.task(&node.name).filter(|_| !is_command(&node.name));
            nodes.push(Node {
                name: Arc::clone(&node.name),
                action: task.and_then(|task| task.action.clone()),
                notes: notes(node.barrier, task),
                joins: node.barrier.is_some(),
                command: is_command(&node.name),
                ..Node::default()
            });
        }
        let mut edges: Vec<Edge> = Vec::new();
        for (at, node) in (0u32..).zip(graph.nodes()) {
            let Some(from) = places.get(&at).copied() else { continue };
            let went = went(outline, &node.name, node.out.len());
            for (edge, followed) in node.out.iter().zip(went) {
                let Some(to) = places.get(&edge.to).copied() else { continue };
                let known = edges.iter_mut().find(|known| known.from == from && known.to == to);
                let conditions = Vec::from_iter(edge.when.clone());
                match known {
                    Some(known) => {
                        // Another entry that is always followed makes the whole so.
                        if conditions.is_empty() || known.conditions.is_empty() {
                            known.conditions.clear();
                        } else {
                            known.conditions.extend(conditions);
                        }
                        known.followed = known.followed.max(followed);
                    }
                    None => edges.push(Edge { from, to, conditions, followed }),
                }
            }
        }
        let mut picture = Self { title: title.to_owned(), lives: outline.is_some(), nodes, edges };
        if let Some(outline) = outline {
            picture.mark(outline);
        }
        picture
    }

    /// Where each task stands: as its last run does.
    fn mark(&mut self, outline: &Outline) {
        let mut last: HashMap<&str, (State, usize)> = HashMap::new();
        for line in &outline.tasks {
            let runs = last.get(&*line.name).map_or(0, |(_, runs)| *runs);
            last.insert(&line.name, (line.state, runs + 1));
        }
        let waiting: HashSet<&str> = outline.waiting.iter().map(|waiting| &*waiting.name).collect();
        for node in &mut self.nodes {
            match last.get(&*node.name) {
                Some((State::Unset, _)) => node.state = Some(State::Delayed.word()),
                Some((state, runs)) => (node.state, node.runs) = (Some(state.word()), *runs),
                None if waiting.contains(&*node.name) && !outline.state.is_done() => {
                    node.state = Some("waits");
                }
                None => {}
            }
        }
    }
}

/// For each edge that leaves a task, whether any run of it followed it.
fn went(outline: Option<&Outline>, name: &str, edges: usize) -> Vec<Option<bool>> {
    let mut went = vec![None; edges];
    let lines = outline.into_iter().flat_map(|outline| &outline.tasks);
    for line in lines.filter(|line| &*line.name == name) {
        for (went, followed) in went.iter_mut().zip(&line.followed) {
            *went = (*went).max(*followed);
        }
    }
    went
}

fn notes(barrier: Option<Barrier>, task: Option<&Task>) -> Vec<String> {
    let mut notes = Vec::new();
    match barrier {
        Some(Barrier::All) => notes.push("joins all".to_owned()),
        Some(Barrier::Count(count)) => notes.push(format!("joins {count}")),
        None => {}
    }
    let Some(task) = task else { return notes };
    for (note, has) in [
        ("with items", task.items.is_some()),
        ("retry", task.retry.is_some()),
        ("delay", task.delay.is_some()),
        ("approve", task.additions.approve.is_some()),
        ("until", task.additions.until.is_some()),
        ("undo", task.additions.compensate.is_some()),
    ] {
        if has {
            notes.push(note.to_owned());
        }
    }
    notes
}

/// `<% succeeded() %>` as `succeeded`.
fn short(when: &str) -> String {
    let text = when.trim();
    let inner = [("<%", "%>"), ("{{", "}}"), ("${", "}")].iter().find_map(|(open, close)| {
        text.strip_prefix(open).and_then(|text| text.strip_suffix(close)).map(str::trim)
    });
    let inner = inner.unwrap_or(text);
    match inner {
        "succeeded()" => "succeeded".to_owned(),
        "failed()" => "failed".to_owned(),
        "completed()" => "completed".to_owned(),
        other => other.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// A text in so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most - 1).collect();
    format!("{}…", cut.trim_end())
}

/// The mark of a state, beside its word: colour alone says nothing.
#[must_use]
pub const fn mark(state: &str) -> char {
    match state.as_bytes() {
        b"succeeded" => '✓',
        b"failed" | b"timeout" | b"abandoned" => '✗',
        b"running" | b"resuming" => '▶',
        b"paused" | b"pausing" => '‖',
        b"pending" => '?',
        b"canceled" | b"canceling" => '⊘',
        _ => '○',
    }
}
