//! The context on one way through the graph: what was published, in which order it counts.
//!
//! Orquesta writes down for each task the numbers of all contexts before it, a list that grows with every
//! step and doubles at every join. Here a way only knows by which arrivals it came about; the list they
//! stand for is folded when somebody asks, later writers winning.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::workflows::Context;

/// Folded ways that are remembered. They can be folded again at any time; 256 keeps those of a wide
/// workflow's tasks that are under way.
const REMEMBERED: usize = 256;

/// Of those, with the root: the ways of tasks that begin and end together.
const REMEMBERED_WHOLE: usize = 16;

/// How something came to the start of a way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    /// The task it came from, by its place in the order of tasks, from 0.
    pub(super) from: u32,
    /// Which of the edges that leave that task, from 0.
    pub(super) edge: u32,
    /// What was published on it, by its place among the contexts.
    pub(super) delta: Option<u32>,
}

/// A way: all that arrived, in its order. One on which nothing arrived begins at the root.
pub(super) type Way = Vec<Arrival>;

/// Folded ways, without what stands at the root.
#[derive(Debug, Default)]
pub(super) struct Folded {
    known: HashMap<u32, Arc<Context>>,
    order: VecDeque<u32>,
    /// The last ones with the root under them.
    whole: VecDeque<(u32, Arc<Context>)>,
}

/// What is folded.
pub(super) struct Ways<'a> {
    pub(super) all: &'a [Way],
    pub(super) contexts: &'a [Arc<Context>],
    /// On which way the task at a place runs.
    pub(super) way_of: &'a dyn Fn(u32) -> u32,
}

impl Folded {
    /// Forgets the way `at`, on which something has arrived.
    pub(super) fn forget(&mut self, at: u32) {
        self.known.remove(&at);
        self.whole.retain(|(way, _)| *way != at);
    }

    /// All that is known on the way `at`: what was published over what stands at the root.
    pub(super) fn whole(&mut self, at: u32, among: &Ways<'_>) -> Arc<Context> {
        if let Some((_, known)) = self.whole.iter().find(|(way, _)| *way == at) {
            return Arc::clone(known);
        }
        let folded = self.fold(at, among);
        let root = among.contexts.first().map_or_else(Arc::default, Arc::clone);
        let whole = if folded.is_empty() { root } else { Arc::new(lay_under(&folded, &root)) };
        if self.whole.len() >= REMEMBERED_WHOLE {
            self.whole.pop_front();
        }
        self.whole.push_back((at, Arc::clone(&whole)));
        whole
    }

    /// All that was published on the way `at`, without the root.
    pub(super) fn fold(&mut self, at: u32, among: &Ways<'_>) -> Arc<Context> {
        // What is folded for this answer is kept until it is given, whatever is forgotten meanwhile.
        let mut fresh: HashMap<u32, Arc<Context>> = HashMap::new();
        let mut opened: HashSet<u32> = HashSet::new();
        let mut todo = vec![at];
        while let Some(way) = todo.last().copied() {
            if fresh.contains_key(&way) {
                todo.pop();
                continue;
            }
            if let Some(known) = self.known.get(&way) {
                fresh.insert(way, Arc::clone(known));
                continue;
            }
            let arrivals = &among.all[way as usize];
            if opened.insert(way) {
                // A way never leads to itself; rows that say so are damaged, and it ends there.
                let before = arrivals.iter().map(|arrival| (among.way_of)(arrival.from));
                let open = |before: &u32| !fresh.contains_key(before) && !opened.contains(before);
                todo.extend(before.filter(open));
            } else {
                let folded = Arc::new(fold_one(arrivals, &fresh, among));
                fresh.insert(way, Arc::clone(&folded));
                self.remember(way, folded);
            }
        }
        fresh.remove(&at).unwrap_or_default()
    }

    fn remember(&mut self, way: u32, folded: Arc<Context>) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(way, folded);
        self.order.push_back(way);
    }
}

fn fold_one(arrivals: &[Arrival], fresh: &HashMap<u32, Arc<Context>>, among: &Ways<'_>) -> Context {
    let mut folded = Context::new();
    for (at, arrival) in arrivals.iter().enumerate() {
        if let Some(before) = fresh.get(&(among.way_of)(arrival.from)) {
            if at == 0 {
                folded = before.as_ref().clone();
            } else {
                lay_over(&mut folded, before);
            }
        }
        if let Some(delta) = arrival.delta {
            lay_over(&mut folded, &among.contexts[delta as usize]);
        }
    }
    folded
}

/// Lays `delta` over `context`: objects are merged into each other, all else is replaced.
pub(super) fn lay_over(context: &mut Context, delta: &Context) {
    for (name, value) in delta {
        match context.get_mut(name) {
            Some(old) if old.is_object() && value.is_object() && !Arc::ptr_eq(old, value) => {
                if let (Value::Object(left), Value::Object(right)) =
                    (Arc::make_mut(old), value.as_ref())
                {
                    merge(left, right, MERGE_DEPTH);
                }
            }
            Some(old) => *old = Arc::clone(value),
            None => {
                context.insert(Arc::clone(name), Arc::clone(value));
            }
        }
    }
}

/// `published` laid over `root`; the root is mostly the smaller of the two.
fn lay_under(published: &Context, root: &Context) -> Context {
    let mut context = published.clone();
    for (name, under) in root {
        match context.get_mut(name) {
            None => drop(context.insert(Arc::clone(name), Arc::clone(under))),
            Some(over) => {
                if let (Value::Object(left), Value::Object(right)) = (under.as_ref(), over.as_ref())
                {
                    let mut left = left.clone();
                    merge(&mut left, right, MERGE_DEPTH);
                    *over = Arc::new(Value::Object(left));
                }
            }
        }
    }
    context
}

/// Objects deeper than this inside each other are replaced instead of merged.
const MERGE_DEPTH: usize = 64;

fn merge(left: &mut Map<String, Value>, right: &Map<String, Value>, depth: usize) {
    for (key, value) in right {
        match (left.get_mut(key), value) {
            (Some(Value::Object(left)), Value::Object(right)) if depth > 0 => {
                merge(left, right, depth - 1);
            }
            (Some(old), value) => *old = value.clone(),
            (None, value) => {
                left.insert(key.clone(), value.clone());
            }
        }
    }
}
