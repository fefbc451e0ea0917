//! What a flow is made of.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::workflows::additions::Backoff;
use crate::workflows::conduct::flow::number;
use crate::workflows::conduct::state::{State, Tally};
use crate::workflows::conduct::view::ItemCounts;
use crate::workflows::definition::Retry;

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
    /// It is over but for what is still being undone; meanwhile it is shown to stand here.
    #[serde(default)]
    pub(super) ending: Option<State>,
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
    /// How many tasks had ended before it.
    #[serde(default)]
    pub(super) finished: Option<u32>,
    #[serde(default)]
    pub(super) extra: Option<Box<Extra>>,
    #[serde(skip)]
    pub(super) result: Option<Arc<Value>>,
}

/// What few entries have: most carry nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Extra {
    /// Children that ran here before the present one.
    pub(super) turn: u32,
    /// A person is being asked whether it may run.
    pub(super) asking: bool,
    /// A person said that it may run.
    pub(super) approved: bool,
    /// Runs of `until` so far that were not enough.
    pub(super) rounds: u32,
    /// It failed and holds the flow: why.
    pub(super) held: Option<String>,
    /// The edges whose expressions failed.
    pub(super) broken: Vec<u32>,
    /// When to probe whether it may go on.
    pub(super) probe: Option<i64>,
    /// A probe is under way.
    pub(super) probing: bool,
    /// How far it is undone.
    pub(super) undo: Undo,
    /// Why it stands where it stands.
    pub(super) reason: Option<String>,
    /// Parameters that a person gave, laid over its own.
    pub(super) given: Option<Map<String, Value>>,
}

/// How far a task is undone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Undo {
    #[default]
    No,
    UnderWay,
    Done,
}

/// How often a task may be tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tries {
    pub(super) count: i64,
    pub(super) delay_ms: u64,
    pub(super) tally: i64,
    #[serde(default)]
    pub(super) max_delay_ms: Option<u64>,
}

/// A task that is about to begin, or whose items are under way.
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
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
    /// A person is asked first.
    #[serde(default)]
    pub(super) asked: bool,
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
    /// The turn of its task in which its child was started.
    pub(super) turn: u32,
}

impl Tries {
    /// Milliseconds until the next try. Chance is a number that `began` and the task's place give: tries
    /// of many flows spread, and the same flow always comes to the same moment.
    pub(super) fn pause(&self, retry: &Retry, (began, at): (i64, u32)) -> u64 {
        let tally = u64::try_from(self.tally).unwrap_or(0).max(1);
        let doubled = 1_u64.checked_shl(u32::try_from(tally - 1).unwrap_or(64)).unwrap_or(u64::MAX);
        let times = match retry.backoff {
            Backoff::Constant => 1,
            Backoff::Linear => tally,
            Backoff::Exponential => doubled,
        };
        let pause = self.delay_ms.saturating_mul(times).min(self.max_delay_ms.unwrap_or(u64::MAX));
        let mut hasher = DefaultHasher::new();
        (began, at, tally).hash(&mut hasher);
        // Thousandths are fine enough for a pause in milliseconds.
        let chance = hasher.finish() % 1000;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 1000"
        )]
        let jitter = (retry.jitter * 1000.0) as u64;
        pause
            - (u128::from(pause) * u128::from(jitter * chance) / 1_000_000).try_into().unwrap_or(0)
    }
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

    /// The items as `task()` shows them: `{}` for one that is not over.
    pub(super) fn described(&self) -> Value {
        let one = |item: &Item| {
            let result = || item.result.as_deref().unwrap_or(&Value::Null);
            if item.state.is_done() {
                json!({ "status": item.state.word(), "result": result() })
            } else {
                json!({})
            }
        };
        json!({ "items": self.items.iter().map(one).collect::<Vec<Value>>() })
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
            asked: false,
        }
    }
}
