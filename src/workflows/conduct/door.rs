//! The front door: take what happened, draw the consequences, hand out what is to be done.

use crate::model::time::Time;
use crate::workflows::conduct::flow::Flow;
use crate::workflows::conduct::hold::said;
use crate::workflows::conduct::parts::Extra;
use crate::workflows::conduct::rows::Row;
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::steps::Steps;
use crate::workflows::conduct::view::Fault;
use crate::workflows::conduct::{Again, Command, Happening, Refused, Start, World};
use crate::workflows::definition::Definition;

/// Rounds of beginning tasks in one call at most. A circle of tasks that do nothing would never end
/// otherwise; so the flow wakes at once and goes on, and between two calls it can be canceled.
pub const ROUNDS_AT_ONCE: usize = 1_000;

/// Starts a flow of `definition`. It may be over already, see `Flow::status`.
pub fn begin(definition: &Definition, start: Start, world: &dyn World) -> (Flow, Vec<Command>) {
    let mut flow = Steps::create(definition, start, world);
    let mut door = Door::new(definition, &mut flow, world);
    door.set_deadline();
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
    if !flow.index.has_inbound {
        // It was just read: from here on it is known to be a flow of this definition.
        flow.belongs_to(definition)?;
    }
    let mut door = Door::new(definition, flow, world);
    door.take(happening)?;
    door.pump();
    Ok(door.commands)
}

impl Flow {
    /// The next moment at which `Happening::Due` must come; nothing where only children move it.
    #[must_use]
    pub fn wake(&self) -> Option<Time> {
        let status = self.head.status;
        let waiting = self.index.ready.iter().filter_map(|serial| self.staged.get(serial)?.due);
        let begin = waiting.chain(self.head.more).filter(|_| status.is_running());
        let probe = |at: &u32| self.extra(*at).filter(|extra| !extra.probing)?.probe;
        let probes = self.index.held.iter().filter_map(probe);
        let deadline = self.head.deadline.filter(|_| !status.is_done());
        begin.chain(probes).chain(deadline).min().map(Time::from_millis)
    }
}

/// A flow at the front door, and what is to be done for it so far.
pub(super) struct Door<'a> {
    pub(super) steps: Steps<'a>,
    pub(super) commands: Vec<Command>,
}

impl<'a> Door<'a> {
    fn new(definition: &'a Definition, flow: &'a mut Flow, world: &'a dyn World) -> Self {
        Self { steps: Steps::new(definition, flow, world), commands: Vec::new() }
    }

    fn take(&mut self, happening: Happening) -> Result<(), Refused> {
        match happening {
            Happening::Task { place, status, result } => self.child(place, status, result),
            Happening::Pause { reason } => {
                // What rests already, by a failure or for an answer, is kept from going on by itself.
                let rests = matches!(self.steps.flow.state(), State::Pausing | State::Paused);
                if self.steps.flow.index.held.is_empty() && !rests {
                    self.steps.request(State::Pausing)?;
                }
                self.steps.flow.head.held = true;
                self.steps.flow.set_reason(Some(reason));
                self.steps.flow.touch(Row::Head);
                Ok(())
            }
            Happening::Resume => self.resume(),
            Happening::Cancel { reason } => self.cancel(reason),
            Happening::Due => Ok(()),
            Happening::Rerun { tasks } => self.rerun(&tasks),
            Happening::Retry { entry, parameters } => self.retry(entry, parameters),
            Happening::Skip { entry, result } => self.skip(entry, result),
            Happening::Abort { reason } => self.abort(reason),
        }
    }

    /// Ends the flow before its time. What is being undone then stays as it is.
    fn cancel(&mut self, reason: String) -> Result<(), Refused> {
        if self.steps.flow.head.ending.is_some() {
            self.stop_undoing();
            return Ok(());
        }
        self.steps.request(State::Canceling)?;
        self.release_all();
        self.steps.flow.set_reason(Some(reason));
        self.drop_waiting();
        self.stop_all();
        Ok(())
    }

    fn rerun(&mut self, tasks: &[Again]) -> Result<(), Refused> {
        if self.steps.flow.head.ending.is_some() {
            return Err(Refused::WorkflowIsActiveAndNotRerunable);
        }
        if self.steps.flow.head.status.is_done() && tasks.is_empty() && !self.steps.has_failed() {
            // It was canceled or ran out of time: what did not come to its end is run again.
            let canceled = self.steps.canceled();
            let begins = !self.steps.flow.index.ready.is_empty() || self.steps.has_unheard();
            if canceled.is_empty() && !begins {
                return Err(Refused::NothingToRerun(self.steps.flow.status()));
            }
            self.steps.rerun(&canceled)?;
        } else {
            self.steps.rerun(tasks)?;
        }
        self.steps.flow.head.deadline = None;
        self.set_deadline();
        Ok(())
    }

    /// When the flow must be over: the earlier of what its caller and its definition say.
    fn set_deadline(&mut self) {
        let Some(timeout) = &self.steps.definition.timeout else { return };
        if self.steps.flow.head.status.is_done() {
            return;
        }
        let context = self.steps.root_context();
        let span = self.steps.eyes(&context, 0).span(timeout, "`timeout`");
        match span {
            Ok(span) => {
                let end = self.steps.now().plus(span).millis();
                let head = &mut self.steps.flow.head;
                head.deadline = Some(head.deadline.map_or(end, |given| given.min(end)));
                self.steps.flow.touch(Row::Head);
            }
            Err(message) => {
                self.steps.fault(message);
                self.steps.fail();
            }
        }
    }

    /// Ends a flow whose time is over.
    fn expire(&mut self) {
        let flow = &mut *self.steps.flow;
        let over =
            flow.head.deadline.is_some_and(|deadline| deadline <= self.steps.world.now().millis());
        if !over || flow.head.status.is_done() {
            return;
        }
        let message = "the workflow took longer than its timeout";
        flow.add_fault(Fault::new(message.to_owned()));
        self.release_all();
        self.steps.flow.set_reason(Some(message.to_owned()));
        self.steps.ask_tasks(State::Canceling);
        self.steps.flow.set_status(State::Timeout);
        self.drop_waiting();
        self.stop_all();
    }

    /// A flow that is about to pause or to stop begins no more items. Orquesta tells tasks so only when
    /// a person asked; where a task brought the flow there, it would wait for those items for ever.
    fn calm(&mut self) {
        let status = self.steps.flow.head.status;
        let then = match status {
            State::Canceling => State::Canceled,
            State::Pausing => State::Paused,
            _ => return,
        };
        self.steps.ask_tasks(status);
        if !self.steps.flow.index.tally.any(State::is_active) {
            // It follows from where it stands.
            self.steps.request(then).ok();
        }
    }

    /// Hands out what comes next until nothing does.
    fn pump(&mut self) {
        self.expire();
        self.calm();
        let mut more = Some(self.steps.now().millis());
        for _ in 0..ROUNDS_AT_ONCE {
            let next = self.steps.take_ready();
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
        self.probe();
        self.explain_pause();
        self.steps.render_output();
        self.explain_failure();
        self.settle();
    }

    /// A flow that still waits for a person after a failure says for which.
    fn explain_pause(&mut self) {
        let flow = &mut *self.steps.flow;
        let resting = matches!(flow.head.status, State::Paused | State::Pausing);
        if !resting || flow.head.reason.is_some() {
            return;
        }
        let Some(at) = flow.index.held.first().copied() else { return };
        let why = flow.extra(at).and_then(|extra: &Extra| extra.held.clone()).unwrap_or_default();
        let name = &flow.entries[at as usize].name;
        let reason = format!("task `{name}` failed: {why}");
        flow.set_reason(Some(reason));
    }

    /// A flow that failed says why.
    fn explain_failure(&mut self) {
        let flow = &mut *self.steps.flow;
        if flow.head.status != State::Failed || flow.head.reason.is_some() {
            return;
        }
        let Some(fault) = flow.faults.last() else { return };
        let reason = match &fault.task {
            Some(task) => {
                let at = flow.latest(task, fault.route.unwrap_or(0));
                let own = at.and_then(|at| flow.extra(at)).and_then(|extra| extra.reason.clone());
                let why = own.or_else(|| fault.result.as_ref().and_then(said));
                let why = why.unwrap_or_else(|| fault.message.clone());
                format!("task `{task}` failed: {why}")
            }
            None => fault.message.clone(),
        };
        flow.set_reason(Some(reason));
    }
}
