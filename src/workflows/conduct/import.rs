//! A flow from what Orquesta's conductor wrote down: a StackStorm workflow execution goes on, or is run
//! again, here.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::workflows::conduct::flow::{Flow, number};
use crate::workflows::conduct::parts::{Entry, Staged};
use crate::workflows::conduct::rows::Row;
use crate::workflows::conduct::state::{STATES, State};
use crate::workflows::conduct::steps::to_context;
use crate::workflows::conduct::trail::Arrival;
use crate::workflows::conduct::view::Fault;
use crate::workflows::definition::Definition;

impl Flow {
    /// The flow that Orquesta's `conductor.serialize()` describes. Items and tries that are under way
    /// begin anew.
    ///
    /// # Errors
    /// A sentence that says what is missing from it.
    pub fn from_orquesta(source: &Value, definition: &Definition) -> Result<Self, String> {
        let mut flow = Self::default();
        let state = &source["state"];
        flow.head.status = word(&state["status"])?;
        flow.touch(Row::Head);
        for context in list(&state["contexts"]) {
            flow.add_context(to_context(context.as_object().cloned().unwrap_or_default()));
        }
        for route in list(&state["routes"]) {
            let edges = list(route).filter_map(Value::as_str).map(Arc::from).collect();
            flow.add_route(edges);
        }
        let mut taken = Taken { flow: &mut flow, definition, ways: HashMap::new() };
        for entry in list(&state["sequence"]) {
            taken.entry(entry)?;
        }
        for staged in list(&state["staged"]) {
            taken.staged(staged)?;
        }
        for error in list(&source["errors"]) {
            flow.add_fault(Fault {
                task: error["task_id"].as_str().map(Arc::from),
                route: error["route"].as_u64().and_then(|route| route.try_into().ok()),
                transition: error["task_transition_id"].as_str().map(Arc::from),
                result: error.get("result").cloned(),
                ..Fault::new(error["message"].as_str().unwrap_or_default().to_owned())
            });
        }
        flow.set_output(source["output"].as_object().cloned());
        Ok(flow)
    }
}

/// A flow that is being taken over.
struct Taken<'a> {
    flow: &'a mut Flow,
    definition: &'a Definition,
    /// The way for a list of contexts and the tasks before.
    ways: HashMap<String, u32>,
}

impl Taken<'_> {
    fn entry(&mut self, source: &Value) -> Result<(), String> {
        let (name, route) = self.task(source)?;
        let node = self.definition.graph().find(&name).ok_or(format!("no task `{name}`"))?;
        let next = node.out.iter().map(|edge| source["next"][edge.id.as_ref()].as_bool());
        let (next, node) = (next.collect(), Arc::clone(&node.name));
        let state = word(&source["status"])?;
        let way = self.way(source);
        let term = source["term"] == true;
        let (tries, batch, started, ended, result) = (None, None, None, None, None);
        self.flow.add_entry(Entry {
            name: node,
            route,
            way,
            state,
            term,
            next,
            tries,
            batch,
            started,
            ended,
            finished: None,
            extra: None,
            result,
        });
        Ok(())
    }

    fn staged(&mut self, source: &Value) -> Result<(), String> {
        let (name, route) = self.task(source)?;
        let way = self.way(source);
        self.flow.stage(Staged {
            ready: source["ready"] == true,
            completed: source["completed"] == true,
            run_on_fail: source["run_on_fail"] == true,
            ..Staged::ready(&name.into(), route, way)
        });
        Ok(())
    }

    fn task(&self, source: &Value) -> Result<(String, u32), String> {
        let name = source["id"].as_str().ok_or("a task has no `id`")?;
        let route = source["route"].as_u64().unwrap_or(0);
        let route = u32::try_from(route).ok().filter(|at| (*at as usize) < self.flow.routes.len());
        Ok((name.to_owned(), route.ok_or(format!("task `{name}` is on no known route"))?))
    }

    /// The way that stands for the contexts of a task. Each of them but the root arrives on its own, from
    /// the first of the tasks before it, whose way has no other contexts here.
    fn way(&mut self, source: &Value) -> u32 {
        let contexts = list(&source["ctxs"]["in"]).filter_map(Value::as_u64);
        let contexts = contexts.filter(|at| {
            *at > 0 && usize::try_from(*at).is_ok_and(|at| at < self.flow.contexts.len())
        });
        let deltas: Vec<u32> = contexts.filter_map(|at| at.try_into().ok()).collect();
        let before = source["prev"].as_object();
        let before: Vec<u32> = before
            .into_iter()
            .flat_map(|map| map.values())
            .filter_map(Value::as_u64)
            .filter_map(|at| u32::try_from(at).ok())
            .filter(|at| *at < number(self.flow.entries.len()))
            .collect();
        let key = format!("{deltas:?}{before:?}");
        if let Some(way) = self.ways.get(&key) {
            return *way;
        }
        let way = self.flow.add_way();
        for (from, delta) in
            before.iter().zip(deltas.iter().map(Some).chain(std::iter::repeat(None)))
        {
            self.flow.arrive(way, Arrival { from: *from, edge: 0, delta: delta.copied() });
        }
        if let Some(last) = before.last() {
            for delta in deltas.iter().skip(before.len()) {
                self.flow.arrive(way, Arrival { from: *last, edge: 0, delta: Some(*delta) });
            }
        }
        self.ways.insert(key, way);
        way
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> Result<State, String> {
    let word = value.as_str().unwrap_or("null");
    let state = STATES.iter().find(|state| state.word() == word);
    state.copied().ok_or_else(|| format!("`{word}` is no status"))
}
