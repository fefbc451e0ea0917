//! Questions to people that wait for an answer, in StackStorm's shapes.

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::call::Call;
use crate::api::filter::Filter;
use crate::api::object;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::auth::Right;
use crate::executions::{Question, Unanswered};
use crate::model::execution::{Execution, Status};
use crate::model::id::ExecutionId;
use crate::packs::answer;
use crate::store::table::{self, Rows};

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/inquiries",
        Access::Needs(Right::View),
        |call| Box::pin(list(call)),
        "Lists the questions that wait for an answer, oldest first.",
    )
    .of(Of::Each)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Inquiry")),
    Route::get(
        "/api/v1/inquiries/{id}",
        Access::Needs(Right::View),
        |call| Box::pin(get(call)),
        "Shows one question, answered or not.",
    )
    .of(Of::Execution)
    .gives(200, Shape::One("Inquiry")),
    Route::put(
        "/api/v1/inquiries/{id}",
        Access::Needs(Right::Answer),
        |call| Box::pin(respond(call)),
        "Answers a question; its workflow goes on.",
    )
    .of(Of::Execution)
    .takes(Shape::One("AnswerDraft"))
    .gives(200, Shape::One("Answer")),
];

/// The attributes of a question's row.
const KNOWN: &[&str] = &[
    "id",
    "route",
    "ttl",
    "users",
    "roles",
    "schema",
    "message",
    "asked",
    "expires",
    "status",
    "action",
    "user",
    "parent",
    "task",
    "escalate",
    "escalated",
    "response",
    "answered_by",
    "answered_at",
];

async fn list(call: Call) -> Answer {
    if call.query("include_attributes").is_some() && call.query("exclude_attributes").is_some() {
        return Err(Problem::bad(
            "bad_query",
            "exclude_attributes and include_attributes arguments are mutually exclusive. You need to \
             provide either one or another, but not both.",
        ));
    }
    let page = Page::of(&call)?;
    let listing = if call.may(Right::View) {
        Filter::asked().page(&call.state.store, page).await?
    } else {
        page.cut(seen(&call).await?)
    };
    let shown = |execution: Execution| {
        Question::of(&execution).map_or(Value::Null, |question| row(&execution, &question))
    };
    listing.map(shown).answer(&call, KNOWN)
}

/// The questions that a caller may see who may not see all.
async fn seen(call: &Call) -> Result<Vec<Execution>, Problem> {
    let all = Page { limit: paging::LIMIT_MOST, offset: 0 };
    let mut seen = Vec::new();
    for asked in Filter::asked().page(&call.state.store, all).await?.rows {
        let object = object::of_execution(&call.state, &asked, Right::View).await?;
        if call.caller.as_ref().is_some_and(|caller| caller.may_of(Right::View, &object)) {
            seen.push(asked);
        }
    }
    Ok(seen)
}

/// The question that the path names; `last` is the newest that waits.
async fn named(call: &Call) -> Result<ExecutionId, Problem> {
    if call.path("id") != "last" {
        return call.named("id", "inquiry");
    }
    let (store, pending) = (&call.state.store, Status::Pending.word().as_bytes());
    let mut newest = table::find::<Execution>(store, "status", pending, Rows::last(1)).await?;
    newest.pop().map(|held| held.row.id).ok_or_else(|| {
        Problem::bad("no_inquiries", "no question waits for an answer")
            .help("`ifso inquiry list` shows those that do")
    })
}

async fn get(call: Call) -> Answer {
    let id = named(&call).await?;
    let found = call.state.executions.get(id).await?.ok_or(Unanswered::NotFound(id))?;
    if found.action.runner != "inquiry" {
        return Err(Unanswered::NoInquiry(id).into());
    }
    let status = found.status;
    let question = Question::of(&found).ok_or(Unanswered::NotAsked { inquiry: id, status })?;
    paging::one(&call, row(&found, &question), KNOWN)
}

/// A question as clients see it: StackStorm's six fields, and ours.
fn row(execution: &Execution, question: &Question) -> Value {
    let mut row = answer::shown(&json!(question));
    let more = [
        ("id", json!(execution.id)),
        ("status", json!(execution.status)),
        ("action", json!(execution.action.reference)),
        ("user", json!(execution.user)),
        ("parent", json!(execution.parent)),
        ("task", json!(execution.part.as_ref().map(|part| &part.task))),
    ];
    if let Some(row) = row.as_object_mut() {
        row.extend(more.map(|(name, value)| (name.to_owned(), value)));
    }
    row
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerDraft {
    /// StackStorm's clients say it twice.
    #[serde(default)]
    id: Option<String>,
    response: Map<String, Value>,
}

async fn respond(call: Call) -> Answer {
    let id = named(&call).await?;
    let draft: AnswerDraft = call.json()?;
    if let Some(other) = draft.id.filter(|other| *other != id.to_string()) {
        let message = format!("the body answers `{other}`, the path `{id}`");
        return Err(Problem::bad("other_inquiry", message).help("leave `id` out of the body"));
    }
    let roles: Vec<String> = call.caller.iter().map(|caller| caller.role.clone()).collect();
    let executions = &call.state.executions;
    let answered = executions.answer(id, (call.user(), &roles), &draft.response).await?;
    tracing::info!(inquiry = %id, user = call.user(), "a question was answered");
    let shown = answer::shown(&answered.result);
    Ok(Json(json!({ "id": id, "response": shown["response"] })).into_response())
}

impl From<Unanswered> for Problem {
    /// The words and statuses are StackStorm's where it has some.
    fn from(error: Unanswered) -> Self {
        use Unanswered as U;
        let help = error.help();
        let problem = match error {
            U::Store(error) => return error.into(),
            U::NotFound(id) => Self::unknown("inquiry", &id.to_string()),
            U::NoInquiry(id) => {
                Self::bad("no_inquiry", format!("Action execution \"{id}\" is not an inquiry."))
            }
            U::NotYours { inquiry, user } => Self::forbidden(format!(
                "User \"{user}\" does not have permission to respond to inquiry \"{inquiry}\"."
            )),
            U::Already(id) => {
                let message = format!("Inquiry \"{id}\" has already been responded to.");
                Self::bad("already_answered", message)
            }
            U::Expired(id) => {
                let message = format!("Inquiry \"{id}\" timed out and cannot be responded to.");
                Self::bad("expired", message)
            }
            U::NotAsked { .. } => Self::new(StatusCode::CONFLICT, "not_asked", error.to_string()),
            U::Unfit { inquiry, problems } => {
                let message = format!(
                    "Response for inquiry \"{inquiry}\" did not pass schema validation. {}",
                    problems.join("; ")
                );
                Self::bad("unfit_answer", message).details(json!({ "problems": problems }))
            }
        };
        match help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}
