//! What follows when a task has ended: another try, the next tasks, commands, the end of the flow.

use std::sync::Arc;

use serde_json::Value;

use crate::workflows::Context;
use crate::workflows::conduct::flow::number;
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
    context: Arc<Context>,
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
    /// The edges whose expressions failed, where that holds the flow.
    broken: Vec<u32>,
    /// Why they failed.
    why: String,
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
            if state != before && self.is_tried_again(&ended) {
                self.try_again(at);
            } else if state != before {
                outcome = self.follow(&ended);
            }
        }
        self.conclude(at, outcome);
        self.flow.entries[at as usize].state
    }

    fn conclude(&mut self, at: u32, outcome: Outcome) {
        self.tell_flow(at);
        for serial in outcome.commands {
            self.command(serial);
        }
        if self.flow.head.status.is_done() {
            self.flow.set_term(at, true);
        }
    }

    /// Evaluates the transitions of the run at `at` as if it had just ended; those whose expressions failed,
    /// where it was these that failed, otherwise all.
    pub(super) fn follow_again(&mut self, at: u32) {
        let mut broken = Vec::new();
        self.flow.amend(at, |extra| broken = std::mem::take(&mut extra.broken));
        let ended = self.ended(at);
        let outcome = if broken.is_empty() {
            self.forget_next(at);
            self.follow(&ended)
        } else {
            self.follow_edges(&ended, &broken)
        };
        self.conclude(at, outcome);
    }

    /// Nothing followed from the run at `at`.
    pub(super) fn forget_next(&mut self, at: u32) {
        let route = self.flow.entries[at as usize].route;
        if self.flow.is_latest(at) {
            for to in self.led_to(at) {
                self.inbound(to, route).satisfied -= 1;
            }
        }
        self.flow.entries[at as usize].next.fill(None);
        self.flow.set_term(at, false);
        self.flow.touch(Row::Entry(at));
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
        let own = self.flow.staged_for(&entry.name, entry.route, at);
        own.or_else(|| {
            let batch = entry.batch?;
            let mut staged = self.flow.all_staged(&entry.name, entry.route);
            staged.find(|serial| self.flow.staged[serial].batch == Some(batch))
        })
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
        // Items that waited for a person when another failed belong to the try before.
        self.flow.set_batch(at, None);
        let entry = &mut self.flow.entries[at as usize];
        let mut staged = Staged::ready(&entry.name, entry.route, entry.way);
        staged.entry = Some(at);
        let (name, began) = (Arc::clone(&entry.name), entry.started.unwrap_or_default());
        if let Some(tries) = &mut entry.tries {
            tries.tally += 1;
        }
        let tries = entry.tries.clone();
        let retry = self.definition.graph().find(&name).and_then(|node| node.retry.as_ref());
        staged.retry_ms = retry.zip(tries).map(|(retry, tries)| tries.pause(retry, (began, at)));
        self.flow.amend(at, |extra| {
            extra.turn += 1;
            extra.rounds = 0;
        });
        self.stage(staged);
    }

    /// Evaluates every transition of a task that has ended and stages what follows.
    fn follow(&mut self, ended: &Ended) -> Outcome {
        let count = number(self.node(&ended.name).out.len());
        if count == 0 {
            self.flow.set_term(ended.at, true);
        }
        self.follow_edges(ended, &(0..count).collect::<Vec<_>>())
    }

    fn follow_edges(&mut self, ended: &Ended, edges: &[u32]) -> Outcome {
        let mut outcome = Outcome::default();
        let node = self.node(&ended.name);
        for at in edges.iter().map(|at| *at as usize) {
            let edge = &node.out[at];
            let holds = edge.when.as_ref().map_or(Ok(true), |when| ended.eyes(self).truth(when));
            match holds {
                Ok(holds) => self.set_next(ended, node, at, holds),
                Err(message) => self.broken(ended, at, vec![message], &mut outcome),
            }
            if self.flow.entries[ended.at as usize].next[at] == Some(true) {
                self.follow_edge(ended, node, at, &mut outcome);
            }
        }
        if !outcome.broken.is_empty() {
            let broken = std::mem::take(&mut outcome.broken);
            let why = std::mem::take(&mut outcome.why);
            self.flow.amend(ended.at, |extra| extra.broken = broken);
            self.hold(ended.at, why);
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

    fn broken(&mut self, ended: &Ended, at: usize, messages: Vec<String>, outcome: &mut Outcome) {
        if self.may_hold_task(&ended.name) {
            outcome.broken.push(number(at));
            outcome.why = messages.join("; ");
        }
        let edge = &self.node(&ended.name).out[at];
        for message in messages {
            let mut fault = Fault::new(message).at(&ended.name, ended.route);
            fault.transition = Some(Arc::clone(&edge.id));
            self.flow.add_fault(fault);
        }
        if outcome.broken.is_empty() {
            self.fail();
        }
    }

    fn follow_edge(&mut self, ended: &Ended, node: &Node, at: usize, outcome: &mut Outcome) {
        let edge = &node.out[at];
        let delta = match self.publish(ended, edge) {
            Ok(delta) => delta,
            Err(messages) => return self.broken(ended, at, messages, outcome),
        };
        let to = self.definition.graph().node(edge.to);
        let route = self.route_over(ended.route, edge, to);
        let arrival = Arrival { from: ended.at, edge: number(at), delta };
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
        let mut rolling: Option<Context> = None;
        let publish = &task.next[edge.transition].publish;
        for (at, (name, source)) in publish.iter().enumerate() {
            let known = rolling.as_ref().unwrap_or(&ended.context);
            match ended.eyes_on(known, self).value(source).map(Arc::new) {
                Ok(value) => {
                    let name: Arc<str> = name.as_str().into();
                    // Only what is published after it sees it: the last needs no context of its own.
                    if at + 1 < publish.len() {
                        let rolling = rolling.get_or_insert_with(|| Context::clone(&ended.context));
                        rolling.insert(Arc::clone(&name), Arc::clone(&value));
                    }
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
        let on_it = |user: &u32| self.flow.entries[*user as usize].way == way;
        let user = staged.entry.or_else(|| self.flow.latest(name, route)).filter(on_it);
        if let Some(user) = user {
            // A run of the task is on that way already: what arrives now must not change its past.
            way = self.flow.add_way();
            self.flow.arrive(way, Arrival { from: user, edge: SAME_WAY, delta: None });
        }
        self.flow.arrive(way, arrival);
        self.flow.restage(serial, |staged| {
            staged.way = way;
            staged.batch = None;
            staged.entry = None;
            staged.completed = false;
        });
        serial
    }

    /// What is staged of that task and can be joined: it has not begun, or has ended badly and stays.
    fn waiting_for(&self, name: &Arc<str>, route: u32) -> Option<u32> {
        let begun = |at: u32| !self.flow.entries[at as usize].state.is_done();
        self.flow.all_staged(name, route).find(|serial| {
            let staged = &self.flow.staged[serial];
            staged.due.is_none() && !staged.asked && !staged.entry.is_some_and(begun)
        })
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
