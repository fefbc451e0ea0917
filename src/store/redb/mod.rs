//! The embedded backend: one file, one writer that joins all waiting commits into one fsync.

mod backup;
mod doctor;
mod file;
mod memory;
mod overlay;
mod place;
mod read;
mod writer;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ::redb::Database;
use async_trait::async_trait;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::store::batch::Batch;
use crate::store::redb::file::refused;
use crate::store::redb::place::OnDisk;
use crate::store::redb::writer::{Commit, State, Writer};
use crate::store::{Error, Key, Range, Record, Store};

pub use backup::{Copied, restore};
pub use doctor::{Opener, Report, Table, doctor};
pub use file::{FORMAT, is_guarded};
pub use memory::Memory;
pub use place::Place;

/// Commits that wait at most; further callers wait before they hand theirs over. Enough for every
/// stage to have one in hand, few enough that the last of them waits for moments only.
const WAITING_LIMIT: usize = 1024;
/// Looks at up to so many records are done on the spot: to hand a look to another thread and back takes
/// longer than to look up a record in the cache (62 µs and 51 µs on a machine six times overloaded).
const INLINE_RECORDS: usize = 32;
/// Damaged records that are remembered by name.
const DAMAGED_LIMIT: usize = 1024;

/// How a file is used.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Memory for pages, in bytes.
    pub cache_bytes: usize,
    /// Files up to this size are checked whole at every start; larger ones by `doctor`.
    pub check_limit_bytes: u64,
    /// The pause before a failed file is opened anew; it doubles with each try, up to 2 s.
    pub first_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            check_limit_bytes: 128 << 20,
            first_pause: Duration::from_millis(50),
        }
    }
}

/// A store in one file. When the last handle goes, waiting commits are written and the file is closed,
/// which blocks for one commit.
pub struct Redb {
    name: String,
    // Taken away when it is dropped: that ends the writer.
    commits: Option<mpsc::Sender<Commit>>,
    places: Arc<Semaphore>,
    state: watch::Receiver<State>,
    changes: watch::Receiver<u64>,
    damaged: Mutex<BTreeSet<String>>,
    writer: Option<JoinHandle<()>>,
}

impl Redb {
    /// Opens the store in the file `path`, and makes it where there is none. Its folder must be there.
    ///
    /// Blocks for as long as a check of the file takes.
    ///
    /// # Errors
    /// `InUse` where another process has it; `TooNew`, `Broken` where it is no store that this Ifso
    /// can use, and it is left as it was; `Full`, `Io` where the disk fails.
    pub fn open(path: &Path, settings: Settings) -> Result<Self, Error> {
        Self::open_at(OnDisk::take(path)?, settings)
    }

    /// An empty store that lives in memory and is gone with it.
    ///
    /// # Errors
    /// `Io` where no thread can be started.
    pub fn in_memory() -> Result<Self, Error> {
        Self::open_at(Memory::default(), Settings { cache_bytes: 1 << 20, ..Settings::default() })
    }

    /// Opens the store at any place; makes it where there is none.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_at<P: Place>(place: P, settings: Settings) -> Result<Self, Error> {
        let name = place.name();
        let opened = file::open(&place, &settings)?;
        if opened.unclean {
            tracing::warn!(store = %name, "the store was not closed last time; it was repaired");
        }
        let (commits, waiting) = mpsc::channel();
        let (state_in, state) = watch::channel(State::Serving(Arc::new(opened.database)));
        let (changes_in, changes) = watch::channel(opened.revision);
        let place = Arc::new(Mutex::new(place));
        let probed = place.clone();
        let probed_name = name.clone();
        let writer = Writer {
            name: name.clone(),
            probe: Box::new(move || {
                let place = probed.lock().unwrap_or_else(PoisonError::into_inner);
                // What an fsync failed to bring to the disk may still be in the system's cache and
                // look sound; what is built on it would be lost with it (LWN, "PostgreSQL's fsync()
                // surprise", 2018).
                let tried = place.forget().and_then(|()| place.probe());
                tried.map_err(|error| refused(&probed_name, error))
            }),
            first_pause: settings.first_pause,
            open: Box::new(move || {
                file::reopen(&*place.lock().unwrap_or_else(PoisonError::into_inner), &settings)
            }),
            waiting,
            state: state_in,
            changes: changes_in,
            revision: opened.revision,
        };
        let thread = thread::Builder::new().name("store".to_owned());
        let thread = thread.spawn(move || writer.run()).map_err(|error| refused(&name, error))?;
        Ok(Self {
            name,
            commits: Some(commits),
            places: Arc::new(Semaphore::new(WAITING_LIMIT)),
            state,
            changes,
            damaged: Mutex::default(),
            writer: Some(thread),
        })
    }

    /// Waits until the store can never be used again, and says why: the process should end with exit
    /// code 75, so that its supervisor starts it anew.
    ///
    /// Cancel-safe: it only waits.
    pub async fn fatal(&self) -> Error {
        let mut state = self.state.clone();
        match state.wait_for(|state| matches!(state, State::Ended(_))).await.as_deref() {
            Ok(State::Ended(error)) => error.clone(),
            _ => Error::Closed,
        }
    }

    /// Why the store takes no commits at the moment, where it takes none; for health.
    #[must_use]
    pub fn failing(&self) -> Option<Error> {
        match &*self.state.borrow() {
            State::Failing(error) | State::Ended(error) => Some(error.clone()),
            State::Serving(_) | State::Opening => None,
        }
    }

    /// Damaged records that were met so far, in words; for health. At most 1,024.
    #[must_use]
    pub fn damaged(&self) -> Vec<String> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The open file; waits while it is being opened anew.
    async fn database(&self) -> Result<Arc<Database>, Error> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Opening)).await;
        match settled.as_deref() {
            Ok(State::Serving(database)) => Ok(database.clone()),
            Ok(State::Failing(error) | State::Ended(error)) => Err(error.clone()),
            Ok(State::Opening) | Err(_) => Err(Error::Closed),
        }
    }

    /// Looks into the file: on the spot where that is quick, else on a thread that may wait.
    async fn look<T: Send + 'static>(
        &self,
        records: usize,
        look: impl FnOnce(&str, &Database) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let database = self.database().await?;
        if records <= INLINE_RECORDS {
            return look(&self.name, &database);
        }
        let name = self.name.clone();
        let looked = tokio::task::spawn_blocking(move || look(&name, &database)).await;
        looked.unwrap_or(Err(Error::Closed))
    }

    fn report(&self, damaged: Vec<Error>) {
        if damaged.is_empty() {
            return;
        }
        let mut known = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        for error in damaged {
            if known.len() < DAMAGED_LIMIT && known.insert(error.to_string()) {
                tracing::error!(%error, store = %self.name, "a record is damaged; it is not used");
            }
        }
    }
}

#[async_trait]
impl Store for Redb {
    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        let found = self.get_many(std::slice::from_ref(key)).await?;
        Ok(found.into_iter().next().flatten())
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, Error> {
        let (keys, records) = (keys.to_vec(), keys.len());
        let look = move |name: &str, database: &Database| read::get_many(name, database, &keys);
        let found = self.look(records, look).await;
        if let Err(damaged @ Error::Damaged { .. }) = &found {
            self.report(vec![damaged.clone()]);
        }
        found
    }

    async fn scan(&self, range: &Range) -> Result<Vec<(Vec<u8>, Record)>, Error> {
        let (range, limit) = (range.clone(), range.limit);
        let look = move |name: &str, database: &Database| read::scan(name, database, &range);
        let scanned = self.look(limit, look).await?;
        self.report(scanned.damaged);
        Ok(scanned.records)
    }

    async fn commit(&self, batch: Batch) -> Result<u64, Error> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        let commits = self.commits.as_ref().ok_or(Error::Closed)?;
        commits.send(Commit { batch, answer, place }).map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

impl Drop for Redb {
    fn drop(&mut self) {
        drop(self.commits.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!(store = %self.name, "the store's writer has panicked");
        }
    }
}
