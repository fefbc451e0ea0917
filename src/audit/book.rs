//! The one who writes: lines that wait are chained and written in one commit, so that many callers
//! share one fsync.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::audit::chain;
use crate::audit::line::{Entry, Phase};
use crate::clock::Clock;
use crate::model::id::RecordId;
use crate::model::time::Time;
use crate::store::{self, Handle};

/// Lines that wait, and calls under way that will leave one: beyond that, callers wait.
const WAITING_LIMIT: usize = 8192;
/// Lines in one commit.
const BATCH_LINES: usize = 512;
/// Lines of calls that are over which the store did not take: beyond that their outcome is unknown.
const LATE_LIMIT: usize = 10_000;
/// How long a refused caller's further tries are counted instead of written.
const COUNTED: Duration = Duration::from_mins(1);
/// Addresses that are counted apart; the tries of further ones are counted together.
const ADDRESSES_LIMIT: usize = 1000;
/// Calls a minute and address of those whom nobody knows (who answer a question by its link, or sign
/// in) that may leave lines: far more than people make, behind one proxy too.
const UNKNOWN_LIMIT: u32 = 120;
/// What stands in the place of the address for those.
const OTHERS: &str = "others";
/// After the store failed, how long until it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

enum Message {
    /// To be on disk before its writer goes on.
    Now(Box<Entry>, oneshot::Sender<Result<(), store::Error>>),
    /// To be written soon.
    Soon(Box<Entry>),
    /// Somebody without a good key.
    Stranger(Box<Entry>),
    /// Whoever asks wants all that was left before to be on disk.
    Settle(oneshot::Sender<()>),
}

/// Where lines are handed over. Cheap to clone.
#[derive(Clone)]
pub struct Book {
    waiting: mpsc::Sender<Message>,
    open: Arc<Mutex<HashSet<RecordId>>>,
    /// Refused callers who were not even counted by address.
    lost: Arc<AtomicU64>,
    /// Calls of those whom nobody knows: since when they are counted, and how many there were.
    tries: Arc<Mutex<HashMap<String, (Time, u32)>>>,
}

/// The place for the line of a call's end: it is kept from the beginning, so that there is one.
pub struct Slot {
    permit: mpsc::OwnedPermit<Message>,
    call: RecordId,
    open: Arc<Mutex<HashSet<RecordId>>>,
}

impl Slot {
    /// Leaves the line of the call's end.
    pub fn close(self, entry: Entry) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.call);
        drop(self.permit.send(Message::Soon(Box::new(entry))));
    }
}

impl Book {
    /// Writes that a call is let in; it is on disk when this returns.
    ///
    /// # Errors
    /// As `Store::commit`: then nothing may be done.
    pub async fn asked(&self, entry: Entry, call: RecordId) -> Result<Slot, store::Error> {
        let permit =
            self.waiting.clone().reserve_owned().await.map_err(|_| store::Error::Closed)?;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(call);
        let open = Arc::clone(&self.open);
        let written = self.write(Entry { call: Some(call), ..entry }).await;
        if let Err(error) = written {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&call);
            return Err(error);
        }
        Ok(Slot { permit, call, open })
    }

    /// Writes a line; it is on disk when this returns.
    ///
    /// # Errors
    /// As `Store::commit`.
    pub async fn write(&self, entry: Entry) -> Result<(), store::Error> {
        let (answer, answered) = oneshot::channel();
        let message = Message::Now(Box::new(entry), answer);
        self.waiting.send(message).await.map_err(|_| store::Error::Closed)?;
        answered.await.unwrap_or(Err(store::Error::Closed))
    }

    /// Notes that somebody without a good key was not let in: the first try of an address is written,
    /// the others within a minute are counted.
    pub fn stranger(&self, entry: Entry) {
        if self.waiting.try_send(Message::Stranger(Box::new(entry))).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether one more call may leave lines of somebody whom nobody knows: so many a minute may, from
    /// each address.
    #[must_use]
    pub fn admits(&self, from: &str, now: Time) -> bool {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.retain(|_, (since, _)| since.plus(COUNTED) > now);
        let full = tries.len() >= ADDRESSES_LIMIT && !tries.contains_key(from);
        let from = if full { OTHERS } else { from };
        let (_, count) = tries.entry(from.to_owned()).or_insert((now, 0));
        *count += 1;
        *count <= UNKNOWN_LIMIT
    }

    /// Returns once everything is on disk that was left before.
    pub async fn settle(&self) {
        let (answer, answered) = oneshot::channel();
        if self.waiting.send(Message::Settle(answer)).await.is_ok() {
            answered.await.unwrap_or_default();
        }
    }

    /// Whether a call is under way in this process.
    #[must_use]
    pub fn is_open(&self, call: RecordId) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).contains(&call)
    }
}

/// Builds the book and the loop behind it.
#[must_use]
pub fn open(store: Handle, clock: Clock) -> (Book, Stage) {
    let (sender, waiting) = mpsc::channel(WAITING_LIMIT);
    let lost = Arc::new(AtomicU64::new(0));
    let book = Book {
        waiting: sender,
        open: Arc::default(),
        lost: Arc::clone(&lost),
        tries: Arc::default(),
    };
    let stage = Stage { store, clock, waiting, late: Vec::new(), strangers: HashMap::new(), lost };
    (book, stage)
}

/// The loop that writes.
pub struct Stage {
    store: Handle,
    clock: Clock,
    waiting: mpsc::Receiver<Message>,
    /// Lines that nobody waits for, in their order.
    late: Vec<Entry>,
    /// Since when tries of an address are counted, and how many there were.
    strangers: HashMap<String, (Time, u64)>,
    lost: Arc<AtomicU64>,
}

impl Stage {
    /// Writes until `stop`, then what still waits.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let wake = self.wake();
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                first = self.waiting.recv() => match first {
                    Some(first) => Some(first),
                    None => break,
                },
                () = at(&self.clock, wake), if wake.is_some() => None,
            };
            self.round(first).await;
        }
        self.waiting.close();
        for (since, _) in self.strangers.values_mut() {
            *since = Time::from_millis(0);
        }
        while let Ok(message) = self.waiting.try_recv() {
            self.round(Some(message)).await;
        }
        self.round(None).await;
    }

    /// When something is to be done though nobody writes.
    fn wake(&self) -> Option<Time> {
        let over = self.strangers.values().map(|(since, _)| since.plus(COUNTED)).min();
        let late = (!self.late.is_empty()).then(|| self.clock.now().plus(PAUSE));
        over.into_iter().chain(late).min()
    }

    async fn round(&mut self, first: Option<Message>) {
        let now = self.clock.now();
        let mut entries = std::mem::take(&mut self.late);
        let (mut soon, mut answers, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = first;
        while let Some(message) = next.take() {
            match message {
                Message::Now(entry, answer) => {
                    soon.push((*entry, true));
                    answers.push(answer);
                }
                Message::Soon(entry) => soon.push((*entry, false)),
                Message::Stranger(entry) => {
                    soon.extend(self.count(*entry, now).map(|entry| (entry, false)));
                }
                Message::Settle(answer) => settled.push(answer),
            }
            if entries.len() + soon.len() < BATCH_LINES {
                next = self.waiting.try_recv().ok();
            }
        }
        soon.extend(self.counted(now).into_iter().map(|entry| (entry, false)));
        entries.extend(soon.iter().map(|(entry, _)| entry.clone()));
        let late = entries.len() - soon.len();
        let written = if entries.is_empty() {
            Ok(())
        } else {
            chain::append(&self.store, &entries, now).await.map(drop)
        };
        if let Err(error) = &written {
            tracing::error!(%error, lines = entries.len(), "the audit log cannot be written");
            // Whoever waits is told; the others' lines are tried again.
            let kept = soon.into_iter().filter(|(_, waits)| !waits).map(|(entry, _)| entry);
            entries.truncate(late);
            entries.extend(kept);
            entries.truncate(LATE_LIMIT);
            self.late = entries;
        }
        for answer in answers {
            drop(answer.send(written.clone()));
        }
        for answer in settled {
            answer.send(()).unwrap_or_default();
        }
    }

    /// The line for a try of somebody without a good key, where it is the first of its address.
    fn count(&mut self, entry: Entry, now: Time) -> Option<Entry> {
        let from = entry.from.clone().unwrap_or_default();
        if let Some((_, count)) = self.strangers.get_mut(&from) {
            *count += 1;
            return None;
        }
        if self.strangers.len() >= ADDRESSES_LIMIT {
            self.strangers.entry(OTHERS.to_owned()).or_insert((now, 0)).1 += 1;
            return None;
        }
        self.strangers.insert(from, (now, 0));
        Some(entry)
    }

    /// Lines for those whose minute is over.
    fn counted(&mut self, now: Time) -> Vec<Entry> {
        let line = |from: String, count: u64| Entry {
            from: Some(from),
            count: Some(count),
            reason: Some("no good key".to_owned()),
            ..Entry::new(Phase::Counted)
        };
        let over: Vec<(String, (Time, u64))> =
            self.strangers.extract_if(|_, (since, _)| since.plus(COUNTED) <= now).collect();
        let mut lines: Vec<Entry> = over
            .into_iter()
            .filter(|(_, (_, count))| *count > 0)
            .map(|(from, (_, count))| line(from, count))
            .collect();
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            lines.push(line(OTHERS.to_owned(), lost));
        }
        lines
    }
}

async fn at(clock: &Clock, wake: Option<Time>) {
    if let Some(wake) = wake {
        clock.sleep_until(wake).await;
    }
}
