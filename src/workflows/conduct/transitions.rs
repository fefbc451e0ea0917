//! What follows when a task has ended: another try, the next tasks, commands, the end of the flow.

use std::sync::Arc;

use serde_json::Value;

use crate::workflows::Context;
use crate::workflows::conduct::joins::Criteria;
use crate::workflows::conduct::parts::Staged;
use crate::workflows::conduct::render::{Eyes, seen};
use crate::workflows::conduct::rows::Row;
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::steps::Steps;
use crate::workflows::conduct::trail::Arrival;
use crate::workflows::conduct::view::Fault;
use crate::workflows::definition::is_command;
use crate::workflows::graph::{Edge, Node};

/// Stands for the edge of an arrival that is no arrival: the way goes on as another one went so far.
pub(super) const SAME_WAY: u32 = u32::MAX;

/// A task that has ended, as its transitions see it.
struct Ended {
    at: u32,
    name: Arc<str>,
    route: u32,
    state: State,
    context: Context,
    result: Arc<Value>,
}

/// What the transitions of one task have staged.
#[derive(Default)]
struct Outcome {
    /// Commands, in the order in which they are carried out.
    commands: Vec<u32>,
    /// Tasks that may begin.
    tasks: Vec<u32>,
    /// Whether the command `fail` is among them.
    fails: bool,
}

impl Ended {
    fn eyes<'s>(&'s self, steps: &'s Steps<'_>) -> Eyes<'s> {
        self.eyes_on(&self.context, steps)
    }

    fn eyes_on<'s>(&'s self, context: &'s Context, steps: &'s Steps<'_>) -> Eyes<'s> {
        let mut eyes = steps.eyes(context, self.route);
        eyes.task = Some(seen(&self.name, self.route, self.state, &self.result));
        eyes
    }
}

impl Steps<'_> {
    /// Draws the consequences of a move of the run at `at`, which stood at `before`.
    pub(super) fn after(&mut self, at: u32, before: State) -> State {
        let state = self.flow.entries[at as usize].state;
        let mut outcome = Outcome::default();
        if state.is_done() {
            self.clear_stage(at);
            let ended = self.ended(at);
            if self.is_tried_again(&ended) {
                self.try_again(at);
            } else if state != before {
                outcome = self.follow(&ended);
            }
        }
        self.tell_flow(at);
        for serial in outcome.commands {
            self.command(serial);
        }
        if self.flow.head.status.is_done() {
            self.flow.set_term(at, true);
        }
        self.flow.entries[at as usize].state
    }

    /// Takes a task that has ended from the stage; one with items that ended badly stays for a rerun.
    fn clear_stage(&mut self, at: u32) {
        let entry = &self.flow.entries[at as usize];
        let Some(serial) = self.stage_of(at) else { return };
        let items = self.definition.task(&entry.name).is_some_and(|task| task.items.is_some());
        if items && entry.state.is_abended() {
            self.flow.restage(serial, |staged| staged.completed = true);
        } else {
            self.flow.unstage(serial);
        }
    }

    /// Where the run at `at` is still staged.
    pub(super) fn stage_of(&self, at: u32) -> Option<u32> {
        let entry = &self.flow.entries[at as usize];
        let serial = self.flow.find_staged(&entry.name, entry.route)?;
        let batch = self.flow.staged[&serial].batch;
        let own = self.flow.staged[&serial].entry == Some(at);
        (own || (batch.is_some() && batch == entry.batch)).then_some(serial)
    }

    fn ended(&mut self, at: u32) -> Ended {
        let entry = &self.flow.entries[at as usize];
        let (name, route, state, way) =
            (Arc::clone(&entry.name), entry.route, entry.state, entry.way);
        let result = self.flow.result(at);
        let context = self.flow.context(way);
        Ended { at, name, route, state, context, result }
    }

    fn is_tried_again(&mut self, ended: &Ended) -> bool {
        let entry = &self.flow.entries[ended.at as usize];
        let Some(tries) = &entry.tries else { return false };
        if !self.flow.head.status.is_active() || tries.tally >= tries.count {
            return false;
        }
        let node = self.node(&ended.name);
        let Some(when) = node.retry.as_ref().and_then(|retry| retry.when.as_deref()) else {
            return ended.state.is_abended();
        };
        let again = ended.eyes(self).truth(when);
        again.unwrap_or_else(|message| {
            let fault = Fault::new(message).at(&ended.name, ended.route);
            self.flow.add_fault(fault);
            self.fail();
            false
        })
    }

    /// Stages the task at `at` once more.
    fn try_again(&mut self, at: u32) {
        let now = self.now();
        self.flow.set_state(at, State::Retrying, now);
        if let Some(serial) = self.stage_of(at) {
            self.flow.unstage(serial);
        }
        let entry = &mut self.flow.entries[at as usize];
        let mut staged = Staged::ready(&entry.name, entry.route, entry.way);
        staged.entry = Some(at);
        if let Some(tries) = &mut entry.tries {
            tries.tally += 1;
            staged.retry_ms = Some(tries.delay_ms);
        }
        self.flow.touch(Row::Entry(at));
        self.stage(staged);
    }

    /// Evaluates every transition of a task that has ended and stages what follows.
    fn follow(&mut self, ended: &Ended) -> Outcome {
        let mut outcome = Outcome::default();
        let node = self.node(&ended.name);
        if node.out.is_empty() {
            self.flow.set_term(ended.at, true);
        }
        for (at, edge) in node.out.iter().enumerate() {
            let holds = edge.when.as_ref().map_or(Ok(true), |when| ended.eyes(self).truth(when));
            match holds {
                Ok(holds) => self.set_next(ended, node, at, holds),
                Err(message) => self.broken(ended, edge, vec![message]),
            }
            if self.flow.entries[ended.at as usize].next[at] == Some(true) {
                self.follow_edge(ended, node, at, &mut outcome);
            }
        }
        if outcome.fails {
            for serial in &outcome.tasks {
                self.flow.restage(*serial, |staged| staged.run_on_fail = true);
            }
        }
        outcome
    }

    fn set_next(&mut self, ended: &Ended, node: &Node, edge: usize, holds: bool) {
        let to = node.out[edge].to;
        let latest = self.flow.is_latest(ended.at);
        let next = &mut self.flow.entries[ended.at as usize].next;
        let parallel = node.out.iter().zip(next.iter());
        let led_already =
            parallel.filter(|(edge, _)| edge.to == to).any(|(_, next)| *next == Some(true));
        next[edge] = Some(holds);
        if holds && latest && !led_already {
            self.inbound(to, ended.route).satisfied += 1;
        }
        self.flow.touch(Row::Entry(ended.at));
    }

    fn broken(&mut self, ended: &Ended, edge: &Edge, messages: Vec<String>) {
        for message in messages {
            let mut fault = Fault::new(message).at(&ended.name, ended.route);
            fault.transition = Some(Arc::clone(&edge.id));
            self.flow.add_fault(fault);
        }
        self.fail();
    }

    fn follow_edge(&mut self, ended: &Ended, node: &Node, at: usize, outcome: &mut Outcome) {
        let edge = &node.out[at];
        let delta = match self.publish(ended, edge) {
            Ok(delta) => delta,
            Err(messages) => return self.broken(ended, edge, messages),
        };
        let to = self.definition.graph().node(edge.to);
        let route = self.route_over(ended.route, edge, to);
        let edge_number = u32::try_from(at).expect("fewer edges than 2^32");
        let arrival = Arrival { from: ended.at, edge: edge_number, delta };
        let serial = self.stage_next(&to.name, route, arrival);
        // Whether the join is met is asked on the route on which the task ran, as Orquesta does.
        let ready = to.barrier.is_none() || self.criteria(to, ended.route) == Criteria::Satisfied;
        self.flow.restage(serial, |staged| staged.ready = ready);
        if is_command(&to.name) {
            outcome.commands.push(serial);
            outcome.fails |= to.name.as_ref() == "fail";
        } else if ready {
            outcome.tasks.push(serial);
        }
    }

    /// Works out what is published on `edge` and gives the number of that context.
    fn publish(&mut self, ended: &Ended, edge: &Edge) -> Result<Option<u32>, Vec<String>> {
        let task = self.definition.task(&ended.name).expect("only known tasks run");
        let mut published = Context::new();
        let mut errors = Vec::new();
        let mut rolling = None;
        for (name, source) in &task.next[edge.transition].publish {
            let known = rolling.as_ref().unwrap_or(&ended.context);
            match ended.eyes_on(known, self).value(source).map(Arc::new) {
                Ok(value) => {
                    let name: Arc<str> = name.as_str().into();
                    let rolling = rolling.get_or_insert_with(|| ended.context.clone());
                    rolling.insert(Arc::clone(&name), Arc::clone(&value));
                    published.insert(name, value);
                }
                Err(message) => errors.push(message),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok((!published.is_empty()).then(|| self.flow.add_context(published)))
    }

    /// The route on which a task that `edge` leads to runs: a new one where ways split.
    fn route_over(&mut self, route: u32, edge: &Edge, to: &Node) -> u32 {
        let old = &self.flow.routes[route as usize];
        if !to.split || to.in_cycle || old.contains(&edge.back) {
            return route;
        }
        let mut new = old.to_vec();
        new.push(Arc::clone(&edge.back));
        self.flow.add_route(new)
    }

    /// Stages the next task, or joins it where it is staged already.
    fn stage_next(&mut self, name: &Arc<str>, route: u32, arrival: Arrival) -> u32 {
        let Some(serial) = self.waiting_for(name, route) else {
            let way = self.flow.add_way();
            self.flow.arrive(way, arrival);
            return self.stage(Staged { ready: false, ..Staged::ready(name, route, way) });
        };
        let staged = &self.flow.staged[&serial];
        let mut way = staged.way;
        let user = self.flow.latest(name, route);
        if let Some(user) = user.filter(|user| self.flow.entries[*user as usize].way == way) {
            // A run of the task is on that way already: what arrives now must not change its past.
            way = self.flow.add_way();
            self.flow.arrive(way, Arrival { from: user, edge: SAME_WAY, delta: None });
        }
        self.flow.arrive(way, arrival);
        self.flow.restage(serial, |staged| {
            staged.way = way;
            staged.batch = None;
            staged.completed = false;
        });
        serial
    }

    fn waiting_for(&self, name: &Arc<str>, route: u32) -> Option<u32> {
        let serial = self.flow.find_staged(name, route)?;
        // What waits for its time has begun as far as others are concerned.
        self.flow.staged[&serial].due.is_none().then_some(serial)
    }

    /// Carries out a command that was staged: it is a task that ends at once.
    fn command(&mut self, serial: u32) {
        let Some(staged) = self.flow.staged.get(&serial) else { return };
        let fails = staged.name.as_ref() == "fail";
        let at = self.enter(serial);
        self.flow.unstage(serial);
        let state = if fails { State::Failed } else { State::Succeeded };
        if fails {
            let mut fault = Fault::new("Execution failed. See result for details.".to_owned());
            fault.task = Some(Arc::clone(&self.flow.entries[at as usize].name));
            self.flow.add_fault(fault);
        }
        let now = self.now();
        self.flow.set_state(at, state, now);
        self.after(at, State::Unset);
    }
}
