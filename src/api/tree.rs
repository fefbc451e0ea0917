//! A workflow as a tree: what has begun, with what is part of it, in one bounded answer.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use axum::Json;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::api::State;
use crate::api::call::Call;
use crate::api::executions::{find, how_far};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::auth::Right;
use crate::model::execution::{Execution, Status};
use crate::model::id::ExecutionId;
use crate::model::time::Time;
use crate::store::tables::Progress;
use crate::workflows::conduct::outline::{Items, Line, Outline};
use crate::workflows::conduct::state::State as Standing;

pub(crate) const ROUTES: &[Route] = &[Route::get(
    "/api/v1/executions/{id}/tree",
    Access::Needs(Right::View),
    |call| Box::pin(tree(call)),
    "Shows a workflow as a tree: its tasks with where they stand, how far they are and what they wait \
     for, workflows within it and the items that failed or run. Bounded: `left_out` says by how much.",
)
    .of(Of::Execution)
.gives(200, Shape::Any)];

/// Executions that one answer looks into at most: workflows within workflows.
const LOOKS_LIMIT: usize = 64;
/// Tasks of one workflow that are shown whatever became of them: the first, and the last.
const FIRST_TASKS: usize = 20;
const LAST_TASKS: usize = 180;
/// Tasks of one workflow that are shown beside those because they run or did not end well.
const OTHER_TASKS: usize = 100;
/// Errors of a workflow that belong to no task and are shown.
const FAULTS_LIMIT: usize = 10;
/// Characters of an error.
const ERROR_CHARS: usize = 400;
/// What the conductor says of a task whose action failed: the action's own reason says more.
const SEE_RESULT: &str = "Execution failed. See result for details.";

async fn tree(call: Call) -> Answer {
    let execution = find(&call).await?;
    Ok(Json(grown(&call.state, &execution).await?).into_response())
}

/// The tree of an execution.
pub(crate) async fn grown(state: &State, execution: &Execution) -> Result<Value, Problem> {
    let progress = state.executions.progress(&[execution]).await?.pop().flatten();
    let mut grower = Grower { state, looks: LOOKS_LIMIT };
    grower.node(execution, progress.as_ref()).await
}

struct Grower<'a> {
    state: &'a State,
    looks: usize,
}

/// The parts of one workflow, found by the task and item that they carry out.
type Parts<'a> = HashMap<(u32, Option<u32>), &'a (Execution, Option<Progress>)>;

type Growing<'a> = Pin<Box<dyn Future<Output = Result<Value, Problem>> + Send + 'a>>;

impl Grower<'_> {
    /// An execution with what is part of it.
    fn node<'b>(&'b mut self, execution: &'b Execution, far: Option<&'b Progress>) -> Growing<'b> {
        Box::pin(async move {
            let mut node = head(execution, far);
            if execution.action.runner != "workflow" {
                return Ok(node);
            }
            node["workflow"] = json!(true);
            if self.looks == 0 {
                node["left_out"] = json!(true);
                return Ok(node);
            }
            self.looks -= 1;
            if let Some(outline) = self.state.executions.outline(execution.id).await? {
                self.tasks(execution.id, &outline, &mut node).await?;
            }
            Ok(node)
        })
    }

    async fn tasks(
        &mut self,
        id: ExecutionId,
        outline: &Outline,
        node: &mut Value,
    ) -> Result<(), Problem> {
        let parts = self.state.executions.parts(id).await?.rows;
        let of: Vec<&Execution> = parts.iter().collect();
        let progress = self.state.executions.progress(&of).await?;
        let parts: Vec<_> = parts.into_iter().zip(progress).collect();
        let mut by_place = Parts::new();
        for part in &parts {
            if let Some(place) = &part.0.part {
                // A later one does the same place again.
                by_place.insert((place.entry, place.item), part);
            }
        }
        let (mut tasks, mut left_out) = (Vec::new(), 0usize);
        let chosen = chosen(&outline.tasks);
        for (line, chosen) in outline.tasks.iter().zip(chosen) {
            if !chosen {
                left_out += 1;
                continue;
            }
            if left_out > 0 {
                tasks.push(json!({ "left_out": std::mem::take(&mut left_out) }));
            }
            tasks.push(self.task(outline, line, &by_place).await?);
        }
        node["tasks"] = Value::Array(tasks);
        // What has a place already is among the tasks.
        let waiting = outline.waiting.iter().filter(|waiting| waiting.entry.is_none());
        let over = outline.state.is_done();
        node["waiting"] = waiting
            .filter(|_| !over)
            .map(|waiting| {
                let route = (waiting.route > 0).then_some(waiting.route);
                json!({ "task": waiting.name, "route": route, "due": waiting.due, "ready": waiting.ready })
            })
            .collect();
        let own = outline.faults.iter().filter(|fault| fault.task.is_none());
        node["errors"] = own.take(FAULTS_LIMIT).map(|fault| json!(cut(&fault.message))).collect();
        if let Some(wants) = wants(outline, &by_place) {
            node["waits_for"] = wants;
        }
        Ok(())
    }

    async fn task(
        &mut self,
        outline: &Outline,
        line: &Line,
        parts: &Parts<'_>,
    ) -> Result<Value, Problem> {
        let part = parts.get(&(line.entry, None)).copied();
        let status = standing(line, part.map(|(execution, _)| execution));
        let mut task = json!({
            "entry": line.entry,
            "task": line.name,
            "status": status,
            "started": line.started,
            "ended": line.ended,
            "elapsed_seconds": elapsed(line.started, line.ended).or_else(|| {
                let (execution, _) = part?;
                elapsed(execution.started, execution.ended)
            }),
        });
        let due = outline.waiting.iter().find(|waiting| waiting.entry == Some(line.entry));
        if let Some(due) = due.and_then(|waiting| waiting.due) {
            task["due"] = json!(due);
        }
        if line.route > 0 {
            task["route"] = json!(line.route);
        }
        if let Some((most, so_far)) = line.retries.filter(|(_, so_far)| *so_far > 0) {
            task["retries"] = json!({ "so_far": so_far, "most": most });
        }
        for (name, value) in [
            ("reason", json!(line.held.as_ref().or(line.reason.as_ref()).map(|why| cut(why)))),
            ("rounds", json!((line.rounds > 0).then_some(line.rounds))),
            ("probe", json!(line.probe)),
            ("undone", json!(line.undone)),
        ] {
            if !value.is_null() {
                task[name] = value;
            }
        }
        let faults = outline.faults.iter().rev();
        let mut own = faults.filter(|fault| fault.task.as_deref() == Some(&*line.name));
        if let Some(fault) = own.find(|fault| fault.message != SEE_RESULT)
            && line.state.is_abended()
        {
            task["error"] = json!(cut(&fault.message));
        }
        if let Some((execution, progress)) = part {
            task["execution"] = self.node(execution, progress.as_ref()).await?;
        }
        if let Some(items) = &line.items {
            task["items"] = self.items(line.entry, items, parts).await?;
        }
        Ok(task)
    }

    async fn items(
        &mut self,
        entry: u32,
        items: &Items,
        parts: &Parts<'_>,
    ) -> Result<Value, Problem> {
        let mut listed = Vec::new();
        for (item, state) in items.failed_ones.iter().chain(&items.open_ones) {
            let mut row = json!({ "item": item, "status": state.word() });
            if let Some((execution, progress)) = parts.get(&(entry, Some(*item))).copied() {
                row["execution"] = self.node(execution, progress.as_ref()).await?;
            }
            listed.push(row);
        }
        Ok(json!({
            "all": items.all,
            "active": items.active,
            "done": items.done,
            "failed": items.failed,
            "listed": listed,
        }))
    }
}

/// Which tasks are shown: the first and the last, and whatever runs or did not end well.
fn chosen(lines: &[Line]) -> Vec<bool> {
    let last = lines.len().saturating_sub(LAST_TASKS);
    let mut others = OTHER_TASKS;
    let mut choose = |at: usize, line: &Line| {
        if at < FIRST_TASKS || at >= last {
            return true;
        }
        let wanted = line.state != Standing::Succeeded && others > 0;
        others -= usize::from(wanted);
        wanted
    };
    lines.iter().enumerate().map(|(at, line)| choose(at, line)).collect()
}

/// Where a task stands: its part may know it better than its workflow, which hears of it later.
fn standing(line: &Line, part: Option<&Execution>) -> &'static str {
    let running = matches!(line.state, Standing::Running | Standing::Requested);
    match part {
        Some(part) if running => part.status.word(),
        // What has a place but has not begun waits for its time.
        _ if line.state == Standing::Unset => Status::Delayed.word(),
        _ => line.state.word(),
    }
}

/// What a workflow that stands still waits for.
fn wants(outline: &Outline, parts: &Parts<'_>) -> Option<Value> {
    if !matches!(outline.state, Standing::Paused | Standing::Pausing) {
        return None;
    }
    let asks = parts.values().find(|(part, _)| part.status == Status::Pending);
    if let Some((part, _)) = asks.filter(|_| !outline.held) {
        return Some(json!({ "what": "answer", "execution": part.id }));
    }
    let failed = outline.tasks.iter().rev().find(|line| line.held.is_some());
    match failed {
        Some(line) => Some(json!({ "what": "remedy", "task": line.name })),
        _ => Some(json!({ "what": "resume" })),
    }
}

/// What is said of an execution wherever it stands in a tree.
fn head(execution: &Execution, far: Option<&Progress>) -> Value {
    let mut node = json!({
        "id": execution.id,
        "action": execution.action.reference,
        "status": execution.status,
        "user": execution.user,
        "start_timestamp": execution.created,
        "started": execution.started,
        "end_timestamp": execution.ended,
        "elapsed_seconds": elapsed(execution.started, execution.ended),
        "attempt": execution.attempt,
    });
    if let Some(reason) = &execution.reason {
        node["reason"] = json!(cut(reason));
    }
    if let Some(far) = far {
        node["progress"] = how_far(far);
    }
    if let Some(error) = error(execution) {
        node["error"] = json!(error);
    }
    if execution.status == Status::Pending {
        let asked = &execution.result;
        node["question"] = json!({
            "message": asked["message"],
            "schema": asked["schema"],
            "route": asked["route"],
            "users": asked["users"],
        });
    }
    node
}

/// The last word of an execution that did not end well, where its reason is not all there is.
fn error(execution: &Execution) -> Option<String> {
    if !execution.status.is_done() || execution.status == Status::Succeeded {
        return None;
    }
    let text = |name: &str| execution.result[name].as_str().map(str::trim);
    let said = text("error").or_else(|| text("stderr")?.lines().last().map(str::trim));
    let said = said.filter(|said| !said.is_empty()).map(cut)?;
    (execution.reason.as_deref() != Some(said.as_str())).then_some(said)
}

fn elapsed(from: Option<Time>, to: Option<Time>) -> Option<f64> {
    Some(to?.since(from?).as_secs_f64())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(ERROR_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
