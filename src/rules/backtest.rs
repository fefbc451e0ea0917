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
/// Parts of the time that firings are counted in.
const BUCKETS: usize = 24;

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
    /// Firings by part of the time.
    pub buckets: Vec<u64>,
}

/// A backtest under way.
pub struct Backtest {
    simulation: Simulation,
    rule: Reference,
    from: Time,
    to: Time,
    outcome: Outcome,
}

impl Backtest {
    /// Runs `rule` of `set` over the time from `from` to `to`, which is not part of it.
    #[must_use]
    pub fn new(set: Arc<Set>, rule: Reference, facts: Facts, from: Time, to: Time) -> Self {
        let simulation = Simulation::new(set, Facts { now: from, ..facts });
        let outcome = Outcome { buckets: vec![0; BUCKETS], ..Outcome::default() };
        Self { simulation, rule, from, to, outcome }
    }

    /// Whether the rule listens to a trigger.
    #[must_use]
    pub fn listens(&self, trigger: &Reference) -> bool {
        let rule = self.simulation.set().get(&self.rule);
        rule.is_some_and(|rule| rule.on().iter().any(|on| on.fits(trigger)))
    }

    /// Hears one event; they come in the order in which they were accepted.
    pub fn hear(&mut self, event: &Event) {
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
                    let bucket = self.bucket(event.accepted);
                    self.outcome.buckets[bucket] += 1;
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

    fn bucket(&self, at: Time) -> usize {
        let (into, all) = (at.since(self.from).as_millis(), self.to.since(self.from).as_millis());
        let bucket = into * BUCKETS as u128 / all.max(1);
        usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS - 1)
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
