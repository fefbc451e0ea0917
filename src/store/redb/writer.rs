//! The one writer: takes all commits that wait, writes them in one transaction, and answers after the
//! one fsync. After a failure it opens the file anew by itself: an fsync that failed is never tried
//! again as if nothing had happened.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use ::redb::{Database, Table, WriteTransaction};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use crate::store::batch::{Batch, Expectation};
use crate::store::redb::file::{Opened, broken, definition, guarded, refused, set_revision};
use crate::store::table::hex;
use crate::store::{Error, Key, record};

/// Bytes that one transaction takes at most before it is written; what waits goes with the next one.
/// It bounds how long the first of them waits for the last.
const GROUP_BYTES: usize = 8 << 20;
/// The longest pause between two tries to open the file anew.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long the last readers of a file that is to be opened anew may take.
const READERS_GRACE: Duration = Duration::from_secs(30);

/// A batch that waits.
pub(super) struct Commit {
    pub(super) batch: Batch,
    pub(super) answer: oneshot::Sender<Result<u64, Error>>,
    /// Its place in the queue, given back with the answer.
    pub(super) place: OwnedSemaphorePermit,
}

/// How the store stands.
#[derive(Clone)]
pub(super) enum State {
    /// The file is open.
    Serving(Arc<Database>),
    /// It is being opened anew; this takes moments.
    Opening,
    /// It could not be opened anew so far.
    Failing(Error),
    /// It will not be opened again.
    Ended(Error),
}

/// What the writer needs to open its file again.
pub(super) type Open = Box<dyn Fn() -> Result<Opened, Error> + Send>;

pub(super) struct Writer {
    pub(super) name: String,
    pub(super) open: Open,
    /// Says why going on would fail again, without touching the file.
    pub(super) probe: Box<dyn Fn() -> Result<(), Error> + Send>,
    pub(super) waiting: Receiver<Commit>,
    pub(super) state: watch::Sender<State>,
    pub(super) changes: watch::Sender<u64>,
    /// The newest commit that was answered.
    pub(super) revision: u64,
    pub(super) first_pause: Duration,
}

impl Writer {
    /// Works until nobody can commit any more, then closes the file.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.waiting.recv() {
            let group = self.gather(first);
            if let Err(error) = self.write(group)
                && !self.mend(error)
            {
                break;
            }
        }
        self.release();
        self.state.send_if_modified(|state| {
            let ended = matches!(state, State::Ended(_));
            if !ended {
                *state = State::Ended(Error::Closed);
            }
            !ended
        });
    }

    fn gather(&self, first: Commit) -> Vec<Commit> {
        let mut size = first.batch.size_bytes();
        let mut group = vec![first];
        while size < GROUP_BYTES
            && let Ok(next) = self.waiting.try_recv()
        {
            size += next.batch.size_bytes();
            group.push(next);
        }
        group
    }

    /// Writes a group and answers it.
    fn write(&mut self, group: Vec<Commit>) -> Result<(), Error> {
        let state = self.state.borrow().clone();
        let written = match state {
            State::Serving(database) => {
                guarded(&self.name, || write_group(&self.name, &database, self.revision, &group))
            }
            State::Opening => Err(Error::Closed),
            State::Failing(error) | State::Ended(error) => Err(error),
        };
        match written {
            Ok(written) => {
                // First the watch, then the answers: whoever has an answer finds its commit there.
                if written.revision > self.revision {
                    self.changes.send_replace(written.revision);
                }
                self.revision = written.revision;
                for (commit, answer) in group.into_iter().zip(written.answers) {
                    commit.give(answer);
                }
                Ok(())
            }
            Err(error) => {
                for commit in group {
                    commit.give(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    /// Opens the file anew, for as long as it takes. Says whether there is anything left to do.
    fn mend(&mut self, mut error: Error) -> bool {
        tracing::error!(%error, store = %self.name, "a commit failed; the store is opened anew");
        let mut pause = self.first_pause;
        loop {
            // Reads go on as long as trying anew is pointless.
            let reopened = match (self.probe)() {
                Ok(()) => self.reopen().inspect_err(|failed| {
                    let failed = failed.clone();
                    self.state.send_replace(if failed.is_passing() {
                        State::Failing(failed)
                    } else {
                        State::Ended(failed)
                    });
                }),
                still => still,
            };
            match reopened {
                Ok(()) => {
                    tracing::warn!(store = %self.name, "the store is open again");
                    return true;
                }
                Err(passing) if passing.is_passing() => error = passing,
                Err(fatal) => {
                    tracing::error!(error = %fatal, store = %self.name, "the store has ended");
                    while let Ok(commit) = self.waiting.recv() {
                        commit.give(Err(fatal.clone()));
                    }
                    return false;
                }
            }
            if !self.refuse_for(pause, &error) {
                return false;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn reopen(&mut self) -> Result<(), Error> {
        self.release();
        let opened = (self.open)().map_err(|error| match error {
            // A backup that was under way still reads the old one; it will end.
            Error::InUse { path, .. } => Error::Io { path, what: "it is still read".to_owned() },
            error => error,
        })?;
        if opened.revision < self.revision {
            let what =
                format!("it was at commit {} and came back at {}", self.revision, opened.revision);
            return Err(broken(&self.name, &what));
        }
        // A commit that failed may be there all the same.
        self.revision = opened.revision;
        self.state.send_replace(State::Serving(Arc::new(opened.database)));
        self.changes.send_replace(self.revision);
        Ok(())
    }

    /// Answers whoever comes within `span` with `error`. Says whether anybody can still come.
    fn refuse_for(&self, span: Duration, error: &Error) -> bool {
        let end = Instant::now() + span;
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            match self.waiting.recv_timeout(rest) {
                Ok(commit) => commit.give(Err(error.clone())),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            // Whoever asks again at once must not keep the file from being opened.
            if rest.is_zero() {
                return true;
            }
        }
    }

    /// Closes the file when its last reader is done.
    fn release(&self) {
        let State::Serving(mut database) = self.state.send_replace(State::Opening) else { return };
        let end = Instant::now() + READERS_GRACE;
        loop {
            match Arc::try_unwrap(database) {
                Ok(last) => {
                    // Closing writes, and may fail like any other write: what was acknowledged is
                    // safe already, and the next one to open the file repairs the rest.
                    if let Err(error) = guarded(&self.name, || {
                        drop(last);
                        Ok(())
                    }) {
                        tracing::warn!(%error, "the store was not closed cleanly");
                    }
                    return;
                }
                Err(shared) if Instant::now() > end => {
                    drop(shared);
                    return;
                }
                Err(shared) => database = shared,
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Commit {
    fn give(self, answer: Result<u64, Error>) {
        drop(self.place);
        // Whoever asked may have gone; what was written stays written.
        drop(self.answer.send(answer));
    }
}

struct Written {
    revision: u64,
    answers: Vec<Result<u64, Error>>,
}

/// One transaction for all: each batch sees what those before it wrote; one that conflicts is left out.
fn write_group(
    name: &str,
    database: &Database,
    before: u64,
    group: &[Commit],
) -> Result<Written, Error> {
    let transaction = database.begin_write().map_err(|error| refused(name, error))?;
    let mut revision = before;
    let mut answers = Vec::with_capacity(group.len());
    {
        let mut tables = Tables { name, transaction: &transaction, open: HashMap::new() };
        for Commit { batch, .. } in group {
            answers.push(match tables.check(batch)? {
                Some(refusal) => Err(refusal),
                None if batch.is_empty() => Ok(revision),
                None => {
                    revision += 1;
                    tables.write(batch, revision)?;
                    Ok(revision)
                }
            });
        }
    }
    if revision == before {
        transaction.abort().map_err(|error| refused(name, error))?;
    } else {
        set_revision(&transaction, revision).map_err(|error| refused(name, error))?;
        transaction.commit().map_err(|error| refused(name, error))?;
    }
    Ok(Written { revision, answers })
}

/// The tables of one transaction, each opened when it is first wanted.
struct Tables<'t> {
    name: &'t str,
    transaction: &'t WriteTransaction,
    open: HashMap<&'static str, Table<'t, &'static [u8], &'static [u8]>>,
}

impl<'t> Tables<'t> {
    fn table(
        &mut self,
        table: &'static str,
    ) -> Result<&mut Table<'t, &'static [u8], &'static [u8]>, Error> {
        use std::collections::hash_map::Entry;
        Ok(match self.open.entry(table) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(empty) => {
                let open = self.transaction.open_table(definition(table));
                empty.insert(open.map_err(|error| refused(self.name, error))?)
            }
        })
    }

    /// Why the batch is refused, where it is.
    fn check(&mut self, batch: &Batch) -> Result<Option<Error>, Error> {
        use ::redb::ReadableTable;
        let name = self.name;
        for (key, expectation) in &batch.expectations {
            let table = self.table(key.table)?;
            let value = table.get(key.bytes.as_slice()).map_err(|error| refused(name, error))?;
            let found = match &value {
                None => None,
                Some(value) => match record::look(key.table, &key.bytes, value.value()) {
                    Ok((revision, _)) => Some(revision),
                    Err(damaged) => return Ok(Some(damaged)),
                },
            };
            let expected = match expectation {
                Expectation::Absent => None,
                Expectation::At(revision) => Some(*revision),
            };
            if found != expected {
                let Key { table, bytes } = key;
                return Ok(Some(Error::Conflict { table, key: hex(bytes) }));
            }
        }
        Ok(None)
    }

    fn write(&mut self, batch: &Batch, revision: u64) -> Result<(), Error> {
        let name = self.name;
        for (key, content) in &batch.writes {
            let table = self.table(key.table)?;
            let bytes = key.bytes.as_slice();
            match content {
                Some(content) => {
                    let sealed = record::seal(key.table, bytes, revision, content);
                    table.insert(bytes, sealed.as_slice()).map(drop)
                }
                None => table.remove(bytes).map(drop),
            }
            .map_err(|error| refused(name, error))?;
        }
        Ok(())
    }
}
