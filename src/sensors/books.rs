//! A sensor's books: what it took in, and what it could not; shown in its health, counted in the
//! metrics, and, where somebody should look, said in the log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::intake::Outcome;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::sensors::Reporter;
use crate::telemetry::metrics::Metrics;

/// Bad inputs are said at once, and then at most so often.
const QUIET: Duration = Duration::from_mins(1);

/// The books of one sensor. Cheap to clone; clones are the same books.
#[derive(Clone)]
pub struct Books {
    sensor: Arc<Reference>,
    health: Reporter,
    metrics: Metrics,
    clock: Clock,
    unsaid: Arc<Mutex<Unsaid>>,
}

#[derive(Default)]
struct Unsaid {
    /// When bad inputs were last said.
    said: Option<Time>,
    /// How many came since.
    count: usize,
}

impl Unsaid {
    /// Adds so many, and gives how many are to be said now.
    fn add(&mut self, count: usize, now: Time) -> Option<usize> {
        self.count += count;
        if self.said.is_some_and(|said| now.since(said) < QUIET) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

impl Books {
    /// Empty books.
    #[must_use]
    pub fn new(sensor: &Reference, health: Reporter, metrics: Metrics, clock: Clock) -> Self {
        let sensor = Arc::new(sensor.clone());
        Self { sensor, health, metrics, clock, unsaid: Arc::default() }
    }

    /// What became of reports; the door keeps those that do not fit their trigger as dead letters.
    pub fn outcomes(&self, outcomes: &[Outcome]) {
        let count =
            |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|one| wanted(one)).count();
        let accepted = count(|outcome| matches!(outcome, Outcome::Accepted(_)));
        if accepted > 0 {
            self.health.accepted(accepted, self.clock.now());
        }
        self.duplicates(count(|outcome| matches!(outcome, Outcome::Duplicate(_))));
        self.dead_letters(count(|outcome| matches!(outcome, Outcome::Refused(_))));
    }

    /// So many inputs said what the sensor knew already, and never reached the door.
    pub fn repeats(&self, count: usize) {
        if count > 0 {
            self.metrics.reported("duplicate", count);
            self.duplicates(count);
        }
    }

    /// So many inputs became dead letters.
    pub fn dead_letters(&self, count: usize) {
        if count > 0 {
            self.metrics.dead_letters(self.sensor.as_str(), count);
            self.bad(count);
        }
    }

    /// So many inputs could not be read and are not kept: whoever sent them was told.
    pub fn refused(&self, count: usize) {
        self.bad(count);
    }

    /// So many inputs mean, as the file says, that something is gone, and nothing more.
    pub fn tombstones(&self, count: usize) {
        if count > 0 {
            self.health.update(|health| health.tombstones += count as u64);
        }
    }

    fn duplicates(&self, count: usize) {
        if count > 0 {
            self.health.update(|health| health.duplicates += count as u64);
        }
    }

    fn bad(&self, count: usize) {
        if count == 0 {
            return;
        }
        self.health.update(|health| health.bad_inputs += count as u64);
        let now = self.clock.now();
        let mut unsaid = self.unsaid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bad_inputs) = unsaid.add(count, now) {
            let sensor = &*self.sensor;
            tracing::warn!(
                %sensor,
                bad_inputs,
                "inputs could not become events; `ifso deadletter list` shows those that nobody was told of"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_inputs_are_said_at_once_and_then_once_a_minute() {
        let mut unsaid = Unsaid::default();
        let said = [(0, 2), (1, 1), (59, 3), (60, 1), (119, 1), (500, 1)];
        let said = said.map(|(second, count)| unsaid.add(count, Time::from_millis(second * 1000)));
        assert_eq!(said, [Some(2), None, None, Some(5), None, Some(2)]);
    }
}
