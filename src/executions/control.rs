//! What people and rules may do to an execution that is under way, and to all that is part of it, in
//! one commit: once that is acknowledged, nothing new of it starts.

use crate::executions::{Error, Executions, Room, draft, ends};
use crate::model::action::{Action, Pause};
use crate::model::execution::{End, Execution, Illegal, Selector, Status, Step, Wish};
use crate::model::id::ExecutionId;
use crate::model::incident::Word;
use crate::model::time::Time;
use crate::model::workflow::Order;
use crate::runners::Course;
use crate::store::batch::Batch;
use crate::store::table::{self, Held, Rows};
use crate::store::tables::{OPEN_UNDER, Work};
use crate::store::{self, queue};

/// Executions that are under way as parts of one other at most, to be looked at in one commit.
pub(super) const PARTS_LIMIT: usize = 100_000;

/// Executions that one commit steers at most, their parts not counted.
const TOGETHER: usize = 256;

/// What the context of an execution that delivers a message says of it.
pub const NOTICE: &str = "notice";

impl Executions {
    /// Stops an execution and what is part of it: what waits is over at once, what runs when its action
    /// has ended.
    ///
    /// # Errors
    /// `NotFound`; `Illegal` where it is over already; `Store`.
    pub async fn cancel(&self, id: ExecutionId, user: &str) -> Result<Execution, Error> {
        self.steer(id, Wish::Cancel, &format!("canceled by `{user}`")).await
    }

    /// Holds an execution and what is part of it.
    ///
    /// # Errors
    /// `NotFound`; `Illegal` where it does not run; `Unstoppable` where its runner cannot hold it;
    /// `Store`.
    pub async fn pause(&self, id: ExecutionId, user: &str) -> Result<Execution, Error> {
        self.steer(id, Wish::Pause, &format!("paused by `{user}`")).await
    }

    /// Lets an execution go on, and what is part of it, exactly where it was held.
    ///
    /// # Errors
    /// `NotFound`; `Illegal` where it is not held; `Store`.
    pub async fn resume(&self, id: ExecutionId, user: &str) -> Result<Execution, Error> {
        self.steer(id, Wish::Resume, &format!("resumed by `{user}`")).await
    }

    /// The same for every execution that a selector means and that it may be wanted of. Says which
    /// moved.
    ///
    /// # Errors
    /// `Store`; what was moved until then stays so.
    pub async fn steer_all(
        &self,
        selector: &Selector,
        wish: Wish,
        why: &str,
    ) -> Result<Vec<ExecutionId>, store::Error> {
        steer_all(&self.room, selector, wish, why).await
    }

    async fn steer(&self, id: ExecutionId, wish: Wish, why: &str) -> Result<Execution, Error> {
        let mut moved = steer(&self.room, &[id], (wish, None, why)).await?;
        moved.pop().unwrap_or(Err(Error::NotFound(id)))
    }
}

/// Steers every execution that a selector means.
pub(super) async fn steer_all(
    room: &Room,
    selector: &Selector,
    wish: Wish,
    why: &str,
) -> Result<Vec<ExecutionId>, store::Error> {
    let mut meant = Vec::new();
    for status in wish.applies() {
        let (mut after, word) = (None, status.word().as_bytes());
        loop {
            let rows = Rows::first(TOGETHER).after(after.take());
            let found = table::find::<Execution>(&room.parts.store, "status", word, rows).await?;
            let whole = found.len() < TOGETHER;
            after = found.last().map(|held| table::Row::key(&held.row));
            let fitting = found.iter().filter(|held| selector.selects(&held.row));
            meant.extend(fitting.map(|held| held.row.id));
            if whole {
                break;
            }
        }
    }
    let mut moved = Vec::new();
    for ids in meant.chunks(TOGETHER) {
        let steered = steer(room, ids, (wish, selector.hold.as_deref(), why)).await?;
        moved.extend(steered.into_iter().filter_map(|one| Some(one.ok()?.id)));
    }
    Ok(moved)
}

/// Steers executions with all their parts, in one commit. The answers stand in the order of the ids.
async fn steer(
    room: &Room,
    ids: &[ExecutionId],
    (wish, hold, why): (Wish, Option<&str>, &str),
) -> Result<Vec<Result<Execution, Error>>, store::Error> {
    loop {
        let now = room.parts.clock.now();
        let keys = ids.iter().map(|id| id.to_bytes().to_vec());
        let found = table::get_many::<Execution>(&room.parts.store, keys).await?;
        let wanted = Wanted { wish, hold, why, now };
        let mut steering = Steering { room, wanted, batch: Batch::new(), moved: Vec::new() };
        let mut answers = Vec::new();
        for (id, found) in ids.iter().zip(found) {
            answers.push(match found {
                None => Err(Error::NotFound(*id)),
                Some(top) => steering.tree(&top).await?,
            });
        }
        let Steering { batch, moved, .. } = steering;
        if !batch.is_empty() {
            match room.parts.store.commit(batch).await {
                Ok(_) => {}
                Err(store::Error::Conflict { .. }) => continue,
                Err(error) => return Err(error),
            }
        }
        for execution in &moved {
            after(room, execution);
        }
        return Ok(answers);
    }
}

/// What is wanted of an execution.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) wish: Wish,
    /// The name of the hold that it is about; without one a resume is about all.
    pub(super) hold: Option<&'a str>,
    /// Who wants it.
    pub(super) why: &'a str,
    pub(super) now: Time,
}

struct Steering<'a> {
    room: &'a Room,
    wanted: Wanted<'a>,
    batch: Batch,
    moved: Vec<Execution>,
}

impl Steering<'_> {
    /// One execution and what is part of it. A part that cannot do it, or is there already, is none the
    /// worse.
    async fn tree(
        &mut self,
        root: &Held<Execution>,
    ) -> Result<Result<Execution, Error>, store::Error> {
        let steered = match steered(self.room, &mut self.batch, root, self.wanted) {
            Ok(steered) => steered,
            Err(error) => return Ok(Err(error)),
        };
        self.moved.push(steered.clone());
        for held in parts(self.room, &root.row).await? {
            let steered = self::steered(self.room, &mut self.batch, &held, self.wanted);
            self.moved.extend(steered.ok());
        }
        Ok(Ok(steered))
    }
}

/// What is part of an execution and not over, at any depth.
async fn parts(room: &Room, top: &Execution) -> Result<Vec<Held<Execution>>, store::Error> {
    let mut found = Vec::new();
    let mut parents = vec![top.id];
    while let Some(parent) = parents.pop() {
        let under = open_under(room, parent).await?;
        parents.extend(
            under.iter().filter(|h| course(room, &h.row) == Course::Workflow).map(|h| h.row.id),
        );
        found.extend(under);
        if found.len() > PARTS_LIMIT {
            break;
        }
    }
    Ok(found)
}

/// The parts of a workflow that are not over.
pub(super) async fn open_under(
    room: &Room,
    parent: ExecutionId,
) -> Result<Vec<Held<Execution>>, store::Error> {
    let rows = Rows::first(PARTS_LIMIT);
    table::find::<Execution>(&room.parts.store, OPEN_UNDER, &parent.to_bytes(), rows).await
}

/// How the engine goes about an execution.
pub(super) fn course(room: &Room, execution: &Execution) -> Course {
    let runner = room.parts.runners.get(execution.action.runner.as_str());
    runner.map_or(Course::Attempts, |runner| runner.course())
}

/// Writes what becomes of one execution into the batch.
pub(super) fn steered(
    room: &Room,
    batch: &mut Batch,
    held: &Held<Execution>,
    Wanted { wish, hold, why, now }: Wanted<'_>,
) -> Result<Execution, Error> {
    let mut execution = held.row.clone();
    let course = course(room, &execution);
    let more = wish == Wish::Pause && execution.hold(hold, why);
    if wish == Wish::Pause && rests(&execution, course) {
        execution.reason = Some(reasons(&execution));
        table::replace(batch, held, &execution);
        let work = Work::Order(execution.id, Order::Hold { reason: why.to_owned() });
        queue::push(batch, queue::CONDUCT, now, room.parts.ids.record(), work);
        return Ok(execution);
    }
    if more && matches!(execution.status, Status::Pausing | Status::Paused) {
        execution.reason = Some(reasons(&execution));
        table::replace(batch, held, &execution);
        return Ok(execution);
    }
    if let (Wish::Resume, Some(name)) = (wish, hold) {
        let gone = execution.holds.remove(name);
        gone.ok_or(Illegal { from: execution.status, step: Step::Resume })?;
        if !execution.holds.is_empty() {
            execution.reason = Some(reasons(&execution));
            table::replace(batch, held, &execution);
            return Ok(execution);
        }
    }
    match wish {
        Wish::Pause => pause(room, &mut execution, course, now)?,
        Wish::Resume => execution.step(Step::Resume, now)?,
        Wish::Cancel => cancel(&mut execution, course, now)?,
    }
    execution.reason = Some(why.to_owned());
    table::replace(batch, held, &execution);
    if course == Course::Workflow && !execution.status.is_done() {
        queue::push(
            batch,
            queue::CONDUCT,
            now,
            room.parts.ids.record(),
            Work::Conduct(execution.id),
        );
    } else if wish == Wish::Resume && !execution.begun {
        draft::line_up(room, batch, &execution, now);
    }
    told(room, batch, &execution, now);
    Ok(execution)
}

/// Why it is held, for people: all that holds it.
fn reasons(execution: &Execution) -> String {
    execution.holds.values().map(String::as_str).collect::<Vec<_>>().join("; ")
}

/// A workflow that rests for an answer, or since a task failed, would go on by itself.
fn rests(execution: &Execution, course: Course) -> bool {
    course == Course::Workflow
        && execution.started.is_some()
        && matches!(execution.status, Status::Pausing | Status::Paused)
}

/// Whether an attempt of `action` can be held while it runs.
pub(super) fn holds(room: &Room, action: &Action) -> bool {
    let runner = room.parts.runners.get(action.runner.as_str());
    action.pause == Pause::Signal || runner.is_some_and(|runner| runner.holds())
}

fn pause(room: &Room, execution: &mut Execution, course: Course, now: Time) -> Result<(), Error> {
    let waits = matches!(execution.status, Status::Requested | Status::Delayed | Status::Scheduled);
    if waits || course == Course::Workflow {
        return Ok(execution.step(Step::Pause, now)?);
    }
    if execution.status.is_done() || matches!(execution.status, Status::Pausing | Status::Paused) {
        return Err(Illegal { from: execution.status, step: Step::Pause }.into());
    }
    if execution.status == Status::Resuming && !execution.begun {
        execution.step(Step::Pause, now)?;
        return Ok(execution.step(Step::Quiet, now)?);
    }
    if course == Course::Attempts && holds(room, &execution.action) {
        return Ok(execution.step(Step::Pause, now)?);
    }
    Err(Error::Unstoppable {
        execution: execution.id,
        action: execution.action.reference.clone(),
        status: execution.status,
    })
}

/// Nothing of it runs unless an attempt is under way or it is a workflow that has begun.
fn cancel(execution: &mut Execution, course: Course, now: Time) -> Result<(), Illegal> {
    let from = execution.status;
    execution.step(Step::Cancel, now)?;
    let rests = match course {
        Course::Workflow => from == Status::Paused && execution.started.is_none(),
        Course::Inquiry => true,
        Course::Attempts | Course::AtOnce => {
            !execution.begun && matches!(from, Status::Paused | Status::Resuming)
        }
    };
    if rests && execution.status == Status::Canceling {
        execution.step(Step::End(End::Canceled), now)?;
    }
    Ok(())
}

/// Lets know that it has moved: the workflow of which it is a part; that it ended: a rule that waits for
/// it, and whoever sent it as a message.
pub(super) fn told(room: &Room, batch: &mut Batch, part: &Execution, now: Time) {
    if part.status.is_done() {
        ends::tell(room, batch, part, now);
    }
    let worth = part.status.is_done()
        || matches!(part.status, Status::Pending | Status::Paused | Status::Resuming);
    if part.status.is_done() && part.context.contains_key(NOTICE) {
        let work = Work::Incident(Box::new(Word::Delivered(part.id)));
        queue::push(batch, queue::INCIDENTS, now, room.parts.ids.record(), work);
    }
    if part.parent.is_some() && worth {
        queue::push(batch, queue::CONDUCT, now, room.parts.ids.record(), Work::Moved(part.id));
    }
}

/// What follows once it is on disk.
pub(super) fn after(room: &Room, execution: &Execution) {
    if let Some(reins) = room.running().get(&execution.id) {
        match execution.status {
            Status::Canceling => reins.stop.cancel(),
            Status::Pausing | Status::Resuming => reins.look.notify_one(),
            _ => {}
        }
    }
    if execution.status.is_done() {
        room.parts.metrics.ended(execution.status.word());
        room.parts.metrics.traces().execution(execution);
    }
    room.tell(execution);
}
