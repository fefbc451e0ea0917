//! The front door: take what happened, draw the consequences, hand out what is to be done.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::execution::Status;
use crate::model::time::Time;
use crate::workflows::conduct::flow::Flow;
use crate::workflows::conduct::ready::Ready;
use crate::workflows::conduct::render::Rendered;
use crate::workflows::conduct::rows::Row;
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::steps::{Report, Steps};
use crate::workflows::conduct::view::Fault;
use crate::workflows::conduct::{Command, Happening, Place, Refused, Start, World};
use crate::workflows::definition::Definition;

/// Rounds of beginning tasks in one call at most. A circle of tasks that do nothing would never end
/// otherwise; so the flow wakes at once and goes on, and between two calls it can be canceled.
pub const ROUNDS_AT_ONCE: usize = 1_000;

/// Starts a flow of `definition`. It may be over already, see `Flow::status`.
pub fn begin(definition: &Definition, start: Start, world: &dyn World) -> (Flow, Vec<Command>) {
    let mut flow = Steps::create(definition, start, world);
    let mut door = Door::new(definition, &mut flow, world);
    if !door.steps.flow.head.status.is_done() {
        // A flow that is new can always run.
        door.steps.request(State::Running).ok();
    }
    door.pump();
    let commands = door.commands;
    (flow, commands)
}

/// Tells a flow of `definition` what happened to it.
///
/// # Errors
/// Where that cannot happen to it as it stands; then nothing is changed.
pub fn conduct(
    definition: &Definition,
    flow: &mut Flow,
    happening: Happening,
    world: &dyn World,
) -> Result<Vec<Command>, Refused> {
    let mut door = Door::new(definition, flow, world);
    door.take(happening)?;
    door.pump();
    Ok(door.commands)
}

impl Flow {
    /// The next moment at which `Happening::Due` must come; nothing where only children move it.
    #[must_use]
    pub fn wake(&self) -> Option<Time> {
        if !self.head.status.is_running() {
            return None;
        }
        let ready = self.index.ready.iter().filter_map(|serial| self.staged.get(serial));
        let due = ready.filter_map(|staged| staged.due).min();
        self.head.more.into_iter().chain(due).min().map(Time::from_millis)
    }
}

struct Door<'a> {
    steps: Steps<'a>,
    commands: Vec<Command>,
}

impl<'a> Door<'a> {
    fn new(definition: &'a Definition, flow: &'a mut Flow, world: &'a dyn World) -> Self {
        Self { steps: Steps::new(definition, flow, world), commands: Vec::new() }
    }

    fn take(&mut self, happening: Happening) -> Result<(), Refused> {
        match happening {
            Happening::Task { place, status, result } => self.child(place, status, result),
            Happening::Pause { reason } => {
                self.steps.request(State::Pausing)?;
                self.steps.flow.head.held = true;
                self.steps.flow.set_reason(Some(reason));
                self.steps.flow.touch(Row::Head);
                Ok(())
            }
            Happening::Resume => {
                self.steps.request(State::Resuming)?;
                self.steps.flow.head.held = false;
                self.steps.flow.set_reason(None);
                self.steps.flow.touch(Row::Head);
                Ok(())
            }
            Happening::Cancel { reason } => {
                self.steps.request(State::Canceling)?;
                self.steps.flow.set_reason(Some(reason));
                self.drop_waiting();
                self.stop_all();
                Ok(())
            }
            Happening::Due => Ok(()),
            Happening::Rerun { tasks } => self.steps.rerun(&tasks),
            Happening::Retry { .. } | Happening::Skip { .. } | Happening::Abort { .. } => {
                Err(Refused::NotHeld(self.steps.flow.status()))
            }
        }
    }

    fn child(&mut self, place: Place, status: Status, result: Value) -> Result<(), Refused> {
        let flow = &*self.steps.flow;
        let no_such = || Refused::NoSuchPlace(place);
        let entry = flow.entries.get(place.entry as usize).ok_or_else(no_such)?;
        let batch = entry.batch.and_then(|batch| flow.batches.get(&batch));
        let item = match (place.item, batch) {
            (None, None) => None,
            (Some(item), Some(batch)) => Some(batch.items.get(item as usize).ok_or_else(no_such)?),
            _ => return Err(no_such()),
        };
        let before = item.map_or(entry.state, |item| item.state);
        let heard = State::from(status);
        if before.is_done() || (entry.state.is_done() && item.is_none()) {
            // Told twice, or too late: its end is known.
            return Ok(());
        }
        let answered = before == State::Pending && status.is_done();
        let resting = entry.state.is_resting() && status.is_done() && item.is_some();
        let stands = flow.head.status;
        if answered && !flow.head.held && matches!(stands, State::Paused | State::Pausing) {
            self.steps.request(State::Resuming)?;
            self.steps.flow.set_reason(None);
        }
        if resting {
            let report = Report { state: State::Running, item: place.item, ..Report::default() };
            self.apply(place.entry, report);
        }
        let result = Some(result).filter(|_| status.is_done());
        self.apply(place.entry, Report { state: heard, item: place.item, result, whole: None });
        let flow = &mut *self.steps.flow;
        let waits = matches!(flow.head.status, State::Paused | State::Pausing) && !flow.head.held;
        if heard == State::Pending && waits {
            let name = &flow.entries[place.entry as usize].name;
            flow.set_reason(Some(format!("task `{name}` waits for an answer")));
        }
        Ok(())
    }

    /// What waits for its time never begins: the flow is being canceled.
    fn drop_waiting(&mut self) {
        let flow = &mut *self.steps.flow;
        let waiting = flow.staged.iter().filter(|(_, staged)| staged.batch.is_none());
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

    fn apply(&mut self, at: u32, report: Report) {
        let serial = self.steps.stage_of(at);
        self.steps.apply(at, serial, report);
    }

    /// Hands out what comes next until nothing does.
    fn pump(&mut self) {
        let mut more = Some(self.steps.now().millis());
        for _ in 0..ROUNDS_AT_ONCE {
            let next = self.steps.next();
            if next.is_empty() {
                more = None;
                break;
            }
            for ready in next {
                self.begin(ready);
            }
        }
        if self.steps.flow.head.more != more {
            self.steps.flow.head.more = more;
            self.steps.flow.touch(Row::Head);
        }
        self.steps.render_output();
        self.explain();
    }

    /// A flow that failed says why.
    fn explain(&mut self) {
        let flow = &mut *self.steps.flow;
        if flow.head.status != State::Failed || flow.head.reason.is_some() {
            return;
        }
        let Some(fault) = flow.faults.last() else { return };
        let reason = match &fault.task {
            Some(task) => format!("task `{task}`: {}", fault.message),
            None => fault.message.clone(),
        };
        flow.set_reason(Some(reason));
    }

    fn begin(&mut self, ready: Ready) {
        let Some(staged) = self.steps.flow.staged.get(&ready.serial) else { return };
        let (waited, known) = (staged.due.is_some(), staged.entry);
        let at = known.unwrap_or_else(|| self.steps.enter(ready.serial));
        let delay = ready.delay.filter(|delay| !delay.is_zero() && !waited);
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
            self.command(at, (&ready.task, ready.route), action);
        }
    }

    fn run(&mut self, at: u32, serial: u32, report: Report) {
        self.steps.apply(at, Some(serial), report);
    }

    fn command(&mut self, at: u32, task: (&Arc<str>, u32), action: Rendered) {
        let (name, route) = task;
        let place = Place { entry: at, item: action.item };
        if self.steps.definition.task(name).is_some_and(|task| task.action.is_none()) {
            let result = Some(Value::Null);
            self.apply(
                at,
                Report { state: State::Succeeded, item: action.item, result, whole: None },
            );
            return;
        }
        let parameters = match action.input {
            Value::Object(parameters) => Ok(parameters),
            Value::Null => Ok(Map::new()),
            other => {
                Err(format!("TypeError: The input of task \"{name}\" is `{other}`, no object."))
            }
        };
        match (action.action, parameters) {
            (Value::String(action), Ok(parameters)) => self.commands.push(Command::Run {
                place,
                task: name.to_string(),
                route,
                action,
                parameters,
                timeout: None,
                priority: None,
            }),
            (Value::String(_), Err(message)) => self.cannot(at, place, name, message),
            (other, _) => {
                let message =
                    format!("TypeError: The action of task \"{name}\" is `{other}`, no name.");
                self.cannot(at, place, name, message);
            }
        }
    }

    /// The child cannot even be started.
    fn cannot(&mut self, at: u32, place: Place, name: &Arc<str>, message: String) {
        let fault =
            Fault::new(message.clone()).at(name, self.steps.flow.entries[at as usize].route);
        self.steps.flow.add_fault(fault);
        let result = Some(Value::String(message));
        self.apply(at, Report { state: State::Failed, item: place.item, result, whole: None });
    }

    /// Asks every child that is not over to stop.
    fn stop_all(&mut self) {
        for (at, entry) in (0..).zip(&self.steps.flow.entries) {
            if entry.state.is_done() || matches!(entry.state, State::Unset | State::Retrying) {
                continue;
            }
            match entry.batch.and_then(|batch| self.steps.flow.batches.get(&batch)) {
                None => {
                    self.commands.push(Command::Stop { place: Place { entry: at, item: None } })
                }
                Some(batch) => {
                    let begun = (0..)
                        .zip(&batch.items)
                        .filter(|(_, item)| !item.state.is_done() && item.state != State::Unset);
                    let places = begun.map(|(item, _)| Place { entry: at, item: Some(item) });
                    self.commands.extend(places.map(|place| Command::Stop { place }));
                }
            }
        }
    }
}
