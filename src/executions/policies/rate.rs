//! How often something started within a span: pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::id::ExecutionId;
use crate::model::time::Time;

/// Starts, oldest first.
#[derive(Debug, Default)]
pub(super) struct Starts {
    all: VecDeque<(Time, ExecutionId)>,
}

impl Starts {
    /// How many were less than `per` ago.
    pub(super) fn within(&self, now: Time, per: Duration) -> usize {
        self.all.len() - self.all.partition_point(|(at, _)| at.plus(per) <= now)
    }

    /// When fewer than `most` will be within `per`.
    pub(super) fn next(&self, most: usize, per: Duration) -> Option<Time> {
        let at = self.all.len().checked_sub(most)?;
        Some(self.all.get(at)?.0.plus(per))
    }

    pub(super) fn add(&mut self, at: Time, id: ExecutionId) {
        let place = self.all.partition_point(|(other, _)| *other <= at);
        self.all.insert(place, (at, id));
    }

    /// The newest start of `id` never was.
    pub(super) fn remove(&mut self, id: ExecutionId) {
        if let Some(place) = self.all.iter().rposition(|(_, other)| *other == id) {
            self.all.remove(place);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Forgets those that no longer count, and gives them.
    pub(super) fn prune(&mut self, now: Time, per: Duration) -> Vec<(Time, ExecutionId)> {
        let mut old = Vec::new();
        while let Some(first) = self.all.front().copied().filter(|(at, _)| at.plus(per) <= now) {
            self.all.pop_front();
            old.push(first);
        }
        old
    }
}
