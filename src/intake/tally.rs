//! How often each rule decided what, and how many events came of each trigger. Counts of rules that
//! fired or failed are written with the batch; those of events gather for a second, so that events that
//! concern nobody cost no records. A crash forgets that second of events, never a firing.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::reference::Reference;
use crate::model::rule::{Decision, Verdict};
use crate::model::time::Time;
use crate::store::batch::Batch;
use crate::store::table;
use crate::store::tables::Count;
use crate::store::{self, Handle};

/// How long counts of events gather.
const GATHER: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
struct Delta {
    verdicts: HashMap<&'static str, u64>,
    fired: Option<Time>,
    error: Option<String>,
}

/// What came of one trigger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Events.
    pub(crate) events: u64,
    /// Rules that were asked about them; the index rules out the others.
    pub(crate) asked: u64,
}

/// Counts that are not on disk yet.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// By the row's key: a rule, or `on` and a trigger.
    gathered: HashMap<String, Delta>,
    urgent: bool,
    since: Option<Time>,
}

impl Tally {
    /// These counts and those of one more batch: kept in place of these when the batch is on disk,
    /// so that a batch that is decided twice counts once.
    pub(crate) fn with(
        &self,
        decisions: &[Decision],
        heard: &HashMap<Reference, Heard>,
        now: Time,
    ) -> Self {
        let mut next = self.clone();
        for decision in decisions {
            let delta = next.gathered.entry(decision.rule.to_string()).or_default();
            *delta.verdicts.entry(word(&decision.verdict)).or_default() += 1;
            match &decision.verdict {
                Verdict::Fired => delta.fired = Some(now),
                Verdict::Error { message, line, .. } => {
                    delta.error = Some(match line {
                        Some(line) => format!("line {line}: {message}"),
                        None => message.clone(),
                    });
                }
                _ => {}
            }
            next.urgent = true;
        }
        for (trigger, heard) in heard {
            let delta = next.gathered.entry(Count::of_trigger(trigger)).or_default();
            *delta.verdicts.entry("events").or_default() += heard.events;
            *delta.verdicts.entry("asked").or_default() += heard.asked;
        }
        next.since.get_or_insert(now);
        next
    }

    /// Whether the counts want to be written now.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        !self.gathered.is_empty()
            && (self.urgent || self.since.is_some_and(|since| now.since(since) >= GATHER))
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.gathered.is_empty()
    }

    /// Adds the counts to a batch.
    pub(crate) async fn write(
        &self,
        store: &Handle,
        batch: &mut Batch,
    ) -> Result<(), store::Error> {
        let keys = self.gathered.keys().map(|rule| rule.as_bytes().to_vec());
        let held = table::get_many::<Count>(store, keys).await?;
        for ((rule, delta), held) in self.gathered.iter().zip(held) {
            let mut count = held.as_ref().map(|held| held.row.clone()).unwrap_or_default();
            rule.clone_into(&mut count.rule);
            for (verdict, times) in &delta.verdicts {
                *count.verdicts.entry((*verdict).to_owned()).or_default() += times;
            }
            count.last_fired = delta.fired.or(count.last_fired);
            count.last_error = delta.error.clone().or(count.last_error);
            match held {
                Some(held) => table::replace(batch, &held, &count),
                None => table::create(batch, &count),
            }
        }
        Ok(())
    }
}

/// A verdict's word, as counts and metrics know it.
#[must_use]
pub fn word(verdict: &Verdict) -> &'static str {
    verdict.word()
}
