//! The graph of a workflow: which task leads to which, where ways meet, split and turn in circles.
//!
//! It is Orquesta's graph: several edges may lead from one task to the same next one, and a task that
//! several lead to without a `join` starts a way of its own for each ("split").

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::workflows::additions::Backoff;
use crate::workflows::definition::{Barrier, Retry, Task, is_command};

/// Visits up to which the graph is composed exactly as Orquesta does, whose walk grows with the number
/// of ways through the graph. Beyond, a visit that can change nothing is left out; only the order of
/// names in `splits` may then differ, which nothing but a drawing reads.
const EXACT_VISITS: usize = 20_000;

/// A composed graph.
#[derive(Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    index: HashMap<Arc<str>, u32>,
    roots: Vec<u32>,
}

/// A task in the graph.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// How many must have come before it starts.
    pub barrier: Option<Barrier>,
    /// The splits on the way to it, itself among them.
    pub splits: Vec<Arc<str>>,
    /// When to try again.
    pub retry: Option<Retry>,
    /// The edges that leave it, sorted by the name of the task they lead to.
    pub out: Vec<Edge>,
    /// The tasks it leads to, each once.
    pub targets: Vec<u32>,
    /// How many tasks lead to it.
    pub sources: u32,
    /// Whether several lead to it and it does not wait for them.
    pub split: bool,
    /// Whether a way leads from it back to it.
    pub in_cycle: bool,
}

/// A way from one task to another.
#[derive(Debug)]
pub struct Edge {
    /// The node it leads to.
    pub to: u32,
    /// Tells edges between the same two tasks apart, from 0.
    pub key: u32,
    /// When it is followed.
    pub when: Option<String>,
    /// The entry of `next` it comes from, from 0.
    pub transition: usize,
    /// Its name where it leaves: `to__t0`.
    pub id: Arc<str>,
    /// Its name where it arrives: `from__t0`.
    pub back: Arc<str>,
}

impl Graph {
    /// Composes the graph of `tasks`; every task they lead to must be among them or a command.
    #[must_use]
    pub fn compose(tasks: &HashMap<Arc<str>, Task>) -> Self {
        Composer::new(tasks).compose()
    }

    /// Every node, in the order in which the walk met them.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node at `at`, which must come from this graph.
    #[must_use]
    pub fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    /// The node called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Node> {
        self.index.get(name).map(|at| self.node(*at))
    }

    /// The tasks with which the workflow starts, sorted by name.
    pub fn roots(&self) -> impl Iterator<Item = &Node> {
        self.roots.iter().map(|at| self.node(*at))
    }

    /// The graph as networkx writes it down (`adjacency_data`), as StackStorm's API shows it.
    #[must_use]
    pub fn adjacency(&self) -> Value {
        let nodes: Vec<Value> = self.nodes.iter().map(Node::json).collect();
        let adjacency: Vec<Value> = self
            .nodes
            .iter()
            .map(|node| node.out.iter().map(|edge| self.edge(edge)).collect())
            .collect();
        json!({ "directed": true, "multigraph": true, "graph": [], "nodes": nodes, "adjacency": adjacency })
    }

    fn edge(&self, edge: &Edge) -> Value {
        let criteria: Vec<&String> = edge.when.iter().collect();
        let to = &self.node(edge.to).name;
        json!({ "criteria": criteria, "ref": edge.transition, "id": to, "key": edge.key })
    }
}

impl Node {
    fn json(&self) -> Value {
        let mut node = json!({ "id": self.name });
        match self.barrier {
            Some(Barrier::All) => node["barrier"] = json!("*"),
            Some(Barrier::Count(n)) => node["barrier"] = json!(n),
            None => {}
        }
        if !self.splits.is_empty() {
            node["splits"] = json!(self.splits);
        }
        if let Some(retry) = &self.retry {
            node["retry"] = json!({ "when": retry.when, "count": retry.count });
            if !retry.command {
                node["retry"]["delay"] = json!(retry.delay);
            }
        }
        node
    }
}

/// The walk over the tasks that makes a graph of them.
struct Composer<'a> {
    tasks: &'a HashMap<Arc<str>, Task>,
    names: Vec<Arc<str>>,
    /// For each name: what follows, sorted by name: name, condition, entry of `next`.
    next: Vec<Vec<(u32, Option<&'a str>, usize)>>,
    /// For each name: how many entries of all `next` lead to it.
    entering: Vec<usize>,
    in_cycle: Vec<bool>,
    met: Vec<Option<u32>>,
    nodes: Vec<Node>,
}

impl<'a> Composer<'a> {
    fn new(tasks: &'a HashMap<Arc<str>, Task>) -> Self {
        let mut names: Vec<Arc<str>> = tasks.keys().cloned().collect();
        let commands: HashSet<&str> = tasks
            .values()
            .flat_map(|task| task.next.iter().flat_map(|next| &next.to))
            .map(String::as_str)
            .filter(|to| is_command(to))
            .collect();
        names.extend(commands.into_iter().map(Arc::from));
        // Sorted, so that sorting by number is sorting by name.
        names.sort();
        let at: HashMap<&str, u32> =
            names.iter().zip(0..).map(|(name, at)| (name.as_ref(), at)).collect();
        let mut entering = vec![0; names.len()];
        let mut next = Vec::with_capacity(names.len());
        for name in &names {
            let mut leaving = Vec::new();
            for (entry, transition) in
                tasks.get(name).map_or(&[][..], |task| &task.next).iter().enumerate()
            {
                for to in transition.to.iter().filter_map(|to| at.get(to.as_str())) {
                    leaving.push((*to, transition.when.as_deref(), entry));
                    entering[*to as usize] += 1;
                }
            }
            leaving.sort_by_key(|(to, ..)| *to);
            next.push(leaving);
        }
        let met = vec![None; names.len()];
        let in_cycle = cycles(&next);
        Self { tasks, names, next, entering, in_cycle, met, nodes: Vec::new() }
    }

    fn compose(mut self) -> Graph {
        let mut queue: VecDeque<(u32, Vec<u32>)> = VecDeque::new();
        let mut tracked: HashMap<u32, HashSet<u32>> = HashMap::new();
        let mut seen: HashSet<(u32, Vec<u32>)> = HashSet::new();
        let starts = (0..).zip(&self.entering).filter(|(_, entering)| **entering == 0);
        queue.extend(starts.map(|(at, _)| (at, Vec::new())));
        let mut visits = 0;
        while let Some((at, mut splits)) = queue.pop_front() {
            visits += 1;
            if visits > EXACT_VISITS && !seen.insert((at, splits.clone())) {
                continue;
            }
            self.visit(at, &mut splits);
            for (to, when, transition) in self.next[at as usize].clone() {
                if self.names[to as usize].as_ref() == "retry" {
                    self.retry(at, when);
                    continue;
                }
                if self.met[to as usize].is_none() || !self.in_cycle[to as usize] {
                    let before = tracked.entry(to).or_default();
                    if before.is_empty() || !splits.iter().all(|split| before.contains(split)) {
                        queue.push_back((to, splits.clone()));
                        before.extend(&splits);
                    }
                }
                self.connect(at, to, when, transition);
            }
        }
        self.finish()
    }

    /// The node of the name `at`, made where it is new.
    fn node(&mut self, at: u32) -> u32 {
        if let Some(node) = self.met[at as usize] {
            return node;
        }
        let node = u32::try_from(self.nodes.len()).expect("fewer tasks than 2^32");
        self.nodes.push(Node {
            name: Arc::clone(&self.names[at as usize]),
            barrier: None,
            splits: Vec::new(),
            retry: None,
            out: Vec::new(),
            targets: Vec::new(),
            sources: 0,
            split: self.is_split(at),
            in_cycle: self.in_cycle[at as usize],
        });
        self.met[at as usize] = Some(node);
        node
    }

    fn is_split(&self, at: u32) -> bool {
        let joins =
            self.tasks.get(&self.names[at as usize]).is_some_and(|task| task.join.is_some());
        !joins && self.entering[at as usize] > 1
    }

    fn visit(&mut self, at: u32, splits: &mut Vec<u32>) {
        if self.is_split(at) && !self.in_cycle[at as usize] {
            splits.push(at);
        }
        let node = self.node(at) as usize;
        let task = self.tasks.get(&self.names[at as usize]);
        self.nodes[node].barrier = task.and_then(|task| task.join);
        if let Some(retry) = task.and_then(|task| task.retry.as_ref()) {
            self.nodes[node].retry = Some(retry.clone());
        }
        if !splits.is_empty() {
            let names = splits.iter().map(|split| Arc::clone(&self.names[*split as usize]));
            self.nodes[node].splits = names.collect();
        }
    }

    /// The command `retry`: three times, without a pause.
    fn retry(&mut self, at: u32, when: Option<&str>) {
        let node = self.node(at) as usize;
        let when = Some(when.unwrap_or("<% completed() %>").to_owned());
        self.nodes[node].retry = Some(Retry {
            when,
            count: json!(3),
            delay: None,
            backoff: Backoff::Constant,
            max_delay: None,
            jitter: 0.0,
            command: true,
        });
    }

    fn connect(&mut self, from: u32, to: u32, when: Option<&str>, transition: usize) {
        let target = self.node(to);
        let from = self.node(from) as usize;
        let same = |edge: &&Edge| edge.to == target;
        let out = &self.nodes[from].out;
        let known = |edge: &Edge| edge.when.as_deref() == when && edge.transition == transition;
        if out.iter().filter(same).any(known) {
            return;
        }
        let key = u32::try_from(out.iter().filter(same).count()).expect("fewer edges than 2^32");
        let id = Arc::from(format!("{}__t{key}", self.nodes[target as usize].name));
        let back = Arc::from(format!("{}__t{key}", self.nodes[from].name));
        let when = when.map(str::to_owned);
        self.nodes[from].out.push(Edge { to: target, key, when, transition, id, back });
    }

    fn finish(mut self) -> Graph {
        let names: Vec<Arc<str>> = self.nodes.iter().map(|node| Arc::clone(&node.name)).collect();
        for from in 0..self.nodes.len() {
            self.nodes[from].out.sort_by(|a, b| names[a.to as usize].cmp(&names[b.to as usize]));
            let mut targets: Vec<u32> = self.nodes[from].out.iter().map(|edge| edge.to).collect();
            targets.dedup();
            for to in &targets {
                self.nodes[*to as usize].sources += 1;
            }
            self.nodes[from].targets = targets;
        }
        let mut roots: Vec<u32> = (0..)
            .zip(&self.nodes)
            .filter(|(_, node)| node.sources == 0)
            .map(|(at, _)| at)
            .collect();
        roots.sort_by(|a, b| self.nodes[*a as usize].name.cmp(&self.nodes[*b as usize].name));
        let index =
            self.nodes.iter().zip(0..).map(|(node, at)| (Arc::clone(&node.name), at)).collect();
        Graph { nodes: self.nodes, index, roots }
    }
}

/// Which of the tasks lie on a circle: those that share a strongly connected component with another, or
/// lead to themselves. Tarjan's walk, with a stack of its own because the graph may be deep.
fn cycles(next: &[Vec<(u32, Option<&str>, usize)>]) -> Vec<bool> {
    let count = next.len();
    let (mut order, mut low) = (vec![usize::MAX; count], vec![0; count]);
    let (mut on_stack, mut in_cycle) = (vec![false; count], vec![false; count]);
    let (mut stack, mut walk, mut clock) = (Vec::new(), Vec::new(), 0);
    for start in 0..count {
        if order[start] == usize::MAX {
            walk.push((start, 0));
        }
        while let Some((at, edge)) = walk.pop() {
            if edge == 0 {
                (order[at], low[at]) = (clock, clock);
                clock += 1;
                stack.push(at);
                on_stack[at] = true;
            } else {
                let before = next[at][edge - 1].0 as usize;
                low[at] = if on_stack[before] { low[at].min(low[before]) } else { low[at] };
            }
            if let Some((to, ..)) = next[at].get(edge) {
                let to = *to as usize;
                in_cycle[at] |= to == at;
                walk.push((at, edge + 1));
                if order[to] == usize::MAX {
                    walk.push((to, 0));
                }
            } else if low[at] == order[at] {
                let from = stack.iter().rposition(|member| *member == at).unwrap_or(0);
                let component = stack.split_off(from);
                for member in &component {
                    on_stack[*member] = false;
                    in_cycle[*member] |= component.len() > 1;
                }
            }
        }
    }
    in_cycle
}
