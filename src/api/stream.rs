//! Live events (server-sent events): executions as they move, and output as it is written.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::api::call::Call;
use crate::api::executions::{find, how_far, piece, shown};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::api::{State, growth};
use crate::auth::{Kind, Object, Right};
use crate::executions::Progressed;
use crate::model::execution::Execution;
use crate::model::id::ExecutionId;
use crate::model::reference::Reference;
use crate::store::table::{self, Row, Rows};
use crate::store::tables::Output;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/stream/v1/stream",
        Access::Needs(Right::View),
        |call| Box::pin(async move { Ok(all(call)) }),
        "Streams every execution that moves (`execution.create`, `execution.update`) or says how far it \
         is (`execution.progress`).",
    )
    .of(Of::Each)
    .query(&[
        ("action_refs", "Only executions of these actions, parted by commas."),
        ("execution_ids", "Only these, parted by commas."),
    ])
    .gives(200, Shape::Events),
    Route::get(
        "/stream/v1/executions/{id}/output",
        Access::Needs(Right::View),
        |call| Box::pin(output(call)),
        "Streams what an execution has written and writes, until it ends: `execution.output`, then \
         one `execution.end`.",
    )
    .of(Of::Execution)
    .gives(200, Shape::Events),
    Route::get(
        "/stream/v1/executions/{id}/tree",
        Access::Needs(Right::View),
        |call| Box::pin(growth::tree(call)),
        "Streams the tree of a workflow whenever something in it moves, until it ends: `workflow.tree`, \
         then one `execution.end`.",
    )
    .of(Of::Execution)
    .query(&[("output", "`true`: what its tasks write comes too, as `execution.output`.")])
    .gives(200, Shape::Events),
];

/// How often a silent stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// Events that wait for a slow reader; then it misses some executions, never output.
pub(crate) const WAITING_LIMIT: usize = 256;

pub(crate) type Sender = mpsc::Sender<Result<Event, Infallible>>;

pub(crate) fn answer(
    events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static,
) -> Response {
    let alive = KeepAlive::new().interval(HEARTBEAT);
    Sse::new(events).keep_alive(alive).into_response()
}

pub(crate) fn event(name: &str, data: &serde_json::Value) -> Event {
    Event::default().event(name).data(data.to_string())
}

fn words(call: &Call, name: &str) -> Vec<String> {
    call.query(name)
        .map(|text| text.split(',').map(|w| w.trim().to_owned()).collect())
        .unwrap_or_default()
}

fn all(call: Call) -> Response {
    let (actions, ids) = (words(&call, "action_refs"), words(&call, "execution_ids"));
    let (sender, receiver) = mpsc::channel(WAITING_LIMIT);
    let mut changes = call.state.executions.watch();
    let mut progress = call.state.executions.progress_changes();
    let tasks = call.state.tasks.clone();
    let caller = call.caller.clone();
    let seen = move |action: &Reference, id: ExecutionId| {
        caller.as_ref().is_some_and(|caller| {
            let object = Object::default().and(Kind::Execution, &id.to_string());
            caller.may(Right::View)
                || caller.may_of(Right::View, &object.named(Kind::Action, action.as_str()))
        })
    };
    let wanted = move |action: &Reference, id: ExecutionId| {
        seen(action, id)
            && (actions.is_empty() || actions.iter().any(|wanted| wanted == action.as_str()))
            && (ids.is_empty() || ids.contains(&id.to_string()))
    };
    tasks.spawn(async move {
        loop {
            let (action, id, sent) = tokio::select! {
                biased;
                () = call.stop.cancelled() => return,
                () = sender.closed() => return,
                heard = changes.recv() => match heard {
                    Ok(moved) => (moved.action.reference.clone(), moved.id, Sent::Moved(moved)),
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                },
                heard = progress.recv() => match heard {
                    Ok(far) => (far.action.clone(), far.progress.execution, Sent::Progress(far)),
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                },
            };
            if wanted(&action, id) && sender.send(Ok(sent.event(&call, id))).await.is_err() {
                return;
            }
        }
    });
    answer(ReceiverStream::new(receiver))
}

/// What the stream of all executions tells.
enum Sent {
    Moved(Arc<Execution>),
    Progress(Arc<Progressed>),
}

impl Sent {
    fn event(&self, call: &Call, id: ExecutionId) -> Event {
        let (name, row) = match self {
            Self::Moved(execution) => {
                let new = execution.log.len() <= 1;
                let name = if new { "execution.create" } else { "execution.update" };
                (name, shown(&call.state.runners, execution))
            }
            Self::Progress(far) => {
                let mut row = how_far(&far.progress);
                row["id"] = json!(id);
                row["action"] = json!(far.action);
                ("execution.progress", row)
            }
        };
        event(name, &row).id(id.to_string())
    }
}

async fn output(call: Call) -> Answer {
    let written = call.state.executions.output_changes();
    let moved = call.state.executions.watch();
    let execution = find(&call).await?;
    let (sender, receiver) = mpsc::channel(WAITING_LIMIT);
    let follow = Follow { state: Arc::clone(&call.state), id: execution.id, after: None, sender };
    let stop = call.stop.clone();
    call.state.tasks.spawn(async move {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            ended = follow.run(written, moved) => {
                if let Err(problem) = ended {
                    tracing::warn!(?problem, "a stream of output ended early");
                }
            }
        }
    });
    Ok(answer(ReceiverStream::new(receiver)))
}

/// A reader of one execution's output.
struct Follow {
    state: Arc<State>,
    id: ExecutionId,
    after: Option<Vec<u8>>,
    sender: Sender,
}

/// How long to wait at most before looking again, heard or not.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl Follow {
    async fn run(
        mut self,
        mut written: tokio::sync::broadcast::Receiver<ExecutionId>,
        mut moved: tokio::sync::broadcast::Receiver<Arc<Execution>>,
    ) -> Result<(), Problem> {
        loop {
            // Looks at the end first, then reads: what was written before the end is not missed.
            let execution = self.state.executions.get(self.id).await?;
            let done = execution.as_ref().is_none_or(|execution| execution.status.is_done());
            if !self.read().await? {
                return Ok(());
            }
            if done {
                let status = execution.map(|execution| execution.status);
                let end = event("execution.end", &json!({ "id": self.id, "status": status }));
                drop(self.sender.send(Ok(end)).await);
                return Ok(());
            }
            let again = self.state.clock.now().plus(LOOK_AGAIN);
            loop {
                tokio::select! {
                    biased;
                    () = self.sender.closed() => return Ok(()),
                    heard = written.recv() => if !matches!(heard, Ok(id) if id != self.id) { break },
                    heard = moved.recv() => {
                        if !matches!(&heard, Ok(execution) if execution.id != self.id) { break }
                    }
                    () = self.state.clock.sleep_until(again) => break,
                }
            }
        }
    }

    /// Sends what is new; false where nobody listens any more.
    async fn read(&mut self) -> Result<bool, Problem> {
        loop {
            let rows =
                Rows::first(WAITING_LIMIT).under(self.id.to_bytes()).after(self.after.clone());
            let pieces = table::scan::<Output>(&self.state.store, rows).await?;
            let whole = pieces.len() == WAITING_LIMIT;
            for held in pieces {
                self.after = Some(held.row.key());
                let sent =
                    event("execution.output", &piece(&held.row)).id(held.row.number.to_string());
                if self.sender.send(Ok(sent)).await.is_err() {
                    return Ok(false);
                }
            }
            if !whole {
                return Ok(true);
            }
        }
    }
}
