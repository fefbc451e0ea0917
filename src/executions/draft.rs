//! An execution as it is accepted, for whoever asks: a caller, or a workflow for one of its tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::executions::{Error, Room};
use crate::model::action::Action;
use crate::model::cause::Cause;
use crate::model::execution::{End, Execution, Part, Status, Step};
use crate::model::id::ExecutionId;
use crate::model::problem::nearest;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::model::trace;
use crate::packs::{parameters, secrets};
use crate::store::batch::Batch;
use crate::store::tables::{Definition, Work};
use crate::store::{queue, table};

/// What is asked for, and by whom.
pub(super) struct Draft<'a> {
    pub(super) action: &'a Reference,
    pub(super) parameters: &'a Map<String, Value>,
    pub(super) user: &'a str,
    pub(super) cause: Cause,
    pub(super) timeout: Option<Duration>,
    pub(super) context: &'a Map<String, Value>,
    pub(super) hops: u16,
    pub(super) part: Option<(ExecutionId, Part)>,
}

/// The action, where there is one that may be run and the parameters fit it.
fn action(room: &Room, draft: &Draft<'_>) -> Result<Arc<Action>, Error> {
    let catalog = room.parts.catalog.load();
    let Some(action) = catalog.actions.get(draft.action) else {
        let names = catalog.actions.keys().map(Reference::as_str);
        return Err(Error::NoSuchAction {
            name: draft.action.clone(),
            nearest: nearest(draft.action.as_str(), names).map(str::to_owned),
        });
    };
    if !action.enabled {
        return Err(Error::Disabled(draft.action.clone()));
    }
    parameters::check(&room.accepts(action), draft.parameters).map_err(|problems| {
        Error::BadParameters { problems: problems.iter().map(ToString::to_string).collect() }
    })?;
    Ok(Arc::clone(action))
}

fn execution(room: &Room, draft: Draft<'_>, action: Arc<Action>, now: Time) -> Execution {
    let (parent, part) = draft.part.unzip();
    let secret = secrets::held(&room.accepts(&action), draft.parameters);
    let id = room.parts.ids.execution();
    Execution {
        id,
        action,
        secret,
        given: draft.parameters.clone(),
        cause: draft.cause,
        hops: draft.hops,
        parent,
        part,
        user: draft.user.to_owned(),
        status: Status::Requested,
        attempt: 0,
        begun: false,
        turn: None,
        holds: BTreeMap::new(),
        timeout_ms: draft.timeout.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        created: now,
        started: None,
        ended: None,
        result: Value::Null,
        reason: None,
        log: vec![(now, Status::Requested)],
        context: context(room, draft.context, id),
        links: Vec::new(),
    }
}

/// The context, with the tag of the trace that begins here where none was given and spans are wanted.
fn context(room: &Room, given: &Map<String, Value>, id: ExecutionId) -> Map<String, Value> {
    let mut context = given.clone();
    let tagged = context.contains_key(trace::TAG) || context.contains_key("trace_context");
    if room.parts.metrics.traces().is_on() && !tagged {
        let begun = trace::begun_by_execution(id).to_string();
        context.insert(trace::TAG.to_owned(), begun.into());
    }
    context
}

/// An execution of what was asked for.
///
/// # Errors
/// `NoSuchAction`, `Disabled`, `BadParameters`.
pub(super) fn accept(room: &Room, draft: Draft<'_>, now: Time) -> Result<Execution, Error> {
    let action = action(room, &draft)?;
    Ok(execution(room, draft, action, now))
}

/// The same for somebody who cannot be refused: what cannot run becomes an execution that has failed,
/// with its reason.
pub(super) fn accept_or_fail(room: &Room, draft: Draft<'_>, now: Time) -> Execution {
    match action(room, &draft) {
        Ok(action) => execution(room, draft, action, now),
        Err(error) => {
            let known = room.parts.catalog.load().actions.get(draft.action).cloned();
            let action = known.unwrap_or_else(|| Arc::new(Action::missing(draft.action.clone())));
            let mut failed = execution(room, draft, action, now);
            failed.step(Step::End(End::Failed), now).expect("a requested execution may fail");
            let help = error.help().map(|help| format!(" ({help})")).unwrap_or_default();
            failed.reason = Some(format!("{error}{help}"));
            failed.result = serde_json::json!({ "error": error.to_string() });
            failed
        }
    }
}

/// Writes an execution that waits for its turn, due at `due`, and pins the workflow that it may be.
pub(super) fn put_in_line(room: &Room, batch: &mut Batch, execution: &Execution, due: Time) {
    table::create(batch, execution);
    if let Some(pinned) = &execution.action.workflow {
        let (hash, definition) = (Arc::clone(&pinned.hash), Arc::clone(&pinned.definition));
        table::put(batch, &Definition { hash, definition });
    }
    line_up(room, batch, execution, due);
}

/// Puts an execution that is written already into the line that suits its runner.
pub(super) fn line_up(room: &Room, batch: &mut Batch, execution: &Execution, due: Time) {
    let line = queue::line(&execution.action.runner);
    queue::push(batch, line, due, room.parts.ids.record(), Work::Dispatch(execution.id));
}
