//! The chain of causes through an event or an execution: up to where it began, and down to all that came
//! of it.

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::api::State;
use crate::api::call::Call;
use crate::api::executions::find;
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::auth::Right;
use crate::intake::history;
use crate::model::cause::Cause;
use crate::model::event::Event;
use crate::model::execution::Execution;
use crate::model::id::{EventId, ExecutionId};
use crate::model::time::Time;
use crate::store::table::{self, Rows};

pub(crate) const ROUTES: &[Route] = &[Route::get(
    "/api/v1/traces/{id}",
    Access::Needs(Right::View),
    |call| Box::pin(trace(call)),
    "Shows the chain of causes through an event (`evt_…`), an execution (`exe_…`) or the `last` \
     execution: event, rule, execution, what is part of it, and the events it led to. Bounded: \
     `left_out` and `searched` say by how much.",
)
.gives(200, Shape::Any)];

/// Steps up at most; rules feed each other sixteen times at most, workflows may stand in each other.
const UP_LIMIT: usize = 64;
/// Things in one answer at most.
const THINGS_LIMIT: usize = 500;
/// Things of one kind under one other at most.
const UNDER_LIMIT: usize = 50;
/// Events that are looked at for those that came of something.
const SEARCH_LIMIT: u64 = 100_000;
/// What comes later than this after the beginning is not looked for.
const SEARCH_SPAN: std::time::Duration = std::time::Duration::from_hours(24 * 7);

/// What can cause something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Thing {
    Event(EventId),
    Execution(ExecutionId),
}

async fn trace(call: Call) -> Answer {
    let state = &call.state;
    let asked = match call.path("id").parse::<EventId>() {
        Ok(id) => Thing::Event(id),
        Err(_) => Thing::Execution(find(&call).await?.id),
    };
    let (root, from, lost) = root(state, asked).await?;
    let until = state.clock.now().plus(SEARCH_SPAN).min(from.plus(SEARCH_SPAN));
    let (caused, reading) = history::forward(
        &state.store,
        (from, until),
        |_| true,
        Caused::default(),
        |caused: &mut Caused, event| caused.take(event),
    )
    .await?;
    let mut tracer =
        Tracer { state, asked, caused: caused.by, left: THINGS_LIMIT, met: HashSet::new() };
    let tree = tracer.grow(root).await?;
    let whole = reading.events < SEARCH_LIMIT && until > state.clock.now();
    Ok(Json(json!({
        "asked": id_of(asked),
        "root": tree,
        "lost": lost,
        "left_out": tracer.left == 0,
        "searched": { "events": reading.events, "whole": whole },
    }))
    .into_response())
}

/// Where the chain of causes begins, when that was, and the cause before it that is not kept any more.
async fn root(state: &State, asked: Thing) -> Result<(Thing, Time, Option<Value>), Problem> {
    let mut thing = asked;
    let mut at = Time::default();
    for step in 0..UP_LIMIT {
        let found = match thing {
            Thing::Event(id) => {
                let kept = history::find(&state.store, id).await?;
                kept.map(|kept| (kept.event.cause, kept.event.accepted, None))
            }
            Thing::Execution(id) => {
                let execution = state.executions.get(id).await?;
                execution.map(|execution| (execution.cause, execution.created, execution.parent))
            }
        };
        let Some((cause, when, parent)) = found else {
            if step == 0 {
                return Err(match asked {
                    Thing::Event(id) => Problem::unknown("event", &id.to_string()),
                    Thing::Execution(id) => Problem::unknown("execution", &id.to_string()),
                });
            }
            return Ok((thing, at, Some(id_of(thing))));
        };
        at = when;
        thing = match (parent, cause) {
            (Some(parent), _) => Thing::Execution(parent),
            (None, Cause::Rule { event, .. }) => Thing::Event(event),
            (None, Cause::Execution(id)) => Thing::Execution(id),
            (None, Cause::Sensor(_) | Cause::User(_)) => return Ok((thing, at, None)),
        };
    }
    Ok((thing, at, None))
}

fn id_of(thing: Thing) -> Value {
    match thing {
        Thing::Event(id) => json!(id),
        Thing::Execution(id) => json!(id),
    }
}

/// Kept events by what caused them.
#[derive(Default)]
struct Caused {
    by: HashMap<Thing, Vec<Event>>,
    seen: u64,
}

impl Caused {
    /// Takes an event; false when it is enough.
    fn take(&mut self, event: &Event) -> bool {
        let thing = match &event.cause {
            Cause::Rule { event, .. } => Some(Thing::Event(*event)),
            Cause::Execution(id) => Some(Thing::Execution(*id)),
            Cause::Sensor(_) | Cause::User(_) => None,
        };
        if let Some(thing) = thing {
            let events = self.by.entry(thing).or_default();
            if events.len() <= UNDER_LIMIT {
                events.push(event.clone());
            }
        }
        self.seen += 1;
        self.seen < SEARCH_LIMIT
    }
}

struct Tracer<'a> {
    state: &'a State,
    asked: Thing,
    caused: HashMap<Thing, Vec<Event>>,
    left: usize,
    met: HashSet<Thing>,
}

type Growing<'a> =
    std::pin::Pin<Box<dyn std::future::Future<Output = Result<Value, Problem>> + Send + 'a>>;

impl Tracer<'_> {
    fn grow(&mut self, thing: Thing) -> Growing<'_> {
        Box::pin(async move {
            self.left = self.left.saturating_sub(1);
            if !self.met.insert(thing) {
                return Ok(json!({ "id": id_of(thing), "again": true }));
            }
            let mut node = match thing {
                Thing::Event(id) => self.event(id).await?,
                Thing::Execution(id) => match self.state.executions.get(id).await? {
                    Some(execution) => self.execution(&execution).await?,
                    None => json!({ "kind": "execution", "id": id, "lost": true }),
                },
            };
            if thing == self.asked {
                node["asked"] = json!(true);
            }
            Ok(node)
        })
    }

    /// An event, with the rules that did something on it and what they did.
    async fn event(&mut self, id: EventId) -> Result<Value, Problem> {
        let kept = history::find(&self.state.store, id).await?;
        let mut rules: Vec<(String, Value)> = Vec::new();
        let mut node = json!({ "kind": "event", "id": id });
        match kept {
            None => node["lost"] = json!(true),
            Some(kept) => {
                let event = &kept.event;
                node["at"] = json!(event.accepted);
                node["trigger"] = json!(event.trigger);
                node["source"] = json!(event.source);
                node["cause"] = json!(event.cause);
                for decision in kept.decisions.iter().filter(|d| !d.verdict.is_ordinary()) {
                    let (rule, why) = (&decision.rule, decision.verdict.sentence());
                    let row = json!({
                        "kind": "rule", "id": rule, "status": decision.verdict.word(), "why": why,
                    });
                    rules.push((rule.to_string(), row));
                }
            }
        }
        let rows = Rows::first(UNDER_LIMIT + 1);
        let led =
            table::find::<Execution>(&self.state.store, "event", &id.to_bytes(), rows).await?;
        node["left_out"] = json!(led.len() > UNDER_LIMIT);
        let mut things: Vec<(String, Thing)> = Vec::new();
        for held in led.into_iter().take(UNDER_LIMIT) {
            if let Cause::Rule { rule, .. } = &held.row.cause {
                things.push((rule.to_string(), Thing::Execution(held.row.id)));
            }
        }
        for event in self.caused.remove(&Thing::Event(id)).unwrap_or_default() {
            if let Cause::Rule { rule, .. } = &event.cause {
                things.push((rule.to_string(), Thing::Event(event.id)));
            }
        }
        for (rule, thing) in things {
            if self.left == 0 {
                break;
            }
            let grown = self.grow(thing).await?;
            let known = rules.iter_mut().find(|(name, _)| *name == rule);
            if let Some((_, row)) = known {
                under(row, grown);
            } else {
                let mut row = json!({ "kind": "rule", "id": rule });
                under(&mut row, grown);
                rules.push((rule, row));
            }
        }
        for (_, row) in rules {
            under(&mut node, row);
        }
        Ok(node)
    }

    /// An execution with what is part of it, and the events that it led to.
    async fn execution(&mut self, execution: &Execution) -> Result<Value, Problem> {
        let mut node = json!({
            "kind": "execution",
            "id": execution.id,
            "action": execution.action.reference,
            "status": execution.status,
            "at": execution.created,
            "reason": execution.reason,
            "cause": execution.cause,
            "user": execution.user,
        });
        if let (Some(from), Some(to)) = (execution.started, execution.ended) {
            node["elapsed_seconds"] = json!(to.since(from).as_secs_f64());
        }
        if let Some(part) = &execution.part {
            node["task"] = json!(part.task);
            node["item"] = json!(part.item);
        }
        let rows = Rows::first(UNDER_LIMIT + 1);
        let key = execution.id.to_bytes();
        let parts = table::find::<Execution>(&self.state.store, "parent", &key, rows).await?;
        node["left_out"] = json!(parts.len() > UNDER_LIMIT);
        let parts = parts.into_iter().take(UNDER_LIMIT).map(|held| Thing::Execution(held.row.id));
        let events = self.caused.remove(&Thing::Execution(execution.id)).unwrap_or_default();
        let events = events.iter().map(|event| Thing::Event(event.id));
        for thing in parts.chain(events).collect::<Vec<_>>() {
            if self.left == 0 {
                break;
            }
            let grown = self.grow(thing).await?;
            under(&mut node, grown);
        }
        Ok(node)
    }
}

fn under(node: &mut Value, child: Value) {
    match node["children"].as_array_mut() {
        Some(children) => children.push(child),
        None => node["children"] = json!([child]),
    }
}
