//! A flow: the state of one run of a workflow, in memory.
//!
//! Every change goes through a method here, which keeps the tallies right and notes which row changed.
//! Nothing here decides anything.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::model::execution::Status;
use crate::model::time::Time;
use crate::workflows::Context;
use crate::workflows::conduct::Place;
use crate::workflows::conduct::parts::{Batch, Entry, Extra, Head, Item, Staged};
use crate::workflows::conduct::rows::Row;
use crate::workflows::conduct::state::{State, Tally};
use crate::workflows::conduct::trail::{Arrival, Folded, Way, Ways};
use crate::workflows::conduct::view::Fault;

/// The state of one run of a workflow.
#[derive(Debug, Default)]
pub struct Flow {
    pub(super) head: Head,
    pub(super) contexts: Vec<Arc<Context>>,
    pub(super) routes: Vec<Arc<[Arc<str>]>>,
    pub(super) ways: Vec<Way>,
    pub(super) entries: Vec<Entry>,
    pub(super) staged: BTreeMap<u32, Staged>,
    pub(super) batches: BTreeMap<u32, Batch>,
    pub(super) faults: Vec<Fault>,
    pub(super) fault_serial: u32,
    pub(super) output: Option<Map<String, Value>>,
    pub(super) dirty: BTreeSet<Row>,
    pub(super) index: Index,
    pub(super) folded: Folded,
}

/// What is counted and looked up; it follows from the rest.
#[derive(Debug, Default)]
pub(super) struct Index {
    latest: HashMap<Arc<str>, BTreeMap<u32, u32>>,
    staged: BTreeSet<(Arc<str>, u32, u32)>,
    pub(super) ready: BTreeSet<u32>,
    pub(super) tally: Tally,
    faults: HashSet<u64>,
    /// The entries that hold the flow.
    pub(super) held: BTreeSet<u32>,
    finished: u32,
    /// For a task and a route: of the tasks that lead there, how many lead on, and how many have begun.
    pub(super) inbound: HashMap<Arc<str>, BTreeMap<u32, Inbound>>,
    /// Whether `inbound` is there; it needs the graph, which is not in the rows.
    pub(super) has_inbound: bool,
}

/// Of the tasks that lead to a task on a route.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inbound {
    pub(super) satisfied: u32,
    pub(super) begun: u32,
}

impl Flow {
    /// Where it stands.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self.head.ending {
            Some(shown) => shown.status(),
            None => self.head.status.status(),
        }
    }

    /// Where it stands, in StackStorm's words.
    #[must_use]
    pub const fn state(&self) -> State {
        self.head.status
    }

    /// What it gave, once it is over and gave something.
    #[must_use]
    pub const fn output(&self) -> Option<&Map<String, Value>> {
        self.output.as_ref()
    }

    /// What went wrong, oldest first.
    #[must_use]
    pub fn errors(&self) -> &[Fault] {
        &self.faults
    }

    /// Why it stands where it stands, where there is something to say.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.head.reason.as_deref()
    }

    /// The routes, each as the edges that led onto it: StackStorm's `routes`.
    pub fn routes(&self) -> impl Iterator<Item = &[Arc<str>]> {
        self.routes.iter().map(AsRef::as_ref)
    }

    /// The task at `at` as `task()` shows it in expressions.
    pub(super) fn describe(&self, at: u32) -> Value {
        let entry = &self.entries[at as usize];
        // StackStorm's `result()` is the plain list, its `task()` has the items with their status.
        let batch = entry.batch.and_then(|batch| self.batches.get(&batch));
        let result = match batch.filter(|_| entry.result.is_none()) {
            Some(batch) => Arc::new(batch.described()),
            None => self.result(at),
        };
        json!({
            "task_id": entry.name,
            "task_name": entry.name,
            "route": entry.route,
            "status": entry.state.word(),
            "result": result,
        })
    }

    /// What the task at `at` gave; a list where it has items.
    pub(super) fn result(&self, at: u32) -> Arc<Value> {
        let entry = &self.entries[at as usize];
        if let Some(result) = &entry.result {
            return Arc::clone(result);
        }
        let batch = entry.batch.and_then(|batch| self.batches.get(&batch));
        batch.filter(|_| entry.state.is_done()).map(Batch::results).unwrap_or_default().into()
    }

    pub(super) fn touch(&mut self, row: Row) {
        self.dirty.insert(row);
    }

    pub(super) fn set_status(&mut self, status: State) {
        if self.head.status != status {
            self.head.status = status;
            self.touch(Row::Head);
        }
    }

    pub(super) fn set_reason(&mut self, reason: Option<String>) {
        if self.head.reason != reason {
            self.head.reason = reason;
            self.touch(Row::Head);
        }
    }

    pub(super) fn set_output(&mut self, output: Option<Map<String, Value>>) {
        if self.output != output {
            self.output = output;
            self.touch(Row::Output);
        }
    }

    /// Adds what was published, and gives its number.
    pub(super) fn add_context(&mut self, context: Context) -> u32 {
        let at = number(self.contexts.len());
        self.contexts.push(Arc::new(context));
        self.touch(Row::Context(at));
        at
    }

    pub(super) fn add_route(&mut self, route: Vec<Arc<str>>) -> u32 {
        let at = number(self.routes.len());
        self.routes.push(route.into());
        self.touch(Row::Route(at));
        at
    }

    /// A new way, on which nothing has arrived.
    pub(super) fn add_way(&mut self) -> u32 {
        let at = number(self.ways.len());
        self.ways.push(Way::new());
        at
    }

    pub(super) fn arrive(&mut self, way: u32, arrival: Arrival) {
        let arrivals = &mut self.ways[way as usize];
        let at = number(arrivals.len());
        arrivals.push(arrival);
        self.folded.forget(way);
        self.touch(Row::Arrival(way, at));
    }

    /// All that is known on the way `at`.
    pub(super) fn context(&mut self, at: u32) -> Arc<Context> {
        let entries = &self.entries;
        let way_of = |from: u32| entries[from as usize].way;
        let among = Ways { all: &self.ways, contexts: &self.contexts, way_of: &way_of };
        self.folded.whole(at, &among)
    }

    /// All that was published on the way `at`.
    pub(super) fn published(&mut self, at: u32) -> Arc<Context> {
        let entries = &self.entries;
        let way_of = |from: u32| entries[from as usize].way;
        let among = Ways { all: &self.ways, contexts: &self.contexts, way_of: &way_of };
        self.folded.fold(at, &among)
    }

    /// The last entry of the task `name` on `route`.
    pub(super) fn latest(&self, name: &str, route: u32) -> Option<u32> {
        self.index.latest.get(name).and_then(|routes| routes.get(&route)).copied()
    }

    pub(super) fn is_latest(&self, at: u32) -> bool {
        let entry = &self.entries[at as usize];
        self.latest(&entry.name, entry.route) == Some(at)
    }

    /// Adds an entry and gives its place.
    pub(super) fn add_entry(&mut self, entry: Entry) -> u32 {
        let at = number(self.entries.len());
        self.entries.push(entry);
        self.index_entry(at);
        self.touch(Row::Entry(at));
        at
    }

    /// Makes the entry at `at`, the newest, the last of its task and route.
    pub(super) fn index_entry(&mut self, at: u32) {
        let (name, route, state) = {
            let entry = &self.entries[at as usize];
            (Arc::clone(&entry.name), entry.route, entry.state)
        };
        let before = self.index.latest.entry(name).or_default().insert(route, at);
        // An earlier run of the same task counts on only while it is under way.
        if let Some(before) = before {
            let before = self.entries[before as usize].state;
            if before.is_done() {
                self.index.tally.take(before);
            }
        }
        self.index.tally.add(state);
        let entry = &self.entries[at as usize];
        self.index.finished = self.index.finished.max(entry.finished.map_or(0, |last| last + 1));
        if entry.extra.as_ref().is_some_and(|extra| extra.held.is_some()) {
            self.index.held.insert(at);
        }
    }

    /// What few entries have.
    pub(super) fn extra(&self, at: u32) -> Option<&Extra> {
        self.entries[at as usize].extra.as_deref()
    }

    /// Changes what few entries have.
    pub(super) fn amend(&mut self, at: u32, change: impl FnOnce(&mut Extra)) {
        let extra = self.entries[at as usize].extra.get_or_insert_default();
        change(extra);
        if extra.held.is_some() {
            self.index.held.insert(at);
        } else {
            self.index.held.remove(&at);
        }
        self.touch(Row::Entry(at));
    }

    /// The child that runs there next is another one.
    pub(super) fn next_turn(&mut self, at: u32) {
        self.amend(at, |extra| extra.turn += 1);
    }

    /// Where the present child of the entry `at`, or of one of its items, belongs.
    pub(super) fn place(&self, at: u32, item: Option<u32>) -> Place {
        let batch = self.entries[at as usize].batch.and_then(|batch| self.batches.get(&batch));
        let own = item.and_then(|item| batch?.items.get(item as usize)).map(|item| item.turn);
        let turn = own.or_else(|| self.extra(at).map(|extra| extra.turn)).unwrap_or(0);
        Place { entry: at, item, turn }
    }

    /// The child that is started for an item belongs to the present turn of its task.
    pub(super) fn start_item(&mut self, at: u32, item: u32) {
        let turn = self.extra(at).map_or(0, |extra| extra.turn);
        let Some(batch) = self.entries[at as usize].batch else { return };
        let items = self.batches.get_mut(&batch).map(|batch| &mut batch.items);
        if let Some(item_of) = items.and_then(|items| items.get_mut(item as usize)) {
            item_of.turn = turn;
            self.touch(Row::Item(batch, item));
        }
    }

    pub(super) fn set_state(&mut self, at: u32, state: State, now: Time) {
        let latest = self.is_latest(at);
        let entry = &mut self.entries[at as usize];
        let before = entry.state;
        if before == state {
            return;
        }
        entry.state = state;
        if entry.started.is_none() && !matches!(state, State::Unset) {
            entry.started = Some(now.millis());
        }
        entry.ended = state.is_done().then_some(now.millis());
        entry.finished = state.is_done().then_some(self.index.finished);
        self.index.finished += u32::from(state.is_done());
        if latest || !before.is_done() {
            self.index.tally.take(before);
        }
        if latest || !state.is_done() {
            self.index.tally.add(state);
        }
        self.touch(Row::Entry(at));
    }

    pub(super) fn set_batch(&mut self, at: u32, batch: Option<u32>) {
        let entry = &mut self.entries[at as usize];
        if entry.batch != batch {
            entry.batch = batch;
            self.touch(Row::Entry(at));
        }
    }

    pub(super) fn set_term(&mut self, at: u32, term: bool) {
        let entry = &mut self.entries[at as usize];
        if entry.term != term {
            entry.term = term;
            self.touch(Row::Entry(at));
        }
    }

    pub(super) fn set_result(&mut self, at: u32, result: Option<Value>) {
        self.entries[at as usize].result = result.map(Arc::new);
        self.touch(Row::Result(at));
    }

    /// Stages a task and gives its number.
    pub(super) fn stage(&mut self, staged: Staged) -> u32 {
        let serial = self.staged.last_key_value().map_or(0, |(serial, _)| serial + 1);
        self.staged.insert(serial, staged);
        self.index_staged(serial);
        self.touch(Row::Staged(serial));
        serial
    }

    pub(super) fn index_staged(&mut self, serial: u32) {
        let Some(staged) = self.staged.get(&serial) else { return };
        self.index.staged.insert((Arc::clone(&staged.name), staged.route, serial));
        if staged.ready && !staged.completed {
            self.index.ready.insert(serial);
        } else {
            self.index.ready.remove(&serial);
        }
    }

    /// Changes a staged task.
    pub(super) fn restage(&mut self, serial: u32, change: impl FnOnce(&mut Staged)) {
        if let Some(staged) = self.staged.get_mut(&serial) {
            change(staged);
            self.index_staged(serial);
            self.touch(Row::Staged(serial));
        }
    }

    pub(super) fn unstage(&mut self, serial: u32) {
        let Some(staged) = self.staged.get(&serial) else { return };
        let batch = staged.batch.and_then(|batch| self.batches.get(&batch));
        if batch.is_some_and(|batch| batch.tally.any(State::is_active)) {
            return;
        }
        let key = (Arc::clone(&staged.name), staged.route, serial);
        self.index.staged.remove(&key);
        self.index.ready.remove(&serial);
        self.staged.remove(&serial);
        self.touch(Row::Staged(serial));
    }

    /// The staged tasks of that name and route, oldest first.
    pub(super) fn all_staged(&self, name: &Arc<str>, route: u32) -> impl Iterator<Item = u32> + '_ {
        let from = (Arc::clone(name), route, 0);
        let to = (Arc::clone(name), route, u32::MAX);
        self.index.staged.range(from..=to).map(|(_, _, serial)| *serial)
    }

    /// The first staged task of that name and route.
    pub(super) fn find_staged(&self, name: &Arc<str>, route: u32) -> Option<u32> {
        self.all_staged(name, route).next()
    }

    /// Where the run at `at` is staged.
    pub(super) fn staged_for(&self, name: &Arc<str>, route: u32, at: u32) -> Option<u32> {
        self.all_staged(name, route).find(|serial| self.staged[serial].entry == Some(at))
    }

    /// Begins the items of a task, one for each of `list`, and gives their number.
    pub(super) fn add_batch(&mut self, list: Vec<Value>, concurrency: Option<i64>) -> u32 {
        let serial = self.batches.last_key_value().map_or(0, |(serial, _)| serial + 1);
        let mut tally = Tally::default();
        for _ in &list {
            tally.add(State::Unset);
        }
        let items = vec![Item::default(); list.len()];
        let batch = Batch { list: Arc::new(list), concurrency, items, tally, cursor: 0 };
        self.batches.insert(serial, batch);
        self.touch(Row::List(serial));
        serial
    }

    pub(super) fn set_item(&mut self, batch: u32, item: u32, state: State) {
        let Some(items) = self.batches.get_mut(&batch) else { return };
        if items.set(item, state) {
            self.touch(Row::Item(batch, item));
        }
    }

    pub(super) fn set_item_result(&mut self, batch: u32, item: u32, result: Option<Value>) {
        let items = self.batches.get_mut(&batch).map(|batch| &mut batch.items);
        if let Some(item_of) = items.and_then(|items| items.get_mut(item as usize)) {
            item_of.result = result.map(Arc::new);
            self.touch(Row::Item(batch, item));
        }
    }

    /// Notes what went wrong, once.
    pub(super) fn add_fault(&mut self, mut fault: Fault) {
        fault.serial = self.fault_serial;
        if self.index.faults.insert(fingerprint(&fault)) {
            self.fault_serial += 1;
            self.touch(Row::Fault(fault.serial));
            self.faults.push(fault);
        }
    }

    pub(super) fn index_fault(&mut self, fault: &Fault) {
        self.index.faults.insert(fingerprint(fault));
    }

    /// Forgets what went wrong in the task `name`.
    pub(super) fn clear_faults(&mut self, name: &str) {
        let (gone, kept) = std::mem::take(&mut self.faults)
            .into_iter()
            .partition(|fault: &Fault| fault.task.as_deref() == Some(name));
        self.faults = kept;
        for fault in gone {
            self.index.faults.remove(&fingerprint(&fault));
            self.touch(Row::Fault(fault.serial));
        }
    }
}

/// Tells faults apart. Two that share it are taken for one: with 64 bits that does not happen.
fn fingerprint(fault: &Fault) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&fault.message, &fault.task, fault.route, &fault.transition).hash(&mut hasher);
    fault.result.as_ref().map(Value::to_string).hash(&mut hasher);
    hasher.finish()
}

/// A position as it stands in rows.
pub(super) fn number(position: usize) -> u32 {
    u32::try_from(position).expect("a flow has fewer than 2^32 of anything")
}
