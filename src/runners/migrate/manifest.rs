//! The durable manifest of a migration: one file, in which each object has a row. One writer joins what
//! waits into one commit, so that a checkpoint costs little; readers never wait for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition,
    WriteTransaction,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::row::{Part, Row, State, Wanted, Work, met, next};
use super::store::{Entry, Fault, Page, Store, Version};
use crate::clock::Clock;

/// Objects by their keys.
const ROWS: TableDefinition<&str, &[u8]> = TableDefinition::new("rows");
/// Parts of objects that are under way.
const PARTS: TableDefinition<(&str, u32), &[u8]> = TableDefinition::new("parts");
/// The head of the manifest, under one key.
const HEADS: TableDefinition<&str, &[u8]> = TableDefinition::new("head");
const HEAD: &str = "head";
/// The form of the rows. Another one is not read.
const FORMAT: u32 = 1;
/// Changes that wait for the writer; more of them make whoever copies wait.
const WAITING: usize = 4096;
/// Changes gather for so long where nobody waits for them: a hundred small objects share a commit.
const GATHER: Duration = Duration::from_millis(50);
/// An engine that is going away lets go of the file within this.
const LOCKED: Duration = Duration::from_secs(15);
/// Memory for pages of the file.
const CACHE: usize = 32 << 20;
/// Failed objects that are told of by name.
pub(super) const FAILED_TOLD: usize = 100;

/// What is known of the migration as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    format: u32,
    pub(super) from: String,
    pub(super) to: String,
    /// Counts from 1.
    pub(super) run: u32,
    /// The execution of that run.
    pub(super) execution: String,
    /// When it began, in milliseconds since 1970.
    pub(super) began: i64,
    /// Copies older than this run are looked at again.
    pub(super) checked_since: u32,
    pub(super) stage: Stage,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// The source is listed, and was up to `from`; copying goes on at once.
    Listing { second: bool, from: Option<String> },
    /// The list is whole, and what it shows is copied.
    Copying { second: bool },
    /// Sources are removed.
    Removing,
    /// All is done.
    Done,
}

impl Head {
    /// The first one.
    pub(super) fn new(from: &str, to: &str) -> Self {
        Self {
            format: FORMAT,
            from: from.to_owned(),
            to: to.to_owned(),
            run: 0,
            execution: String::new(),
            began: 0,
            checked_since: 0,
            stage: Stage::Done,
        }
    }

    /// The same for a new run. One that was broken off goes on where it was; after one that was done, all
    /// is listed anew and old copies are looked at again.
    pub(super) fn renewed(mut self, execution: &str, began: i64) -> Self {
        self.run += 1;
        execution.clone_into(&mut self.execution);
        self.began = began;
        if self.stage == Stage::Done {
            self.checked_since = self.run;
            self.stage = Stage::Listing { second: false, from: None };
        }
        self
    }
}

/// A change of the manifest.
pub(super) enum Change {
    Row(String, Row),
    Part(String, u32, Part),
    /// The parts of an object are forgotten.
    NoParts(String),
    Head(Head),
    /// A page of a listing was met, and where the next one begins.
    Page(Page, Head),
}

/// What pages brought.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Brought {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) failed: u64,
}

struct Order {
    changes: Vec<Change>,
    /// Who waits until it is on the disk.
    done: Option<oneshot::Sender<Brought>>,
}

/// A handle on the manifest. Cheap to clone.
#[derive(Clone)]
pub(super) struct Manifest {
    db: Arc<Database>,
    orders: mpsc::Sender<Order>,
    /// Why nothing can be written any more.
    broken: Arc<OnceLock<String>>,
}

/// What writes. Ends when all handles are gone.
pub(super) struct Writer {
    db: Arc<Database>,
    orders: mpsc::Receiver<Order>,
    broken: Arc<OnceLock<String>>,
    target: Arc<dyn Store>,
    clock: Clock,
}

/// Opens the file and makes it where there is none. Waits for whoever has it open to go. Blocks.
///
/// # Errors
/// Why it cannot be, for people.
pub(super) fn open(file: &Path) -> Result<Arc<Database>, String> {
    let began = Instant::now();
    made(file).map_err(|error| {
        let file = file.display();
        format!("the manifest `{file}` cannot be made: {error}")
    })?;
    loop {
        match Database::builder().set_cache_size(CACHE).create(file) {
            Err(DatabaseError::DatabaseAlreadyOpen) if began.elapsed() < LOCKED => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => {
                let file = file.display();
                return Err(format!("the manifest `{file}` cannot be opened: {error}"));
            }
            Ok(db) => return Ok(Arc::new(db)),
        }
    }
}

/// Makes the file where there is none: aside, and renamed, because a kill while it is made leaves one
/// that never opens.
fn made(file: &Path) -> Result<(), redb::Error> {
    if file.exists() {
        return Ok(());
    }
    let aside = file.with_extension("new");
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => drop(Database::builder().create(&aside)?),
    }
    Ok(std::fs::rename(aside, file)?)
}

/// The head, where a run wrote one.
pub(super) fn read_head(db: &Database) -> Result<Option<Head>, String> {
    let head = reading(db, |read| {
        let table = match read.open_table(HEADS) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        let head = table.get(HEAD)?;
        Ok(head.map(|head| head.value().to_vec()))
    })?;
    let Some(head) = head else { return Ok(None) };
    let head: Head = decoded(&head).map_err(|error| error.to_string())?;
    if head.format != FORMAT {
        let format = head.format;
        return Err(format!("the manifest has format {format}; this program reads {FORMAT}"));
    }
    Ok(Some(head))
}

fn reading<T>(
    db: &Database,
    look: impl FnOnce(redb::ReadTransaction) -> Result<T, redb::Error>,
) -> Result<T, String> {
    let read = db.begin_read().map_err(|error| error.to_string())?;
    look(read).map_err(|error| format!("the manifest cannot be read: {error}"))
}

/// Goes through the rows behind `after`, until `see` has enough.
pub(super) fn rows(
    db: &Database,
    after: Option<&str>,
    mut see: impl FnMut(&str, Row) -> bool,
) -> Result<(), String> {
    use std::ops::Bound;
    reading(db, |read| {
        let table = match read.open_table(ROWS) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            table => table?,
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        for row in table.range::<&str>((start, Bound::Unbounded))? {
            let (key, value) = row?;
            let row = decoded(value.value())?;
            if !see(key.value(), row) {
                break;
            }
        }
        Ok(())
    })
}

/// The rows of these keys.
pub(super) fn known<'a>(
    db: &Database,
    keys: impl Iterator<Item = &'a str>,
) -> Result<Vec<Option<Row>>, String> {
    reading(db, |read| {
        let table = match read.open_table(ROWS) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(keys.map(|_| None).collect()),
            table => table?,
        };
        let row = |key| table.get(key)?.map(|row| decoded(row.value())).transpose();
        keys.map(row).collect()
    })
}

fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    rmp_serde::from_slice(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("our own records have no maps with odd keys")
}

/// A manifest over an open file, and its writer, which somebody has to run.
pub(super) fn over(db: Arc<Database>, target: Arc<dyn Store>, clock: Clock) -> (Manifest, Writer) {
    let (sender, orders) = mpsc::channel(WAITING);
    let broken = Arc::new(OnceLock::new());
    let writer = Writer { db: db.clone(), orders, broken: broken.clone(), target, clock };
    (Manifest { db, orders: sender, broken }, writer)
}

impl Manifest {
    /// Hands changes over; they are on the disk soon.
    pub(super) async fn write(&self, changes: Vec<Change>) -> Result<(), Fault> {
        self.order(Order { changes, done: None }).await
    }

    /// Returns when these changes, and all before them, are on the disk.
    pub(super) async fn commit(&self, changes: Vec<Change>) -> Result<Brought, Fault> {
        let (done, written) = oneshot::channel();
        self.order(Order { changes, done: Some(done) }).await?;
        written.await.map_err(|_| self.ended())
    }

    async fn order(&self, order: Order) -> Result<(), Fault> {
        let sent = self.orders.send(order).await;
        sent.map_err(|_| self.ended())
    }

    /// Why the writer is gone.
    fn ended(&self) -> Fault {
        let why = self.broken.get().map_or("its writer ended", String::as_str);
        Fault::Manifest(why.to_owned())
    }

    /// Up to `count` objects behind `after` that need something, and where the search ended; nothing
    /// where it ended at the end.
    pub(super) async fn work(
        &self,
        after: Option<String>,
        wanted: Wanted,
        count: usize,
    ) -> Result<(Vec<(String, Row, Work)>, Option<String>), Fault> {
        self.blocking(move |db| {
            let (mut found, mut last) = (Vec::new(), after.clone());
            let mut full = false;
            rows(db, after.as_deref(), |key, row| {
                last = Some(key.to_owned());
                if let Some(work) = next(&row, wanted) {
                    found.push((key.to_owned(), row, work));
                }
                full = found.len() >= count;
                !full
            })?;
            Ok((found, last))
        })
        .await
    }

    /// The parts of an object that are at the target.
    pub(super) async fn parts(&self, key: &str) -> Result<BTreeMap<u32, Part>, Fault> {
        let key = key.to_owned();
        self.blocking(move |db| {
            reading(db, |read| {
                let mut parts = BTreeMap::new();
                let table = match read.open_table(PARTS) {
                    Err(redb::TableError::TableDoesNotExist(_)) => return Ok(parts),
                    table => table?,
                };
                for row in table.range((key.as_str(), 0)..=(key.as_str(), u32::MAX))? {
                    let (place, part) = row?;
                    parts.insert(place.value().1, decoded(part.value())?);
                }
                Ok(parts)
            })
        })
        .await
    }

    /// Looks at the file where waiting does no harm.
    pub(super) async fn blocking<T, F>(&self, look: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&Database) -> Result<T, String> + Send + 'static,
    {
        let db = self.db.clone();
        let looked = tokio::task::spawn_blocking(move || look(&db)).await;
        looked.map_err(|error| Fault::Manifest(error.to_string()))?.map_err(Fault::Manifest)
    }
}

impl Writer {
    /// Writes until all handles are gone or a commit fails.
    ///
    /// Cancel-safe: a commit under way goes on to its end.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.orders.recv().await {
            let orders = self.gathered(first).await;
            let (db, target) = (self.db.clone(), self.target.clone());
            let done = tokio::task::spawn_blocking(move || commit(&db, &*target, orders)).await;
            if let Err(why) = done.unwrap_or_else(|error| Err(error.to_string())) {
                tracing::error!(%why, "The manifest of a migration cannot be written");
                // Before the waiting ones hear that nobody answers.
                self.broken.get_or_init(|| why);
                return;
            }
        }
    }

    /// What waits, and what comes soon where nobody waits for any of it.
    async fn gathered(&mut self, first: Order) -> Vec<Order> {
        let until = self.clock.now().plus(GATHER);
        let mut waited = first.done.is_some();
        let mut orders = vec![first];
        while orders.len() < WAITING {
            let order = match self.orders.try_recv() {
                Ok(order) => order,
                Err(_) if waited => break,
                Err(_) => tokio::select! {
                    order = self.orders.recv() => match order {
                        Some(order) => order,
                        None => break,
                    },
                    () = self.clock.sleep_until(until) => break,
                },
            };
            waited |= order.done.is_some();
            orders.push(order);
        }
        orders
    }
}

/// Writes orders in one commit, and tells whoever waits.
fn commit(db: &Database, target: &dyn Store, orders: Vec<Order>) -> Result<(), String> {
    // What the manifest says is at the target must outlive a power loss as well as the manifest.
    let copied = |change: &Change| matches!(change, Change::Row(..) | Change::Part(..));
    if orders.iter().any(|order| order.changes.iter().any(copied)) {
        target.settle().map_err(|fault| fault.to_string())?;
    }
    let mut told = Vec::new();
    written(db, orders, &mut told).map_err(|error| error.to_string())?;
    for (done, brought) in told {
        // Who does not wait any more needs no answer.
        let _gone = done.send(brought);
    }
    Ok(())
}

type Told = Vec<(oneshot::Sender<Brought>, Brought)>;

fn written(db: &Database, orders: Vec<Order>, told: &mut Told) -> Result<(), redb::Error> {
    let write = db.begin_write()?;
    for order in orders {
        let brought = applied(&write, order.changes)?;
        told.extend(order.done.map(|done| (done, brought)));
    }
    write.commit()?;
    Ok(())
}

fn applied(write: &WriteTransaction, changes: Vec<Change>) -> Result<Brought, redb::Error> {
    let mut rows = write.open_table(ROWS)?;
    let mut parts = write.open_table(PARTS)?;
    let mut heads = write.open_table(HEADS)?;
    let mut brought = Brought::default();
    for change in changes {
        match change {
            Change::Row(key, row) => {
                rows.insert(key.as_str(), encoded(&row).as_slice())?;
            }
            Change::Part(key, number, part) => {
                parts.insert((key.as_str(), number), encoded(&part).as_slice())?;
            }
            Change::NoParts(key) => {
                parts.retain_in((key.as_str(), 0)..=(key.as_str(), u32::MAX), |_, _| false)?;
            }
            Change::Head(head) => {
                heads.insert(HEAD, encoded(&head).as_slice())?;
            }
            Change::Page(page, head) => {
                for Entry { key, version } in page.entries {
                    meet(&mut rows, &key, &version, &mut brought)?;
                }
                for (key, reason) in page.odd {
                    let listed = Version { size: 0, modified: 0, etag: None };
                    let row = Row { listed, state: State::Failed { reason, run: head.run } };
                    let row = encoded(&row);
                    let known = rows.insert(key.as_str(), row.as_slice())?;
                    brought.failed += u64::from(known.is_none_or(|known| known.value() != row));
                }
                heads.insert(HEAD, encoded(&head).as_slice())?;
            }
        }
    }
    Ok(brought)
}

fn meet(
    rows: &mut Table<'_, &str, &[u8]>,
    key: &str,
    version: &Version,
    brought: &mut Brought,
) -> Result<(), redb::Error> {
    let known = rows.get(key)?.map(|row| decoded::<Row>(row.value())).transpose()?;
    if let Some(row) = met(known.as_ref(), version) {
        rows.insert(key, encoded(&row).as_slice())?;
        brought.objects += 1;
        brought.bytes += version.size;
    }
    Ok(())
}
