//! One workflow's turn: what happened to it goes in, what follows from that comes out, ready for one
//! commit. No I/O but the stored keys that its expressions ask for.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::executions::draft::{self, Draft};
use crate::executions::flows::Under;
use crate::executions::{Room, control, flows, orders, settle, templates};
use crate::model::cause::Cause;
use crate::model::execution::{End, Execution, Part, Status, Step};
use crate::model::id::{ExecutionId, RecordId};
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::model::workflow::{Again, Order};
use crate::runners::{Course, Ended};
use crate::store::batch::{Batch, Expectation};
use crate::store::queue::{self, Ticket};
use crate::store::table::{self, Held, Row};
use crate::store::tables::Work;
use crate::workflows::conduct::{self, Command, Happening, Place, Start};
use crate::workflows::definition::Definition;

/// Steps that one turn carries out at most: a workflow of nothing but `noop` shares the loop too.
const STEPS_LIMIT: usize = 128;

/// What happened to a workflow.
pub(super) enum Input {
    /// Its time to begin has come.
    Turn,
    /// One of its parts has moved: as it stands now.
    Moved(Box<Execution>),
    /// A person wants something of it.
    Order(Order),
}

/// A workflow that has not begun.
pub(super) struct Beginning {
    pub(super) definition: Arc<Definition>,
    pub(super) inputs: Map<String, Value>,
    pub(super) deadline: Option<Time>,
}

/// One workflow that something has happened to.
pub(super) struct Case {
    pub(super) held: Held<Execution>,
    pub(super) under: Option<Under>,
    pub(super) beginning: Option<Beginning>,
    pub(super) inputs: Vec<Input>,
    /// Why it cannot go on at all.
    pub(super) broken: Option<String>,
}

/// What follows from the turns of one round.
#[derive(Default)]
pub(super) struct Follows {
    pub(super) batch: Batch,
    /// Executions that moved, to be told of once it is on disk.
    pub(super) moved: Vec<Execution>,
    /// Parts to be stopped.
    pub(super) stops: Vec<(ExecutionId, Place)>,
    /// Workflows whose state is not needed any more: another attempt begins from nothing.
    pub(super) wiped: Vec<ExecutionId>,
    /// Parts that began.
    pub(super) requested: usize,
    /// What failed parts of workflows that are done again left behind: they go on from there.
    pub(super) earlier: HashMap<(ExecutionId, Arc<str>, Option<u32>), Execution>,
    /// States of workflows to be copied, from and to, and whether they are secret.
    pub(super) copied: Vec<(ExecutionId, ExecutionId, bool)>,
}

impl Follows {
    fn add(&mut self, other: Self) {
        self.batch.merge(other.batch);
        self.moved.extend(other.moved);
        self.stops.extend(other.stops);
        self.wiped.extend(other.wiped);
        self.requested += other.requested;
        self.earlier = other.earlier;
        self.copied.extend(other.copied);
    }
}

/// The turn of one workflow, which can harm no other: one that panics ends as failed.
pub(super) fn alone(around: &Around<'_>, case: &mut Case, follows: &mut Follows) {
    let earlier = std::mem::take(&mut follows.earlier);
    let turned = catch_unwind(AssertUnwindSafe(|| {
        let mut own = Follows { earlier, ..Follows::default() };
        around.carry_out(case, &mut own);
        own
    }));
    if let Ok(own) = turned {
        follows.add(own);
        return;
    }
    tracing::error!(execution = %case.held.row.id, "the turn of a workflow panicked");
    case.under = None;
    case.beginning = None;
    case.inputs.clear();
    case.broken = Some("its turn panicked, which is a mistake of Ifso's".to_owned());
    around.carry_out(case, follows);
}

/// What all turns of a round share.
pub(super) struct Around<'a> {
    pub(super) room: &'a Room,
    pub(super) now: Time,
    pub(super) store: tokio::runtime::Handle,
    /// Whether the turn under way has read a secret key: from then on its workflow is secret.
    pub(super) opened: Cell<bool>,
}

/// What the expressions of one workflow ask from outside.
struct World<'a> {
    around: &'a Around<'a>,
    user: &'a str,
}

impl conduct::World for World<'_> {
    fn now(&self) -> Time {
        self.around.now
    }

    fn key(&self, name: &str, _decrypt: bool) -> Result<Option<Value>, String> {
        let asked = templates::value(self.around.room, self.user, name);
        let found = self.around.store.block_on(asked).map_err(|error| error.to_string())?;
        Ok(found.map(|found| {
            if found.secret {
                self.around.opened.set(true);
            }
            found.value
        }))
    }
}

/// The same where a workflow is only asked what it would do: no stored key is read.
pub(super) struct Glimpse {
    pub(super) now: Time,
}

impl conduct::World for Glimpse {
    fn now(&self) -> Time {
        self.now
    }

    fn key(&self, _name: &str, _decrypt: bool) -> Result<Option<Value>, String> {
        Ok(None)
    }
}

impl Around<'_> {
    /// Carries out the turn of one workflow.
    pub(super) fn carry_out(&self, case: &mut Case, follows: &mut Follows) {
        let mut execution = case.held.row.clone();
        if execution.status.is_done() {
            return;
        }
        let mut commands = VecDeque::new();
        self.opened.set(execution.secret);
        if let Some(reason) = case.broken.take() {
            self.end(
                &mut execution,
                End::Failed,
                (json!({ "error": reason }), Some(reason)),
                follows,
            );
        } else if case.under.is_none() {
            self.begin(case, &mut execution, &mut commands);
        }
        if let Some(under) = &mut case.under {
            self.ask(under, &mut execution, &case.inputs, &mut commands);
            for input in case.inputs.drain(..) {
                self.take(under, input, &execution, &mut commands);
            }
            self.due(under, &execution, &mut commands);
            self.obey(under, &execution, &mut commands, follows);
            self.write(under, &mut execution, follows);
        }
        if execution == case.held.row {
            let key = table::key::<Execution>(execution.key());
            follows.batch.expect(key, Expectation::At(case.held.revision));
        } else {
            table::replace(&mut follows.batch, &case.held, &execution);
            follows.moved.push(execution);
        }
    }

    fn world<'a>(&'a self, execution: &'a Execution) -> World<'a> {
        World { around: self, user: &execution.user }
    }

    /// A workflow whose turn it is begins; one that was paused or cancelled before does not.
    fn begin(&self, case: &mut Case, execution: &mut Execution, commands: &mut VecDeque<Command>) {
        let Some(beginning) = case.beginning.take() else { return };
        if execution.step(Step::Start, self.now).is_err() {
            return;
        }
        execution.attempt += 1;
        let start = Start {
            inputs: beginning.inputs,
            context: Map::from_iter([("st2".to_owned(), self.st2(execution))]),
            deadline: beginning.deadline,
        };
        let (flow, first) = conduct::begin(&beginning.definition, start, &self.world(execution));
        commands.extend(first);
        case.under = Some(Under::begun(beginning.definition, flow));
    }

    /// StackStorm's `ctx().st2`.
    fn st2(&self, execution: &Execution) -> Value {
        json!({
            "action_execution_id": execution.id,
            "workflow_execution_id": execution.id,
            "parent": execution.parent,
            "action": execution.action.reference,
            "pack": execution.action.reference.pack(),
            "user": execution.user,
            "api_user": execution.user,
            "api_url": self.room.parts.settings.api_url,
            "source_channel": execution.context.get("source_channel"),
        })
    }

    /// What was asked of the execution is asked of the workflow.
    fn ask(
        &self,
        under: &mut Under,
        execution: &mut Execution,
        inputs: &[Input],
        commands: &mut VecDeque<Command>,
    ) {
        // An order says itself how it goes on.
        let ordered = inputs.iter().any(
            |input| matches!(input, Input::Order(order) if !matches!(order, Order::Hold { .. })),
        );
        if ordered && may_start(execution.status) {
            execution.step(Step::Start, self.now).expect("what waits may start");
            execution.attempt = 1;
        }
        let reason = || execution.reason.clone().unwrap_or_default();
        let happening = match (execution.status, under.flow.status()) {
            (Status::Pausing, Status::Running | Status::Resuming) => {
                Happening::Pause { reason: reason() }
            }
            (Status::Resuming, Status::Pausing | Status::Paused) if !ordered => Happening::Resume,
            (Status::Canceling, status) if !status.is_done() && status != Status::Canceling => {
                Happening::Cancel { reason: reason() }
            }
            _ => return,
        };
        self.happen(under, execution, happening, commands);
    }

    fn take(
        &self,
        under: &mut Under,
        input: Input,
        execution: &Execution,
        commands: &mut VecDeque<Command>,
    ) {
        let happening = match input {
            Input::Turn => return,
            Input::Moved(part) => {
                let Some(place) = part.part.as_ref().map(place) else { return };
                Happening::Task { place, status: part.status, result: part.result }
            }
            Input::Order(Order::Retry { entry, parameters }) => {
                Happening::Retry { entry, parameters }
            }
            Input::Order(Order::Skip { entry, result }) => Happening::Skip { entry, result },
            // Whoever resumed it meanwhile did so later.
            Input::Order(Order::Hold { .. })
                if !matches!(execution.status, Status::Pausing | Status::Paused) =>
            {
                return;
            }
            Input::Order(Order::Hold { reason }) => Happening::Pause { reason },
            Input::Order(Order::Abort { reason }) => Happening::Abort { reason },
            Input::Order(Order::Rerun { tasks }) => {
                Happening::Rerun { tasks: tasks.into_iter().map(again).collect() }
            }
        };
        self.happen(under, execution, happening, commands);
    }

    fn due(&self, under: &mut Under, execution: &Execution, commands: &mut VecDeque<Command>) {
        if under.flow.wake().is_some_and(|wake| wake <= self.now) {
            self.happen(under, execution, Happening::Due, commands);
        }
    }

    fn happen(
        &self,
        under: &mut Under,
        execution: &Execution,
        happening: Happening,
        commands: &mut VecDeque<Command>,
    ) {
        let world = self.world(execution);
        match conduct::conduct(&under.definition, &mut under.flow, happening, &world) {
            Ok(more) => commands.extend(more),
            Err(refused) => {
                tracing::warn!(execution = %execution.id, %refused, "a workflow refused");
            }
        }
    }

    /// Makes the parts that the workflow wants. What has nothing to do outside is over at once and
    /// tells it so, as long as the turn lasts.
    fn obey(
        &self,
        under: &mut Under,
        execution: &Execution,
        commands: &mut VecDeque<Command>,
        follows: &mut Follows,
    ) {
        let mut steps = 0;
        while let Some(command) = commands.pop_front() {
            let (part, place) = match command {
                Command::Stop { place } => {
                    follows.stops.push((execution.id, place));
                    continue;
                }
                Command::Run { place, task, route, action, parameters, timeout, .. } => {
                    let Place { entry, item, turn } = place;
                    let part = Part { task: task.into(), route, entry, item, turn };
                    if self.again(execution, &part, follows) {
                        continue;
                    }
                    (self.part(execution, part, (&action, &parameters, timeout)), place)
                }
            };
            follows.requested += 1;
            if !part.status.is_done() {
                draft::put_in_line(self.room, &mut follows.batch, &part, self.now);
                follows.moved.push(part);
                continue;
            }
            table::create(&mut follows.batch, &part);
            settle::report(self.room, &part, &mut follows.batch, self.now);
            if steps < STEPS_LIMIT {
                steps += 1;
                let happening =
                    Happening::Task { place, status: part.status, result: part.result.clone() };
                self.happen(under, execution, happening, commands);
            } else {
                control::told(self.room, &mut follows.batch, &part, self.now);
            }
            follows.moved.push(part);
        }
    }

    /// A part that is a workflow, failed, and is done again goes on from where it failed.
    fn again(&self, parent: &Execution, part: &Part, follows: &mut Follows) -> bool {
        let key = (parent.id, Arc::clone(&part.task), part.item);
        let Some(old) = follows.earlier.remove(&key) else { return false };
        let mut copy = orders::fresh(&old, self.room.parts.ids.execution(), self.now);
        copy.parent = Some(parent.id);
        copy.part = Some(part.clone());
        table::create(&mut follows.batch, &copy);
        follows.copied.push((old.id, copy.id, copy.secret));
        follows.requested += 1;
        let work = Work::Order(copy.id, Order::Rerun { tasks: Vec::new() });
        let ticket = self.room.parts.ids.record();
        queue::push(&mut follows.batch, queue::CONDUCT, self.now, ticket, work);
        follows.moved.push(copy);
        true
    }

    /// The execution that carries out a part of a workflow. One whose action is no action, or does not
    /// take what it is given, has failed already.
    fn part(
        &self,
        parent: &Execution,
        part: Part,
        (action, parameters, timeout): (&str, &Map<String, Value>, Option<Duration>),
    ) -> Execution {
        let name: Result<Reference, _> = action.parse();
        let reference = name.clone().unwrap_or_else(|_| unnamed());
        let mut context = parent.context.clone();
        let pack = parent.action.reference.pack();
        context.insert(
            "parent".to_owned(),
            json!({ "execution_id": parent.id, "pack": pack, "user": parent.user }),
        );
        let draft = Draft {
            action: &reference,
            parameters,
            user: &parent.user,
            cause: Cause::Execution(parent.id),
            timeout,
            context: &context,
            hops: parent.hops,
            part: Some((parent.id, part)),
        };
        let mut made = draft::accept_or_fail(self.room, draft, self.now);
        made.secret |= parent.secret || self.opened.get();
        if name.is_err() {
            let reason = format!("`{action}` is no action; expected `pack.name`");
            made.result = json!({ "error": reason });
            made.reason = Some(reason);
        }
        if !made.status.is_done() && control::course(self.room, &made) == Course::AtOnce {
            made.step(Step::Start, self.now).expect("a requested execution may start");
            made.attempt = 1;
            made.step(Step::End(End::Succeeded), self.now).expect("what was started can end");
            made.result = json!({});
        }
        made
    }

    /// The workflow's rows, its ticket, and what follows for its execution.
    fn write(&self, under: &mut Under, execution: &mut Execution, follows: &mut Follows) {
        execution.secret |= self.opened.get();
        let whose = (execution.id, execution.secret);
        flows::write(&mut follows.batch, whose, under.flow.take_changes());
        self.follow(under, execution, follows);
        let over = execution.status.is_done() || execution.status == Status::Delayed;
        let wake = under.flow.wake().filter(|_| !over).map(|wake| wake.max(self.now));
        if wake != under.wake {
            if let Some(old) = under.wake {
                follows.batch.remove(table::key::<Ticket>(ticket(execution.id, old).key()));
            }
            if let Some(due) = wake {
                table::put(&mut follows.batch, &ticket(execution.id, due));
            }
            under.wake = wake;
        }
    }

    /// The execution stands where its workflow stands.
    fn follow(&self, under: &mut Under, execution: &mut Execution, follows: &mut Follows) {
        use Status as S;
        let flow = &under.flow;
        // One that was resumed and has nothing to do but wait runs.
        let stands = if flow.status() == S::Resuming { S::Running } else { flow.status() };
        let steps: &[Step] = match (execution.status, stands) {
            (S::Resuming, S::Running) => &[Step::Start],
            (S::Pausing | S::Paused, S::Running) => &[Step::Resume, Step::Start],
            (S::Running | S::Resuming, S::Pausing) => &[Step::Pause],
            (S::Running | S::Resuming, S::Paused) => &[Step::Pause, Step::Quiet],
            (S::Pausing, S::Paused) => &[Step::Quiet],
            (S::Running | S::Pausing | S::Paused | S::Resuming, S::Canceling) => &[Step::Cancel],
            _ => &[],
        };
        for step in steps {
            execution.step(*step, self.now).expect("these moves are legal where they stand");
        }
        if !steps.is_empty() {
            if let Some(reason) = flow.reason() {
                execution.reason = Some(reason.to_owned());
            }
            control::told(self.room, &mut follows.batch, execution, self.now);
        }
        // A copy of a workflow that is over has not ended itself: its order to do tasks again is to come.
        if execution.started.is_none() {
            return;
        }
        let end = match flow.status() {
            S::Succeeded => End::Succeeded,
            S::Failed => End::Failed,
            S::Timeout => End::TimedOut,
            S::Canceled => End::Canceled,
            S::Abandoned => End::Abandoned,
            _ => return,
        };
        let mut result = json!({ "output": flow.output() });
        if !flow.errors().is_empty() {
            result["errors"] = flow.errors().iter().map(conduct::Fault::json).collect();
        }
        let reason = flow.reason().map(str::to_owned);
        self.end(execution, end, (result, reason), follows);
    }

    fn end(
        &self,
        execution: &mut Execution,
        end: End,
        (result, reason): (Value, Option<String>),
        follows: &mut Follows,
    ) {
        execution.result = result;
        if execution.status != Status::Canceling {
            execution.reason = reason;
        }
        match settle::next(self.room, execution, Ended::So(end)) {
            settle::Next::Over(end) => {
                execution.step(Step::End(end), self.now).expect("whatever was started can end");
                control::told(self.room, &mut follows.batch, execution, self.now);
                settle::report(self.room, execution, &mut follows.batch, self.now);
            }
            settle::Next::Again(wait) => {
                execution.step(Step::Delay, self.now).expect("whatever was started can wait");
                follows.wiped.push(execution.id);
                let due = self.now.plus(wait);
                draft::line_up(self.room, &mut follows.batch, execution, due);
            }
        }
    }
}

/// The one ticket that wakes a workflow; its name follows from the workflow's.
fn ticket(id: ExecutionId, due: Time) -> Ticket {
    let bits = u128::from_be_bytes(id.to_bytes());
    let (queue, work) = (queue::CONDUCT.to_owned(), Work::Conduct(id));
    Ticket { queue, due, id: RecordId::from_bits(bits), owner: None, work }
}

/// A copy of a workflow that is over waits like one that is new.
const fn may_start(status: Status) -> bool {
    matches!(status, Status::Requested | Status::Delayed | Status::Scheduled)
}

pub(super) fn place(part: &Part) -> Place {
    Place { entry: part.entry, item: part.item, turn: part.turn }
}

pub(super) fn again(task: Again) -> conduct::Again {
    conduct::Again { name: task.name, route: None, reset_items: task.reset_items }
}

fn unnamed() -> Reference {
    Reference::new("core", "unnamed").expect("the constant is a reference")
}
