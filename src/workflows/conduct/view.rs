//! A flow as people and StackStorm's API see it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::model::execution::Status;
use crate::model::time::Time;
use crate::workflows::conduct::flow::Flow;
use crate::workflows::conduct::parts::{Batch, Entry, Staged};
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::{Place, Refused};
use crate::workflows::definition::Definition;

/// Something that went wrong in a flow, in StackStorm's shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    #[serde(skip)]
    pub(super) serial: u32,
    /// What, as a sentence.
    pub message: String,
    /// The task in which it did.
    pub task: Option<Arc<str>>,
    /// Its route, from 0.
    pub route: Option<u32>,
    /// The transition, such as `deploy__t0`.
    pub transition: Option<Arc<str>>,
    /// What the action gave.
    pub result: Option<Value>,
}

impl Fault {
    /// As StackStorm writes it.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut json = json!({ "type": "error", "message": self.message });
        if let Some(task) = &self.task {
            json["task_id"] = json!(task);
        }
        if let Some(route) = self.route {
            json["route"] = json!(route);
        }
        if let Some(transition) = &self.transition {
            json["task_transition_id"] = json!(transition);
        }
        if let Some(result) = &self.result {
            json["result"] = result.clone();
        }
        json
    }
}

/// A task as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskView {
    /// Where its child belongs.
    pub place: Place,
    /// Its name.
    pub name: Arc<str>,
    /// Its route, from 0.
    pub route: u32,
    /// Where it stands.
    pub status: Status,
    /// When it began.
    pub started: Option<Time>,
    /// When it ended.
    pub ended: Option<Time>,
    /// What it gave; a list where it has items.
    pub result: Arc<Value>,
    /// Its items: all, under way, over.
    pub items: Option<ItemCounts>,
    /// Why it stands where it stands, where there is something to say.
    pub reason: Option<String>,
    /// Whether it holds the flow: it failed, or an expression after it did, and that waits for a person
    /// or a probe.
    pub held: bool,
}

/// How many items of a task stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ItemCounts {
    /// All of them.
    pub all: u32,
    /// Those under way.
    pub active: u32,
    /// Those that are over, however they ended.
    pub done: u32,
    /// Those among them that did not end well.
    pub failed: u32,
}

impl Fault {
    pub(super) fn new(message: String) -> Self {
        Self { serial: 0, message, task: None, route: None, transition: None, result: None }
    }

    pub(super) fn at(mut self, task: &Arc<str>, route: u32) -> Self {
        self.task = Some(Arc::clone(task));
        self.route = Some(route);
        self
    }
}

impl Flow {
    /// Checks that it is a flow of `definition`.
    pub(super) fn belongs_to(&self, definition: &Definition) -> Result<(), Refused> {
        let graph = definition.graph();
        let other = |name: &Arc<str>| Refused::OtherDefinition(name.to_string());
        for entry in &self.entries {
            let node = graph.find(&entry.name).ok_or_else(|| other(&entry.name))?;
            if node.out.len() != entry.next.len() {
                return Err(other(&entry.name));
            }
        }
        let staged = self.staged.values().find(|staged| graph.find(&staged.name).is_none());
        staged.map_or(Ok(()), |staged| Err(other(&staged.name)))
    }

    /// Every task that has begun, in that order.
    pub fn tasks(&self) -> impl Iterator<Item = TaskView> + '_ {
        (0..).zip(&self.entries).map(|(at, entry)| TaskView {
            place: self.place(at, None),
            name: Arc::clone(&entry.name),
            route: entry.route,
            // What has a place but has not begun waits for its time.
            status: if entry.state == State::Unset {
                Status::Delayed
            } else {
                entry.state.status()
            },
            started: entry.started.map(Time::from_millis),
            ended: entry.ended.map(Time::from_millis),
            result: self.result(at),
            items: entry.batch.and_then(|batch| self.batches.get(&batch)).map(Batch::counts),
            reason: entry
                .extra
                .as_ref()
                .and_then(|extra| extra.held.clone().or(extra.reason.clone())),
            held: self.index.held.contains(&at),
        })
    }

    /// Status, output, errors, sequence, routes, contexts and staged tasks, as Orquesta's conductor
    /// serialises them.
    #[must_use]
    pub fn orquesta(&self, definition: &Definition) -> Value {
        let errors: Vec<Value> = self.faults.iter().map(Fault::json).collect();
        let routes: Vec<&[Arc<str>]> = self.routes().collect();
        let contexts: Vec<Value> = self.contexts.iter().map(|context| json!(context)).collect();
        let staged: Vec<Value> = self.staged.values().map(|staged| self.staged(staged)).collect();
        json!({
            "workflow_status": self.state().word(),
            "output": self.output,
            "errors": errors,
            "sequence": self.sequence(definition),
            "routes": routes,
            "contexts": contexts,
            "staged": staged,
        })
    }

    fn sequence(&self, definition: &Definition) -> Vec<Value> {
        let one = |entry: &Entry| {
            let edges = definition.graph().find(&entry.name).map_or(&[][..], |node| &node.out);
            let followed = edges.iter().zip(&entry.next);
            let next: Map<String, Value> = followed
                .filter_map(|(edge, next)| next.map(|next| (edge.id.to_string(), json!(next))))
                .collect();
            json!({
                "id": entry.name,
                "route": entry.route,
                "status": entry.state.word(),
                "term": entry.term,
                "next": next,
            })
        };
        self.entries.iter().map(one).collect()
    }

    fn staged(&self, staged: &Staged) -> Value {
        let batch = staged.batch.and_then(|batch| self.batches.get(&batch));
        let items = batch.map(|batch| {
            batch
                .items
                .iter()
                .map(|item| json!({ "status": item.state.word() }))
                .collect::<Vec<_>>()
        });
        json!({
            "id": staged.name,
            "route": staged.route,
            "ready": staged.ready,
            "items": items,
            "run_on_fail": staged.run_on_fail.then_some(true),
        })
    }
}
