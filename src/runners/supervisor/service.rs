//! What the supervisor knows of all its attempts, and what it answers about them.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, wait};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::attempt::{Attempt, Life};
use super::chain;
use super::entry::{Ended, Entry};
use super::family::{self, Tag};
use super::launch::launch;
use super::protocol::{AttemptId, Program};
use crate::clock::Clock;
use crate::tasks::Tasks;

/// Outcomes that nobody released are kept this long: an engine may be down over a long weekend.
const KEEP: Duration = Duration::from_hours(7 * 24);

/// So many new tasks on the machine since the last look make it worth counting whose they are.
const WORTH_COUNTING: u64 = 64;

/// Everything the supervisor knows. It runs on one thread; the lock only says so to the compiler.
pub(super) struct Service {
    pub(super) tasks: Tasks,
    clock: Clock,
    spool: PathBuf,
    /// When this machine started, where every promise since then can be judged.
    booted_ms: Option<i64>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    attempts: HashMap<AttemptId, Arc<Attempt>>,
    /// The first processes that have not been waited for.
    first: HashMap<Pid, oneshot::Sender<WaitStatus>>,
    /// Attempts of which an engine was told that they never began, and on which connection: an older
    /// connection of a dead engine may still hold an order to start one.
    denied: HashMap<AttemptId, u64>,
    connections: u64,
    tasks_counted: u64,
    /// At the last sweep: what cannot be killed is said once.
    strays: usize,
}

/// Why an attempt did not begin.
enum NotBegun {
    Refused(String),
    Full(String),
}

/// What a connection is answered.
pub(super) enum Answer {
    Running(Arc<Attempt>),
    Ended(Ended),
    Lost,
    NeverBegan,
    Refused(String),
    /// There is no room for it now.
    Full(String),
}

impl Service {
    /// Knows nothing yet but what `spool` holds. `booted_ms` is when the machine started, if attempts
    /// of this boot can be told from those of an earlier one.
    pub(super) fn new(tasks: Tasks, clock: Clock, spool: PathBuf, booted_ms: Option<i64>) -> Self {
        Self { tasks, clock, spool, booted_ms, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, id: AttemptId) -> Entry {
        Entry::new(&self.spool, id)
    }

    /// Starts an attempt for connection number `connection`, once: one that is known is attached to.
    pub(super) fn start(
        self: &Arc<Self>,
        id: AttemptId,
        program: Box<Program>,
        connection: u64,
    ) -> Answer {
        let entry = self.entry(id);
        if self.known().attempts.contains_key(&id) || entry.exists() {
            return self.find(id, connection);
        }
        if self.known().denied.get(&id).is_some_and(|by| connection < *by) {
            return Answer::NeverBegan;
        }
        match self.begin(id, &entry, program) {
            Ok(attempt) => Answer::Running(attempt),
            Err(not) => {
                entry.remove();
                match not {
                    NotBegun::Refused(reason) => Answer::Refused(reason),
                    NotBegun::Full(reason) => Answer::Full(reason),
                }
            }
        }
    }

    fn begin(
        self: &Arc<Self>,
        id: AttemptId,
        entry: &Entry,
        mut program: Box<Program>,
    ) -> Result<Arc<Attempt>, NotBegun> {
        entry.create().map_err(|error| unwritten("its folder cannot be made", &error))?;
        for (name, content) in std::mem::take(&mut program.files) {
            let file = entry.own().join(&name);
            std::fs::write(file, content).map_err(|error| {
                unwritten(&format!("its file `{name}` cannot be written"), &error)
            })?;
        }
        let launched = launch(&program, &entry.own(), Tag::of(entry.path()))
            .map_err(|error| NotBegun::Refused(chain(&error)))?;
        let attempt = Arc::new(Attempt::new(id, entry, launched.pid, &program));
        let (end, exited) = oneshot::channel();
        let mut known = self.known();
        known.first.insert(launched.pid, end);
        known.denied.remove(&id);
        known.attempts.insert(id, attempt.clone());
        drop(known);
        let service = self.clone();
        let life =
            Life { service, attempt: attempt.clone(), entry: entry.clone(), program, exited };
        drop(self.tasks.spawn(life.run(launched)));
        Ok(attempt)
    }

    /// What is known of an attempt.
    pub(super) fn find(&self, id: AttemptId, connection: u64) -> Answer {
        if let Some(attempt) = self.known().attempts.get(&id) {
            return Answer::Running(attempt.clone());
        }
        let entry = self.entry(id);
        if let Some(ended) = entry.ended() {
            return Answer::Ended(ended);
        }
        let this_boot = self.booted_ms.is_some_and(|boot| id.execution.minted_millis() >= boot);
        if entry.exists() || !this_boot {
            return Answer::Lost;
        }
        self.known().denied.insert(id, connection);
        Answer::NeverBegan
    }

    /// Asks an attempt to stop, where it runs.
    pub(super) fn cancel(&self, id: AttemptId) {
        if let Some(attempt) = self.known().attempts.get(&id) {
            attempt.cancel.cancel();
        }
    }

    /// Asks an attempt to stand still or to go on, where it runs: the number of the order.
    pub(super) fn hold(&self, id: AttemptId, hold: bool) -> Option<u64> {
        self.known().attempts.get(&id).map(|attempt| attempt.order(hold))
    }

    /// Forgets an attempt that ended.
    pub(super) fn release(&self, id: AttemptId) {
        let mut known = self.known();
        known.denied.remove(&id);
        let ended = |attempt: &Arc<Attempt>| attempt.changes.borrow().is_some();
        if known.attempts.get(&id).is_none_or(ended) {
            known.attempts.remove(&id);
            drop(known);
            self.entry(id).remove();
        }
    }

    /// An attempt ended and its exit record is written.
    pub(super) fn ended(&self, attempt: &Attempt) {
        self.known().attempts.remove(&attempt.id);
    }

    /// A number for a new connection: higher than that of any older one.
    pub(super) fn connection(&self) -> u64 {
        let mut known = self.known();
        known.connections += 1;
        known.connections
    }

    /// Whether nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.known().attempts.is_empty()
    }

    /// Waits for every process that has ended, and tells whose first process it was.
    pub(super) fn reap(&self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let end = self.known().first.remove(&pid);
            if end.is_some_and(|end| end.send(status).is_err()) {
                tracing::error!(%pid, "Nobody waits for a first process any more");
            }
        }
    }

    /// Every living process of an attempt.
    pub(super) fn family(&self, attempt: &Attempt) -> Vec<Pid> {
        let known = self.known();
        let mut roots: Vec<_> = orphans(&known)
            .into_iter()
            .filter(|(_, tag)| *tag == Some(attempt.tag))
            .map(|(pid, _)| pid)
            .collect();
        roots.extend(known.first.contains_key(&attempt.pid).then_some(attempt.pid));
        drop(known);
        family::descendants(roots)
    }

    /// Ends processes whose attempt is over, or that nobody can be told to own.
    pub(super) fn sweep(&self) {
        self.reap();
        let mut known = self.known();
        if known.attempts.is_empty() && family::children(rustix::process::getpid()).is_empty() {
            return;
        }
        let tags: HashSet<_> = known.attempts.values().map(|attempt| attempt.tag).collect();
        let stray =
            orphans(&known).into_iter().filter(|(_, tag)| tag.is_none_or(|t| !tags.contains(&t)));
        let stray: Vec<_> = stray.map(|(pid, _)| pid).collect();
        let before = std::mem::replace(&mut known.strays, stray.len());
        drop(known);
        if !stray.is_empty() {
            if before == 0 {
                tracing::warn!(count = stray.len(), "Processes without an attempt are killed");
            }
            family::signal(&family::descendants(stray), Signal::KILL);
        }
    }

    /// Stops attempts that have more processes than they may. Looks only when the machine has many
    /// more than at the last look, so that it costs nothing otherwise.
    pub(super) fn count(&self) {
        let Some(tasks) = family::tasks_on_machine() else { return };
        let mut known = self.known();
        let grown = tasks.saturating_sub(known.tasks_counted);
        known.tasks_counted = known.tasks_counted.min(tasks);
        if grown < WORTH_COUNTING {
            return;
        }
        known.tasks_counted = tasks;
        let attempts: Vec<_> = known.attempts.values().cloned().collect();
        drop(known);
        for attempt in attempts {
            if self.family(&attempt).len() > attempt.processes as usize {
                attempt.too_many.cancel();
            }
        }
    }

    /// Kills what an earlier supervisor left running: nothing runs without an owner.
    pub(super) fn kill_leftovers(&self) {
        let unended = self.entries().into_iter().filter(|(_, entry)| !entry.has_ended());
        let tags: HashSet<_> = unended.map(|(_, entry)| Tag::of(entry.path())).collect();
        let until = Instant::now() + Duration::from_secs(5);
        while !tags.is_empty() && Instant::now() < until {
            let left = family::wearers(&tags);
            if left.is_empty() {
                return;
            }
            tracing::warn!(count = left.len(), "Processes of a dead supervisor are killed");
            family::signal(&left, Signal::KILL);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Forgets outcomes that are too old to be asked for.
    pub(super) fn forget_old(&self) {
        let now = self.clock.now();
        for (id, entry) in self.entries() {
            let old = now.since(entry.changed()) > KEEP;
            if old && !self.known().attempts.contains_key(&id) {
                entry.remove();
            }
        }
    }

    fn entries(&self) -> Vec<(AttemptId, Entry)> {
        let Ok(folders) = std::fs::read_dir(&self.spool) else { return Vec::new() };
        let ids = folders.flatten().filter_map(|f| f.file_name().to_str()?.parse().ok());
        ids.map(|id| (id, self.entry(id))).collect()
    }
}

/// A full disk is no fault of the attempt: it waits.
fn unwritten(what: &str, error: &io::Error) -> NotBegun {
    let reason = format!("{what}: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NotBegun::Full(reason),
        _ => NotBegun::Refused(reason),
    }
}

fn orphans(known: &Known) -> Vec<(Pid, Option<Tag>)> {
    family::orphans(|pid| known.first.contains_key(&pid))
}
