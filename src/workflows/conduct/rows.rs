//! The rows a flow lies in, so that it is there again after a crash.
//!
//! One row for what there is one of, and one for each task, arrival, item, context and error: a
//! transition writes a few small rows, however long the workflow is. Rows are MessagePack; the head
//! begins with the version of all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::workflows::Context;
use crate::workflows::conduct::flow::{Flow, number};
use crate::workflows::conduct::parts::{Batch, Entry, Head, Item, Staged};
use crate::workflows::conduct::state::{State, Tally};
use crate::workflows::conduct::trail::{Arrival, Way};
use crate::workflows::conduct::view::Fault;

/// The version of the rows. Readers refuse what is newer; fields are only added at the end.
const VERSION: u8 = 1;

/// A key and what stands there; nothing where the row is to be removed.
pub type Change = (Vec<u8>, Option<Vec<u8>>);

/// Rows that do not make a flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the workflow's row `{key}` is damaged: {why}")]
pub struct Damaged {
    /// The row's key, in hexadecimal.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

/// Which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Row {
    Head,
    Context(u32),
    Route(u32),
    Entry(u32),
    Result(u32),
    Staged(u32),
    Arrival(u32, u32),
    List(u32),
    Item(u32, u32),
    Fault(u32),
    Output,
}

impl Row {
    fn key(self) -> Vec<u8> {
        let (kind, first, second) = match self {
            Self::Head => (b'H', None, None),
            Self::Context(at) => (b'C', Some(at), None),
            Self::Route(at) => (b'R', Some(at), None),
            Self::Entry(at) => (b'E', Some(at), None),
            Self::Result(at) => (b'V', Some(at), None),
            Self::Staged(at) => (b'S', Some(at), None),
            Self::Arrival(way, at) => (b'A', Some(way), Some(at)),
            Self::List(at) => (b'L', Some(at), None),
            Self::Item(batch, at) => (b'I', Some(batch), Some(at)),
            Self::Fault(at) => (b'X', Some(at), None),
            Self::Output => (b'O', None, None),
        };
        let mut key = vec![kind];
        for part in [first, second].into_iter().flatten() {
            key.extend(part.to_be_bytes());
        }
        key
    }

    pub(super) fn parse(key: &[u8]) -> Option<Self> {
        let (kind, rest) = key.split_first()?;
        let part = |at: usize| {
            rest.get(at..at + 4).and_then(|part| part.try_into().ok()).map(u32::from_be_bytes)
        };
        Some(match (kind, rest.len()) {
            (b'H', 0) => Self::Head,
            (b'C', 4) => Self::Context(part(0)?),
            (b'R', 4) => Self::Route(part(0)?),
            (b'E', 4) => Self::Entry(part(0)?),
            (b'V', 4) => Self::Result(part(0)?),
            (b'S', 4) => Self::Staged(part(0)?),
            (b'A', 8) => Self::Arrival(part(0)?, part(4)?),
            (b'L', 4) => Self::List(part(0)?),
            (b'I', 8) => Self::Item(part(0)?, part(4)?),
            (b'X', 4) => Self::Fault(part(0)?),
            (b'O', 0) => Self::Output,
            _ => return None,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct ListRow {
    list: Arc<Vec<Value>>,
    concurrency: Option<i64>,
}

type ItemRow = (State, Option<Arc<Value>>, u32);
type ArrivalRow = (u32, u32, Option<u32>);

impl Flow {
    /// What must be written, or removed, since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|row| (row.key(), self.row(row))).collect()
    }

    fn row(&self, row: Row) -> Option<Vec<u8>> {
        match row {
            Row::Head => Some(pack(&(VERSION, &self.head))),
            Row::Context(at) => self.contexts.get(at as usize).map(pack),
            Row::Route(at) => self.routes.get(at as usize).map(pack),
            Row::Entry(at) => self.entries.get(at as usize).map(pack),
            Row::Result(at) => {
                self.entries.get(at as usize).and_then(|entry| entry.result.as_ref()).map(pack)
            }
            Row::Staged(at) => self.staged.get(&at).map(pack),
            Row::Arrival(way, at) => {
                let arrival = self.ways.get(way as usize).and_then(|way| way.get(at as usize));
                arrival.map(|a| pack::<ArrivalRow>(&(a.from, a.edge, a.delta)))
            }
            Row::List(at) => self.batches.get(&at).map(|batch| {
                let list = Arc::clone(&batch.list);
                pack(&ListRow { list, concurrency: batch.concurrency })
            }),
            Row::Item(batch, at) => {
                let item = self.batches.get(&batch).and_then(|batch| batch.items.get(at as usize));
                item.map(|item| pack::<ItemRow>(&(item.state, item.result.clone(), item.turn)))
            }
            Row::Fault(serial) => {
                let at = self.faults.binary_search_by_key(&serial, |fault| fault.serial).ok();
                at.map(|at| pack(&self.faults[at]))
            }
            Row::Output => self.output.as_ref().map(pack),
        }
    }

    /// The flow that was written as `rows`, in any order.
    ///
    /// # Errors
    /// `Damaged` where a row cannot be read, is missing, or was written by a newer version.
    pub fn restore(rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self, Damaged> {
        let mut read = Restored::default();
        for (key, content) in rows {
            read.take(&key, &content)?;
        }
        read.finish()
    }
}

/// Rows on their way to being a flow.
#[derive(Default)]
struct Restored {
    head: Option<Head>,
    contexts: BTreeMap<u32, Arc<Context>>,
    routes: BTreeMap<u32, Arc<[Arc<str>]>>,
    entries: BTreeMap<u32, Entry>,
    results: BTreeMap<u32, Arc<Value>>,
    staged: BTreeMap<u32, Staged>,
    arrivals: BTreeMap<(u32, u32), Arrival>,
    lists: BTreeMap<u32, ListRow>,
    items: BTreeMap<(u32, u32), ItemRow>,
    faults: BTreeMap<u32, Fault>,
    output: Option<Map<String, Value>>,
}

impl Restored {
    fn take(&mut self, key: &[u8], content: &[u8]) -> Result<(), Damaged> {
        let Some(row) = Row::parse(key) else {
            return Err(damaged(key, "no row has such a key"));
        };
        let broken = |error: rmp_serde::decode::Error| damaged(key, &error.to_string());
        match row {
            Row::Head => {
                if content.get(1).is_some_and(|version| *version > VERSION) {
                    return Err(damaged(key, "it was written by a newer version"));
                }
                let (_, head): (u8, Head) = unpack(content).map_err(broken)?;
                self.head = Some(head);
            }
            Row::Context(at) => drop(self.contexts.insert(at, unpack(content).map_err(broken)?)),
            Row::Route(at) => drop(self.routes.insert(at, unpack(content).map_err(broken)?)),
            Row::Entry(at) => drop(self.entries.insert(at, unpack(content).map_err(broken)?)),
            Row::Result(at) => drop(self.results.insert(at, unpack(content).map_err(broken)?)),
            Row::Staged(at) => drop(self.staged.insert(at, unpack(content).map_err(broken)?)),
            Row::Arrival(way, at) => {
                let (from, edge, delta): ArrivalRow = unpack(content).map_err(broken)?;
                self.arrivals.insert((way, at), Arrival { from, edge, delta });
            }
            Row::List(at) => drop(self.lists.insert(at, unpack(content).map_err(broken)?)),
            Row::Item(batch, at) => {
                self.items.insert((batch, at), unpack(content).map_err(broken)?);
            }
            Row::Fault(at) => drop(self.faults.insert(at, unpack(content).map_err(broken)?)),
            Row::Output => self.output = Some(unpack(content).map_err(broken)?),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Flow, Damaged> {
        let mut flow = Flow {
            head: self.head.take().ok_or_else(|| damaged(b"H", "it is missing"))?,
            contexts: dense(std::mem::take(&mut self.contexts), b'C')?,
            routes: dense(std::mem::take(&mut self.routes), b'R')?,
            entries: dense(std::mem::take(&mut self.entries), b'E')?,
            staged: std::mem::take(&mut self.staged),
            output: self.output.take(),
            ..Flow::default()
        };
        for (at, result) in std::mem::take(&mut self.results) {
            let entry = flow.entries.get_mut(at as usize);
            entry.ok_or_else(|| damaged(&Row::Result(at).key(), "its task is missing"))?.result =
                Some(result);
        }
        self.ways(&mut flow)?;
        self.batches(&mut flow)?;
        for (serial, mut fault) in self.faults {
            fault.serial = serial;
            flow.index_fault(&fault);
            flow.fault_serial = serial + 1;
            flow.faults.push(fault);
        }
        check(&flow)?;
        for at in 0..number(flow.entries.len()) {
            flow.index_entry(at);
        }
        for serial in flow.staged.keys().copied().collect::<Vec<_>>() {
            flow.index_staged(serial);
        }
        Ok(flow)
    }

    /// Ways on which nothing arrived have no rows; whoever runs on them names them.
    fn ways(&mut self, flow: &mut Flow) -> Result<(), Damaged> {
        let entries = flow.entries.iter().map(|entry| entry.way);
        let named = entries.chain(flow.staged.values().map(|staged| staged.way));
        let arrived = self.arrivals.keys().map(|(way, _)| *way);
        let count = named.chain(arrived).max().map_or(0, |last| last as usize + 1);
        // Each way has an arrival, or somebody who began on it.
        if count > self.arrivals.len() + flow.entries.len() + flow.staged.len() {
            return Err(damaged(b"A", "one of its kind is missing"));
        }
        flow.ways = vec![Way::new(); count];
        for ((way, at), arrival) in std::mem::take(&mut self.arrivals) {
            let key = Row::Arrival(way, at).key();
            let found = arrival.from as usize >= flow.entries.len()
                || arrival.delta.is_some_and(|delta| delta as usize >= flow.contexts.len());
            if found {
                return Err(damaged(&key, "the task or context it names is missing"));
            }
            let way = &mut flow.ways[way as usize];
            if way.len() != at as usize {
                return Err(damaged(&key, "the arrival before it is missing"));
            }
            way.push(arrival);
        }
        Ok(())
    }

    fn batches(&mut self, flow: &mut Flow) -> Result<(), Damaged> {
        for (serial, row) in std::mem::take(&mut self.lists) {
            let mut tally = Tally::default();
            row.list.iter().for_each(|_| tally.add(State::Unset));
            let items = vec![Item::default(); row.list.len()];
            let batch =
                Batch { list: row.list, concurrency: row.concurrency, items, tally, cursor: 0 };
            flow.batches.insert(serial, batch);
        }
        for ((serial, at), (state, result, turn)) in std::mem::take(&mut self.items) {
            let missing = || damaged(&Row::Item(serial, at).key(), "its list is missing");
            let batch = flow.batches.get_mut(&serial).ok_or_else(missing)?;
            batch.set(at, state);
            let item = batch.items.get_mut(at as usize).ok_or_else(missing)?;
            (item.result, item.turn) = (result, turn);
        }
        Ok(())
    }
}

/// Checks that whatever a row names is there.
fn check(flow: &Flow) -> Result<(), Damaged> {
    let route = |route: u32| (route as usize) < flow.routes.len();
    let batch = |batch: Option<u32>| batch.is_none_or(|at| flow.batches.contains_key(&at));
    let entry = |entry: Option<u32>| entry.is_none_or(|at| (at as usize) < flow.entries.len());
    for (at, found) in (0..).zip(&flow.entries) {
        if !route(found.route) || !batch(found.batch) {
            return Err(damaged(&Row::Entry(at).key(), "its route or its items are missing"));
        }
    }
    for (serial, found) in &flow.staged {
        if !route(found.route) || !batch(found.batch) || !entry(found.entry) {
            let why = "its route, its items or its task are missing";
            return Err(damaged(&Row::Staged(*serial).key(), why));
        }
    }
    let begun = !flow.entries.is_empty() || !flow.staged.is_empty();
    if begun && flow.contexts.is_empty() {
        return Err(damaged(&Row::Context(0).key(), "it is missing"));
    }
    Ok(())
}

fn dense<T>(rows: BTreeMap<u32, T>, kind: u8) -> Result<Vec<T>, Damaged> {
    let count = rows.len();
    if rows.last_key_value().is_some_and(|(last, _)| *last as usize + 1 != count) {
        return Err(damaged(&[kind], "one of its kind is missing"));
    }
    Ok(rows.into_values().collect())
}

pub(super) fn damaged(key: &[u8], why: &str) -> Damaged {
    let mut hex = String::new();
    for byte in key {
        for digit in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(digit), 16).unwrap_or('?'));
        }
    }
    Damaged { key: hex, why: why.to_owned() }
}

fn pack<T: Serialize + ?Sized>(row: &T) -> Vec<u8> {
    rmp_serde::to_vec(row).expect("rows are plain data")
}

fn unpack<T: DeserializeOwned>(content: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    rmp_serde::from_slice(content)
}
