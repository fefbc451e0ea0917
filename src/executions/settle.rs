//! An attempt's outcome: the end, another attempt, or nobody knows.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::executions::{Room, control, emitted, policies, secrets};
use crate::model::cause::Cause;
use crate::model::event::Report;
use crate::model::execution::{End, Execution, Status, Step};
use crate::model::policy::Delivery;
use crate::model::time::Time;
use crate::model::trace;
use crate::packs::answer;
use crate::runners::{Ended, Outcome};
use crate::store::batch::Batch;
use crate::store::queue::{self, Ticket};
use crate::store::table::{self, Held};
use crate::store::tables::Work;
use crate::store::{self};

/// The trigger of the event that an ended execution makes, where a rule wants it. StackStorm's name.
pub(super) const ENDED: &str = "core.st2.generic.actiontrigger";

/// How long an attempt waits that found no room on the disk.
const ROOM: Duration = Duration::from_secs(2);

/// What is to be done after an attempt.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// It is over.
    Over(End),
    /// Another attempt, after this wait.
    Again(Duration),
}

/// Weighs an outcome against the action's `retry` and its policies.
pub(super) fn next(room: &Room, execution: &Execution, ended: Ended) -> Next {
    let end = match (ended, execution.action.delivery) {
        (Ended::So(end), _) => end,
        (Ended::Hopeless, _) => return Next::Over(End::Failed),
        (Ended::Lost, Delivery::AtMostOnce) => End::Abandoned,
        (Ended::Lost | Ended::NeverBegan, _) if execution.status == Status::Canceling => {
            End::Canceled
        }
        (Ended::Lost, _) => return Next::Again(Duration::ZERO),
        (Ended::NeverBegan, _) => return Next::Again(ROOM),
    };
    if execution.status == Status::Canceling {
        return Next::Over(end);
    }
    policies::retry::wait(room, execution, end).map_or(Next::Over(end), Next::Again)
}

/// Writes an outcome, with the rest of the output, in one commit. Tries until the store takes it or
/// somebody else has ended the execution.
pub(super) async fn settle(
    room: &Room,
    execution: &Execution,
    ticket: &mut Held<Ticket>,
    outcome: &Outcome,
    output: Batch,
) -> Result<(), store::Error> {
    let parts = &room.parts;
    loop {
        let key = execution.id.to_bytes().to_vec();
        let Some(held) = table::get::<Execution>(&parts.store, key).await? else { return Ok(()) };
        let now = parts.clock.now();
        let mut settled = held.row.clone();
        let mut batch = output.clone();
        if settled.status.is_done() {
            queue::done(&mut batch, ticket);
        } else {
            apply(room, &mut settled, ticket, outcome, (&mut batch, now));
            table::replace(&mut batch, &held, &settled);
        }
        match parts.store.commit(batch).await {
            Ok(_) => {
                let failed = outcome.ended != Ended::So(End::Succeeded);
                let why =
                    || outcome.reason.clone().unwrap_or_else(|| format!("{:?}", outcome.ended));
                parts.metrics.traces().attempt(execution, failed.then(why), now);
                if settled.status.is_done() {
                    parts.metrics.ended(settled.status.word());
                    parts.metrics.traces().execution(&settled);
                }
                room.tell(&settled);
                return Ok(());
            }
            Err(store::Error::Conflict { .. }) => {
                if !still_ours(room, ticket).await? {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the ticket is still held; a cancel changes the execution, never the ticket.
async fn still_ours(room: &Room, ticket: &mut Held<Ticket>) -> Result<bool, store::Error> {
    let key = table::Row::key(&ticket.row);
    let found = table::get::<Ticket>(&room.parts.store, key).await?;
    Ok(found.is_some_and(|found| found.revision == ticket.revision))
}

fn apply(
    room: &Room,
    settled: &mut Execution,
    ticket: &Held<Ticket>,
    outcome: &Outcome,
    (batch, now): (&mut Batch, Time),
) {
    settled.result = outcome.result.clone();
    let canceled = settled.status == Status::Canceling;
    if !canceled {
        settled.reason.clone_from(&outcome.reason);
    }
    match next(room, settled, outcome.ended) {
        Next::Over(end) => {
            settled.step(Step::End(end), now).expect("whatever was started can end");
            queue::done(batch, ticket);
            if end == End::Succeeded {
                emitted::put(room, settled, batch, now);
            }
            control::told(room, batch, settled, now);
            report(room, settled, batch, now);
        }
        Next::Again(wait) => {
            let holds = matches!(settled.status, Status::Pausing | Status::Paused);
            settled.step(Step::Delay, now).expect("whatever was started can wait");
            if holds {
                wait_for_resume(room, settled, ticket, (batch, now));
            } else {
                queue::postpone(batch, ticket, now.plus(wait), None);
            }
        }
    }
}

/// What was held and has to be tried again is paused before its next attempt.
fn wait_for_resume(
    room: &Room,
    settled: &mut Execution,
    ticket: &Held<Ticket>,
    (batch, now): (&mut Batch, Time),
) {
    queue::done(batch, ticket);
    settled.step(Step::Pause, now).expect("what waits can be paused");
    control::told(room, batch, settled, now);
}

/// An ended execution is an event, where any rule wants to hear of it.
pub(super) fn report(room: &Room, ended: &Execution, batch: &mut Batch, now: Time) {
    let trigger = ENDED.parse().expect("the constant is a reference");
    if room.parts.catalog.load().rules.subscribed(&trigger).is_empty() {
        return;
    }
    let report = Report {
        trigger,
        source: "executions".into(),
        subject: Some(ended.action.reference.as_str().into()),
        time: Some(now),
        data: Arc::new(json!({
            "execution_id": ended.id,
            "status": ended.status,
            "start_timestamp": ended.started,
            "action_name": ended.action.reference.name(),
            "action_ref": ended.action.reference,
            "runner_ref": ended.action.runner_type,
            "parameters": shown(room, ended),
            "result": answer::shown(&ended.result),
        })),
        origin: None,
        once: None,
        cause: Cause::Execution(ended.id),
        hops: ended.hops + 1,
        trace: trace::tag(ended).map(Into::into),
        replay: None,
    };
    let work = Work::Report(Box::new(report));
    queue::push(batch, queue::INTAKE, now, room.parts.ids.record(), work);
}

/// The given parameters as anybody may see them.
fn shown(room: &Room, execution: &Execution) -> Value {
    secrets::mask(&room.accepts(&execution.action), &execution.given)
}
