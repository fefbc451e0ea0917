//! The children of a flow: starting them, hearing from them, asking them to stop.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::execution::Status;
use crate::workflows::Context;
use crate::workflows::additions::Call;
use crate::workflows::conduct::door::Door;
use crate::workflows::conduct::parts::Undo;
use crate::workflows::conduct::ready::Ready;
use crate::workflows::conduct::render::{Rendered, integer, seen};
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::steps::Report;
use crate::workflows::conduct::view::Fault;
use crate::workflows::conduct::{Command, Place, Refused};

/// What a child at a place is for.
enum Purpose {
    /// It runs the task's action, or that of an item; where that stood before.
    Action(State),
    Question,
    Probe,
    Undo,
    /// It is one that ran there earlier, or has ended: what it says is known.
    Past,
}

impl Door<'_> {
    /// A child moved.
    pub(super) fn child(
        &mut self,
        place: Place,
        status: Status,
        result: Value,
    ) -> Result<(), Refused> {
        let at = place.entry;
        let before = match self.purpose(place)? {
            Purpose::Probe if status.is_done() => return self.probed(at, status, &result),
            Purpose::Past | Purpose::Probe => return Ok(()),
            Purpose::Undo => {
                self.undone(at, status, result);
                return Ok(());
            }
            Purpose::Question => {
                let before = self.steps.flow.entries[at as usize].state;
                self.answered(before, status)?;
                self.asked(at, status, result);
                self.explain_waiting(at, State::from(status));
                return Ok(());
            }
            Purpose::Action(before) => before,
        };
        self.answered(before, status)?;
        let entry = &self.steps.flow.entries[at as usize];
        if entry.state.is_resting() && status.is_done() && place.item.is_some() {
            let report = Report { state: State::Running, item: place.item, ..Report::default() };
            self.apply(at, report);
        }
        let Some(heard) = self.round(at, State::from(status), &result) else { return Ok(()) };
        let result = Some(result).filter(|_| status.is_done());
        let mut open = self.resting_items(at);
        open.retain(|other| *other != place);
        open.extend(Some(place).filter(|_| place.item.is_some() && heard.is_resting()));
        self.apply(at, Report { state: heard, item: place.item, result, whole: None });
        self.explain_waiting(at, heard);
        self.withdraw(at, open)
    }

    /// Where items of the run at `at` wait for a person or are paused.
    fn resting_items(&self, at: u32) -> Vec<Place> {
        let flow = &*self.steps.flow;
        let batch = flow.entries[at as usize].batch.and_then(|batch| flow.batches.get(&batch));
        let Some(batch) = batch.filter(|batch| batch.tally.any(State::is_resting)) else {
            return Vec::new();
        };
        let rest = (0..).zip(&batch.items).filter(|(_, item)| item.state.is_resting());
        rest.map(|(item, _)| flow.place(at, Some(item))).collect()
    }

    /// Stops the items `open` of a run that ended without them. A flow that only waited for them goes on.
    fn withdraw(&mut self, at: u32, open: Vec<Place>) -> Result<(), Refused> {
        let flow = &*self.steps.flow;
        let state = flow.entries[at as usize].state;
        if open.is_empty() || !(state.is_done() || state == State::Retrying) {
            return Ok(());
        }
        self.commands.extend(open.into_iter().map(|place| Command::Stop { place }));
        let rests = matches!(flow.head.status, State::Paused | State::Pausing);
        let holds = flow.head.held || !flow.index.held.is_empty();
        let waits = flow.index.tally.any(|state| state.is_resting() || state == State::Pausing);
        if rests && !holds && !waits {
            self.steps.request(State::Resuming)?;
            self.steps.flow.set_reason(None);
        }
        Ok(())
    }

    fn purpose(&self, place: Place) -> Result<Purpose, Refused> {
        let flow = &*self.steps.flow;
        let no_such = || Refused::NoSuchPlace(place);
        let entry = flow.entries.get(place.entry as usize).ok_or_else(no_such)?;
        let turn = flow.place(place.entry, place.item).turn;
        if place.turn != turn {
            // An item that has yet to begin in this try does not know of the tries before.
            let last = entry.extra.as_ref().map_or(0, |extra| extra.turn).max(turn);
            return if place.turn <= last { Ok(Purpose::Past) } else { Err(no_such()) };
        }
        if let Some(extra) = entry.extra.as_ref().filter(|_| place.item.is_none()) {
            match extra.undo {
                Undo::UnderWay => return Ok(Purpose::Undo),
                Undo::Done => return Ok(Purpose::Past),
                Undo::No if extra.probing => return Ok(Purpose::Probe),
                Undo::No if extra.asking => return Ok(Purpose::Question),
                Undo::No => {}
            }
        }
        let batch = entry.batch.and_then(|batch| flow.batches.get(&batch));
        let before = match (place.item, batch) {
            (None, None) => entry.state,
            (Some(item), Some(batch)) => {
                let before = batch.items.get(item as usize).ok_or_else(no_such)?.state;
                // The run is over, or the item has yet to begin again: an earlier child speaks.
                if entry.state.is_done() || before == State::Unset {
                    return Ok(Purpose::Past);
                }
                before
            }
            // Beside its items a run has a question or a probe, which was stopped.
            (None, Some(_)) if entry.extra.is_some() => return Ok(Purpose::Past),
            _ => return Err(no_such()),
        };
        Ok(if before.is_done() { Purpose::Past } else { Purpose::Action(before) })
    }

    /// The answer of a person lets a flow go on that only waited for it.
    fn answered(&mut self, before: State, status: Status) -> Result<(), Refused> {
        let flow = &*self.steps.flow;
        let rests = matches!(flow.head.status, State::Paused | State::Pausing);
        let waited = rests && !flow.head.held && flow.index.held.is_empty();
        if before == State::Pending && status.is_done() && waited {
            self.steps.request(State::Resuming)?;
            self.steps.flow.set_reason(None);
        }
        Ok(())
    }

    /// A flow that waits for a person says where.
    fn explain_waiting(&mut self, at: u32, heard: State) {
        let flow = &mut *self.steps.flow;
        let rests = matches!(flow.head.status, State::Paused | State::Pausing);
        if heard == State::Pending && rests && !flow.head.held && flow.index.held.is_empty() {
            let name = &flow.entries[at as usize].name;
            let reason = format!("task `{name}` waits for an answer");
            flow.set_reason(Some(reason));
        }
    }

    fn apply(&mut self, at: u32, report: Report) {
        let serial = self.steps.stage_of(at);
        self.steps.apply(at, serial, report);
    }

    /// Begins a task whose time has come, or its wait.
    pub(super) fn begin(&mut self, ready: Ready) {
        let Some(staged) = self.steps.flow.staged.get(&ready.serial) else { return };
        let (waited, known) = (staged.due.is_some(), staged.entry);
        let at = known.unwrap_or_else(|| self.steps.enter(ready.serial));
        let approved = self.steps.flow.extra(at).is_some_and(|extra| extra.approved);
        let delay = ready.delay.filter(|delay| !delay.is_zero() && !waited && !approved);
        let due = delay.map(|delay| self.steps.now().plus(delay).millis());
        if known.is_none() || due.is_some() {
            self.steps.flow.restage(ready.serial, |staged| {
                staged.entry = Some(at);
                staged.due = due;
            });
        }
        if due.is_some() {
            return;
        }
        if self.must_ask(at, &ready.task) {
            return self.ask(at, &ready);
        }
        if ready.items == Some(0) {
            self.run(at, ready.serial, Report { state: State::Running, ..Report::default() });
            let result = Some(Value::Array(Vec::new()));
            self.run(
                at,
                ready.serial,
                Report { state: State::Succeeded, result, ..Report::default() },
            );
            return;
        }
        for action in ready.actions {
            let report = Report { state: State::Running, item: action.item, ..Report::default() };
            self.run(at, ready.serial, report);
            if let Some(item) = action.item {
                self.steps.flow.start_item(at, item);
            }
            self.command(at, &ready.task, action);
        }
    }

    fn run(&mut self, at: u32, serial: u32, report: Report) {
        self.steps.apply(at, Some(serial), report);
    }

    fn command(&mut self, at: u32, name: &Arc<str>, action: Rendered) {
        let item = action.item;
        if self.steps.definition.task(name).is_some_and(|task| task.action.is_none()) {
            let result = Some(Value::Null);
            self.apply(at, Report { state: State::Succeeded, item, result, whole: None });
            return;
        }
        match self.order(at, name, action) {
            Ok(command) => self.commands.push(command),
            Err(message) => self.cannot(at, item, name, message),
        }
    }

    /// The command that runs `action` for the run at `at`.
    fn order(&mut self, at: u32, name: &Arc<str>, action: Rendered) -> Result<Command, String> {
        let task = self.steps.definition.task(name).expect("only known tasks begin");
        let entry = &self.steps.flow.entries[at as usize];
        let (route, way) = (entry.route, entry.way);
        let (mut timeout, mut priority) = (None, None);
        if task.additions.timeout.is_some() || task.additions.priority.is_some() {
            let context = self.steps.flow.context(way);
            let eyes = self.steps.eyes(&context, route);
            let given = task.additions.timeout.as_ref();
            timeout = given.map(|timeout| eyes.span(timeout, "`timeout`")).transpose()?;
            if let Some(given) = &task.additions.priority {
                let wrong =
                    || "TypeError: The value of `priority` is not type of integer.".to_owned();
                priority = Some(integer(&eyes.value(given)?).ok_or_else(wrong)?);
            }
        }
        let given = self.steps.flow.extra(at).and_then(|extra| extra.given.clone());
        let place = self.steps.flow.place(at, action.item);
        let (action, mut parameters) = worded(name, action.action, action.input)?;
        // Whoever tries again with others names only those that change.
        parameters.extend(given.unwrap_or_default());
        let task = name.to_string();
        Ok(Command::Run { place, task, route, action, parameters, timeout, priority })
    }

    /// Runs an action beside the task's own, in its context and with its result: a probe or an undo.
    pub(super) fn call(&mut self, at: u32, call: &Call) -> Result<(), String> {
        let entry = &self.steps.flow.entries[at as usize];
        let (name, route, way, state) =
            (Arc::clone(&entry.name), entry.route, entry.way, entry.state);
        let result = self.steps.flow.result(at);
        let context = self.steps.flow.context(way);
        let context = explained(context, self.steps.flow.reason());
        let mut eyes = self.steps.eyes(&context, route);
        eyes.task = Some(seen(&name, route, state, &result));
        let action = eyes.value(&Value::String(call.action.clone()))?;
        let input = eyes.value(&call.input)?;
        let (action, parameters) = worded(&name, action, input)?;
        let place = self.steps.flow.place(at, None);
        let task = name.to_string();
        let (timeout, priority) = (None, None);
        self.commands.push(Command::Run {
            place,
            task,
            route,
            action,
            parameters,
            timeout,
            priority,
        });
        Ok(())
    }

    /// The child cannot even be started.
    pub(super) fn cannot(&mut self, at: u32, item: Option<u32>, name: &Arc<str>, message: String) {
        let route = self.steps.flow.entries[at as usize].route;
        self.steps.flow.add_fault(Fault::new(message.clone()).at(name, route));
        let result = Some(Value::String(message));
        self.apply(at, Report { state: State::Failed, item, result, whole: None });
    }

    /// What waits for its time never begins: the flow is ending.
    pub(super) fn drop_waiting(&mut self) {
        let flow = &mut *self.steps.flow;
        let waiting =
            flow.staged.iter().filter(|(_, staged)| staged.batch.is_none() && !staged.asked);
        let waiting: Vec<(u32, Option<u32>)> =
            waiting.map(|(serial, staged)| (*serial, staged.entry)).collect();
        let now = self.steps.world.now();
        for (serial, entry) in waiting {
            if let Some(entry) = entry {
                flow.set_state(entry, State::Canceled, now);
                flow.unstage(serial);
            }
        }
    }

    /// Asks every child that is not over to stop.
    pub(super) fn stop_all(&mut self) {
        let flow = &*self.steps.flow;
        for (at, entry) in (0..).zip(&flow.entries) {
            if entry.state.is_done() || matches!(entry.state, State::Unset | State::Retrying) {
                continue;
            }
            let Some(batch) = entry.batch.and_then(|batch| flow.batches.get(&batch)) else {
                self.commands.push(Command::Stop { place: flow.place(at, None) });
                continue;
            };
            let begun = |state: State| !state.is_done() && state != State::Unset;
            let items = (0..).zip(&batch.items).filter(|(_, item)| begun(item.state));
            let places = items.map(|(item, _)| flow.place(at, Some(item)));
            self.commands.extend(places.map(|place| Command::Stop { place }));
        }
    }
}

/// An action and its parameters, once they are worked out.
fn worded(task: &str, action: Value, input: Value) -> Result<(String, Map<String, Value>), String> {
    let Value::String(action) = action else {
        return Err(format!("TypeError: The action of task \"{task}\" is `{action}`, no name."));
    };
    match input {
        Value::Object(parameters) => Ok((action, parameters)),
        Value::Null => Ok((action, Map::new())),
        other => Err(format!("TypeError: The input of task \"{task}\" is `{other}`, no object.")),
    }
}

/// The context with why the flow fails or rests, as `ctx().st2.failure`.
fn explained(context: Arc<Context>, why: Option<&str>) -> Arc<Context> {
    let (Some(why), Some(Value::Object(st2))) = (why, context.get("st2").map(|st2| &**st2)) else {
        return context;
    };
    let mut st2 = st2.clone();
    st2.insert("failure".to_owned(), Value::String(why.to_owned()));
    let mut context = Context::clone(&context);
    context.insert("st2".into(), Arc::new(Value::Object(st2)));
    Arc::new(context)
}
