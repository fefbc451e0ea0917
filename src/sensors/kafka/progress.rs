//! What is known of the partitions that are ours: shared by the reader's thread and the task that
//! hands batches over, and shown in the sensor's health.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::statistics::Statistics;

use crate::sensors::decode::Decoder;
use crate::sensors::{Error, Reporter};

/// A partition that is ours.
pub(super) struct Part {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// Under which name the store keeps its position.
    pub(super) stream: Arc<str>,
    /// The source of its events.
    pub(super) source: Arc<str>,
    pub(super) decoder: Box<dyn Decoder>,
    /// The offset to read next.
    pub(super) next: i64,
    /// The offset after the last one that is in the store.
    pub(super) stored: i64,
}

/// How far a batch has read one partition.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) stream: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// The offset after its last record.
    pub(super) next: i64,
}

/// What the reader's thread and the task that hands batches over both know.
pub(super) struct Progress {
    state: Mutex<State>,
    pub(super) health: Reporter,
    /// What is said of a member that has no partitions.
    idle: String,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) parts: Vec<Part>,
    /// Ends that are in the store, for the group's own offsets.
    pub(super) stored: Vec<End>,
    /// Why the reader has to start over.
    pub(super) failure: Option<Error>,
    /// Why no broker is there.
    pub(super) away: Option<String>,
    /// Whether every broker was tried and none was there; until one is.
    pub(super) down: bool,
    /// What is wrong with a topic.
    pub(super) topic: Option<String>,
    /// Whether a broker is there.
    pub(super) up: bool,
    /// Whether the group has given us our share, be it nothing.
    pub(super) joined: bool,
    /// Which part was found last: records come in runs of one partition.
    last: usize,
}

impl State {
    /// The part of this name, where it is ours.
    pub(super) fn part(&mut self, topic: &str, partition: i32) -> Option<&mut Part> {
        let wanted = |part: &Part| part.partition == partition && *part.topic == *topic;
        if !self.parts.get(self.last).is_some_and(wanted) {
            self.last = self.parts.iter().position(wanted)?;
        }
        self.parts.get_mut(self.last)
    }

    /// Records that are on the brokers and not in the store yet.
    pub(super) fn lag(&self, statistics: &Statistics) -> u64 {
        let behind = |part: &Part| {
            let known = statistics.topics.get(&*part.topic)?.partitions.get(&part.partition)?;
            // The end of a transaction takes an offset and is no record: where all was fetched, handed
            // out and stored, nothing is behind, whatever the offsets say.
            let through = known.next_offset >= known.hi_offset
                && known.fetchq_cnt == 0
                && known.app_offset <= part.stored;
            u64::try_from(known.hi_offset - part.stored).ok().filter(|_| !through)
        };
        self.parts.iter().filter_map(behind).sum()
    }
}

impl Progress {
    pub(super) fn new(health: Reporter, idle: String) -> Self {
        Self { state: Mutex::default(), health, idle }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These ends are in the store.
    pub(super) fn stored(&self, ends: Vec<End>) {
        let mut state = self.state();
        for end in &ends {
            let part = state.parts.iter_mut().find(|part| part.stream == end.stream);
            if let Some(part) = part {
                part.stored = part.stored.max(end.next);
            }
        }
        state.stored.extend(ends);
    }

    /// Changes the state and shows it.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        match (&state.away, &state.topic) {
            (Some(reason), _) => self.health.waiting(reason),
            (None, Some(reason)) if state.parts.is_empty() => self.health.waiting(reason),
            (None, reason) if state.joined => {
                let idle = state.parts.is_empty().then_some(&self.idle);
                self.health.running();
                self.health.update(|health| health.reason = reason.as_ref().or(idle).cloned());
            }
            _ if state.up => self.health.waiting("joining the group"),
            _ => {}
        }
    }

    pub(super) fn fail(&self, error: Error) {
        self.state().failure.get_or_insert(error);
    }
}
