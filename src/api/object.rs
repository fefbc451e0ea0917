//! What a call is about, for callers who have a right of some things only: the route says where the
//! call names it, and `auth::rights::may` decides.
//!
//! Who may not see all is shown, in a list, what they may see; lists that cannot be told apart so
//! (events, traces, incidents, dead letters) are for those who may see everything.

use serde_json::Value;

use crate::api::State;
use crate::api::call::Call;
use crate::api::problem::Problem;
use crate::api::route::{Access, Of, Route};
use crate::auth::{Caller, Kind, Object, Right};
use crate::executions::Question;
use crate::model::execution::Execution;
use crate::model::id::ExecutionId;
use crate::store;

/// How far up parts of workflows are followed: no deeper do workflows nest.
const DEPTH_LIMIT: usize = 32;

/// Refuses a call whose caller has the route's right, but not of what the call is about.
///
/// # Errors
/// 403, whether there is such a thing or not; and what reading it says.
pub(crate) async fn admit(call: &Call, route: &Route) -> Result<(), Problem> {
    let (Access::Needs(right), Some(caller)) = (route.access, &call.caller) else { return Ok(()) };
    if caller.may(right) {
        return Ok(());
    }
    let object = match route.of {
        Of::All => Object::default(),
        Of::Each => return Ok(()),
        Of::Path(kind, part) => Object::default().named(kind, call.path(part)),
        Of::Body(kind, field) => named_in_body(&call.body, kind, field),
        Of::Execution => execution(call, right).await?,
    };
    if caller.may_of(right, &object) { Ok(()) } else { Err(refused(caller, right, &object)) }
}

/// 403, in words.
pub(crate) fn refused(caller: &Caller, right: Right, object: &Object) -> Problem {
    let (role, right) = (&caller.role, right.word());
    let message = if *object == Object::default() {
        format!("role `{role}` may not {right}")
    } else {
        format!("`{}`, of role `{role}`, may not {right} {object}", caller.user)
    };
    Problem::forbidden(message).help("ask an admin for a key with another role, or for a grant")
}

/// What a field of the body names. A body that cannot be read names nothing that a grant fits.
fn named_in_body(body: &[u8], kind: Kind, field: &str) -> Object {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body[field].as_str().map_or_else(Object::default, |name| Object::default().named(kind, name))
}

/// The execution in `{id}`. `last` may be any: it has no name of its own, so only `*` fits it.
async fn execution(call: &Call, right: Right) -> Result<Object, store::Error> {
    let text = call.path("id");
    let Ok(id) = text.parse::<ExecutionId>() else {
        return Ok(Object::default().and(Kind::Execution, "").and(Kind::Inquiry, ""));
    };
    match call.state.executions.get(id).await? {
        Some(found) => of_execution(&call.state, &found, right).await,
        None => Ok(Object::default().and(Kind::Execution, text).and(Kind::Inquiry, text)),
    }
}

/// Every name of an execution. What is part of a workflow may be seen and answered by who may do so of
/// the workflow; it is run again only by who may run its own action, with whatever parameters.
pub(crate) async fn of_execution(
    state: &State,
    execution: &Execution,
    right: Right,
) -> Result<Object, store::Error> {
    let mut object = own(execution);
    if !matches!(right, Right::View | Right::Answer) {
        return Ok(object);
    }
    let mut parent = execution.parent;
    for _ in 0..DEPTH_LIMIT {
        let Some(id) = parent else { break };
        let Some(above) = state.executions.get(id).await? else { break };
        object = object
            .and(Kind::Execution, &id.to_string())
            .named(Kind::Action, above.action.reference.as_str());
        parent = above.parent;
    }
    Ok(object)
}

/// An execution's own names: its id, its action, that one's pack, and its route where it asks people.
pub(crate) fn own(execution: &Execution) -> Object {
    let id = execution.id.to_string();
    let object = Object::default()
        .and(Kind::Execution, &id)
        .named(Kind::Action, execution.action.reference.as_str());
    if execution.action.runner != "inquiry" {
        return object;
    }
    let asked = Question::of(execution).map(|question| question.route);
    let object = object.and(Kind::Inquiry, &id);
    match asked.filter(|route| !route.is_empty()) {
        Some(route) => object.and(Kind::Inquiry, &route),
        None => object,
    }
}
