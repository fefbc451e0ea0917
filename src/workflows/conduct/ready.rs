//! What comes next: the tasks whose time has come, with what they run.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::workflows::Context;
use crate::workflows::conduct::render::{Rendered, seen};
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::steps::Steps;
use crate::workflows::conduct::view::Fault;

/// A task whose time has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    /// Its number among the staged.
    pub(super) serial: u32,
    /// Its name.
    pub task: Arc<str>,
    /// Its route, from 0.
    pub route: u32,
    /// What to run now.
    pub actions: Vec<Rendered>,
    /// How long to wait before.
    pub delay: Option<Duration>,
    /// How many items it has, where it has items.
    pub items: Option<usize>,
    /// How many of them may run at once.
    pub concurrency: Option<i64>,
}

impl Steps<'_> {
    /// What comes next: the tasks whose time has come, sorted by name and route.
    pub fn take_ready(&mut self) -> Vec<Ready> {
        let status = self.flow.head.status;
        let mut serials: Vec<u32> = self.flow.index.ready.iter().copied().collect();
        match status {
            // What cleans up after a failure runs although the flow has failed.
            State::Failed => serials.retain(|serial| self.flow.staged[serial].run_on_fail),
            status if status.is_running() => {}
            _ => return Vec::new(),
        }
        let mut next = Vec::new();
        let (mut broken, mut held) = (false, false);
        for serial in serials {
            match self.ready(serial) {
                Ok(Some(ready)) => next.push(ready),
                Ok(None) => {}
                Err(message) if self.may_hold_task(&self.flow.staged[&serial].name) => {
                    held = true;
                    self.hold_staged(serial, message);
                }
                Err(message) => {
                    broken = true;
                    let staged = &self.flow.staged[&serial];
                    let fault = Fault::new(message).at(&staged.name, staged.route);
                    self.flow.add_fault(fault);
                }
            }
        }
        if broken {
            self.fail();
        }
        if broken || held {
            return Vec::new();
        }
        next.sort_by(|a, b| (&a.task, a.route).cmp(&(&b.task, b.route)));
        next
    }

    fn ready(&mut self, serial: u32) -> Result<Option<Ready>, String> {
        let staged = self.flow.staged[&serial].clone();
        let task = self.definition.task(&staged.name).expect("only known tasks are staged");
        if staged.due.is_some_and(|due| due > self.now().millis()) {
            return Ok(None);
        }
        let mut batch = staged.batch;
        if let Some(known) = batch.and_then(|batch| self.flow.batches.get(&batch))
            && !known.items.is_empty()
            && known.room() == 0
        {
            return Ok(None);
        }
        let context = self.flow.context(staged.way);
        let state = self.flow.latest(&staged.name, staged.route);
        let state = state.map_or(State::Unset, |at| self.flow.entries[at as usize].state);
        let mut eyes = self.eyes(&context, staged.route);
        eyes.task = Some(seen(&staged.name, staged.route, state, &Value::Null));
        let delay = task.delay.as_ref().map(|delay| eyes.span(delay, "task delay")).transpose()?;
        let delay = staged.retry_ms.map(Duration::from_millis).or(delay);
        let mut ready = Ready {
            serial,
            task: Arc::clone(&staged.name),
            route: staged.route,
            actions: Vec::new(),
            delay,
            items: None,
            concurrency: None,
        };
        let Some(items) = &task.items else {
            ready.actions.push(eyes.action(task)?);
            return Ok(Some(ready));
        };
        if batch.is_none() {
            let list = eyes.list(items)?;
            let concurrency = eyes.concurrency(items)?;
            // Nothing of a task is begun where an item of it cannot be: so all are tried first.
            for (at, value) in (0..).zip(&list).filter(|_| concurrency.is_some()) {
                eyes.item(task, at, value)?;
            }
            let added = self.flow.add_batch(list, concurrency);
            self.flow.restage(serial, |staged| staged.batch = Some(added));
            batch = Some(added);
        }
        let batch = batch.expect("it was made where it was missing");
        self.take_items(&mut ready, batch, &context)?;
        Ok((!ready.actions.is_empty() || ready.items == Some(0)).then_some(ready))
    }

    fn take_items(
        &mut self,
        ready: &mut Ready,
        batch: u32,
        context: &Context,
    ) -> Result<(), String> {
        let task = self.definition.task(&ready.task).expect("only known tasks are staged");
        let found = self.flow.batches.get_mut(&batch).expect("a staged task's items are there");
        ready.items = Some(found.items.len());
        ready.concurrency = found.concurrency;
        let (chosen, list) = (found.choose(), Arc::clone(&found.list));
        let mut eyes = self.eyes(context, ready.route);
        eyes.task = Some(seen(&ready.task, ready.route, State::Unset, &Value::Null));
        for at in chosen {
            ready.actions.push(eyes.item(task, at, &list[at as usize])?);
        }
        Ok(())
    }

    /// The context in which `ready` runs.
    pub fn context_of(&mut self, ready: &Ready) -> Arc<Context> {
        let way = self.flow.staged.get(&ready.serial).map(|staged| staged.way);
        way.map(|way| self.flow.context(way)).unwrap_or_default()
    }
}
