//! The only place that reads the time or mints an id.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use tokio::sync::watch;

use crate::model::id::{EventId, ExecutionId, IncidentId, KeyId, RecordId};
use crate::model::time::Time;

/// Where a stage gets the time from. Cheap to clone.
pub type Clock = Arc<dyn Watch>;

/// A watch on the wall: the real one, or one that tests move.
pub trait Watch: Send + Sync {
    /// The time.
    fn now(&self) -> Time;

    /// Ends when the time is `deadline` or later.
    fn sleep_until(&self, deadline: Time) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The machine's own clock.
#[must_use]
pub fn system() -> Clock {
    Arc::new(System)
}

struct System;

/// The longest single wait: a wall clock that jumps forward is noticed within this.
const LONGEST_NAP: Duration = Duration::from_secs(1);

impl Watch for System {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    fn now(&self) -> Time {
        Time::from_jiff(jiff::Timestamp::now())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    fn sleep_until(&self, deadline: Time) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            loop {
                let rest = deadline.since(self.now());
                if rest.is_zero() {
                    return;
                }
                tokio::time::sleep(rest.min(LONGEST_NAP)).await;
            }
        })
    }
}

/// A clock that stands still until somebody moves it: for tests, simulation and backtests.
#[derive(Clone)]
pub struct Manual {
    time: Arc<watch::Sender<Time>>,
}

impl Manual {
    /// A clock that shows `start`.
    #[must_use]
    pub fn at(start: Time) -> Self {
        Self { time: Arc::new(watch::channel(start).0) }
    }

    /// Moves it forward and wakes whoever waited for that.
    pub fn advance(&self, span: Duration) {
        self.time.send_modify(|time| *time = time.plus(span));
    }

    /// Sets it, backwards too.
    pub fn set(&self, time: Time) {
        self.time.send_replace(time);
    }

    /// The same clock as a stage wants it.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Arc::new(self.clone())
    }
}

impl Watch for Manual {
    fn now(&self) -> Time {
        *self.time.borrow()
    }

    fn sleep_until(&self, deadline: Time) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut seen = self.time.subscribe();
        Box::pin(async move {
            // The sender lives in `self`, so waiting can only end by the time being reached.
            drop(seen.wait_for(|time| *time >= deadline).await);
        })
    }
}

/// Mints ids whose order is the order of minting. Cheap to clone; clones share one sequence.
#[derive(Clone)]
pub struct Ids {
    clock: Clock,
    last: Arc<Mutex<u128>>,
}

impl Ids {
    /// Mints by the time of `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, last: Arc::default() }
    }

    /// An event's id.
    #[must_use]
    pub fn event(&self) -> EventId {
        EventId::from_bits(self.bits())
    }

    /// An execution's id.
    #[must_use]
    pub fn execution(&self) -> ExecutionId {
        ExecutionId::from_bits(self.bits())
    }

    /// An API key's id.
    #[must_use]
    pub fn key(&self) -> KeyId {
        KeyId::from_bits(self.bits())
    }

    /// An incident's id.
    #[must_use]
    pub fn incident(&self) -> IncidentId {
        IncidentId::from_bits(self.bits())
    }

    /// The id of anything else.
    #[must_use]
    pub fn record(&self) -> RecordId {
        RecordId::from_bits(self.bits())
    }

    /// A UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, then randomness. Inside one
    /// millisecond, or when the clock steps back, the last one plus a small random step, so that the
    /// order of ids is the order of minting.
    fn bits(&self) -> u128 {
        let millis = u128::try_from(self.clock.now().millis()).unwrap_or(0) & 0xffff_ffff_ffff;
        let mut random = rand::rng();
        let fresh = millis << 80
            | 0x7 << 76
            | u128::from(random.random::<u16>() & 0xfff) << 64
            | 0b10 << 62
            | u128::from(random.random::<u64>() >> 2);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = if fresh >> 80 > *last >> 80 {
            fresh
        } else {
            *last + 1 + u128::from(random.random::<u32>())
        };
        *last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_minting_even_when_the_clock_steps_back() {
        let manual = Manual::at(Time::from_millis(1_000_000));
        let ids = Ids::new(manual.clock());
        let mut minted: Vec<_> = (0..1000).map(|_| ids.event()).collect();
        manual.set(Time::from_millis(5));
        minted.extend((0..1000).map(|_| ids.event()));
        assert!(minted.is_sorted() && minted.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
