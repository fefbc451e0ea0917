//! What must still hold and what to write.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::Key;

/// One commit to be. Each key is expected and written at most once; the later call wins.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// What must hold when it is written.
    pub expectations: BTreeMap<Key, Expectation>,
    /// What is written: content, or nothing to remove.
    pub writes: BTreeMap<Key, Option<Vec<u8>>>,
    /// Which of the written records hold secrets: a store with a vault before it seals them.
    pub secret: BTreeSet<Key>,
}

/// What must hold for one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// There is none.
    Absent,
    /// It is there and was written by this commit.
    At(u64),
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes, whatever stood there.
    pub fn put(&mut self, key: Key, bytes: Vec<u8>) {
        self.secret.remove(&key);
        self.writes.insert(key, Some(bytes));
    }

    /// The same for a record that holds a secret.
    pub fn put_secret(&mut self, key: Key, bytes: Vec<u8>) {
        self.secret.insert(key.clone());
        self.writes.insert(key, Some(bytes));
    }

    /// Removes, whatever stood there.
    pub fn remove(&mut self, key: Key) {
        self.secret.remove(&key);
        self.writes.insert(key, None);
    }

    /// Expects the record unchanged since `revision` (or absent).
    pub fn expect(&mut self, key: Key, expectation: Expectation) {
        self.expectations.insert(key, expectation);
    }

    /// Adds everything that `other` holds.
    pub fn merge(&mut self, other: Self) {
        self.expectations.extend(other.expectations);
        self.secret.retain(|key| !other.writes.contains_key(key));
        self.secret.extend(other.secret);
        self.writes.extend(other.writes);
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Bytes of keys and contents, to keep a commit within its limit.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.writes.iter().map(|(k, v)| k.bytes.len() + v.as_ref().map_or(0, Vec::len)).sum()
    }
}
