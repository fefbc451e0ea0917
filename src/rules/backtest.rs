//! A rule, or two versions of it, over events that were kept: what it would have done, and when.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::reference::Reference;
use crate::model::rule::{Decision, Effect, Verdict};
use crate::model::time::Time;
use crate::rules::Facts;
use crate::rules::set::Set;
use crate::rules::simulation::Simulation;

/// Firings that are listed; all are counted.
pub const LISTED_LIMIT: usize = 1_000;
/// Parts of the time that firings are counted in, at most.
const BUCKETS: i64 = 30;
/// How long such a part may be, in milliseconds: each divides the day, or is a number of days.
const LENGTHS: [i64; 16] = {
    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    [
        1_000,
        5_000,
        15_000,
        MINUTE,
        5 * MINUTE,
        10 * MINUTE,
        30 * MINUTE,
        HOUR,
        2 * HOUR,
        3 * HOUR,
        6 * HOUR,
        12 * HOUR,
        DAY,
        2 * DAY,
        7 * DAY,
        30 * DAY,
    ]
};

/// One firing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Firing {
    /// When.
    pub at: Time,
    /// `fired`, `recovered` or what else came of it.
    pub verdict: &'static str,
    /// Under which key.
    pub key: Option<String>,
    /// The event, or the one that stands for a deadline.
    pub event: EventId,
    /// The events that led to it.
    pub events: Vec<EventId>,
    /// What it would have done.
    pub effects: Vec<Effect>,
}

/// What one version of a rule would have done.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Outcome {
    /// Decisions by verdict.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// The first error that it made, with its line.
    pub error: Option<String>,
    /// The first firings and recoveries.
    pub firings: Vec<Firing>,
    /// Firings by part of the time: when it begins, UTC's clock taken, and how many.
    pub buckets: Vec<(Time, u64)>,
}

/// A backtest under way.
pub struct Backtest {
    simulation: Simulation,
    rule: Reference,
    to: Time,
    /// Milliseconds of one bucket.
    length: i64,
    outcome: Outcome,
}

impl Backtest {
    /// Runs `rule` of `set` over the time from `from` to `to`, which is not part of it.
    #[must_use]
    pub fn new(set: Arc<Set>, rule: Reference, facts: Facts, from: Time, to: Time) -> Self {
        let simulation = Simulation::new(set, Facts { now: from, ..facts });
        let (from, end) = (from.millis(), to.millis());
        let short = |length: &&i64| (end - from) / **length < BUCKETS;
        let length = *LENGTHS.iter().find(short).unwrap_or(&LENGTHS[LENGTHS.len() - 1]);
        let first = from.div_euclid(length);
        let count = ((end - 1).div_euclid(length) - first + 1).clamp(1, 10 * BUCKETS);
        let bucket = |number: i64| (Time::from_millis((first + number) * length), 0);
        let buckets = (0..count).map(bucket).collect();
        let outcome = Outcome { buckets, ..Outcome::default() };
        Self { simulation, rule, to, length, outcome }
    }

    /// Whether the rule listens to a trigger.
    #[must_use]
    pub fn listens(&self, trigger: &Reference) -> bool {
        let rule = self.simulation.set().get(&self.rule);
        rule.is_some_and(|rule| rule.on().iter().any(|on| on.fits(trigger)))
    }

    /// Hears one event; they come in the order in which they were accepted.
    pub fn hear(&mut self, event: &Event) {
        // A replay happened once already.
        if event.replay.is_some() {
            return;
        }
        let (due, decisions) = self.simulation.accept(event);
        for (event, decisions) in due {
            self.note(&event, decisions);
        }
        self.note(event, decisions);
    }

    /// The time is over.
    #[must_use]
    pub fn finish(mut self) -> Outcome {
        let last = Time::from_millis(self.to.millis() - 1);
        for (event, decisions) in self.simulation.advance(last) {
            self.note(&event, decisions);
        }
        self.outcome
    }

    fn note(&mut self, event: &Event, decisions: Vec<Decision>) {
        for decision in decisions {
            let word = decision.verdict.word();
            *self.outcome.verdicts.entry(word).or_default() += 1;
            match &decision.verdict {
                Verdict::Fired | Verdict::Shadowed => {
                    let begin = event.accepted.millis().div_euclid(self.length) * self.length;
                    let at = |bucket: &&mut (Time, u64)| bucket.0.millis() == begin;
                    if let Some(bucket) = self.outcome.buckets.iter_mut().find(at) {
                        bucket.1 += 1;
                    }
                }
                Verdict::Recovered => {}
                Verdict::Error { .. } => {
                    let sentence = || decision.verdict.sentence();
                    self.outcome.error.get_or_insert_with(sentence);
                    continue;
                }
                _ => continue,
            }
            if self.outcome.firings.len() < LISTED_LIMIT {
                self.outcome.firings.push(Firing {
                    at: event.accepted,
                    verdict: word,
                    key: decision.key,
                    event: decision.event,
                    events: decision.events,
                    effects: decision.effects,
                });
            }
        }
    }
}

/// What is listed of `new` and not of `old`: the same instant, key, verdict and effects are the same.
#[must_use]
pub fn only<'f>(new: &'f [Firing], old: &[Firing]) -> Vec<&'f Firing> {
    let same = |a: &Firing, b: &Firing| {
        (a.at, a.verdict, &a.key, &a.effects) == (b.at, b.verdict, &b.key, &b.effects)
    };
    new.iter().filter(|firing| !old.iter().any(|other| same(firing, other))).collect()
}
