//! A failure that holds the flow instead of failing it: it waits for a person, or for a probe that says it
//! may go on.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::model::execution::Status;
use crate::workflows::conduct::door::Door;
use crate::workflows::conduct::parts::{Extra, Staged};
use crate::workflows::conduct::render::seen;
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::steps::Steps;
use crate::workflows::conduct::view::Fault;
use crate::workflows::conduct::{Command, Refused};

/// Between two probes where `every` is no span of time.
const EVERY: Duration = Duration::from_secs(30);

/// Characters of a result that stand in a reason.
const SAID: usize = 300;

impl Steps<'_> {
    /// Whether a failure of the task `name` holds the flow, as it stands.
    pub(super) fn may_hold_task(&self, name: &str) -> bool {
        use State as S;
        let stands = self.flow.head.status;
        matches!(stands, S::Running | S::Resuming | S::Pausing | S::Paused)
            && self.definition.task(name).is_some_and(|task| task.additions.pauses)
    }

    pub(super) fn may_hold(&self, at: u32) -> bool {
        self.may_hold_task(&self.flow.entries[at as usize].name)
    }

    /// The run at `at` failed, and nothing remedies it.
    pub(super) fn hold_failed(&mut self, at: u32) {
        let reason = self.flow.extra(at).and_then(|extra| extra.reason.clone());
        let why = reason.or_else(|| said(&self.flow.result(at)));
        self.hold(at, why.unwrap_or_else(|| "it failed".to_owned()));
    }

    /// A task that cannot even be worked out: it gets a place, so that people can name it.
    pub(super) fn hold_staged(&mut self, serial: u32, message: String) {
        let known = self.flow.staged[&serial].entry;
        let at = known.unwrap_or_else(|| self.enter(serial));
        self.flow.unstage(serial);
        let entry = &self.flow.entries[at as usize];
        let fault = Fault::new(message.clone()).at(&entry.name, entry.route);
        self.flow.add_fault(fault);
        let now = self.now();
        self.flow.set_state(at, State::Failed, now);
        self.hold(at, message);
    }

    /// The run at `at` holds the flow because of `why`.
    pub(super) fn hold(&mut self, at: u32, why: String) {
        let name = Arc::clone(&self.flow.entries[at as usize].name);
        let probe = self.next_probe(at);
        self.flow.set_reason(Some(format!("task `{name}` failed: {why}")));
        self.flow.amend(at, |extra| {
            extra.held = Some(why);
            extra.probe = probe;
        });
        let active = self.flow.index.tally.any(State::is_active);
        self.flow.set_status(if active { State::Pausing } else { State::Paused });
    }

    /// When the next probe is due.
    fn next_probe(&mut self, at: u32) -> Option<i64> {
        let entry = &self.flow.entries[at as usize];
        let task = self.definition.task(&entry.name)?;
        let probe = task.additions.resume_when.as_ref()?;
        let (way, route) = (entry.way, entry.route);
        let context = self.flow.context(way);
        let every = self.eyes(&context, route).span(&probe.every, "`every`").unwrap_or(EVERY);
        Some(self.now().plus(every).millis())
    }

    /// The run at `at` is made again, with what it did not reach.
    pub(super) fn repeat(&mut self, at: u32) {
        if self.flow.extra(at).is_none_or(|extra| extra.broken.is_empty()) {
            return self.act_again(at);
        }
        let name = Arc::clone(&self.flow.entries[at as usize].name);
        self.flow.clear_faults(&name);
        self.flow.amend(at, Extra::release);
        self.follow_again(at);
    }

    /// The action of the run at `at` runs again, and what follows from it is worked out anew.
    fn act_again(&mut self, at: u32) {
        self.flow.amend(at, |extra| {
            extra.release();
            extra.broken.clear();
        });
        self.forget_next(at);
        if let Some(tries) = &mut self.flow.entries[at as usize].tries {
            tries.tally = 0;
        }
        self.restart(at, false);
    }

    /// Another child runs for the run at `at`: for the items that did not end well, or for all.
    pub(super) fn restart(&mut self, at: u32, all_items: bool) {
        let entry = &self.flow.entries[at as usize];
        let (name, route, way) = (Arc::clone(&entry.name), entry.route, entry.way);
        self.flow.clear_faults(&name);
        self.flow.next_turn(at);
        let now = self.now();
        self.flow.set_state(at, State::Retrying, now);
        if let Some(serial) = self.stage_of(at) {
            self.reset(serial, all_items);
            self.flow.restage(serial, |staged| {
                staged.completed = false;
                staged.ready = true;
                staged.asked = false;
                staged.entry = Some(at);
            });
        } else {
            let staged = Staged::ready(&name, route, way);
            self.stage(Staged { entry: Some(at), retry_ms: Some(0), ..staged });
        }
    }

    /// The run at `at` is taken to have given `result`.
    fn skip(&mut self, at: u32, result: Value) {
        let name = Arc::clone(&self.flow.entries[at as usize].name);
        if let Some(serial) = self.stage_of(at) {
            self.flow.unstage(serial);
        }
        self.flow.clear_faults(&name);
        self.flow.amend(at, |extra| {
            extra.release();
            extra.reason = Some("skipped: the result was given by hand".to_owned());
        });
        self.flow.set_result(at, Some(result));
        let now = self.now();
        self.flow.set_state(at, State::Succeeded, now);
        self.follow_again(at);
    }
}

impl Extra {
    /// It holds the flow no longer.
    pub(super) fn release(&mut self) {
        self.held = None;
        self.probe = None;
        self.probing = false;
        self.reason = None;
    }
}

impl Door<'_> {
    /// Goes on after a pause; what failed and holds the flow is made again.
    pub(super) fn resume(&mut self) -> Result<(), Refused> {
        self.steps.request(State::Resuming)?;
        self.let_go();
        for at in self.held() {
            self.stop_probe(at);
            self.steps.repeat(at);
        }
        Ok(())
    }

    /// Nobody and nothing holds the flow any more, but for tasks that say so themselves.
    fn let_go(&mut self) {
        self.steps.flow.head.held = false;
        self.steps.flow.set_reason(None);
        self.steps.flow.touch(crate::workflows::conduct::rows::Row::Head);
    }

    pub(super) fn held(&self) -> Vec<u32> {
        self.steps.flow.index.held.iter().copied().collect()
    }

    /// Checks that the run at `at` is one that holds the flow.
    fn must_hold(&self, at: u32) -> Result<(), Refused> {
        let held = &self.steps.flow.index.held;
        if held.is_empty() {
            return Err(Refused::NotHeld(self.steps.flow.status()));
        }
        held.contains(&at).then_some(()).ok_or(Refused::NotTheFailed(at))
    }

    /// Lets the flow go on with one task of those that hold it.
    fn go_on(&mut self, at: u32) -> Result<(), Refused> {
        self.must_hold(at)?;
        if self.steps.flow.head.status != State::Running {
            self.steps.request(State::Resuming)?;
        }
        self.let_go();
        self.stop_probe(at);
        Ok(())
    }

    pub(super) fn retry(
        &mut self,
        at: u32,
        parameters: Option<Map<String, Value>>,
    ) -> Result<(), Refused> {
        self.go_on(at)?;
        if parameters.is_some() {
            self.steps.flow.amend(at, |extra| extra.given = parameters);
        }
        self.steps.act_again(at);
        Ok(())
    }

    pub(super) fn skip(&mut self, at: u32, result: Value) -> Result<(), Refused> {
        self.go_on(at)?;
        self.steps.skip(at, result);
        Ok(())
    }

    pub(super) fn abort(&mut self, reason: String) -> Result<(), Refused> {
        if self.steps.flow.index.held.is_empty() {
            return Err(Refused::NotHeld(self.steps.flow.status()));
        }
        self.steps.request(State::Failed)?;
        self.release_all();
        self.steps.flow.set_reason(Some(reason));
        Ok(())
    }

    /// The flow ends, so that nothing holds it any more.
    pub(super) fn release_all(&mut self) {
        for at in self.held() {
            self.stop_probe(at);
            self.steps.flow.amend(at, |extra| {
                let why = extra.held.take();
                extra.release();
                extra.reason = why;
            });
            self.steps.flow.set_term(at, true);
        }
    }

    fn stop_probe(&mut self, at: u32) {
        if self.steps.flow.extra(at).is_some_and(|extra| extra.probing) {
            self.commands.push(Command::Stop { place: self.steps.flow.place(at, None) });
        }
    }

    /// Starts the probes whose time has come.
    pub(super) fn probe(&mut self) {
        let now = self.steps.now().millis();
        for at in self.held() {
            let extra = self.steps.flow.extra(at);
            let due = extra.filter(|extra| !extra.probing).and_then(|extra| extra.probe);
            if due.is_some_and(|due| due <= now) {
                self.start_probe(at);
            }
        }
    }

    fn start_probe(&mut self, at: u32) {
        let name = Arc::clone(&self.steps.flow.entries[at as usize].name);
        let task = self.steps.definition.task(&name);
        let Some(probe) = task.and_then(|task| task.additions.resume_when.as_ref()) else { return };
        self.steps.flow.next_turn(at);
        let called = self.call(at, &probe.call);
        if let Err(message) = called {
            let fault = Fault::new(message).at(&name, self.steps.flow.entries[at as usize].route);
            self.steps.flow.add_fault(fault);
            let next = self.steps.next_probe(at);
            return self.steps.flow.amend(at, |extra| extra.probe = next);
        }
        self.steps.flow.amend(at, |extra| extra.probing = true);
    }

    /// A probe has ended: where its condition holds, the same step is made again.
    pub(super) fn probed(
        &mut self,
        at: u32,
        status: Status,
        result: &Value,
    ) -> Result<(), Refused> {
        let entry = &self.steps.flow.entries[at as usize];
        let (name, route, way) = (Arc::clone(&entry.name), entry.route, entry.way);
        self.steps.flow.amend(at, |extra| extra.probing = false);
        let context = self.steps.flow.context(way);
        let task = self.steps.definition.task(&name);
        let when =
            task.and_then(|task| task.additions.resume_when.as_ref()).map(|probe| &probe.when);
        let mut eyes = self.steps.eyes(&context, route);
        eyes.task = Some(seen(&name, route, State::from(status), result));
        // A condition that cannot be evaluated on this result does not hold yet.
        let holds = when.is_some_and(|when| eyes.truth(when).unwrap_or(false));
        let over = self.steps.flow.head.status.is_done();
        if holds && !self.steps.flow.head.held && !over {
            self.go_on(at)?;
            self.steps.repeat(at);
            return Ok(());
        }
        let next = self.steps.next_probe(at);
        self.steps.flow.amend(at, |extra| extra.probe = next);
        Ok(())
    }
}

/// What a result says about a failure, shortened.
pub(super) fn said(result: &Value) -> Option<String> {
    let named = ["error", "stderr", "message"].iter().filter_map(|key| result.get(key));
    // What a Python action returns stands under `result`: its own words come before its log.
    let own = result.get("result").into_iter().flat_map(|own| [Some(own), own.get("error")]);
    let named = own.flatten().chain(named);
    let text = named.filter_map(Value::as_str).find(|text| !text.trim().is_empty());
    let text = match (text, result) {
        (Some(text), _) => text.trim().to_owned(),
        (None, Value::Null) => return None,
        (None, Value::String(text)) => text.clone(),
        (None, other) => code(other).unwrap_or_else(|| other.to_string()),
    };
    let short: String = text.chars().take(SAID).collect();
    Some(if short.len() < text.len() { format!("{short}…") } else { short })
}

/// The number with which a program or a server says that it failed.
fn code(result: &Value) -> Option<String> {
    let numbers =
        [("return_code", "exit code"), ("exit_code", "exit code"), ("status_code", "HTTP status")];
    let number = |(key, words): (&str, &str)| result.get(key).map(|code| format!("{words} {code}"));
    numbers.into_iter().find_map(number)
}
