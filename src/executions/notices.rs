//! What rules hear of questions: events, where any rule wants them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::executions::Room;
use crate::executions::question::Question;
use crate::model::cause::Cause;
use crate::model::event::Report;
use crate::model::execution::Execution;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::packs::answer;
use crate::store::batch::Batch;
use crate::store::tables::Work;
use crate::store::{self, queue, table};

/// StackStorm's, with its two fields.
const STACKSTORM: &str = "core.st2.generic.inquiry";
/// A question is asked.
pub(super) const ASKED: &str = "core.inquiry_asked";
/// Nobody has answered: it is asked louder.
pub(super) const ESCALATED: &str = "core.inquiry_escalated";
const ANSWERED: &str = "core.inquiry_answered";
const EXPIRED: &str = "core.inquiry_expired";

/// Whether any rule hears of it.
pub(super) fn is_wanted(room: &Room, trigger: &str) -> bool {
    !room.parts.catalog.load().rules.subscribed(&reference(trigger)).is_empty()
}

fn reference(trigger: &str) -> Reference {
    trigger.parse().expect("the constants are references")
}

/// An execution and what it asks.
type Asking<'a> = (&'a Execution, &'a Question);

/// A question is asked; `link` is good for one answer.
pub(super) async fn asked(
    room: &Room,
    asking: Asking<'_>,
    link: Option<String>,
    now: Time,
    batch: &mut Batch,
) -> Result<(), store::Error> {
    let (execution, question) = asking;
    let theirs = json!({ "id": execution.id, "route": question.route });
    tell(room, (STACKSTORM, execution), theirs, now, batch);
    told(room, (ASKED, asking), json!({ "link": link }), now, batch).await
}

/// It is asked louder, with a link of its own.
pub(super) async fn escalated(
    room: &Room,
    asking: Asking<'_>,
    link: Option<String>,
    now: Time,
    batch: &mut Batch,
) -> Result<(), store::Error> {
    told(room, (ESCALATED, asking), json!({ "link": link }), now, batch).await
}

/// Nobody answered in time.
pub(super) async fn expired(
    room: &Room,
    asking: Asking<'_>,
    now: Time,
    batch: &mut Batch,
) -> Result<(), store::Error> {
    told(room, (EXPIRED, asking), json!({}), now, batch).await
}

/// Somebody answered. Secrets of the answer are struck out.
pub(super) async fn answered(
    room: &Room,
    asking: Asking<'_>,
    now: Time,
    batch: &mut Batch,
) -> Result<(), store::Error> {
    let shown = answer::shown(&json!(asking.1));
    let more = json!({
        "response": shown["response"],
        "answered_by": shown["answered_by"],
        "answered_at": shown["answered_at"],
    });
    told(room, (ANSWERED, asking), more, now, batch).await
}

/// Tells what all our events of a question have, and more.
async fn told(
    room: &Room,
    (trigger, (execution, question)): (&str, Asking<'_>),
    more: Value,
    now: Time,
    batch: &mut Batch,
) -> Result<(), store::Error> {
    if !is_wanted(room, trigger) {
        return Ok(());
    }
    let workflow = match execution.parent {
        Some(parent) => {
            table::get::<Execution>(&room.parts.store, parent.to_bytes().to_vec()).await?
        }
        None => None,
    };
    let mut data = json!({
        "id": execution.id,
        "action": execution.action.reference,
        "user": execution.user,
        "route": question.route,
        "message": question.message,
        "schema": question.schema,
        "users": question.users,
        "roles": question.roles,
        "asked": question.asked,
        "expires": question.expires,
        "workflow_execution": execution.parent,
        "workflow": workflow.map(|held| held.row.action.reference.clone()),
        "task": execution.part.as_ref().map(|part| &part.task),
    });
    if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
        data.extend(more);
    }
    tell(room, (trigger, execution), data, now, batch);
    Ok(())
}

fn tell(
    room: &Room,
    (trigger, execution): (&str, &Execution),
    data: Value,
    now: Time,
    batch: &mut Batch,
) {
    if !is_wanted(room, trigger) {
        return;
    }
    let report = Report {
        source: "executions".into(),
        subject: Some(execution.id.to_string().into()),
        time: Some(now),
        data: Arc::new(data),
        cause: Cause::Execution(execution.id),
        hops: execution.hops + 1,
        ..Report::new(reference(trigger), "executions", Value::Null)
    };
    let work = Work::Report(Box::new(report));
    queue::push(batch, queue::INTAKE, now, room.parts.ids.record(), work);
}
