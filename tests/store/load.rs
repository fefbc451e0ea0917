//! A load on a store and what must be there afterwards: every batch is whole or absent, and there if it
//! was acknowledged.

use std::collections::BTreeMap;

use ifso::store::batch::Batch;
use ifso::store::redb::Redb;
use ifso::store::{Error, Key, Order, Range, Store};
use rand::RngExt;
use rand::rngs::StdRng;

/// Three writers, each with a table of its own.
const TABLES: [&str; 3] = ["meta", "positions", "keys"];
const KEYS: u8 = 12;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What was written: what is acknowledged, and what else may be there.
pub(crate) struct Load {
    random: StdRng,
    rows: [Rows; 3],
    unsure: [Option<Rows>; 3],
    revision: u64,
    pub(crate) acknowledged: u64,
}

impl Load {
    pub(crate) fn new(random: StdRng) -> Self {
        let (rows, unsure) = (Default::default(), Default::default());
        Self { random, rows, unsure, revision: 0, acknowledged: 0 }
    }

    /// One round: one writer, or all three at once. Says why it failed where it did.
    pub(crate) async fn round(&mut self, store: &Redb) -> Result<(), Error> {
        let all = self.random.random_range(0..3) == 0;
        let first = self.random.random_range(0..TABLES.len());
        let writers = if all { 0..TABLES.len() } else { first..first + 1 };
        let batches: Vec<_> = writers.map(|writer| (writer, self.batch(writer))).collect();
        let commits = batches.iter().map(|(_, (batch, _))| store.commit(batch.clone()));
        let answers = futures_util::future::join_all(commits).await;
        let mut failed = Ok(());
        for ((writer, (_, rows)), answer) in batches.into_iter().zip(answers) {
            match answer {
                Ok(revision) => {
                    self.rows[writer] = rows;
                    self.revision = self.revision.max(revision);
                    self.acknowledged += 1;
                }
                Err(error) => {
                    self.unsure[writer] = Some(rows);
                    failed = Err(error);
                }
            }
        }
        failed
    }

    /// A batch of a few writes, and the writer's rows after it.
    fn batch(&mut self, writer: usize) -> (Batch, Rows) {
        let (mut batch, mut rows) = (Batch::new(), self.rows[writer].clone());
        for _ in 0..self.random.random_range(1..6) {
            let bytes = vec![self.random.random_range(0..KEYS)];
            let key = Key { table: TABLES[writer], bytes: bytes.clone() };
            if self.random.random_range(0..5) == 0 {
                batch.remove(key);
                rows.remove(&bytes);
            } else {
                let len = if self.random.random_range(0..10) == 0 { 9000 } else { 300 };
                let value = vec![self.random.random(); self.random.random_range(0..len)];
                batch.put(key, value.clone());
                rows.insert(bytes, value);
            }
        }
        (batch, rows)
    }

    /// Compares the store with what must be there, and takes what is there for certain from now on.
    pub(crate) async fn check(&mut self, store: &Redb) -> Result<(), String> {
        let at = *store.changes().borrow();
        if at < self.revision {
            return Err(format!("commit {} was acknowledged, {at} is there", self.revision));
        }
        for (writer, table) in TABLES.into_iter().enumerate() {
            let range =
                Range { table, prefix: Vec::new(), after: None, order: Order::Up, limit: 1000 };
            let found = store.scan(&range).await.map_err(|error| error.to_string())?;
            let found: Rows = found.into_iter().map(|(key, record)| (key, record.bytes)).collect();
            let unsure = self.unsure[writer].take();
            if found != self.rows[writer] && Some(&found) != unsure.as_ref() {
                return Err(format!(
                    "table `{table}` has keys {:?} instead of {:?}, or else {:?}",
                    lens(&found),
                    lens(&self.rows[writer]),
                    unsure.as_ref().map(lens)
                ));
            }
            self.rows[writer] = found;
        }
        let damaged = store.damaged();
        if damaged.is_empty() { Ok(()) } else { Err(damaged.join("; ")) }
    }
}

fn lens(rows: &Rows) -> Vec<(u8, usize, Option<u8>)> {
    rows.iter().map(|(key, value)| (key[0], value.len(), value.first().copied())).collect()
}
