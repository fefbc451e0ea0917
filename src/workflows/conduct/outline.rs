//! A flow in outline, for those who watch it: read from its small rows only. What tasks and items gave,
//! and what was published, is not looked at, so that ten thousand items cost milliseconds.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, IgnoredAny};

use crate::model::time::Time;
use crate::workflows::conduct::flow::number;
use crate::workflows::conduct::parts::{Entry, Head, Staged, Undo};
use crate::workflows::conduct::rows::{Row, damaged};
use crate::workflows::conduct::state::{State, Tally};
use crate::workflows::conduct::{Damaged, Fault};

/// The rows that an outline is read from, each as the first byte of their keys: the head, the tasks, what
/// is about to begin, errors, lists of items, and the items.
pub const OUTLINE_ROWS: &[u8] = b"HESXLI";
/// Items of one task that are named one by one, of each kind.
const ITEMS_LIMIT: usize = 20;

/// A flow in outline.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outline {
    /// Where it stands.
    pub state: State,
    /// Why, where there is something to say.
    pub reason: Option<String>,
    /// Whether a person paused it.
    pub held: bool,
    /// The tasks that have begun, in that order.
    pub tasks: Vec<Line>,
    /// What is about to begin.
    pub waiting: Vec<Waiting>,
    /// What went wrong, oldest first.
    pub faults: Vec<Fault>,
}

/// A task that has begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its position in the order in which tasks began, from 0.
    pub entry: u32,
    /// Its name.
    pub name: Arc<str>,
    /// Its route, from 0.
    pub route: u32,
    /// Where it stands.
    pub state: State,
    /// When it began.
    pub started: Option<Time>,
    /// When it ended.
    pub ended: Option<Time>,
    /// For each edge that leaves it, as the graph has them: whether it was followed.
    pub followed: Vec<Option<bool>>,
    /// How many times it is tried again at most, and was so far.
    pub retries: Option<(i64, i64)>,
    /// Its items.
    pub items: Option<Items>,
    /// It failed and holds the flow: why.
    pub held: Option<String>,
    /// Why it stands where it stands.
    pub reason: Option<String>,
    /// Runs of `until` so far that were not enough.
    pub rounds: u32,
    /// When it is probed whether it may go on.
    pub probe: Option<Time>,
    /// Whether it is being undone, or is undone.
    pub undone: Option<bool>,
}

/// The items of a task.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Items {
    /// All of them.
    pub all: u32,
    /// Those under way.
    pub active: u32,
    /// Those that are over, however they ended.
    pub done: u32,
    /// Those among them that did not end well.
    pub failed: u32,
    /// The first of those under way, or waiting for a person.
    pub open_ones: Vec<(u32, State)>,
    /// The first of those that did not end well.
    pub failed_ones: Vec<(u32, State)>,
}

/// A task that is about to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its name.
    pub name: Arc<str>,
    /// Its route, from 0.
    pub route: u32,
    /// The task that it does again or goes on with.
    pub entry: Option<u32>,
    /// Not before this moment.
    pub due: Option<Time>,
    /// Whether all that it waits for has come; otherwise it joins what is under way.
    pub ready: bool,
}

/// The first field of a row that may have any number of others, now or later: they are passed over.
struct First<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Fields<T> {
            type Value = First<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the fields of a row")
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut all: A) -> Result<First<T>, A::Error> {
                let first =
                    all.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                while all.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }
        from.deserialize_seq(Fields(PhantomData))
    }
}

impl Outline {
    /// The outline of the flow that was written as `rows`, in any order; other rows are passed over.
    ///
    /// # Errors
    /// `Damaged` where a row cannot be read, is missing, or was written by a newer version.
    pub fn read(rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self, Damaged> {
        let mut read = Read::default();
        for (key, content) in rows {
            if key.first().is_some_and(|kind| OUTLINE_ROWS.contains(kind)) {
                read.take(&key, &content)?;
            }
        }
        read.finish()
    }
}

/// Rows on their way to being an outline.
#[derive(Default)]
struct Read {
    head: Option<Head>,
    entries: BTreeMap<u32, Entry>,
    staged: BTreeMap<u32, Staged>,
    faults: BTreeMap<u32, Fault>,
    lists: BTreeMap<u32, u32>,
    items: BTreeMap<u32, Gathered>,
}

/// What is known of the items of one list: those that have begun.
#[derive(Default)]
struct Gathered {
    tally: Tally,
    open: Vec<(u32, State)>,
    failed: Vec<(u32, State)>,
}

impl Read {
    fn take(&mut self, key: &[u8], content: &[u8]) -> Result<(), Damaged> {
        match Row::parse(key).ok_or_else(|| damaged(key, "there is no such row"))? {
            Row::Head => {
                let (_version, head): (u8, Head) = unpack(key, content)?;
                self.head = Some(head);
            }
            Row::Entry(at) => drop(self.entries.insert(at, unpack(key, content)?)),
            Row::Staged(at) => drop(self.staged.insert(at, unpack(key, content)?)),
            Row::Fault(at) => drop(self.faults.insert(at, unpack(key, content)?)),
            Row::List(at) => {
                let First(list): First<Vec<IgnoredAny>> = unpack(key, content)?;
                self.lists.insert(at, number(list.len()));
            }
            Row::Item(list, at) => {
                let First(state): First<State> = unpack(key, content)?;
                self.items.entry(list).or_default().add(at, state);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Outline, Damaged> {
        let top = self.head.take().ok_or_else(|| damaged(b"H", "it is missing"))?;
        let entries = std::mem::take(&mut self.entries);
        let tasks = entries.into_iter().map(|(at, entry)| self.line(at, entry)).collect();
        let waiting = self.staged.into_values().filter(|staged| !staged.completed).map(|staged| {
            let due = staged.due.map(Time::from_millis);
            let Staged { name, route, entry, ready, .. } = staged;
            Waiting { name, route, entry, due, ready }
        });
        let waiting = waiting.collect();
        let faults = self.faults.into_values().collect();
        let (state, reason, held) = (top.status, top.reason, top.held);
        Ok(Outline { state, reason, held, tasks, waiting, faults })
    }

    fn line(&mut self, at: u32, entry: Entry) -> Line {
        let items = entry.batch.map(|batch| {
            let all = self.lists.get(&batch).copied().unwrap_or(0);
            self.items.remove(&batch).unwrap_or_default().items(all)
        });
        let extra = entry.extra.map(|extra| *extra).unwrap_or_default();
        let undone = match extra.undo {
            Undo::No => None,
            Undo::UnderWay => Some(false),
            Undo::Done => Some(true),
        };
        Line {
            entry: at,
            name: entry.name,
            route: entry.route,
            state: entry.state,
            started: entry.started.map(Time::from_millis),
            ended: entry.ended.map(Time::from_millis),
            followed: entry.next,
            retries: entry.tries.map(|tries| (tries.count, tries.tally)),
            items,
            held: extra.held,
            reason: extra.reason,
            rounds: extra.rounds,
            probe: extra.probe.map(Time::from_millis),
            undone,
        }
    }
}

impl Gathered {
    fn add(&mut self, at: u32, state: State) {
        self.tally.add(state);
        let kind = if state.is_abended() {
            &mut self.failed
        } else if state.is_active() || state.is_resting() {
            &mut self.open
        } else {
            return;
        };
        if kind.len() < ITEMS_LIMIT {
            kind.push((at, state));
        }
    }

    fn items(self, all: u32) -> Items {
        Items {
            all,
            active: self.tally.count(State::is_active),
            done: self.tally.count(State::is_done),
            failed: self.tally.count(State::is_abended),
            open_ones: self.open,
            failed_ones: self.failed,
        }
    }
}

fn unpack<T: DeserializeOwned>(key: &[u8], content: &[u8]) -> Result<T, Damaged> {
    rmp_serde::from_slice(content).map_err(|error| damaged(key, &error.to_string()))
}
