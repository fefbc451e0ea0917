//! A picture as text: a tree in which each task stands once, and is pointed at elsewhere.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::workflows::drawing::{Node, Picture, cut, mark};

/// Characters of a condition.
const CONDITION_CHARS: usize = 70;
/// Characters of a name.
const NAME_CHARS: usize = 60;

/// The picture as lines.
#[must_use]
pub fn draw(picture: &Picture) -> String {
    let mut drawer =
        Drawer { picture, drawn: HashSet::new(), text: format!("{}\n", picture.title) };
    let entered: HashSet<usize> =
        picture.edges.iter().filter(|edge| edge.from != edge.to).map(|edge| edge.to).collect();
    let count = picture.nodes.len();
    let roots = (0..count).filter(|at| !entered.contains(at));
    for at in roots.chain(0..count).collect::<Vec<_>>() {
        if drawer.drawn.insert(at) {
            writeln!(drawer.text, "{}", thing(&picture.nodes[at], picture.lives)).ok();
            drawer.below(at);
        }
    }
    drawer.text
}

struct Drawer<'a> {
    picture: &'a Picture,
    drawn: HashSet<usize>,
    text: String,
}

/// What is still to be drawn of one task: its edges, and the branches before them.
struct Open {
    edges: Vec<usize>,
    next: usize,
    lead: String,
}

impl Drawer<'_> {
    /// Everything that follows from a task; with a stack of its own, for chains may be long.
    fn below(&mut self, at: usize) {
        let mut open = vec![self.open(at, String::new())];
        while let Some(mut top) = open.pop() {
            let Some(number) = top.edges.get(top.next).copied() else { continue };
            top.next += 1;
            let last = top.next == top.edges.len();
            let only = top.edges.len() == 1;
            let edge = &self.picture.edges[number];
            let (corner, below) = if last { ("└", "   ") } else { ("├", "│  ") };
            let label = edge.label(CONDITION_CHARS);
            let label = if label.is_empty() { String::new() } else { format!("{label} → ") };
            let passed = if edge.followed == Some(true) { "═" } else { "─" };
            let node = &self.picture.nodes[edge.to];
            let new = self.drawn.insert(edge.to);
            let to = if new {
                thing(node, self.picture.lives)
            } else {
                format!("{} (above)", cut(&node.name, NAME_CHARS))
            };
            // A chain goes straight down: indenting each step would run off the page.
            let chain = only && new;
            let lead = if chain { top.lead.clone() } else { format!("{}{below}", top.lead) };
            let arrow = if edge.followed == Some(true) { "⇓" } else { "↓" };
            let branch = if chain { arrow.to_owned() } else { format!("{corner}{passed}") };
            writeln!(self.text, "{}{branch} {label}{to}", top.lead).ok();
            open.push(top);
            if new {
                open.push(self.open(edge.to, lead));
            }
        }
    }

    fn open(&self, at: usize, lead: String) -> Open {
        let edges = self.picture.edges.iter().enumerate().filter(|(_, edge)| edge.from == at);
        Open { edges: edges.map(|(number, _)| number).collect(), next: 0, lead }
    }
}

/// `✓ build succeeded  core.local  (joins all)`.
fn thing(node: &Node, lives: bool) -> String {
    let mut text = String::new();
    if lives && !node.command {
        text.push(mark(node.state.unwrap_or_default()));
        text.push(' ');
    }
    text += &cut(&node.name, NAME_CHARS);
    if let Some(state) = node.state {
        write!(text, " {state}").ok();
        if node.runs > 1 {
            write!(text, " ×{}", node.runs).ok();
        }
    }
    if let Some(action) = &node.action {
        write!(text, "  {}", cut(action, NAME_CHARS)).ok();
    }
    if !node.notes.is_empty() {
        write!(text, "  ({})", node.notes.join(", ")).ok();
    }
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
