//! Executions: asked for, listed, shown, cancelled and run again, in StackStorm's shapes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::api::call::Call;
use crate::api::filter::{self, Filter};
use crate::api::paging::{self, Listing, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::api::{RunnerType, runners, shape};
use crate::auth::{Kind, Right};
use crate::executions::Request;
use crate::model::cause::Cause;
use crate::model::execution::Execution;
use crate::model::id::ExecutionId;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::model::trace::{self, Parent};
use crate::model::workflow::Again;
use crate::packs::answer;
use crate::store::table::{self, Rows};
use crate::store::tables::{Output, Progress};

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/executions",
        Access::Needs(Right::View),
        |call| Box::pin(list(call)),
        "Lists executions, newest first.",
    )
    .of(Of::Each)
    .query(filter::QUERY)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Execution")),
    Route::post(
        "/api/v1/executions",
        Access::Needs(Right::Run),
        |call| Box::pin(request(call)),
        "Asks for a run of an action; answers once that is on disk.",
    )
    .of(Of::Body(Kind::Action, "action"))
    .takes(Shape::One("ExecutionDraft"))
    .gives(201, Shape::One("Execution")),
    Route::get(
        "/api/v1/executions/{id}",
        Access::Needs(Right::View),
        |call| Box::pin(get(call)),
        "Shows one execution; `last` is the newest that is no part of another.",
    )
    .of(Of::Execution)
    .query(&[("wait", "Wait so many seconds, 60 at most, for it to end.")])
    .gives(200, Shape::One("Execution")),
    Route::delete(
        "/api/v1/executions/{id}",
        Access::Needs(Right::Run),
        |call| Box::pin(cancel(call)),
        "Cancels an execution.",
    )
    .of(Of::Execution)
    .gives(200, Shape::One("Execution")),
    Route::post(
        "/api/v1/executions/{id}/re_run",
        Access::Needs(Right::Run),
        |call| Box::pin(again(call)),
        "Runs the same action again, with the same parameters but those that are given anew.",
    )
    .of(Of::Execution)
    .takes(Shape::One("RerunDraft"))
    .gives(201, Shape::One("Execution")),
    Route::get(
        "/api/v1/executions/{id}/output",
        Access::Needs(Right::View),
        |call| Box::pin(output(call)),
        "Shows what an execution has written so far, as text.",
    )
    .of(Of::Execution)
    .query(&[
        ("output_type", "`stdout`, `stderr`, `all`; several parted by commas."),
        ("output_format", "`raw` (unless given) or `json`: one object per piece."),
        ("last", "Only so many pieces, the last."),
    ])
    .gives(200, Shape::Text),
    Route::get(
        "/api/v1/executions/{id}/result",
        Access::Needs(Right::View),
        |call| Box::pin(result(call)),
        "Shows an execution's result.",
    )
    .of(Of::Execution)
    .gives(200, Shape::Any),
    Route::get(
        "/api/v1/executions/{id}/attribute/{name}",
        Access::Needs(Right::View),
        |call| Box::pin(attribute(call)),
        "Shows one attribute of an execution: `status`, `result`, `trigger_instance`.",
    )
    .of(Of::Execution)
    .gives(200, Shape::Any),
    Route::get(
        "/api/v1/executions/{id}/children",
        Access::Needs(Right::View),
        |call| Box::pin(children(call)),
        "Lists the executions that are part of this one.",
    )
    .of(Of::Execution)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Execution")),
];

/// The attributes of an execution's row.
pub(crate) const KNOWN: &[&str] = &[
    "id",
    "action",
    "runner",
    "liveaction",
    "status",
    "start_timestamp",
    "end_timestamp",
    "elapsed_seconds",
    "parameters",
    "result",
    "result_size",
    "context",
    "parent",
    "children",
    "log",
    "web_url",
    "rule",
    "trigger",
    "trigger_type",
    "trigger_instance",
    "delay",
    "cause",
    "user",
    "attempt",
    "reason",
    "hops",
    "started",
    "workflow_execution",
    "task_execution",
    "task",
    "progress",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExecutionDraft {
    action: String,
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(default)]
    timeout: Option<u64>,
    #[serde(default)]
    delay: Option<u64>,
    #[serde(default)]
    context: Option<Map<String, Value>>,
    #[serde(default)]
    user: Option<String>,
    #[expect(dead_code, reason = "StackStorm's clients send it; notifications come later")]
    #[serde(default)]
    notify: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RerunDraft {
    #[serde(default)]
    parameters: Option<Map<String, Value>>,
    #[serde(default)]
    delay: Option<u64>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    tasks: Vec<String>,
    #[serde(default)]
    reset: Vec<String>,
    /// Ours: all tasks that failed.
    #[serde(default)]
    failed: bool,
}

async fn list(call: Call) -> Answer {
    let page = Page::of(&call)?;
    let filter = Filter::of(&call)?;
    let listing = filter.page(&call.state.store, page).await?;
    rows(&call, listing).await?.answer(&call, KNOWN)
}

async fn children(call: Call) -> Answer {
    let page = Page::of(&call)?;
    let parent = find(&call).await?;
    let filter = Filter::under(parent.id);
    let listing = filter.page(&call.state.store, page).await?;
    rows(&call, listing).await?.answer(&call, KNOWN)
}

/// The execution that the path names; `last` is the newest that is no part of another.
pub(crate) async fn find(call: &Call) -> Result<Execution, Problem> {
    if call.path("id") == "last" {
        return last(call).await?.ok_or_else(|| {
            Problem::bad("no_executions", "there is no execution yet")
                .help("`ifso run core.noop` makes one")
        });
    }
    let id: ExecutionId = call.named("id", "execution")?;
    let found = call.state.executions.get(id).await?;
    found.ok_or_else(|| Problem::unknown("execution", &id.to_string()))
}

/// The newest execution that is no part of another.
async fn last(call: &Call) -> Result<Option<Execution>, Problem> {
    const PAGE: usize = 256;
    let mut after = None;
    loop {
        let rows = Rows::last(PAGE).after(after);
        let found = table::scan::<Execution>(&call.state.store, rows).await?;
        let Some(oldest) = found.last() else { return Ok(None) };
        after = Some(table::Row::key(&oldest.row));
        let whole = found.into_iter().map(|held| held.row).find(|row| row.parent.is_none());
        if whole.is_some() {
            return Ok(whole);
        }
    }
}

/// The longest wait of one call.
const WAIT_MOST: Duration = Duration::from_mins(1);

async fn get(call: Call) -> Answer {
    // Listens before it looks: an end in between is not missed.
    let moved = call.state.executions.watch();
    let found = find(&call).await?;
    let execution = match call.query("wait") {
        None => found,
        Some(text) => {
            let seconds: u64 = text.parse().map_err(|_| {
                Problem::bad("bad_query", format!("`wait`: `{text}` is not a count of seconds"))
            })?;
            wait(&call, found, moved, Duration::from_secs(seconds).min(WAIT_MOST)).await?
        }
    };
    let mut row = row(&call, &execution);
    let progress = call.state.executions.progress(&[&execution]).await?.pop().flatten();
    if let Some(progress) = progress {
        row["progress"] = how_far(&progress);
    }
    paging::one(&call, row, KNOWN)
}

/// The execution once it is done, or as it is when the time is over.
async fn wait(
    call: &Call,
    mut execution: Execution,
    mut moved: Receiver<Arc<Execution>>,
    time: Duration,
) -> Result<Execution, Problem> {
    let state = &call.state;
    let deadline = state.clock.now().plus(time);
    while !execution.status.is_done() {
        tokio::select! {
            biased;
            () = call.stop.cancelled() => break,
            () = state.clock.sleep_until(deadline) => break,
            heard = moved.recv() => match heard {
                // Changes may be told out of order; the longer log is the newer state.
                Ok(new) if new.id == execution.id && new.log.len() >= execution.log.len() => {
                    execution = (*new).clone();
                }
                Ok(_) => {}
                // Too much happened to hear it all: the store knows.
                Err(RecvError::Lagged(_)) => {
                    execution = state.executions.get(execution.id).await?.unwrap_or(execution);
                }
                Err(RecvError::Closed) => break,
            },
        }
    }
    Ok(execution)
}

fn whoever(call: &Call, user: Option<&str>) -> Result<String, Problem> {
    match user {
        Some(user) if user != call.user() => {
            Err(Problem::forbidden(format!("this key may not run as user `{user}`"))
                .help("an execution runs as the user of its API key"))
        }
        _ => Ok(call.user().to_owned()),
    }
}

async fn request(call: Call) -> Answer {
    let draft: ExecutionDraft = call.json()?;
    let user = whoever(&call, draft.user.as_deref())?;
    let action: Reference = draft.action.parse().map_err(|error| {
        Problem::bad("no_such_action", format!("{error}"))
            .help("`ifso action list` shows the actions there are")
    })?;
    let request = Request {
        action,
        parameters: draft.parameters.unwrap_or_default(),
        cause: Cause::User(user.clone()),
        timeout: draft.timeout.map(Duration::from_secs),
        delay: draft.delay.map(Duration::from_millis),
        context: context(&call, draft.context)?,
        once: call.header("idempotency-key").map(|key| format!("api/{user}/{key}")),
        user,
    };
    let execution = call.state.executions.request(request).await?;
    call.changed(Value::Null, told(&call, &execution));
    Ok((StatusCode::CREATED, Json(row(&call, &execution))).into_response())
}

/// StackStorm's `St2-Context` header and the body's `context` are one thing.
fn context(call: &Call, body: Option<Map<String, Value>>) -> Result<Map<String, Value>, Problem> {
    let mut merged = match call.header("st2-context").filter(|text| !text.is_empty()) {
        None => Map::new(),
        Some(text) => serde_json::from_str(text).map_err(|_| {
            let message = "Unable to convert st2-context from the headers into JSON";
            Problem::bad("bad_header", message).help("send one JSON object in `St2-Context`")
        })?,
    };
    merged.extend(body.unwrap_or_default());
    if let Some(tag) = call.header("st2-trace-tag") {
        merged.insert("trace_context".to_owned(), json!({ "trace_tag": tag }));
    } else if let Some(parent) =
        call.header("traceparent").filter(|text| Parent::read(text).is_some())
    {
        merged.insert(trace::TAG.to_owned(), json!(parent));
    }
    Ok(merged)
}

async fn cancel(call: Call) -> Answer {
    let before = find(&call).await?;
    let id = before.id;
    let execution = call.state.executions.cancel(id, call.user()).await?;
    call.changed(told(&call, &before), told(&call, &execution));
    tracing::info!(execution = %id, user = call.user(), "an execution was cancelled by hand");
    Ok(Json(row(&call, &execution)).into_response())
}

async fn again(call: Call) -> Answer {
    let draft: RerunDraft = call.json_or_empty()?;
    let user = whoever(&call, draft.user.as_deref())?;
    let old = find(&call).await?;
    if !draft.tasks.is_empty() || !draft.reset.is_empty() || draft.failed {
        return tasks_again(&call, &old, draft, &user).await;
    }
    let mut parameters = old.given.clone();
    parameters.extend(draft.parameters.unwrap_or_default());
    let mut context = context(&call, None)?;
    context.insert("re-run".to_owned(), json!({ "ref": old.id }));
    let request = Request {
        action: old.action.reference.clone(),
        parameters,
        cause: Cause::User(user.clone()),
        user,
        timeout: old.timeout_ms.map(Duration::from_millis),
        delay: draft.delay.map(Duration::from_millis),
        context,
        once: None,
    };
    let execution = call.state.executions.request(request).await?;
    call.changed(Value::Null, told(&call, &execution));
    Ok((StatusCode::CREATED, Json(row(&call, &execution))).into_response())
}

/// An execution as the audit log may see it.
pub(crate) fn told(call: &Call, execution: &Execution) -> Value {
    let row = row(call, execution);
    json!({
        "id": execution.id,
        "action": execution.action.reference,
        "parameters": row["parameters"],
        "status": execution.status,
    })
}

/// Runs tasks of a workflow again, with StackStorm's refusals.
async fn tasks_again(call: &Call, old: &Execution, draft: RerunDraft, user: &str) -> Answer {
    if old.action.workflow.is_none() {
        let message = "Task option is only supported for Orquesta workflows.";
        return Err(Problem::bad("no_tasks", message)
            .help("leave `tasks` out: the action runs again as a whole"));
    }
    if draft.parameters.is_some_and(|parameters| !parameters.is_empty()) {
        let message =
            "Parameters override is not supported when re-running task(s) for a workflow.";
        return Err(Problem::bad("no_parameters", message)
            .help("leave `tasks` out to run the whole workflow with other parameters"));
    }
    if draft.reset.iter().any(|reset| !draft.tasks.contains(reset)) {
        let message = "List of tasks to reset does not match the tasks to rerun.";
        return Err(Problem::bad("reset_other", message)
            .help("`reset` names some of `tasks`: those whose items are all done again"));
    }
    let again = draft
        .tasks
        .into_iter()
        .map(|name| Again { reset_items: draft.reset.contains(&name), name });
    let (executions, context) = (&call.state.executions, context(call, None)?);
    let execution = executions.rerun(old.id, again.collect(), user, context).await?;
    Ok((StatusCode::CREATED, Json(row(call, &execution))).into_response())
}

/// Pieces of output that one call reads at most; each is cut at some KiB, and executions are capped.
const PIECE_LIMIT: usize = 100_000;

async fn output(call: Call) -> Answer {
    let id = find(&call).await?.id;
    let last = call.query("last").map(|text| {
        let count = text.parse::<usize>().ok().filter(|count| *count > 0);
        count.ok_or_else(|| Problem::bad("bad_query", format!("`last`: `{text}` is not a count")))
    });
    let rows = match last.transpose()? {
        Some(count) => Rows::last(count.min(PIECE_LIMIT)),
        None => Rows::first(PIECE_LIMIT),
    };
    let mut pieces = table::scan::<Output>(&call.state.store, rows.under(id.to_bytes())).await?;
    pieces.sort_by_key(|held| held.row.number);
    if let Some(kinds) = call.query("output_type").filter(|kinds| *kinds != "all") {
        pieces.retain(|held| kinds.split(',').any(|kind| kind.trim() == held.row.stream));
    }
    if call.query("output_format") == Some("json") {
        let rows: Vec<Value> = pieces.iter().map(|held| piece(&held.row)).collect();
        return Ok(Json(rows).into_response());
    }
    let text: String = pieces.into_iter().map(|held| held.row.text).collect();
    Ok(([("content-type", "text/plain; charset=utf-8")], text).into_response())
}

/// A piece of output.
pub(crate) fn piece(output: &Output) -> Value {
    json!({
        "id": format!("{}/{}", output.execution, output.number),
        "execution_id": output.execution,
        "number": output.number,
        "attempt": output.attempt,
        "output_type": output.stream,
        "timestamp": output.at,
        "data": output.text,
    })
}

async fn result(call: Call) -> Answer {
    let execution = find(&call).await?;
    if execution.result.is_null() {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no_result",
            format!("execution `{}` has no result yet; it is {}", execution.id, execution.status),
        ));
    }
    Ok(Json(answer::shown(&execution.result)).into_response())
}

async fn attribute(call: Call) -> Answer {
    const VALID: &[&str] = &["result", "trigger_instance", "status"];
    let name = call.path("name");
    if !VALID.contains(&name) {
        return Err(Problem::bad(
            "bad_attribute",
            format!(
                "Invalid attribute \"{name}\" specified. Valid attributes are: {}",
                VALID.join(", ")
            ),
        ));
    }
    let mut row = row(&call, &find(&call).await?);
    Ok(Json(row.get_mut(name).map_or_else(|| json!({}), Value::take)).into_response())
}

/// An execution as the caller may see it.
pub(crate) fn row(call: &Call, execution: &Execution) -> Value {
    shown(&call.state.runners, execution)
}

/// An execution as clients see it: secret parameters struck out.
pub(crate) fn shown(known: &[RunnerType], execution: &Execution) -> Value {
    let action = &execution.action;
    let runner = known.iter().find(|runner| runner.name == action.runner_type);
    let described = action.parameters.iter().chain(runner.iter().flat_map(|r| &r.parameters));
    let parameters = shape::masked(&execution.given, described);
    let mut context = execution.context.clone();
    context.insert("user".to_owned(), json!(execution.user));
    context.insert("pack".to_owned(), json!(action.reference.pack()));
    let result = shape::or_object(&answer::shown(&execution.result));
    let mut row = json!({
        "id": execution.id,
        "action": shape::action(action),
        "runner": runner.map_or_else(|| json!({ "name": action.runner_type }), runners::row),
        "liveaction": {
            "id": execution.id,
            "action": action.reference,
            "action_is_workflow": action.runner == "workflow",
            "parameters": parameters,
            "callback": {},
            "runner_info": {},
        },
        "status": execution.status,
        "start_timestamp": execution.created,
        "parameters": parameters,
        "context": context,
        "log": execution.log.iter().map(|(at, status)| {
            json!({ "timestamp": at, "status": status })
        }).collect::<Vec<_>>(),
        "web_url": format!("/executions/{}", execution.id),
        "cause": execution.cause,
        "user": execution.user,
        "attempt": execution.attempt,
        "hops": execution.hops,
        "result_size": result.to_string().len(),
        "result": result,
    });
    moments(execution, &mut row);
    causes(execution, &mut row);
    row
}

/// A page of executions as the caller may see them, with how far each is.
async fn rows(call: &Call, listing: Listing<Execution>) -> Result<Listing<Value>, Problem> {
    let of: Vec<&Execution> = listing.rows.iter().collect();
    let mut progress = call.state.executions.progress(&of).await?.into_iter();
    Ok(listing.map(|execution| {
        let mut row = row(call, &execution);
        if let Some(progress) = progress.next().flatten() {
            row["progress"] = how_far(&progress);
        }
        row
    }))
}

/// How far an execution says that it is.
pub(crate) fn how_far(progress: &Progress) -> Value {
    json!({ "progress": progress.progress, "message": progress.message, "at": progress.at })
}

/// What only some executions have: when they started and ended, and why they stand where they stand.
fn moments(execution: &Execution, row: &mut Value) {
    if let Some(started) = execution.started {
        row["started"] = json!(started);
    }
    if let Some(ended) = execution.ended {
        row["end_timestamp"] = json!(ended);
        row["elapsed_seconds"] = json!(seconds(execution.created, ended));
    }
    if let Some(reason) = &execution.reason {
        row["reason"] = json!(reason);
    }
    if let Some(parent) = execution.parent {
        row["parent"] = json!(parent);
    }
    if let Some(part) = &execution.part {
        row["task"] = json!(part);
        row["context"]["orquesta"] = json!({
            "workflow_execution_id": execution.parent,
            "task_execution_id": execution.id,
            "task_id": part.task,
            "task_name": part.task,
            "task_route": part.route,
        });
    }
}

fn seconds(from: Time, to: Time) -> f64 {
    to.since(from).as_secs_f64()
}

/// The rule and the event behind an execution.
fn causes(execution: &Execution, row: &mut Value) {
    if let Cause::Rule { rule, event, .. } = &execution.cause {
        row["rule"] = json!({
            "id": rule, "ref": rule, "pack": rule.pack(), "name": rule.name(), "enabled": true,
        });
        row["trigger_instance"] = json!({ "id": event });
    }
}
