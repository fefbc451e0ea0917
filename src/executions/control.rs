//! What people and rules may do to an execution that is under way, and to all that is part of it, in
//! one commit: once that is acknowledged, nothing new of it starts.

use crate::executions::{Error, Executions, Room, draft};
use crate::model::action::Pause;
use crate::model::execution::{End, Execution, Illegal, Status, Step};
use crate::model::id::ExecutionId;
use crate::model::time::Time;
use crate::runners::Course;
use crate::store::batch::Batch;
use crate::store::table::{self, Held, Rows};
use crate::store::tables::{OPEN_UNDER, Work};
use crate::store::{self, queue};

/// Executions that are under way as parts of one other at most, to be looked at in one commit.
pub(super) const PARTS_LIMIT: usize = 100_000;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Start nothing new; let what runs end, or hold it where its runner can.
    Pause,
    /// Go on.
    Resume,
    /// Stop.
    Cancel,
}

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

    async fn steer(&self, id: ExecutionId, wish: Wish, why: &str) -> Result<Execution, Error> {
        let room = &self.room;
        loop {
            let now = room.parts.clock.now();
            let held = table::get::<Execution>(&room.parts.store, id.to_bytes().to_vec()).await?;
            let held = held.ok_or(Error::NotFound(id))?;
            let mut batch = Batch::new();
            let mut moved = vec![steered(room, &mut batch, &held, (wish, why, now))?];
            for held in parts(room, &held.row).await? {
                // A part that cannot do it, or is there already, is none the worse.
                moved.extend(steered(room, &mut batch, &held, (wish, why, now)).ok());
            }
            match room.parts.store.commit(batch).await {
                Ok(_) => {}
                Err(store::Error::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            for execution in &moved {
                after(room, execution);
            }
            return Ok(moved.swap_remove(0));
        }
    }
}

/// What is part of an execution and not over, at any depth.
async fn parts(room: &Room, root: &Execution) -> Result<Vec<Held<Execution>>, store::Error> {
    let mut found = Vec::new();
    let mut parents = vec![root.id];
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
    (wish, why, now): (Wish, &str, Time),
) -> Result<Execution, Error> {
    let mut execution = held.row.clone();
    let course = course(room, &execution);
    match wish {
        Wish::Pause => pause(&mut execution, course, now)?,
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

fn pause(execution: &mut Execution, course: Course, now: Time) -> Result<(), Error> {
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
    if course == Course::Attempts && execution.action.pause == Pause::Signal {
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

/// Lets the workflow of which an execution is a part know that it has moved.
pub(super) fn told(room: &Room, batch: &mut Batch, part: &Execution, now: Time) {
    let worth = part.status.is_done()
        || matches!(part.status, Status::Pending | Status::Paused | Status::Resuming);
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
    }
    room.tell(execution);
}
