//! How fast, and how much at once: both can change while somebody waits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

use crate::clock::Clock;

/// What may go at once after a pause, as a part of a second.
const BURST: f64 = 0.1;
/// The longest nap: a new rate is noticed within this.
const LONGEST_NAP: Duration = Duration::from_millis(100);

/// Sells tickets, so many a second; each says how much was sold before it.
pub(super) struct Pace {
    sales: Mutex<Sales>,
    clock: Clock,
}

#[derive(Debug)]
struct Sales {
    per_second: Option<f64>,
    sold: f64,
    /// Tickets up to here may go.
    open: f64,
    at: Instant,
}

impl Sales {
    /// Opens what has become due by `now`.
    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.open = match self.per_second {
            None => self.sold,
            Some(rate) => (self.open + passed * rate).min(self.sold + rate * BURST),
        };
    }

    /// How long ticket `mine` waits still.
    fn wait(&self, mine: f64) -> Duration {
        match self.per_second {
            Some(rate) if mine > self.open => Duration::from_secs_f64((mine - self.open) / rate),
            _ => Duration::ZERO,
        }
    }
}

impl Pace {
    /// No limit yet.
    pub(super) fn new(clock: Clock) -> Self {
        let sales = Sales { per_second: None, sold: 0.0, open: 0.0, at: Instant::now() };
        Self { sales: Mutex::new(sales), clock }
    }

    /// From now on so much a second.
    #[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
    pub(super) fn set(&self, per_second: Option<u64>) {
        let mut sales = self.sales();
        sales.advance(Instant::now());
        sales.per_second = per_second.map(|rate| rate as f64);
    }

    /// Returns when `amount` more may go.
    ///
    /// Cancel-safe: what was asked for and not used slows the next one down, no more.
    #[expect(clippy::cast_precision_loss, reason = "an hour at full speed is far below 2^52")]
    pub(super) async fn take(&self, amount: u64) {
        let mine = {
            let mut sales = self.sales();
            sales.sold += amount as f64;
            if sales.per_second.is_none() {
                return;
            }
            sales.sold
        };
        loop {
            let wait = {
                let mut sales = self.sales();
                sales.advance(Instant::now());
                // A millisecond at least: the clock knows no shorter naps.
                sales.wait(mine)
            };
            if wait.is_zero() {
                return;
            }
            let nap = wait.clamp(Duration::from_millis(1), LONGEST_NAP);
            self.clock.sleep_until(self.clock.now().plus(nap)).await;
        }
    }

    fn sales(&self) -> MutexGuard<'_, Sales> {
        self.sales.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets in so many at once, in the order in which they came, or nobody while it is held.
pub(super) struct Gate {
    places: Semaphore,
    state: Mutex<Inside>,
    left: Notify,
}

#[derive(Debug)]
struct Inside {
    count: usize,
    limit: usize,
    held: bool,
    /// Places that there are, free or taken.
    places: usize,
}

impl Inside {
    fn wanted(&self) -> usize {
        if self.held { 0 } else { self.limit }
    }
}

/// Stands for one that is inside.
pub(super) struct Pass<'a>(&'a Gate);

impl Gate {
    pub(super) fn new(limit: usize) -> Self {
        let state = Inside { count: 0, limit, held: false, places: limit };
        Self { places: Semaphore::new(limit), state: Mutex::new(state), left: Notify::new() }
    }

    /// Waits for a place.
    ///
    /// Cancel-safe: a place is taken at the end only.
    pub(super) async fn enter(&self) -> Pass<'_> {
        let place = self.places.acquire().await.expect("a gate is never closed");
        place.forget();
        self.state().count += 1;
        Pass(self)
    }

    /// Waits until nobody is inside.
    pub(super) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // Listens before it looks, so that nobody leaves in between.
            left.as_mut().enable();
            if self.state().count == 0 {
                return;
            }
            left.await;
        }
    }

    /// Lets in at most so many from now on.
    pub(super) fn limit(&self, limit: usize) {
        self.change(|inside| inside.limit = limit);
    }

    /// Lets nobody in from now on, or again.
    pub(super) fn hold(&self, held: bool) {
        self.change(|inside| inside.held = held);
    }

    /// Makes places, or takes away free ones; taken ones go when somebody leaves.
    fn change(&self, change: impl FnOnce(&mut Inside)) {
        let mut inside = self.state();
        change(&mut inside);
        let wanted = inside.wanted();
        if wanted > inside.places {
            self.places.add_permits(wanted - inside.places);
            inside.places = wanted;
        } else {
            inside.places -= self.places.forget_permits(inside.places - wanted);
        }
    }

    fn state(&self) -> MutexGuard<'_, Inside> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut inside = self.0.state();
        inside.count -= 1;
        if inside.places > inside.wanted() {
            inside.places -= 1;
        } else {
            self.0.places.add_permits(1);
        }
        if inside.count == 0 {
            self.0.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_open_as_time_passes_and_at_the_rate_of_the_moment() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut sales = Sales { per_second: Some(1000.0), sold: 0.0, open: 0.0, at: start };
        sales.sold = 500.0;
        sales.advance(after(100));
        assert_eq!(sales.wait(500.0), Duration::from_millis(400));
        sales.per_second = Some(4000.0);
        assert_eq!(sales.wait(500.0), Duration::from_millis(100));
        sales.advance(after(200));
        assert_eq!(sales.wait(500.0), Duration::ZERO);
        // A long pause saves up no more than a burst.
        sales.advance(after(60_000));
        sales.sold += 1000.0;
        assert_eq!(sales.wait(1500.0), Duration::from_millis(150));
        sales.per_second = None;
        assert_eq!(sales.wait(1500.0), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_gate_lets_in_so_many_and_nobody_while_it_is_held() {
        let gate = Gate::new(2);
        let first = gate.enter().await;
        let second = gate.enter().await;
        let blocked = |gate| {
            let enter = Gate::enter(gate);
            futures_util::FutureExt::now_or_never(enter).is_none()
        };
        assert!(blocked(&gate));
        gate.limit(3);
        assert!(!blocked(&gate));
        gate.hold(true);
        drop(first);
        assert!(blocked(&gate));
        assert!(futures_util::FutureExt::now_or_never(gate.empty()).is_none());
        drop(second);
        gate.empty().await;
        gate.hold(false);
        drop(gate.enter().await);
    }
}
