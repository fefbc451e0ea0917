//! What a flow is made of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::workflows::conduct::flow::number;
use crate::workflows::conduct::state::{State, Tally};
use crate::workflows::conduct::view::ItemCounts;

/// The few things of which there is one.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) status: State,
    pub(super) reason: Option<String>,
    /// Somebody paused it, so an answered question does not resume it.
    #[serde(default)]
    pub(super) held: bool,
    #[serde(default)]
    pub(super) deadline: Option<i64>,
    /// More is to be begun than one call begins: go on at this moment.
    #[serde(default)]
    pub(super) more: Option<i64>,
}

/// A task that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) route: u32,
    pub(super) way: u32,
    pub(super) state: State,
    pub(super) term: bool,
    /// For each edge that leaves the task: whether it was followed; nothing while that is not known.
    pub(super) next: Vec<Option<bool>>,
    pub(super) tries: Option<Tries>,
    pub(super) batch: Option<u32>,
    pub(super) started: Option<i64>,
    pub(super) ended: Option<i64>,
    #[serde(skip)]
    pub(super) result: Option<Arc<Value>>,
}

/// How often a task may be tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tries {
    pub(super) count: i64,
    pub(super) delay_ms: u64,
    pub(super) tally: i64,
}

/// A task that is about to begin, or whose items are under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Staged {
    pub(super) name: Arc<str>,
    pub(super) route: u32,
    pub(super) way: u32,
    pub(super) ready: bool,
    /// It has ended badly and stays for a rerun.
    pub(super) completed: bool,
    pub(super) run_on_fail: bool,
    /// It is tried again after this pause.
    pub(super) retry_ms: Option<u64>,
    pub(super) batch: Option<u32>,
    /// The entry that it continues.
    pub(super) entry: Option<u32>,
    /// Not before this moment.
    pub(super) due: Option<i64>,
}

/// The items of a task.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) list: Arc<Vec<Value>>,
    pub(super) concurrency: Option<i64>,
    pub(super) items: Vec<Item>,
    pub(super) tally: Tally,
    /// No item before this one waits to begin.
    pub(super) cursor: usize,
}

/// One item.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) state: State,
    pub(super) result: Option<Arc<Value>>,
}

impl Batch {
    /// Moves an item and says whether that changed anything.
    pub(super) fn set(&mut self, item: u32, state: State) -> bool {
        let Some(found) = self.items.get_mut(item as usize) else { return false };
        let before = std::mem::replace(&mut found.state, state);
        self.tally.take(before);
        self.tally.add(state);
        if state == State::Unset {
            self.cursor = self.cursor.min(item as usize);
        }
        before != state
    }

    /// What the items gave, in their order; null for one that gave nothing.
    pub(super) fn results(&self) -> Value {
        let one = |item: &Item| item.result.as_deref().cloned().unwrap_or(Value::Null);
        Value::Array(self.items.iter().map(one).collect())
    }

    pub(super) fn counts(&self) -> ItemCounts {
        ItemCounts {
            all: number(self.items.len()),
            active: self.tally.count(State::is_active),
            done: self.tally.count(State::is_done),
            failed: self.tally.count(State::is_abended),
        }
    }

    /// How many items may begin now.
    pub(super) fn room(&self) -> usize {
        let waiting = self.tally.count(|state| state == State::Unset) as usize;
        let active = i64::from(self.tally.count(State::is_active));
        let room = self.concurrency.map_or(i64::MAX, |limit| limit - active);
        waiting.min(usize::try_from(room).unwrap_or(0))
    }

    /// The items that may begin now, in their order.
    pub(super) fn choose(&mut self) -> Vec<u32> {
        let room = self.room();
        while self.items.get(self.cursor).is_some_and(|item| item.state != State::Unset) {
            self.cursor += 1;
        }
        let waiting = (self.cursor..self.items.len())
            .filter(|at| self.items[*at].state == State::Unset)
            .map(number);
        waiting.take(room).collect()
    }
}

impl Staged {
    /// A task whose time has come.
    pub(super) fn ready(name: &Arc<str>, route: u32, way: u32) -> Self {
        Self {
            name: Arc::clone(name),
            route,
            way,
            ready: true,
            completed: false,
            run_on_fail: false,
            retry_ms: None,
            batch: None,
            entry: None,
            due: None,
        }
    }
}
