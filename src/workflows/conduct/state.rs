//! Where a task or a whole flow stands while it is conducted: StackStorm's sixteen words.

use serde::{Deserialize, Serialize};

use crate::model::execution::Status;

/// A standing. It knows two more words than `Status`: nothing yet, and about to be tried again.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
#[serde(into = "u8", try_from = "u8")]
#[expect(missing_docs, reason = "they are the words of `Status`")]
pub enum State {
    /// Nothing has happened yet; StackStorm writes `null`.
    #[default]
    Unset,
    Requested,
    Scheduled,
    Delayed,
    Running,
    Pending,
    Pausing,
    Paused,
    Resuming,
    Succeeded,
    Failed,
    Timeout,
    Abandoned,
    /// It has ended and will be tried again.
    Retrying,
    Canceling,
    Canceled,
}

/// Every standing, in the order in which they are numbered in rows.
pub const STATES: [State; 16] = [
    State::Unset,
    State::Requested,
    State::Scheduled,
    State::Delayed,
    State::Running,
    State::Pending,
    State::Pausing,
    State::Paused,
    State::Resuming,
    State::Succeeded,
    State::Failed,
    State::Timeout,
    State::Abandoned,
    State::Retrying,
    State::Canceling,
    State::Canceled,
];

impl State {
    /// The word, as StackStorm writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unset => "null",
            Self::Retrying => "retrying",
            other => other.status().word(),
        }
    }

    /// The nearest status of an execution.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Unset | Self::Requested => Status::Requested,
            Self::Scheduled => Status::Scheduled,
            Self::Delayed | Self::Retrying => Status::Delayed,
            Self::Running => Status::Running,
            Self::Pending => Status::Pending,
            Self::Pausing => Status::Pausing,
            Self::Paused => Status::Paused,
            Self::Resuming => Status::Resuming,
            Self::Succeeded => Status::Succeeded,
            Self::Failed => Status::Failed,
            Self::Timeout => Status::Timeout,
            Self::Abandoned => Status::Abandoned,
            Self::Canceling => Status::Canceling,
            Self::Canceled => Status::Canceled,
        }
    }

    /// Whether a task may begin with it.
    #[must_use]
    pub const fn is_starting(self) -> bool {
        use State as S;
        matches!(self, S::Requested | S::Scheduled | S::Delayed | S::Running | S::Pending)
    }

    /// Whether a flow that stands so hands out tasks.
    #[must_use]
    pub const fn is_running(self) -> bool {
        use State as S;
        let begun = matches!(self, S::Requested | S::Scheduled | S::Delayed | S::Running);
        begun || matches!(self, S::Resuming | S::Retrying)
    }

    /// Whether something is under way.
    #[must_use]
    pub const fn is_active(self) -> bool {
        use State as S;
        let begun = matches!(self, S::Requested | S::Scheduled | S::Delayed | S::Running);
        begun || matches!(self, S::Resuming | S::Pausing | S::Canceling)
    }

    /// Whether it is over.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Canceled) || self.is_abended()
    }

    /// Whether it is over and did not end well.
    #[must_use]
    pub const fn is_abended(self) -> bool {
        matches!(self, Self::Failed | Self::Timeout | Self::Abandoned)
    }

    /// Whether it waits: for a person or to be resumed.
    #[must_use]
    pub const fn is_resting(self) -> bool {
        matches!(self, Self::Pending | Self::Paused)
    }
}

impl From<Status> for State {
    fn from(status: Status) -> Self {
        match status {
            Status::Requested => Self::Requested,
            Status::Delayed => Self::Delayed,
            Status::Scheduled => Self::Scheduled,
            Status::Running => Self::Running,
            Status::Pending => Self::Pending,
            Status::Pausing => Self::Pausing,
            Status::Paused => Self::Paused,
            Status::Resuming => Self::Resuming,
            Status::Canceling => Self::Canceling,
            Status::Succeeded => Self::Succeeded,
            Status::Failed => Self::Failed,
            Status::Timeout => Self::Timeout,
            Status::Canceled => Self::Canceled,
            Status::Abandoned => Self::Abandoned,
        }
    }
}

impl From<State> for u8 {
    fn from(state: State) -> Self {
        state as Self
    }
}

impl TryFrom<u8> for State {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        let state = STATES.get(usize::from(number));
        state.copied().ok_or_else(|| format!("{number} is the number of no status"))
    }
}

/// How many stand where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally([u32; STATES.len()]);

impl Tally {
    /// One more stands at `state`.
    pub fn add(&mut self, state: State) {
        self.0[state as usize] += 1;
    }

    /// One fewer stands at `state`.
    pub fn take(&mut self, state: State) {
        self.0[state as usize] -= 1;
    }

    /// How many stand where `which` holds.
    #[must_use]
    pub fn count(&self, which: impl Fn(State) -> bool) -> u32 {
        STATES.iter().zip(self.0).filter(|(state, _)| which(**state)).map(|(_, count)| count).sum()
    }

    /// Whether any stand where `which` holds.
    #[must_use]
    pub fn any(&self, which: impl Fn(State) -> bool) -> bool {
        STATES.iter().zip(self.0).any(|(state, count)| count > 0 && which(*state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_keeps_its_number() {
        for (state, number) in STATES.iter().zip(0..) {
            assert_eq!(u8::from(*state), number);
            assert_eq!(State::try_from(number).unwrap(), *state);
        }
        assert!(State::try_from(16).is_err());
    }

    #[test]
    fn a_status_comes_back_from_its_state() {
        for status in crate::model::execution::STATUSES {
            assert_eq!(State::from(*status).status(), *status);
            assert_eq!(State::from(*status).word(), status.word());
        }
    }
}
