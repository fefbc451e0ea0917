//! Executions that are under way: paused, resumed, remedied; and a workflow's tasks.

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::call::Call;
use crate::api::executions::{find, row};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::auth::Right;
use crate::executions::Remedy;
use crate::model::execution::{Selector, Status, Wish};
use crate::packs::answer;
use crate::workflows::conduct::TaskView;

pub(crate) const ROUTES: &[Route] = &[
    Route::put(
        "/api/v1/executions/{id}",
        Access::Needs(Right::Run),
        |call| Box::pin(change(call)),
        "Pauses (`pausing`), resumes (`resuming`) or cancels (`canceling`) an execution.",
    )
    .of(Of::Execution)
    .takes(Shape::One("StatusDraft"))
    .gives(200, Shape::One("Execution")),
    Route::post(
        "/api/v1/executions/steer",
        Access::Needs(Right::Run),
        |call| Box::pin(steer(call)),
        "Pauses, resumes or cancels every execution that a selector means.",
    )
    .takes(Shape::One("SteerDraft"))
    .gives(200, Shape::Any),
    Route::post(
        "/api/v1/executions/{id}/remedy",
        Access::Needs(Right::Run),
        |call| Box::pin(remedy(call)),
        "Retries or skips the failed task that holds a workflow, or gives the workflow up.",
    )
    .of(Of::Execution)
    .takes(Shape::One("RemedyDraft"))
    .gives(200, Shape::One("Execution")),
    Route::get(
        "/api/v1/executions/{id}/tasks",
        Access::Needs(Right::View),
        |call| Box::pin(tasks(call)),
        "Lists the tasks of a workflow that have begun, in that order.",
    )
    .of(Of::Execution)
    .gives(200, Shape::Any),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusDraft {
    status: String,
    #[expect(
        dead_code,
        reason = "StackStorm's own parts send it; an execution's result is its own"
    )]
    #[serde(default)]
    result: Option<Value>,
}

async fn change(call: Call) -> Answer {
    let draft: StatusDraft = call.json()?;
    let id = find(&call).await?.id;
    let executions = &call.state.executions;
    let user = call.user();
    let moved = match draft.status.parse::<Status>() {
        Ok(Status::Pausing | Status::Paused) => executions.pause(id, user).await,
        Ok(Status::Resuming | Status::Running) => executions.resume(id, user).await,
        Ok(Status::Canceling | Status::Canceled) => executions.cancel(id, user).await,
        _ => {
            let message = format!("an execution cannot be made `{}`", draft.status);
            return Err(Problem::bad("bad_status", message)
                .help("say `pausing`, `resuming` or `canceling`"));
        }
    };
    let execution = moved?;
    tracing::info!(execution = %id, user, status = %execution.status, "steered by hand");
    Ok(Json(row(&call, &execution)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SteerDraft {
    wish: Wish,
    selector: Selector,
}

async fn steer(call: Call) -> Answer {
    let draft: SteerDraft = call.json()?;
    if draft.selector.is_empty() {
        return Err(Problem::bad("empty_selector", "an empty selector means every execution")
            .help("say `\"action\": \"*\"` if that is wanted"));
    }
    let why = format!("{} by `{}`", done(draft.wish), call.user());
    let moved = call.state.executions.steer_all(&draft.selector, draft.wish, &why).await?;
    tracing::info!(
        executions = moved.len(),
        user = call.user(),
        wish = draft.wish.word(),
        "steered"
    );
    Ok(Json(json!({ "executions": moved })).into_response())
}

const fn done(wish: Wish) -> &'static str {
    match wish {
        Wish::Pause => "paused",
        Wish::Resume => "resumed",
        Wish::Cancel => "canceled",
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RemedyDraft {
    remedy: String,
    #[serde(default)]
    task: Option<String>,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(default)]
    result: Option<Value>,
}

async fn remedy(call: Call) -> Answer {
    let draft: RemedyDraft = call.json()?;
    let id = find(&call).await?.id;
    // What a task is given or gives could make the workflow do what its caller may not run.
    if (draft.parameters.is_some() || draft.result.is_some()) && !call.may(Right::Run) {
        return Err(Problem::forbidden("a grant is not enough to change a task's data")
            .help("leave `parameters` and `result` out, or ask somebody who may run everything"));
    }
    let remedy = match draft.remedy.as_str() {
        "retry" => Remedy::Retry { parameters: draft.parameters },
        "skip" => Remedy::Skip { result: draft.result.unwrap_or(Value::Null) },
        "abort" => Remedy::Abort,
        other => {
            let message = format!("`{other}` is no remedy");
            return Err(Problem::bad("bad_remedy", message).help("say `retry`, `skip` or `abort`"));
        }
    };
    let (executions, task) = (&call.state.executions, draft.task.as_deref());
    let execution = executions.remedy(id, task, remedy, call.user()).await?;
    tracing::info!(execution = %id, user = call.user(), remedy = %draft.remedy, "remedied by hand");
    Ok((StatusCode::OK, Json(row(&call, &execution))).into_response())
}

async fn tasks(call: Call) -> Answer {
    let execution = find(&call).await?;
    let tasks = call.state.executions.tasks(&execution).await?;
    let rows: Vec<Value> = tasks.unwrap_or_default().iter().map(shown).collect();
    Ok(Json(rows).into_response())
}

/// A task as clients see it.
pub(crate) fn shown(task: &TaskView) -> Value {
    let mut row = json!({
        "entry": task.place.entry,
        "task": task.name,
        "route": task.route,
        "status": task.status,
        "start_timestamp": task.started,
        "end_timestamp": task.ended,
        "result": answer::shown(&task.result),
    });
    if let Some(items) = task.items {
        row["items"] = json!({
            "all": items.all, "active": items.active, "done": items.done, "failed": items.failed,
        });
    }
    if let Some(reason) = &task.reason {
        row["reason"] = json!(reason);
    }
    row
}
