//! Everything remembered, behind four calls.
//!
//! *Compare, then commit*: a batch lists what must still hold and what to write; it is written whole
//! or not at all. No transaction stays open across an await, so one synchronous file engine and one
//! networked database fit the same shape. Tables, indexes, queues and retention are built once, on top.

pub mod batch;
pub mod record;
pub mod table;
pub mod people;
pub mod tables;
pub mod queue;
pub mod retention;
pub mod redb;
pub mod measured;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::store::batch::Batch;

/// A store, shared by all stages.
pub type Handle = Arc<dyn Store>;

/// Where one record stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The table.
    pub table: &'static str,
    /// The key in it; the order of bytes is the order of records.
    pub bytes: Vec<u8>,
}

/// One record as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The commit that wrote it; a batch may expect it unchanged.
    pub revision: u64,
    /// The content.
    pub bytes: Vec<u8>,
}

/// Which records of a table, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The table.
    pub table: &'static str,
    /// Only keys that begin so.
    pub prefix: Vec<u8>,
    /// Only keys beyond this one, in the direction of the order; the key itself is left out.
    pub after: Option<Vec<u8>>,
    /// Upwards or downwards.
    pub order: Order,
    /// At most so many.
    pub limit: usize,
}

/// The direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Up,
    /// Largest key first.
    Down,
}

/// The port. Two backends pass one contract suite (`tests/store`).
#[async_trait]
pub trait Store: Send + Sync {
    /// One record.
    ///
    /// # Errors
    /// `Damaged` where it is not what was written; `Io` where the store cannot be read.
    async fn get(&self, key: &Key) -> Result<Option<Record>, Error>;

    /// Several records at once, in the order of the keys; one look at one state of the store.
    ///
    /// # Errors
    /// As `get`.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, Error>;

    /// Records of one table, in order. One that is damaged is left out and reported (in the log and in
    /// the backend's health): it blocks itself, not the table.
    ///
    /// # Errors
    /// `Io` where the store cannot be read.
    async fn scan(&self, range: &Range) -> Result<Vec<(Vec<u8>, Record)>, Error>;

    /// Writes a batch whole or not at all, and returns after it is on disk. Gives the new revision.
    ///
    /// Not cancel-safe: a batch whose caller is gone may be written all the same.
    ///
    /// # Errors
    /// `Conflict` where an expectation does not hold; `Damaged` where the record that one is about is
    /// damaged; `Full` where there is no space; `Io` else. After `Full` and `Io` the batch may be there
    /// or not, never half.
    async fn commit(&self, batch: Batch) -> Result<u64, Error>;

    /// The newest revision; changes wake sleeping stages.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// Why the store did not do as it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote first.
    #[error("record {key} of table `{table}` changed meanwhile")]
    Conflict {
        /// The table.
        table: &'static str,
        /// The key, in hexadecimal.
        key: String,
    },
    /// A record is not what was written.
    #[error("record {key} of table `{table}` is damaged: {what}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// The key, in hexadecimal.
        key: String,
        /// What does not fit.
        what: String,
    },
    /// No space is left.
    #[error("the disk of `{path}` is full")]
    Full {
        /// The store's file.
        path: String,
    },
    /// Another process has it.
    #[error("`{path}` is in use by another process{owner}")]
    InUse {
        /// The store's file.
        path: String,
        /// ` (pid 123)` where known.
        owner: String,
    },
    /// What is to be written would overwrite something.
    #[error("`{path}` exists already")]
    Exists {
        /// The file.
        path: String,
    },
    /// It was written by a newer Ifso.
    #[error("`{path}` has format {found}; this Ifso reads up to format {known}")]
    TooNew {
        /// The store's file.
        path: String,
        /// The format in the file.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// It cannot be opened as a store.
    #[error("`{path}` cannot be opened as a store: {what}")]
    Broken {
        /// The store's file.
        path: String,
        /// What the engine said.
        what: String,
    },
    /// The disk failed.
    #[error("`{path}` cannot be read or written: {what}")]
    Io {
        /// The store's file.
        path: String,
        /// What the system said.
        what: String,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// The next step for whoever can act.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Conflict { .. } => "read it again and decide anew",
            Self::Damaged { .. } => {
                "run `ifso doctor` to see how much is damaged, then `ifso restore` from a backup"
            }
            Self::Full { .. } => "free some space; Ifso accepts work again by itself",
            Self::InUse { .. } => "stop the other Ifso, or give this one another `--data` folder",
            Self::Exists { .. } => "name another file, or move this one away first",
            Self::TooNew { .. } => "run the newer Ifso, or restore a backup made by this one",
            Self::Broken { .. } => "run `ifso doctor`, then `ifso restore` from a backup",
            Self::Io { .. } => "look at the disk and at the system's log",
            Self::Closed => return None,
        })
    }

    /// Whether the same call may succeed later without anybody's doing here.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Full { .. } | Self::Io { .. })
    }
}
