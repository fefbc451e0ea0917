//! Forgets what `tables` says may be forgotten, in small commits, so that nobody waits long for it.
//!
//! Rows whose key is an id carry their age in it. An execution goes with its output, its
//! progress, its workflow's state and its index entries, and only when it is over; what still runs stays, however old it is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::model::execution::Execution;
use crate::model::id::{ExecutionId, RecordId};
use crate::model::incident::Incident;
use crate::model::key::KeyValue;
use crate::model::time::Time;
use crate::store::batch::Batch;
use crate::store::people::Token;
use crate::store::table::{self, Held, Row, Rows, decode};
use crate::store::tables::{Seen, TABLES};
use crate::store::{Error, Handle, Key, Order, Range};

/// Rows that one commit looks at, and so the most that it forgets: some milliseconds of work.
const STEP_ROWS: usize = 256;

/// How long records are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// By table; what is not named here is kept as long as `TABLES` says.
    pub keep: BTreeMap<String, Duration>,
    /// Bytes of kept events at most; the oldest go first.
    pub events_bytes: Option<u64>,
}

impl Settings {
    /// How long records of `table` are kept; nothing: until somebody removes them.
    #[must_use]
    pub fn keep(&self, table: &str) -> Option<Duration> {
        let usual = TABLES.iter().find(|(name, _)| *name == table).and_then(|(_, keep)| *keep);
        self.keep.get(table).copied().or(usual)
    }
}

/// What was forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows, by table; index entries are not counted.
    pub forgotten: BTreeMap<&'static str, u64>,
}

impl Counts {
    fn add(&mut self, table: &'static str, rows: usize) {
        if rows > 0 {
            *self.forgotten.entry(table).or_default() += rows as u64;
        }
    }
}

/// Forgets what is too old at `now`, and values of the key-value store that have ended.
///
/// Cancel-safe: each commit stands for itself, and the next sweep does the rest.
///
/// # Errors
/// As `Store::commit`; what was forgotten until then stays so.
pub async fn sweep(store: &Handle, now: Time, settings: &Settings) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    let before = |table: &str| settings.keep(table).map(|keep| now.minus(keep));
    if let Some(before) = before("seen") {
        forget_rows::<Seen>(store, &mut counts, |row| row.at < before).await?;
    }
    forget_rows::<KeyValue>(store, &mut counts, |row| row.expires.is_some_and(|end| end <= now))
        .await?;
    forget_rows::<Token>(store, &mut counts, |row| row.expires <= now).await?;
    for table in ["blocks", "dead_letters"] {
        if let Some(before) = before(table) {
            forget_old_ids(store, table, before, &mut counts).await?;
        }
    }
    if let Some(most) = settings.events_bytes {
        forget_beyond(store, "blocks", most, &mut counts).await?;
    }
    if let Some(before) = before("incidents") {
        let over = |row: &Incident| row.resolved.as_ref().is_some_and(|one| one.at < before);
        forget_rows::<Incident>(store, &mut counts, over).await?;
    }
    if let Some(before) = before("executions") {
        forget_executions(store, before, &mut counts).await?;
    }
    if let Some(before) = before("outputs") {
        forget_outputs(store, before, &mut counts).await?;
    }
    Ok(counts)
}

/// Looks at every row of a table and removes those that `is_over`.
async fn forget_rows<R: Row>(
    store: &Handle,
    counts: &mut Counts,
    is_over: impl Fn(&R) -> bool,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let rows = Rows::first(STEP_ROWS).after(after.take());
        let found = table::scan::<R>(store, rows).await?;
        after = found.last().map(|held| held.row.key());
        let whole = found.len() < STEP_ROWS;
        let mut batch = Batch::new();
        let over: Vec<Held<R>> = found.into_iter().filter(|held| is_over(&held.row)).collect();
        for held in &over {
            table::remove(&mut batch, held);
        }
        commit(store, batch, R::TABLE, over.len(), counts).await?;
        if whole {
            return Ok(());
        }
    }
}

/// Removes rows whose key is an id that was minted before `before`.
async fn forget_old_ids(
    store: &Handle,
    table: &'static str,
    before: Time,
    counts: &mut Counts,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let (found, whole) = step(store, table, after.take()).await?;
        let old: Vec<Vec<u8>> = found
            .iter()
            .take_while(|(key, _)| is_old(key, before))
            .map(|(k, _)| k.clone())
            .collect();
        let done = whole || old.len() < found.len();
        after = old.last().cloned();
        let mut batch = Batch::new();
        let rows = old.len();
        for bytes in old {
            batch.remove(Key { table, bytes });
        }
        commit(store, batch, table, rows, counts).await?;
        if done {
            return Ok(());
        }
    }
}

/// Removes the oldest rows of a table beyond so many bytes. What is within them is read.
async fn forget_beyond(
    store: &Handle,
    table: &'static str,
    most: u64,
    counts: &mut Counts,
) -> Result<(), Error> {
    let (mut bytes, mut after) = (0u64, None);
    loop {
        let prefix = Vec::new();
        let range = Range { table, prefix, after, order: Order::Down, limit: STEP_ROWS };
        let found = store.scan(&range).await?;
        let Some((last, _)) = found.last() else { return Ok(()) };
        after = Some(last.clone());
        let mut batch = Batch::new();
        let mut rows = 0;
        for (key, record) in found {
            bytes = bytes.saturating_add((key.len() + record.bytes.len()) as u64);
            if bytes > most {
                batch.remove(Key { table, bytes: key });
                rows += 1;
            }
        }
        commit(store, batch, table, rows, counts).await?;
    }
}

async fn forget_executions(store: &Handle, before: Time, counts: &mut Counts) -> Result<(), Error> {
    let mut after = None;
    loop {
        let rows = Rows::first(STEP_ROWS).after(after.take());
        let found = table::scan::<Execution>(store, rows).await?;
        let old = found.iter().take_while(|held| is_old(&held.row.key(), before)).count();
        let done = found.len() < STEP_ROWS || old < found.len();
        after = found.last().map(|held| held.row.key());
        let over = found.into_iter().take(old).filter(|held| {
            held.row.status.is_done() && held.row.ended.is_none_or(|ended| ended < before)
        });
        let over: Vec<Held<Execution>> = over.collect();
        let mut batch = Batch::new();
        for held in &over {
            // The output first: an execution without its output is found by the next sweep.
            forget_part_of(store, "outputs", held.row.id, counts).await?;
            forget_part_of(store, "flows", held.row.id, counts).await?;
            forget_part_of(store, "progress", held.row.id, counts).await?;
            table::remove(&mut batch, held);
        }
        commit(store, batch, Execution::TABLE, over.len(), counts).await?;
        if done {
            return Ok(());
        }
    }
}

/// Removes output that may go before its execution, and output whose execution is gone.
async fn forget_outputs(store: &Handle, before: Time, counts: &mut Counts) -> Result<(), Error> {
    let mut after = None;
    loop {
        let range =
            Range { table: "outputs", prefix: Vec::new(), after, order: Order::Up, limit: 1 };
        let found = store.scan(&range).await?;
        let Some((key, _)) = found.first().filter(|(key, _)| is_old(key, before)) else {
            return Ok(());
        };
        let Some(id) = key.first_chunk::<16>().and_then(|id| ExecutionId::from_bytes(id)) else {
            return Ok(());
        };
        let key = Key { table: Execution::TABLE, bytes: id.to_bytes().to_vec() };
        let is_over = match store.get(&key).await? {
            None => true,
            Some(record) => {
                let row: Execution = decode(&key.bytes, &record.bytes)?;
                row.status.is_done() && row.ended.is_none_or(|ended| ended < before)
            }
        };
        if is_over {
            forget_part_of(store, "outputs", id, counts).await?;
        }
        // On to the next execution's first piece.
        after = Some([id.to_bytes().as_slice(), &[u8::MAX; 5]].concat());
    }
}

/// Removes an execution's rows of a table whose keys begin with its id.
async fn forget_part_of(
    store: &Handle,
    table: &'static str,
    id: ExecutionId,
    counts: &mut Counts,
) -> Result<(), Error> {
    loop {
        let range = Range {
            table,
            prefix: id.to_bytes().to_vec(),
            after: None,
            order: Order::Up,
            limit: STEP_ROWS,
        };
        let found = store.scan(&range).await?;
        let rows = found.len();
        let mut batch = Batch::new();
        for (bytes, _) in found {
            batch.remove(Key { table, bytes });
        }
        commit(store, batch, table, rows, counts).await?;
        if rows < STEP_ROWS {
            return Ok(());
        }
    }
}

/// The next rows of a table, and whether they are the last.
async fn step(
    store: &Handle,
    table: &'static str,
    after: Option<Vec<u8>>,
) -> Result<(Vec<(Vec<u8>, crate::store::Record)>, bool), Error> {
    let range = Range { table, prefix: Vec::new(), after, order: Order::Up, limit: STEP_ROWS };
    let found = store.scan(&range).await?;
    let whole = found.len() < STEP_ROWS;
    Ok((found, whole))
}

async fn commit(
    store: &Handle,
    batch: Batch,
    table: &'static str,
    rows: usize,
    counts: &mut Counts,
) -> Result<(), Error> {
    if batch.is_empty() {
        return Ok(());
    }
    match store.commit(batch).await {
        Ok(_) => counts.add(table, rows),
        // Somebody wrote one of them meanwhile: the next sweep decides anew.
        Err(Error::Conflict { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Whether a key begins with an id that was minted before `before`.
fn is_old(key: &[u8], before: Time) -> bool {
    let id = key.first_chunk::<16>().and_then(|id| RecordId::from_bytes(id));
    id.is_some_and(|id| Time::from_millis(id.minted_millis()) < before)
}
