//! Policies: limits or repetitions of an action's executions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What may be done with an attempt of which nobody can know whether it ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Never start it twice: the execution becomes `abandoned` and waits for a person.
    #[default]
    AtMostOnce,
    /// Start it again.
    AtLeastOnce,
    /// Start it again with the same key; the action recognises it.
    Idempotent,
}

/// When a failed attempt is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Whether a failure is tried again.
    pub on_failure: bool,
    /// Whether a time-out is tried again.
    pub on_timeout: bool,
    /// How often at most, the first attempt not counted.
    pub count: u32,
    /// How long to wait before the first retry.
    pub delay: Duration,
    /// By how much the wait grows each time; 1 keeps it.
    pub backoff: f64,
    /// The longest wait.
    pub max_delay: Duration,
}

impl Retry {
    /// How long to wait before retry number `retry`, which counts from 1.
    #[must_use]
    pub fn wait(&self, retry: u32) -> Duration {
        let grown = self.delay.as_secs_f64()
            * self
                .backoff
                .max(1.0)
                .powi(i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX));
        Duration::try_from_secs_f64(grown).unwrap_or(self.max_delay).min(self.max_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_up_to_its_limit() {
        let retry = Retry {
            on_failure: true,
            on_timeout: false,
            count: 9,
            delay: Duration::from_secs(2),
            backoff: 3.0,
            max_delay: Duration::from_secs(30),
        };
        let waits: Vec<_> = [1, 2, 3, 4, 4_000_000_000].map(|n| retry.wait(n).as_secs()).into();
        assert_eq!(waits, [2, 6, 18, 30, 30]);
    }
}
