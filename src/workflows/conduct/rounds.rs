//! Tasks whose action runs again until something holds.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::workflows::Context;
use crate::workflows::additions::Until;
use crate::workflows::conduct::door::Door;
use crate::workflows::conduct::parts::Staged;
use crate::workflows::conduct::render::{Eyes, integer, seen};
use crate::workflows::conduct::state::State;
use crate::workflows::conduct::view::Fault;

/// What a run that has ended means to its `until`.
enum Verdict {
    /// It is enough.
    Enough,
    /// Again, after this pause.
    Again(Duration),
    /// It will not be enough any more.
    Failed(String),
}

impl Door<'_> {
    /// The end of the run at `at`, as its `until` sees it: its state, or nothing where it runs again.
    pub(super) fn round(&mut self, at: u32, heard: State, result: &Value) -> Option<State> {
        let entry = &self.steps.flow.entries[at as usize];
        let (name, route, way) = (Arc::clone(&entry.name), entry.route, entry.way);
        let task = self.steps.definition.task(&name);
        let until = task.and_then(|task| task.additions.until.as_ref());
        let Some(until) = until.filter(|_| heard.is_done() && heard != State::Canceled) else {
            return Some(heard);
        };
        let context = self.steps.flow.context(way);
        match self.verdict(at, until, (&context, heard, result)) {
            Verdict::Enough => Some(State::Succeeded),
            Verdict::Failed(message) => {
                let fault = Fault::new(message.clone()).at(&name, route);
                self.steps.flow.add_fault(fault);
                self.steps.flow.amend(at, |extra| extra.reason = Some(message));
                Some(State::Failed)
            }
            Verdict::Again(pause) => {
                self.steps.flow.amend(at, |extra| {
                    extra.rounds += 1;
                    extra.turn += 1;
                });
                self.shift(at, State::Retrying);
                let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                let staged = Staged::ready(&name, route, way);
                let staged = Staged { entry: Some(at), retry_ms: Some(pause), ..staged };
                self.steps.stage(staged);
                None
            }
        }
    }

    fn verdict(&self, at: u32, until: &Until, end: (&Context, State, &Value)) -> Verdict {
        let (context, heard, result) = end;
        let entry = &self.steps.flow.entries[at as usize];
        let mut eyes = self.steps.eyes(context, entry.route);
        eyes.task = Some(seen(&entry.name, entry.route, heard, result));
        match eyes.truth(&until.when) {
            Ok(true) => return Verdict::Enough,
            // What a failed run gave may lack what `when` looks at.
            Err(message) if heard == State::Succeeded => return Verdict::Failed(message),
            Ok(false) | Err(_) => {}
        }
        match self.pause(at, until, &eyes) {
            Ok(verdict) => verdict,
            Err(message) => Verdict::Failed(message),
        }
    }

    fn pause(&self, at: u32, until: &Until, eyes: &Eyes<'_>) -> Result<Verdict, String> {
        let runs = 1 + self.steps.flow.extra(at).map_or(0, |extra| extra.rounds);
        if let Some(limit) = &until.limit {
            let wrong = || "TypeError: The limit of `until` is not an integer.".to_owned();
            let limit = integer(&eyes.value(limit)?).ok_or_else(wrong)?;
            if i64::from(runs) >= limit {
                let message = format!("`until` did not hold after {runs} runs, its limit");
                return Ok(Verdict::Failed(message));
            }
        }
        let every = eyes.span(&until.every, "`every`")?;
        if let Some(within) = &until.within {
            let within = eyes.span(within, "`within`")?;
            let began = self.steps.flow.entries[at as usize].started.unwrap_or_default();
            let end = crate::model::time::Time::from_millis(began).plus(within);
            if self.steps.now().plus(every) > end {
                let seconds = within.as_secs_f64();
                let message = format!("`until` did not hold within {seconds} s, after {runs} runs");
                return Ok(Verdict::Failed(message));
            }
        }
        Ok(Verdict::Again(every))
    }
}
