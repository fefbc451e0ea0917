//! What the doctor found of one part.

use serde::Serialize;

/// How a part does; the worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Well.
    Ok,
    /// It works; somebody should look at it.
    Look,
    /// It does not work.
    Wrong,
}

/// One row of what the doctor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Which part.
    pub(super) part: &'static str,
    /// How it does.
    pub(super) state: State,
    /// What was found.
    pub(super) what: String,
    /// The next step.
    pub(super) next: Option<String>,
}

impl Finding {
    pub(super) fn ok(part: &'static str, what: impl Into<String>) -> Self {
        Self { part, state: State::Ok, what: what.into(), next: None }
    }

    pub(super) fn look(part: &'static str, what: impl Into<String>) -> Self {
        Self { state: State::Look, ..Self::ok(part, what) }
    }

    pub(super) fn wrong(part: &'static str, what: impl Into<String>) -> Self {
        Self { state: State::Wrong, ..Self::ok(part, what) }
    }

    /// The same with the next step.
    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}
