//! A store whose commits are timed and counted.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::store::batch::Batch;
use crate::store::{Error, Handle, Key, Range, Record, Store};
use crate::telemetry::metrics::Metrics;

/// The same store, its commits measured.
#[must_use]
pub fn measured(store: Handle, metrics: Metrics) -> Handle {
    Arc::new(Measured { store, metrics })
}

struct Measured {
    store: Handle,
    metrics: Metrics,
}

#[async_trait]
impl Store for Measured {
    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        self.store.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, Error> {
        self.store.get_many(keys).await
    }

    async fn scan(&self, range: &Range) -> Result<Vec<(Vec<u8>, Record)>, Error> {
        self.store.scan(range).await
    }

    async fn commit(&self, batch: Batch) -> Result<u64, Error> {
        let started = Instant::now();
        let written = self.store.commit(batch).await;
        let outcome = match &written {
            Ok(_) => "written",
            Err(Error::Conflict { .. }) => "conflict",
            Err(_) => "failed",
        };
        self.metrics.committed(outcome, started.elapsed());
        written
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }
}
