//! Holding an attempt: all its processes stand still, and its time with them.

use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::sync::watch;
use tokio::time::Instant;

use super::attempt::{Attempt, later};
use super::family;
use super::service::Service;

/// Between two looks at whether all stand still: the first, and the longest. One that never does belongs
/// to another user (`sudo`).
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(250));

/// The brake of one attempt.
pub(super) struct Brake<'a> {
    service: &'a Service,
    attempt: &'a Attempt,
    orders: watch::Receiver<(u64, bool)>,
    /// What of its time is left, while it is held.
    rest: Option<Duration>,
    /// The order that is being carried out.
    open: Option<Open>,
}

/// Processes on their way to standing still.
struct Open {
    order: u64,
    /// Who stood still at the last look: only a second look that finds the same is sure that none of
    /// them had started another one in between, and that all were sent the signal.
    stood: Option<Vec<Pid>>,
    look: Instant,
    again: Duration,
}

impl<'a> Brake<'a> {
    pub(super) fn new(service: &'a Service, attempt: &'a Attempt) -> Self {
        let orders = attempt.orders.subscribe();
        Self { service, attempt, orders, rest: None, open: None }
    }

    /// Until there is something to do.
    ///
    /// Cancel-safe: an order stays until it is taken by `pull`.
    pub(super) async fn wanted(&mut self) {
        let look = async {
            match &self.open {
                Some(open) => tokio::time::sleep_until(open.look).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Whoever orders is the attempt itself: it outlives us.
            changed = self.orders.changed() => if changed.is_ok() { self.orders.mark_changed() },
            () = look => {}
        }
    }

    /// Does it. Gives the new end of its time, which was `end`.
    pub(super) fn pull(&mut self, end: Instant) -> Instant {
        if !self.orders.has_changed().unwrap_or(false) {
            self.look();
            return end;
        }
        let (order, hold) = *self.orders.borrow_and_update();
        if hold {
            self.rest.get_or_insert_with(|| end.saturating_duration_since(Instant::now()));
            let again = LOOK_AGAIN.0;
            self.open = Some(Open { order, stood: None, look: Instant::now(), again });
            self.look();
            return later(Duration::MAX);
        }
        self.open = None;
        family::signal(&self.service.family(self.attempt), Signal::CONT);
        self.attempt.obeyed((order, false));
        self.rest.take().map_or(end, |rest| Instant::now() + rest)
    }

    /// Stops whoever does not stand still yet.
    fn look(&mut self) {
        let Some(open) = &mut self.open else { return };
        let family = self.service.family(self.attempt);
        let moving: Vec<_> = family.iter().copied().filter(|pid| !family::stands(*pid)).collect();
        if moving.is_empty() && open.stood.as_ref() == Some(&family) {
            let order = open.order;
            self.open = None;
            self.attempt.obeyed((order, true));
            return;
        }
        family::signal(&family, Signal::STOP);
        open.stood = moving.is_empty().then_some(family);
        open.look = Instant::now() + open.again;
        open.again = (open.again * 2).min(LOOK_AGAIN.1);
    }
}
