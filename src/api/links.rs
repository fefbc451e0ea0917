//! Links with which people answer questions: one page with a form, for whoever has the link. Looking
//! answers nothing, since mail scanners look at every link.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::api::call::Call;
use crate::api::form::{self, Asked, Word};
use crate::api::route::{Access, Answer, Route, Shape};
use crate::executions::{Question, Unanswered};
use crate::model::execution::{Execution, Status};
use crate::model::id::ExecutionId;
use crate::packs::answer;
use crate::store;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/inquiries/{id}/{token}",
        Access::Own,
        |call| Box::pin(show(call)),
        "Shows the question behind a link, as a page with a form.",
    )
    .gives(200, Shape::Page),
    Route::post(
        "/inquiries/{id}/{token}",
        Access::Own,
        |call| Box::pin(take(call)),
        "Answers the question behind a link, once, with the page's form.",
    )
    .takes(Shape::Form)
    .limit(|_, _| FORM_LIMIT_BYTES)
    .gives(200, Shape::Page),
];

/// The largest form that is read: people type it.
const FORM_LIMIT_BYTES: usize = 64 * 1024;

async fn show(call: Call) -> Answer {
    let Some((execution, question)) = behind(&call).await? else { return Ok(unknown()) };
    let now = call.state.clock.now();
    if execution.status != Status::Pending || question.is_over(now) {
        return Ok(page(StatusCode::GONE, &form::word(over(execution.status))));
    }
    let asked = asked(&call, &execution, &question).await?;
    Ok(page(StatusCode::OK, &form::ask(&asked, &BTreeMap::new(), &[])))
}

async fn take(call: Call) -> Answer {
    let Some((execution, question)) = behind(&call).await? else { return Ok(unknown()) };
    let typed: BTreeMap<String, String> = form_urlencoded::parse(&call.body)
        .into_owned()
        .filter(|(_, text)| !text.is_empty())
        .collect();
    let taken = match response(&question.schema, &typed) {
        Ok(response) => {
            let (executions, secret) = (&call.state.executions, call.path("token"));
            executions.answer_by_link(execution.id, secret, &response).await
        }
        Err(problem) => Err(Unanswered::Unfit { inquiry: execution.id, problems: vec![problem] }),
    };
    Ok(match taken {
        Ok(_) => {
            tracing::info!(inquiry = %execution.id, "a question was answered by link");
            page(StatusCode::OK, &form::word(Word::Taken))
        }
        Err(Unanswered::Unfit { problems, .. }) => {
            let asked = asked(&call, &execution, &question).await?;
            page(StatusCode::BAD_REQUEST, &form::ask(&asked, &typed, &problems))
        }
        Err(Unanswered::Already(_)) => page(StatusCode::CONFLICT, &form::word(Word::Answered)),
        Err(Unanswered::Expired(_)) => page(StatusCode::GONE, &form::word(Word::Expired)),
        Err(Unanswered::NotAsked { .. }) => page(StatusCode::GONE, &form::word(Word::Closed)),
        Err(Unanswered::Store(error)) => return Err(error.into()),
        Err(_) => unknown(),
    })
}

const fn over(status: Status) -> Word {
    match status {
        Status::Succeeded => Word::Answered,
        Status::Pending | Status::Timeout => Word::Expired,
        _ => Word::Closed,
    }
}

/// The question behind the link that was called; nothing tells a wrong link from one that never was.
async fn behind(call: &Call) -> Result<Option<(Execution, Question)>, store::Error> {
    let Ok(id) = call.path("id").parse::<ExecutionId>() else { return Ok(None) };
    call.state.executions.behind_link(id, call.path("token")).await
}

async fn asked<'a>(
    call: &Call,
    execution: &'a Execution,
    question: &'a Question,
) -> Result<Asked<'a>, store::Error> {
    let workflow = match execution.parent {
        Some(parent) => call.state.executions.get(parent).await?,
        None => None,
    };
    let by = workflow.map_or_else(|| execution.action.clone(), |workflow| workflow.action);
    Ok(Asked { execution, question, by, now: call.state.clock.now() })
}

/// What was typed, by the types of the schema.
fn response(
    schema: &Value,
    typed: &BTreeMap<String, String>,
) -> Result<Map<String, Value>, String> {
    if let Some(text) = typed.get(form::WHOLE) {
        return serde_json::from_str(text)
            .map_err(|error| format!("this is no JSON object: {error}"));
    }
    let fields = typed.iter().filter_map(|(name, text)| {
        let name = name.strip_prefix(form::PREFIX)?;
        Some((name.to_owned(), answer::read(schema, name, text)))
    });
    Ok(fields.collect())
}

fn unknown() -> Response {
    page(StatusCode::NOT_FOUND, &form::word(Word::Unknown))
}

/// A page that loads nothing, runs nothing, is kept nowhere and tells no other site its address.
pub(crate) fn page(status: StatusCode, html: &str) -> Response {
    let mut response = (status, html.to_owned()).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = HeaderValue::from_str(&form::policy()).expect("the policy is plain text");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    response
}
