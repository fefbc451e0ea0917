//! A workflow's tree as it grows (server-sent events). Whoever watches costs little: changes are
//! gathered, and a tree that takes long to read is read more seldom.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::response::IntoResponse;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::api::State;
use crate::api::call::Call;
use crate::api::executions::{find, piece};
use crate::api::problem::Problem;
use crate::api::route::Answer;
use crate::api::stream::{LOOK_AGAIN, Sender, WAITING_LIMIT, answer, event};
use crate::api::tree::grown;
use crate::executions::Progressed;
use crate::model::execution::Execution;
use crate::model::id::ExecutionId;
use crate::store::table::{self, Row, Rows};
use crate::store::tables::Output;

/// Between two trees at least: nobody reads faster.
const PAUSE: Duration = Duration::from_millis(100);
/// A tree is read for a tenth of the time at most.
const SHARE: u32 = 10;

pub(crate) async fn tree(call: Call) -> Answer {
    let ears = Ears {
        moved: call.state.executions.watch(),
        progressed: call.state.executions.progress_changes(),
        written: call.state.executions.output_changes(),
    };
    let execution = find(&call).await?;
    let (sender, receiver) = mpsc::channel(WAITING_LIMIT);
    let growth = Growth {
        state: Arc::clone(&call.state),
        id: execution.id,
        sender,
        with_output: call.flag("output"),
        known: HashMap::new(),
        last: Value::Null,
    };
    let stop = call.stop.clone();
    call.state.tasks.spawn(async move {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            ended = growth.run(ears) => {
                if let Err(problem) = ended {
                    tracing::warn!(?problem, "a stream of a tree ended early");
                }
            }
        }
    });
    Ok(answer(ReceiverStream::new(receiver)).into_response())
}

/// What tells that something happened.
struct Ears {
    moved: Receiver<Arc<Execution>>,
    progressed: Receiver<Arc<Progressed>>,
    written: Receiver<ExecutionId>,
}

/// One execution of the tree: its task's name, and up to where its output was sent.
struct Known {
    task: String,
    after: Option<Vec<u8>>,
    /// Whether it may have written more.
    unread: bool,
}

struct Growth {
    state: Arc<State>,
    id: ExecutionId,
    sender: Sender,
    with_output: bool,
    known: HashMap<ExecutionId, Known>,
    last: Value,
}

impl Growth {
    async fn run(mut self, mut ears: Ears) -> Result<(), Problem> {
        loop {
            let begun = self.state.clock.now();
            // Looks at the end first, then reads: what happened before the end is not missed.
            let Some(execution) = self.state.executions.get(self.id).await? else { return Ok(()) };
            let tree = grown(&self.state, &execution).await?;
            self.meet(&tree, "");
            if self.with_output && !self.read().await? {
                return Ok(());
            }
            if tree != self.last {
                let sent = event("workflow.tree", &tree);
                self.last = tree;
                if self.sender.send(Ok(sent)).await.is_err() {
                    return Ok(());
                }
            }
            if execution.status.is_done() {
                let end = json!({ "id": self.id, "status": execution.status });
                drop(self.sender.send(Ok(event("execution.end", &end))).await);
                return Ok(());
            }
            let took = self.state.clock.now().since(begun);
            let rest = self.state.clock.now().plus(PAUSE.max(took * SHARE));
            tokio::select! {
                biased;
                () = self.sender.closed() => return Ok(()),
                () = self.state.clock.sleep_until(rest) => {}
            }
            if !self.happens(&mut ears).await {
                return Ok(());
            }
        }
    }

    /// Waits until something of the tree happens, or a while; false where nobody listens any more.
    async fn happens(&mut self, ears: &mut Ears) -> bool {
        let again = self.state.clock.now().plus(LOOK_AGAIN);
        loop {
            let ours = tokio::select! {
                biased;
                () = self.sender.closed() => return false,
                () = self.state.clock.sleep_until(again) => true,
                heard = ears.moved.recv() => self.hear_moved(heard.ok().as_deref()),
                heard = ears.progressed.recv() => self.hear_progress(heard.ok().as_deref()),
                heard = ears.written.recv(), if self.with_output => self.hear_output(heard.ok()),
            };
            if ours {
                self.drain(ears);
                return true;
            }
        }
    }

    /// What else has been told: the next tree shows it too.
    fn drain(&mut self, ears: &mut Ears) {
        let over = |error: &TryRecvError| !matches!(error, TryRecvError::Lagged(_));
        while !ears.progressed.try_recv().is_err_and(|error| over(&error)) {}
        loop {
            match ears.moved.try_recv() {
                Ok(moved) => drop(self.hear_moved(Some(&moved))),
                Err(TryRecvError::Lagged(_)) => drop(self.hear_moved(None)),
                Err(_) => break,
            }
        }
        loop {
            match ears.written.try_recv() {
                Ok(id) => drop(self.hear_output(Some(id))),
                Err(TryRecvError::Lagged(_)) => drop(self.hear_output(None)),
                Err(_) => return,
            }
        }
    }

    // Nothing means that too much happened to hear it all: something of it may have been ours.

    fn hear_moved(&mut self, moved: Option<&Execution>) -> bool {
        // The last that an attempt wrote is stored with its end.
        let written = self.hear_output(moved.map(|moved| moved.id));
        let parent = moved.and_then(|moved| moved.parent);
        written || parent.is_some_and(|parent| self.is_ours(parent))
    }

    fn hear_progress(&self, far: Option<&Progressed>) -> bool {
        far.is_none_or(|far| self.is_ours(far.progress.execution))
    }

    fn hear_output(&mut self, id: Option<ExecutionId>) -> bool {
        for (_, known) in self.known.iter_mut().filter(|(own, _)| id.is_none_or(|id| id == **own)) {
            known.unread = true;
        }
        id.is_none_or(|id| self.is_ours(id))
    }

    fn is_ours(&self, id: ExecutionId) -> bool {
        id == self.id || self.known.contains_key(&id)
    }

    /// Remembers which executions belong to the tree.
    fn meet(&mut self, node: &Value, lead: &str) {
        for task in node["tasks"].as_array().into_iter().flatten() {
            let name = format!("{lead}{}", task["task"].as_str().unwrap_or_default());
            self.meet_one(&task["execution"], &name);
            for item in task["items"]["listed"].as_array().into_iter().flatten() {
                self.meet_one(&item["execution"], &format!("{name}[{}]", item["item"]));
            }
        }
    }

    fn meet_one(&mut self, execution: &Value, name: &str) {
        if let Some(id) = execution["id"].as_str().and_then(|id| id.parse().ok()) {
            let new = || Known { task: name.to_owned(), after: None, unread: true };
            self.known.entry(id).or_insert_with(new);
            self.meet(execution, &format!("{name}/"));
        }
    }

    /// Sends what the executions of the tree wrote since; false where nobody listens any more.
    async fn read(&mut self) -> Result<bool, Problem> {
        for (id, known) in self.known.iter_mut().filter(|(_, known)| known.unread) {
            known.unread = false;
            loop {
                let rows =
                    Rows::first(WAITING_LIMIT).under(id.to_bytes()).after(known.after.clone());
                let pieces = table::scan::<Output>(&self.state.store, rows).await?;
                let whole = pieces.len() == WAITING_LIMIT;
                for held in pieces {
                    known.after = Some(held.row.key());
                    let mut row = piece(&held.row);
                    row["task"] = json!(known.task);
                    if self.sender.send(Ok(event("execution.output", &row))).await.is_err() {
                        return Ok(false);
                    }
                }
                if !whole {
                    break;
                }
            }
        }
        Ok(true)
    }
}
