//! When a schedule is due: pure. Cron expressions, intervals and single instants become one list of
//! *nominal* instants; what was missed while Ifso was down follows the misfire policy. Each nominal
//! instant is fired at most once, because its place is committed together with its event.

pub(crate) mod expression;
pub(crate) mod ticker;

use std::hash::Hasher;
use std::time::Duration;

use serde::Deserialize;

use crate::model::time::Time;
use crate::sensors::schedule::expression::Expression;

/// The instants of a schedule.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// By the calendar.
    Cron(Box<Expression>),
    /// Every so often, counted from an anchor.
    Interval {
        /// The distance of two instants; at least a millisecond.
        every: Duration,
        /// One of the instants.
        anchor: Time,
    },
    /// These, oldest first.
    At(Vec<Time>),
}

impl Plan {
    /// The first instant after `time`.
    pub(crate) fn next_after(&self, time: Time) -> Option<Time> {
        match self {
            Self::Cron(expression) => expression.next_after(time),
            Self::Interval { every, anchor } => {
                let step = i64::try_from(every.as_millis()).ok()?.max(1);
                let since = time.millis().checked_sub(anchor.millis())?;
                let steps = since.div_euclid(step).checked_add(1)?;
                anchor.millis().checked_add(steps.checked_mul(step)?).map(Time::from_millis)
            }
            Self::At(times) => times.iter().copied().find(|instant| *instant > time),
        }
    }
}

/// What happens to instants that were missed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Misfire {
    /// They are forgotten.
    Skip,
    /// The last of them is fired, once for all.
    #[default]
    Once,
    /// Each is fired, the newest `max` of them.
    All,
}

/// One firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The instant that the schedule names.
    pub(crate) nominal: Time,
    /// How many instants before it were missed and are not fired.
    pub(crate) missed: u64,
}

/// What is to be done now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// To be fired, oldest first.
    pub(crate) ticks: Vec<Tick>,
    /// Everything up to here is settled; nothing where nothing was due.
    pub(crate) settled: Option<Time>,
}

/// How a schedule treats time.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    /// The instants.
    pub(crate) plan: Plan,
    /// What happens to missed ones.
    pub(crate) misfire: Misfire,
    /// How many missed ones `Misfire::All` fires at most.
    pub(crate) max: usize,
    /// Each instant is fired up to so much later, always by the same amount.
    pub(crate) jitter: Duration,
}

/// How many missed instants are counted at most; from there on the number says "at least".
const COUNT_LIMIT: u64 = 10_000;

impl Timing {
    /// When the instant is really fired: jitter is drawn from the instant itself, so that a restart
    /// does not draw again.
    pub(crate) fn planned(&self, nominal: Time) -> Time {
        let span = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        if span == 0 {
            return nominal;
        }
        // SipHash with fixed keys: the same in every process.
        #[expect(deprecated, reason = "the successor draws new keys in every process")]
        let mut hasher = std::hash::SipHasher::new();
        hasher.write_i64(nominal.millis());
        nominal.plus(Duration::from_millis(hasher.finish() % (span + 1)))
    }

    /// When to look again, everything up to `position` being settled.
    pub(crate) fn wake(&self, position: Time) -> Option<Time> {
        self.plan.next_after(position).map(|nominal| self.planned(nominal))
    }

    /// What is due at `now`, everything up to `position` being settled. An instant that is at most
    /// `grace` late is on time.
    pub(crate) fn due(&self, position: Time, now: Time, grace: Duration) -> Due {
        let keep = if self.misfire == Misfire::All { self.max.max(1) } else { 1 };
        let late = now.minus(grace);
        let (mut missed, mut missed_count) = (std::collections::VecDeque::new(), 0_u64);
        let mut ticks = Vec::new();
        let mut at = position;
        while let Some(nominal) = self.plan.next_after(at) {
            let planned = self.planned(nominal);
            if planned > now {
                break;
            }
            at = nominal;
            // With jitter a later instant may be planned before an earlier one; order comes first.
            if planned >= late || !ticks.is_empty() {
                ticks.push(Tick { nominal, missed: 0 });
                continue;
            }
            missed_count += 1;
            missed.push_back(nominal);
            if missed.len() > keep {
                missed.pop_front();
            }
            if missed_count == COUNT_LIMIT {
                at = at.max(self.shortly_before(late, keep));
            }
        }
        let settled = (at > position).then_some(at);
        Due { ticks: self.settle(missed.into(), missed_count, ticks), settled }
    }

    /// Applies the policy: what was missed, and what is on time after it.
    fn settle(&self, missed: Vec<Time>, count: u64, on_time: Vec<Tick>) -> Vec<Tick> {
        if count == 0 {
            return on_time;
        }
        match self.misfire {
            Misfire::Skip => {
                let mut ticks = on_time;
                if let Some(first) = ticks.first_mut() {
                    first.missed = count;
                }
                ticks
            }
            Misfire::Once => {
                let all = count + on_time.len() as u64;
                let last = on_time.last().map(|tick| tick.nominal).or(missed.last().copied());
                last.map(|nominal| Tick { nominal, missed: all - 1 }).into_iter().collect()
            }
            Misfire::All => {
                let left_out = count - missed.len() as u64;
                let mut ticks: Vec<_> =
                    missed.into_iter().map(|nominal| Tick { nominal, missed: 0 }).collect();
                if let Some(first) = ticks.first_mut() {
                    first.missed = left_out;
                }
                ticks.extend(on_time);
                ticks
            }
        }
    }

    /// A time before `late` with at least `keep` instants between the two, close to it: after a very
    /// long downtime nobody walks through every second of it.
    fn shortly_before(&self, late: Time, keep: usize) -> Time {
        let mut span = Duration::from_mins(1);
        loop {
            let start = late.minus(span);
            let mut at = start;
            let found = (0..keep).all(|_| match self.plan.next_after(at) {
                Some(next) if next <= late => {
                    at = next;
                    true
                }
                _ => false,
            });
            if found || span > Duration::from_hours(70272) {
                return start;
            }
            span *= 2;
        }
    }
}

#[cfg(test)]
mod tests;
