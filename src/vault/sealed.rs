//! The store as the rooms see it: records that hold secrets are sealed on their way in and opened on
//! their way out.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::watch;
use zeroize::Zeroize;

use crate::store::batch::Batch;
use crate::store::table::hex;
use crate::store::{Error, Handle, Key, Range, Record, Store};
use crate::vault::master::Ring;
use crate::vault::seal::{self, Closed};

pub(super) struct Sealed {
    pub(super) store: Handle,
    pub(super) ring: Arc<ArcSwap<Ring>>,
}

impl Sealed {
    fn open(&self, table: &'static str, key: &[u8], record: Record) -> Result<Record, Error> {
        if !seal::is_sealed(&record.bytes) {
            return Ok(record);
        }
        let opened = seal::open(&self.ring.load(), (table, key), &record.bytes);
        opened.map(|bytes| Record { bytes, ..record }).map_err(|closed| refused(table, key, closed))
    }
}

/// Why a record stays closed, in the store's words.
pub(super) fn refused(table: &'static str, key: &[u8], closed: Closed) -> Error {
    let key = hex(key);
    match closed {
        Closed::NoMaster(master) => Error::Sealed { table, key, master },
        Closed::Broken => Error::Damaged { table, key, what: "its seal does not fit".to_owned() },
    }
}

#[async_trait]
impl Store for Sealed {
    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        let found = self.store.get(key).await?;
        found.map(|record| self.open(key.table, &key.bytes, record)).transpose()
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, Error> {
        let found = self.store.get_many(keys).await?;
        let opened = keys.iter().zip(found).map(|(key, record)| {
            record.map(|record| self.open(key.table, &key.bytes, record)).transpose()
        });
        opened.collect()
    }

    async fn scan(&self, range: &Range) -> Result<Vec<(Vec<u8>, Record)>, Error> {
        let mut range = range.clone();
        let (limit, mut open) = (range.limit, Vec::new());
        // What stays closed is left out, like what is damaged, and the next records take its place: a
        // page that is not full is the last one.
        loop {
            let found = self.store.scan(&range).await?;
            let whole = found.len() < range.limit;
            range.after = found.last().map(|(key, _)| key.clone()).or(range.after);
            for (key, record) in found {
                match self.open(range.table, &key, record) {
                    Ok(record) => open.push((key, record)),
                    Err(error) => tracing::debug!(%error, "a record is left out"),
                }
            }
            if whole || open.len() >= limit {
                return Ok(open);
            }
            range.limit = limit - open.len();
        }
    }

    async fn commit(&self, mut batch: Batch) -> Result<u64, Error> {
        let ring = self.ring.load_full();
        for key in std::mem::take(&mut batch.secret) {
            let Some(Some(content)) = batch.writes.get_mut(&key) else { continue };
            let mut plain = std::mem::take(content);
            *content = seal::seal(ring.current(), (key.table, &key.bytes), &plain);
            plain.zeroize();
        }
        self.store.commit(batch).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }
}
