//! The steps of conducting, one at a time, as Orquesta knows them: ask for a status, fetch what comes next,
//! tell how a task stands, render the output. The front door is made of them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::model::time::Time;
use crate::workflows::Context;
use crate::workflows::conduct::flow::Flow;
use crate::workflows::conduct::joins::Criteria;
use crate::workflows::conduct::moves::{self, Heard, Others, Rest};
use crate::workflows::conduct::parts::{Entry, Head, Staged, Tries};
use crate::workflows::conduct::render::{Eyes, Seer, integer};
use crate::workflows::conduct::rows::Row;
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::trail::lay_over;
use crate::workflows::conduct::view::Fault;
use crate::workflows::conduct::{Refused, Start, World};
use crate::workflows::definition::Definition;
use crate::workflows::graph::Node;

/// A flow in the hands of its conductor.
pub struct Steps<'a> {
    pub(super) definition: &'a Definition,
    pub(super) flow: &'a mut Flow,
    pub(super) world: &'a dyn World,
}

/// What a child reports.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Where it stands.
    pub state: State,
    /// What it gave.
    pub result: Option<Value>,
    /// The item it ran, from 0.
    pub item: Option<u32>,
    /// What all items gave so far, where the caller knows better than the flow.
    pub whole: Option<Value>,
}

impl<'a> Steps<'a> {
    /// Takes a flow in hand.
    pub fn new(definition: &'a Definition, flow: &'a mut Flow, world: &'a dyn World) -> Self {
        let mut steps = Self { definition, flow, world };
        steps.index_inbound();
        steps
    }

    /// A flow of `definition` in which nothing has happened yet; it has failed already where its
    /// inputs or variables cannot be worked out.
    pub fn create(definition: &Definition, start: Start, world: &dyn World) -> Flow {
        let head = Head { deadline: start.deadline.map(Time::millis), ..Head::default() };
        let mut flow = Flow { head, ..Flow::default() };
        flow.touch(Row::Head);
        let mut steps = Steps::new(definition, &mut flow, world);
        let root = steps.root(start);
        if steps.flow.faults.is_empty() {
            steps.flow.add_context(root);
            steps.flow.add_route(Vec::new());
            for node in definition.graph().roots() {
                let way = steps.flow.add_way();
                steps.stage(Staged::ready(&node.name, 0, way));
            }
        } else {
            steps.flow.set_status(State::Failed);
        }
        flow
    }

    /// The context with which the flow begins: what it was given, then its variables.
    fn root(&mut self, start: Start) -> Context {
        let mut root = to_context(start.context);
        let mut inputs = Context::new();
        for (name, default) in &self.definition.inputs {
            // What was given is data: it is never evaluated.
            let value = if let Some(given) = start.inputs.get(name) {
                Ok(given.clone())
            } else {
                let mut rolling = root.clone();
                rolling.extend(inputs.iter().map(|(k, v)| (Arc::clone(k), Arc::clone(v))));
                self.eyes(&rolling, 0).value(default)
            };
            match value {
                Ok(value) => drop(inputs.insert(name.as_str().into(), Arc::new(value))),
                Err(message) => self.fault(message),
            }
        }
        lay_over(&mut root, &inputs);
        let mut rolling = root.clone();
        let mut vars = Context::new();
        for (name, source) in &self.definition.vars {
            match self.eyes(&rolling, 0).value(source).map(Arc::new) {
                Ok(value) => {
                    rolling.insert(name.as_str().into(), Arc::clone(&value));
                    vars.insert(name.as_str().into(), value);
                }
                Err(message) => self.fault(message),
            }
        }
        lay_over(&mut root, &vars);
        root
    }

    /// The context with which the flow began.
    pub(super) fn root_context(&self) -> Context {
        self.flow.contexts.first().map_or_else(Context::new, |root| root.as_ref().clone())
    }

    pub(super) fn now(&self) -> Time {
        self.world.now()
    }

    pub(super) fn eyes<'s>(&'s self, context: &'s Context, route: u32) -> Eyes<'s> {
        let seer = Seer { flow: self.flow, world: self.world, route };
        Eyes { seer, context, task: None }
    }

    pub(super) fn node(&self, name: &str) -> &'a Node {
        self.definition.graph().find(name).expect("every task that begins stands in the graph")
    }

    pub(super) fn stage(&mut self, staged: Staged) -> u32 {
        self.flow.stage(staged)
    }

    pub(super) fn fault(&mut self, message: String) {
        self.flow.add_fault(Fault::new(message));
    }

    /// Asks the flow to be `wanted`: running, pausing, resuming, canceling, failed.
    ///
    /// # Errors
    /// `InvalidWorkflowStatusTransition` where that does not follow from where it stands.
    pub fn request(&mut self, wanted: State) -> Result<(), Refused> {
        use State as S;
        let before = self.flow.head.status;
        if self.asked(wanted).is_none() {
            let (status, word) = (before.word(), wanted.word());
            let refused = Refused::InvalidWorkflowStatusTransition { status, wanted: word };
            return if wanted == before { Ok(()) } else { Err(refused) };
        }
        if matches!(wanted, S::Pausing | S::Paused | S::Canceling | S::Canceled) {
            self.ask_tasks(wanted);
        }
        if let Some(after) = self.asked(wanted) {
            self.flow.set_status(after);
        }
        Ok(())
    }

    /// Where the flow would stand if it were asked to be `wanted`.
    fn asked(&self, wanted: State) -> Option<State> {
        let tally = &self.flow.index.tally;
        let active = tally.any(State::is_active);
        let rests = tally.any(State::is_resting)
            || !self.flow.index.ready.is_empty()
            || !self.flow.index.held.is_empty();
        moves::flow_asked(self.flow.head.status, wanted, active, !active && !rests)
    }

    /// Tasks with items pause or stop between items.
    pub(super) fn ask_tasks(&mut self, wanted: State) {
        let now = self.now();
        // In a circle earlier runs of a task may be under way beside its last one.
        for at in self.runs_where(State::is_active) {
            let entry = &self.flow.entries[at as usize];
            let batch = entry.batch.filter(|_| self.stage_of(at).is_some());
            let Some(batch) = batch.and_then(|batch| self.flow.batches.get(&batch)) else {
                continue;
            };
            let active = batch.tally.any(State::is_active);
            let complete = !batch.tally.any(|state| !state.is_done());
            if let Some(to) = moves::asked(entry.state, wanted, active, complete) {
                self.flow.set_state(at, to, now);
            }
        }
    }

    pub(super) fn runs_where(&self, which: impl Fn(State) -> bool) -> Vec<u32> {
        let entries = (0..).zip(&self.flow.entries);
        entries.filter(|(_, entry)| which(entry.state)).map(|(at, _)| at).collect()
    }

    /// The flow fails, where it can still do so.
    pub(super) fn fail(&mut self) {
        // Refused where it is over already: nothing is left to fail.
        self.request(State::Failed).ok();
    }

    /// Tells how the last run of a task stands, as Orquesta's `update_task_state`.
    ///
    /// # Errors
    /// `InvalidTask` where the workflow has no such task, `InvalidTaskStateEntry` where it has
    /// neither begun nor is about to.
    pub fn update(&mut self, task: &str, route: u32, report: Report) -> Result<State, Refused> {
        let node = self.definition.graph().find(task);
        let name = &node.ok_or_else(|| Refused::InvalidTask(task.to_owned()))?.name;
        let serial = self.flow.find_staged(name, route);
        let over = |at: u32| self.flow.entries[at as usize].state.is_done();
        let at = match (self.flow.latest(name, route), serial) {
            (Some(at), Some(serial)) if over(at) && report.state.is_starting() => {
                self.enter(serial)
            }
            (Some(at), _) => at,
            (None, Some(serial)) => self.enter(serial),
            (None, None) => return Err(Refused::InvalidTaskStateEntry(task.to_owned())),
        };
        Ok(self.apply(at, serial, report))
    }

    /// Begins a run of the staged task `serial` and gives its place.
    pub(super) fn enter(&mut self, serial: u32) -> u32 {
        let staged = self.flow.staged[&serial].clone();
        self.add_entry(&staged.name, staged.route, staged.way)
    }

    pub(super) fn add_entry(&mut self, name: &Arc<str>, route: u32, way: u32) -> u32 {
        let node = self.node(name);
        let tries = match self.tries(node, way) {
            Ok(tries) => tries,
            Err(message) => {
                self.flow.add_fault(Fault::new(message).at(name, route));
                self.fail();
                None
            }
        };
        let before = self.flow.latest(name, route);
        let at = self.flow.add_entry(Entry {
            name: Arc::clone(name),
            route,
            way,
            state: State::Unset,
            term: false,
            next: vec![None; node.out.len()],
            tries,
            batch: None,
            started: None,
            ended: None,
            finished: None,
            extra: None,
            result: None,
        });
        self.count_begun(node, route, before);
        at
    }

    /// How often a task that begins may be tried again.
    fn tries(&mut self, node: &Node, way: u32) -> Result<Option<Tries>, String> {
        let Some(retry) = &node.retry else { return Ok(None) };
        let context = self.flow.context(way);
        let eyes = self.eyes(&context, 0);
        let wrong = |what: &str| {
            format!("ValueError: The retry {what} for task \"{}\" is not an integer.", node.name)
        };
        let count = integer(&eyes.value(&retry.count)?).ok_or_else(|| wrong("count"))?;
        let delay = match &retry.delay {
            Some(delay) => eyes.span(delay, "retry delay").map_err(|_| wrong("delay"))?,
            None => Duration::ZERO,
        };
        let limit = retry.max_delay.as_ref();
        let limit = limit.map(|limit| eyes.span(limit, "retry max_delay")).transpose()?;
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let max_delay_ms = limit.map(millis);
        Ok(Some(Tries { count, delay_ms: millis(delay), tally: 0, max_delay_ms }))
    }

    /// Tells how the run at `at` stands; `serial` is the staged task it begins or continues.
    pub(super) fn apply(&mut self, at: u32, serial: Option<u32>, report: Report) -> State {
        let now = self.now();
        let serial = serial.filter(|serial| self.flow.staged.contains_key(serial));
        if let Some(serial) = serial {
            match self.flow.staged[&serial].batch {
                None => self.flow.unstage(serial),
                batch => self.flow.set_batch(at, batch),
            }
        }
        if let (Some(item), Some(batch)) = (report.item, self.flow.entries[at as usize].batch) {
            self.flow.set_item(batch, item, report.state);
        }
        if report.state == State::Failed {
            let mut fault = Fault::new("Execution failed. See result for details.".to_owned());
            fault.task = Some(Arc::clone(&self.flow.entries[at as usize].name));
            fault.result = report.result.clone().filter(|result| !result.is_null());
            self.flow.add_fault(fault);
        }
        let before = self.flow.entries[at as usize].state;
        let moved = match report.item {
            Some(_) => moves::item(before, report.state, self.others(at, &report)),
            None => moves::task(before, report.state),
        };
        self.remember(at, report);
        if let Some(to) = moved {
            self.flow.set_state(at, to, now);
        }
        self.after(at, before)
    }

    /// Keeps what a child gave.
    fn remember(&mut self, at: u32, report: Report) {
        if report.whole.is_some() {
            self.flow.set_result(at, report.whole);
        }
        match (report.item, self.flow.entries[at as usize].batch) {
            (Some(item), Some(batch)) if report.state.is_done() => {
                self.flow.set_item_result(batch, item, report.result);
            }
            (None, _) if report.state.is_done() && report.result.is_some() => {
                self.flow.set_result(at, report.result);
            }
            _ => {}
        }
    }

    fn others(&self, at: u32, report: &Report) -> Others {
        let batch = self.flow.entries[at as usize].batch;
        let Some(batch) = batch.and_then(|batch| self.flow.batches.get(&batch)) else {
            return Others::Complete;
        };
        let mut tally = batch.tally.clone();
        if let Some(own) = report.item.and_then(|item| batch.items.get(item as usize)) {
            tally.take(own.state);
        }
        if tally.any(State::is_active) {
            Others::Active
        } else if tally.any(State::is_resting) {
            Others::Paused
        } else if tally.any(|state| state == State::Canceled) {
            Others::Canceled
        } else if tally.any(State::is_abended) {
            Others::Failed
        } else if tally.any(|state| !state.is_done()) {
            Others::Incomplete
        } else {
            Others::Complete
        }
    }

    /// What the flow makes of a task that moved.
    pub(super) fn tell_flow(&mut self, at: u32) {
        let state = self.flow.entries[at as usize].state;
        let follows = self.follows(at, true);
        let remedied = state.is_abended() && (follows || self.follows(at, false));
        let tally = &self.flow.index.tally;
        let active = tally.any(State::is_active);
        let heard = if state == State::Succeeded || remedied {
            let rest = if tally.any(|s| matches!(s, State::Canceling | State::Canceled)) {
                Rest::Canceled
            } else if tally.any(|s| s == State::Pausing || s.is_resting()) {
                Rest::Paused
            } else if follows || !self.flow.index.ready.is_empty() {
                Rest::Incomplete
            } else if !self.flow.index.held.is_empty() {
                Rest::Paused
            } else {
                Rest::Complete
            };
            Heard::Ended(rest, remedied)
        } else if state.is_abended() {
            Heard::Failed
        } else {
            Heard::Moved(state)
        };
        if heard == Heard::Failed && self.may_hold(at) {
            return self.hold_failed(at);
        }
        let Some(to) = moves::flow(self.flow.head.status, heard, active) else { return };
        self.flow.set_status(to);
        if to.is_done() {
            self.check_joins();
        }
    }

    /// Whether anything follows the task at `at`, which has ended; `ready`: a join that can never be
    /// met does not count.
    fn follows(&self, at: u32, ready: bool) -> bool {
        let entry = &self.flow.entries[at as usize];
        if !entry.state.is_done() {
            return false;
        }
        let node = self.node(&entry.name);
        node.out.iter().zip(&entry.next).any(|(edge, followed)| {
            let to = self.definition.graph().node(edge.to);
            if *followed != Some(true) || to.name.as_ref() == "continue" {
                return false;
            }
            let joins = to.barrier.is_some();
            !joins || !ready || self.criteria(to, entry.route) != Criteria::Unreachable
        })
    }

    /// How many tasks have begun so far.
    #[must_use]
    pub const fn begun(&self) -> usize {
        self.flow.entries.len()
    }

    /// What the flow gave.
    #[must_use]
    pub const fn output(&self) -> Option<&Map<String, Value>> {
        self.flow.output.as_ref()
    }
}

/// A map of JSON as a context.
pub(super) fn to_context(map: Map<String, Value>) -> Context {
    map.into_iter().map(|(name, value)| (Arc::from(name), Arc::new(value))).collect()
}
