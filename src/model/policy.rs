//! Policies: limits or repetitions of an action's executions.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::id::ExecutionId;
use crate::model::reference::Reference;

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

/// A file of `policies/`: it limits or repeats the executions of one action.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Its name.
    pub reference: Reference,
    /// One sentence for people.
    pub description: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// The action.
    pub resource: Reference,
    /// The kind as the file wrote it (`action.concurrency`).
    pub policy_type: String,
    /// What it does.
    pub rule: Rule,
    /// Its parameters as written.
    pub parameters: Value,
    /// The file it was read from, as seen from the home.
    pub file: PathBuf,
}

/// What a policy does.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// So many executions at once at most.
    Concurrency {
        /// How many, from 1.
        threshold: u32,
        /// Those with the same values of these parameters count together; without any, all do.
        attributes: Vec<String>,
        /// What becomes of one too many.
        excess: Excess,
    },
    /// So many executions may start within any span of that length.
    Rate {
        /// How many, from 1.
        limit: u32,
        /// The length of the span.
        per: Duration,
        /// What becomes of one too many.
        excess: Excess,
    },
    /// What failed is tried again.
    Retry(Repeat),
}

/// What becomes of an execution that may not start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// It waits for its turn.
    Delay,
    /// It is canceled.
    Cancel,
}

/// When a policy tries an execution again.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    /// When and how often.
    pub retry: Retry,
    /// By which part of itself, from 0 to 1, each wait may be shorter: executions that failed together
    /// do not come back together.
    pub jitter: f64,
}

impl Repeat {
    /// How long `execution` waits before retry number `retry`, from 1: always the same.
    #[must_use]
    pub fn wait(&self, execution: ExecutionId, retry: u32) -> Duration {
        let mut seed = execution.to_bytes().to_vec();
        seed.extend(retry.to_be_bytes());
        let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &seed);
        let part = f64::from(u32::try_from(sum & 0xffff_ffff).unwrap_or(0)) / f64::from(u32::MAX);
        self.retry.wait(retry).mul_f64(1.0 - part * self.jitter.clamp(0.0, 1.0))
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

    #[test]
    fn jitter_shortens_a_wait_by_its_part_at_most_and_always_alike() {
        let retry = Retry {
            on_failure: true,
            on_timeout: true,
            count: 3,
            delay: Duration::from_secs(100),
            backoff: 1.0,
            max_delay: Duration::from_secs(100),
        };
        let repeat = Repeat { retry, jitter: 0.25 };
        let mut seen = std::collections::BTreeSet::new();
        for bits in 0..50 {
            let wait = repeat.wait(ExecutionId::from_bits(bits), 1);
            assert!((75..=100).contains(&wait.as_secs()), "{wait:?}");
            assert_eq!(wait, repeat.wait(ExecutionId::from_bits(bits), 1));
            seen.insert(wait);
        }
        assert!(seen.len() > 40, "{}", seen.len());
    }
}
