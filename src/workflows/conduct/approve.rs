//! Tasks that run only when a person has said so.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::execution::Status;
use crate::workflows::conduct::Command;
use crate::workflows::conduct::door::Door;
use crate::workflows::conduct::ready::Ready;
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::steps::Report;

/// The action that asks a person.
const ASK: &str = "core.ask";

/// The answers that mean yes, where they are `true`.
const YES: [&str; 2] = ["approved", "continue"];

impl Door<'_> {
    /// Whether a person must be asked before the run at `at`.
    pub(super) fn must_ask(&self, at: u32, task: &str) -> bool {
        let approved = self.steps.flow.extra(at).is_some_and(|extra| extra.approved);
        let task = self.steps.definition.task(task);
        !approved && task.is_some_and(|task| task.additions.approve.is_some())
    }

    /// Asks.
    pub(super) fn ask(&mut self, at: u32, ready: &Ready) {
        let task = self.steps.definition.task(&ready.task).expect("only known tasks begin");
        let Some(question) = &task.additions.approve else { return };
        let way = self.steps.flow.entries[at as usize].way;
        let context = self.steps.flow.context(way);
        let parameters = match self.steps.eyes(&context, ready.route).value(question) {
            Ok(Value::Object(parameters)) => parameters,
            Ok(_) => Map::new(),
            Err(message) => {
                self.steps.flow.unstage(ready.serial);
                self.shift(at, State::Running);
                return self.cannot(at, None, &ready.task, message);
            }
        };
        self.steps.flow.restage(ready.serial, |staged| {
            staged.entry = Some(at);
            staged.ready = false;
            staged.asked = true;
        });
        self.steps.flow.amend(at, |extra| extra.asking = true);
        self.shift(at, State::Running);
        self.commands.push(Command::Run {
            place: self.steps.flow.place(at, None),
            task: ready.task.to_string(),
            route: ready.route,
            action: ASK.to_owned(),
            parameters,
            timeout: None,
            priority: None,
        });
    }

    /// The question moved, or was answered.
    pub(super) fn asked(&mut self, at: u32, status: Status, result: Value) {
        if !status.is_done() {
            return self.shift(at, State::from(status));
        }
        let entry = &self.steps.flow.entries[at as usize];
        let name = Arc::clone(&entry.name);
        let serial = self.steps.flow.staged_for(&name, entry.route, at);
        let yes = status == Status::Succeeded && is_yes(&result);
        self.steps.flow.amend(at, |extra| {
            extra.asking = false;
            extra.approved = yes;
            extra.turn += 1;
        });
        if yes {
            self.shift(at, State::Retrying);
            if let Some(serial) = serial {
                self.steps.flow.restage(serial, |staged| {
                    staged.ready = true;
                    staged.asked = false;
                });
            }
            return;
        }
        if let Some(serial) = serial {
            self.steps.flow.unstage(serial);
        }
        let why = refusal(status, &result);
        self.steps.flow.amend(at, |extra| extra.reason = Some(why));
        let state = if status == Status::Canceled { State::Canceled } else { State::Failed };
        let report = Report { state, result: Some(result), ..Report::default() };
        self.steps.apply(at, None, report);
    }

    /// Moves the run at `at` without asking Orquesta's table, and tells the flow.
    pub(super) fn shift(&mut self, at: u32, state: State) {
        let now = self.steps.now();
        self.steps.flow.set_state(at, state, now);
        self.steps.tell_flow(at);
    }
}

/// An answer without one of the known words is a yes: whoever answers a form of their own consents.
fn is_yes(result: &Value) -> bool {
    let response = result.get("response").unwrap_or(result);
    let mut known = YES.iter().filter_map(|key| response.get(key)).filter_map(Value::as_bool);
    known.all(|yes| yes)
}

fn refusal(status: Status, result: &Value) -> String {
    let mut who = ["by", "user", "responder"].iter().filter_map(|key| result.get(key));
    let who = who.find_map(Value::as_str);
    match (status, who) {
        (Status::Succeeded, Some(who)) => format!("`{who}` did not approve it"),
        (Status::Succeeded, None) => "it was not approved".to_owned(),
        (Status::Timeout, _) => "nobody answered in time".to_owned(),
        (status, _) => format!("the question whether it may run ended as {status}"),
    }
}
