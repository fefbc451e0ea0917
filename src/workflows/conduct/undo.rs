//! Undoing: when a flow fails, is canceled or runs out of time, what its tasks did is undone, last first.

use std::sync::Arc;

use serde_json::Value;

use crate::model::execution::Status;
use crate::workflows::conduct::Command;
use crate::workflows::conduct::door::Door;
use crate::workflows::conduct::hold::said;
use crate::workflows::conduct::parts::{Entry, Undo};
use crate::workflows::conduct::rows::Row;
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::view::Fault;

impl Door<'_> {
    /// Once the flow is over: undoes the next task, or lets the flow end.
    pub(super) fn settle(&mut self) {
        let status = self.steps.flow.head.status;
        let over = status.is_done() && status != State::Succeeded;
        if !self.steps.definition.compensates() || !over {
            return;
        }
        if self.undoing().is_some() {
            return;
        }
        // What still runs may yet succeed, and then has to be undone first.
        let active = self.may_yet_need_undo();
        loop {
            let next = self.next_undo();
            let shown = if status == State::Canceled { State::Canceling } else { State::Running };
            let shown = (active || next.is_some()).then_some(shown);
            if self.steps.flow.head.ending != shown {
                self.steps.flow.head.ending = shown;
                self.steps.flow.touch(Row::Head);
            }
            match next.filter(|_| !active) {
                Some(at) if !self.undo(at) => {}
                _ => return,
            }
        }
    }

    fn undoing(&self) -> Option<u32> {
        let under_way =
            |entry: &Entry| entry.extra.as_ref().is_some_and(|extra| extra.undo == Undo::UnderWay);
        (0..).zip(&self.steps.flow.entries).find(|(_, entry)| under_way(entry)).map(|(at, _)| at)
    }

    fn may_yet_need_undo(&self) -> bool {
        let mut active = self.steps.flow.entries.iter().filter(|entry| self.under_way(entry));
        let undo = self.next_undo().is_some();
        active.any(|entry| undo || self.undoable(entry))
    }

    /// Whether a child of the entry is under way. Items that have not begun never will.
    fn under_way(&self, entry: &Entry) -> bool {
        let batch = entry.batch.and_then(|batch| self.steps.flow.batches.get(&batch));
        entry.state.is_active() && batch.is_none_or(|batch| batch.tally.any(State::is_active))
    }

    fn undoable(&self, entry: &Entry) -> bool {
        let task = self.steps.definition.task(&entry.name);
        task.is_some_and(|task| task.additions.compensate.is_some())
    }

    /// The task that succeeded last of those that are not undone.
    fn next_undo(&self) -> Option<u32> {
        let done = |entry: &Entry| {
            let undone = entry.extra.as_ref().is_some_and(|extra| extra.undo != Undo::No);
            entry.state == State::Succeeded && !undone && self.undoable(entry)
        };
        let entries = (0..).zip(&self.steps.flow.entries).filter(|(_, entry)| done(entry));
        entries.max_by_key(|(at, entry)| (entry.finished, *at)).map(|(at, _)| at)
    }

    /// Starts undoing the task at `at`, and says whether that is under way.
    fn undo(&mut self, at: u32) -> bool {
        let name = Arc::clone(&self.steps.flow.entries[at as usize].name);
        let task = self.steps.definition.task(&name);
        let call = task.and_then(|task| task.additions.compensate.as_ref());
        self.steps.flow.next_turn(at);
        let called = call.map_or(Ok(()), |call| self.call(at, call));
        if let Err(message) = called {
            self.not_undone(at, &message, None);
            return false;
        }
        self.steps.flow.amend(at, |extra| extra.undo = Undo::UnderWay);
        true
    }

    fn not_undone(&mut self, at: u32, why: &str, result: Option<Value>) {
        let entry = &self.steps.flow.entries[at as usize];
        let message = format!("task `{}` could not be undone: {why}", entry.name);
        let mut fault = Fault::new(message.clone()).at(&entry.name, entry.route);
        fault.result = result;
        self.steps.flow.add_fault(fault);
        self.steps.flow.amend(at, |extra| {
            extra.undo = Undo::Done;
            extra.reason = Some(message);
        });
    }

    /// The action that undoes the task at `at` moved.
    pub(super) fn undone(&mut self, at: u32, status: Status, result: Value) {
        if !status.is_done() {
            return;
        }
        if status == Status::Succeeded {
            return self.steps.flow.amend(at, |extra| {
                extra.undo = Undo::Done;
                extra.reason = Some("it was undone".to_owned());
            });
        }
        let why = said(&result).unwrap_or_else(|| format!("its undo ended as {status}"));
        self.not_undone(at, &why, Some(result).filter(|result| !result.is_null()));
    }

    /// Somebody wants the flow to end now: what is not undone stays.
    pub(super) fn stop_undoing(&mut self) {
        if let Some(at) = self.undoing() {
            self.commands.push(Command::Stop { place: self.steps.flow.place(at, None) });
            self.not_undone(at, "it was stopped", None);
        }
        while let Some(at) = self.next_undo() {
            self.not_undone(at, "undoing was stopped", None);
        }
        self.steps.flow.head.ending = None;
        self.steps.flow.touch(Row::Head);
    }
}
