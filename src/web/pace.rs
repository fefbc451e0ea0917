//! What happens per minute: counters of the last hour, looked at once a minute and kept in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::model::time::Time;
use crate::telemetry::metrics::{Metrics, Totals};

/// Minutes that are kept.
const MINUTES: i64 = 60;
/// Looks a minute: what happens now shows after some seconds.
const LOOKS: i64 = 12;

/// The plots' numbers.
#[derive(Clone)]
pub struct Pace {
    clock: Clock,
    metrics: Metrics,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    last: Option<Totals>,
    minutes: VecDeque<(i64, Totals)>,
}

impl Pace {
    /// Looks at `metrics`.
    #[must_use]
    pub fn new(clock: Clock, metrics: Metrics) -> Self {
        Self { clock, metrics, kept: Arc::default() }
    }

    /// Looks from time to time, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            self.look();
            let next = self.clock.now().plus(Duration::from_secs(60 / LOOKS.unsigned_abs()));
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    fn look(&self) {
        let minute = minute(self.clock.now());
        let totals = self.metrics.totals();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.last.replace(totals).unwrap_or(totals);
        let new = totals.since(before);
        match kept.minutes.back_mut() {
            Some((last, sum)) if *last == minute => *sum = sum.and(new),
            _ => kept.minutes.push_back((minute, new)),
        }
        while kept.minutes.front().is_some_and(|(first, _)| minute - first >= MINUTES) {
            kept.minutes.pop_front();
        }
    }

    /// The last hour, minute by minute, oldest first; nothing for minutes in which nobody looked.
    pub(crate) fn hour(&self) -> Vec<(Time, Option<Totals>)> {
        self.look();
        let now = minute(self.clock.now());
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let first = now - MINUTES + 1;
        (first..=now)
            .map(|minute| {
                let found = kept.minutes.iter().find(|(own, _)| *own == minute);
                (Time::from_millis(minute * 60_000), found.map(|(_, totals)| *totals))
            })
            .collect()
    }
}

fn minute(time: Time) -> i64 {
    time.millis().div_euclid(60_000)
}
