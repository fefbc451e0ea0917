//! The life of one attempt inside the supervisor: from its first process to its exit record.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitStatus};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::brake::Brake;
use super::entry::{Ended, Entry};
use super::family::{self, Tag};
use super::launch::Launched;
use super::protocol::{AttemptId, Exit, ExitCause, Program};
use super::service::Service;
use super::spool::Spool;
use crate::runners::Stream;

/// How long killing what is left may take before the attempt is called over all the same: only a
/// process in the kernel's uninterruptible sleep lives longer, and a later sweep ends it.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Between two looks at whether what was killed is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Between two kills of a first process that does not die.
const KILL_AGAIN: Duration = Duration::from_secs(1);

/// The size of a read: a quarter of what a pipe holds.
const PIPE: usize = 16 << 10;

/// An attempt that runs, or ran and is still being read.
pub(super) struct Attempt {
    pub(super) id: AttemptId,
    pub(super) tag: Tag,
    pub(super) pid: Pid,
    pub(super) processes: u32,
    pub(super) cancel: CancellationToken,
    /// It started more processes than it may.
    pub(super) too_many: CancellationToken,
    /// The newest order to stand still or to go on, and its number.
    pub(super) orders: watch::Sender<(u64, bool)>,
    /// The last of them that is carried out.
    stands: Mutex<(u64, bool)>,
    spools: Mutex<Spools>,
    /// How it ended, once it has; each change also says that there is new output.
    pub(super) changes: watch::Sender<Option<Exit>>,
}

/// Both streams' output.
pub(super) struct Spools {
    stdout: Spool,
    stderr: Spool,
}

impl Spools {
    /// The two streams of an attempt that ended.
    pub(super) fn of(ended: Ended) -> (Exit, Self) {
        (ended.exit, Self { stdout: ended.stdout, stderr: ended.stderr })
    }

    /// One stream.
    pub(super) fn stream(&self, stream: Stream) -> &Spool {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }
}

impl Attempt {
    /// The attempt whose first process is `pid`.
    pub(super) fn new(id: AttemptId, entry: &Entry, pid: Pid, program: &Program) -> Self {
        let spool = |name| Spool::new(entry.stream(name), program.limits.output_bytes);
        Self {
            id,
            tag: Tag::of(entry.path()),
            pid,
            processes: program.limits.processes,
            cancel: CancellationToken::new(),
            too_many: CancellationToken::new(),
            orders: watch::channel((0, false)).0,
            stands: Mutex::default(),
            spools: Mutex::new(Spools { stdout: spool("stdout"), stderr: spool("stderr") }),
            changes: watch::channel(None).0,
        }
    }

    /// Its output.
    pub(super) fn spools(&self) -> MutexGuard<'_, Spools> {
        self.spools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders it to stand still or to go on.
    pub(super) fn order(&self, hold: bool) -> u64 {
        self.orders.send_modify(|order| *order = (order.0 + 1, hold));
        self.orders.borrow().0
    }

    /// The last order that is carried out, from 1, and whether it stands still.
    pub(super) fn stands(&self) -> (u64, bool) {
        *self.stands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An order is carried out.
    pub(super) fn obeyed(&self, order: (u64, bool)) {
        *self.stands.lock().unwrap_or_else(PoisonError::into_inner) = order;
        self.changes.send_modify(|_| {});
    }

    fn push(&self, stream: Stream, bytes: &[u8]) {
        let mut spools = self.spools();
        match stream {
            Stream::Stdout => spools.stdout.push(bytes),
            Stream::Stderr => spools.stderr.push(bytes),
        }
        drop(spools);
        self.changes.send_modify(|_| {});
    }
}

/// Sees one attempt from its start to its exit record.
pub(super) struct Life {
    pub(super) service: Arc<Service>,
    pub(super) attempt: Arc<Attempt>,
    pub(super) entry: Entry,
    pub(super) program: Box<Program>,
    pub(super) exited: oneshot::Receiver<WaitStatus>,
}

impl Life {
    /// Waits for the end, brings it about when the time is up or somebody cancels, and records it.
    pub(super) async fn run(mut self, launched: Launched) {
        let mut out = Flow::new(Stream::Stdout, launched.stdout);
        let mut err = Flow::new(Stream::Stderr, launched.stderr);
        if let (Some(pipe), Some(input)) = (launched.stdin, self.program.input.take()) {
            drop(self.service.tasks.spawn(feed(pipe, input)));
        }
        let (status, cause) = self.wait(&mut out, &mut err).await;
        let (leftovers, survivors) = self.clear().await;
        let drained = async {
            while out.is_open() || err.is_open() {
                tokio::select! {
                    () = out.flow(&self.attempt), if out.is_open() => {}
                    () = err.flow(&self.attempt), if err.is_open() => {}
                }
            }
        };
        // Whoever held the pipes is dead, so this ends at once, but for a survivor.
        drop(tokio::time::timeout(KILL_AGAIN, drained).await);
        let exit = self.exit(status, cause, leftovers, survivors);
        self.close(exit);
    }

    /// Until the first process has ended: its status, and who ended it.
    async fn wait(&mut self, out: &mut Flow, err: &mut Flow) -> (Option<WaitStatus>, ExitCause) {
        let limit = Duration::from_millis(self.program.timeout_ms);
        let alarm = tokio::time::sleep_until(later(limit));
        tokio::pin!(alarm);
        let (service, attempt) = (Arc::clone(&self.service), Arc::clone(&self.attempt));
        let mut brake = Brake::new(&service, &attempt);
        let mut cause = ExitCause::Itself;
        loop {
            let going = cause == ExitCause::Itself;
            tokio::select! {
                biased;
                status = &mut self.exited => return (status.ok(), cause),
                () = self.attempt.cancel.cancelled(), if going => {
                    cause = ExitCause::Cancel;
                    alarm.as_mut().reset(self.ask());
                }
                () = self.attempt.too_many.cancelled(), if going => {
                    cause = ExitCause::Processes;
                    alarm.as_mut().reset(Instant::now());
                }
                () = &mut alarm => {
                    if going {
                        cause = ExitCause::Timeout;
                        alarm.as_mut().reset(self.ask());
                    } else {
                        family::signal(&self.service.family(&self.attempt), Signal::KILL);
                        alarm.as_mut().reset(later(KILL_AGAIN));
                    }
                }
                () = brake.wanted(), if going => {
                    let end = brake.pull(alarm.deadline());
                    alarm.as_mut().reset(end);
                }
                () = out.flow(&self.attempt), if out.is_open() => {}
                () = err.flow(&self.attempt), if err.is_open() => {}
            }
        }
    }

    /// Asks everybody to end, and says when to stop asking.
    fn ask(&self) -> Instant {
        let family = self.service.family(&self.attempt);
        family::signal(&family, Signal::TERM);
        // One that is held hears it only then.
        family::signal(&family, Signal::CONT);
        later(Duration::from_millis(self.program.grace_ms))
    }

    /// Kills whatever the first process left behind. Says how many there were and how many remain.
    async fn clear(&self) -> (usize, usize) {
        let until = later(LAST_WAIT);
        let mut leftovers = 0;
        loop {
            self.service.reap();
            let alive = self.service.family(&self.attempt);
            leftovers = leftovers.max(alive.len());
            if alive.is_empty() || Instant::now() >= until {
                return (leftovers, alive.len());
            }
            family::signal(&alive, Signal::KILL);
            nap(LOOK_AGAIN).await;
        }
    }

    fn exit(
        &self,
        status: Option<WaitStatus>,
        cause: ExitCause,
        leftovers: usize,
        survivors: usize,
    ) -> Exit {
        let mut notes = Vec::new();
        if survivors > 0 {
            notes.push(format!("{survivors} of its processes cannot be killed"));
        }
        if cause == ExitCause::Processes {
            notes.push(format!("it had more than {} processes at once", self.attempt.processes));
        }
        let (answer, note) = self.answer();
        notes.extend(note);
        let spools = self.attempt.spools();
        for spool in [&spools.stdout, &spools.stderr] {
            notes.extend(spool.failure().map(|error| format!("output is lost: {error}")));
        }
        Exit {
            code: status.map_or(-1, code),
            cause,
            answer,
            leftovers: u32::try_from(leftovers).unwrap_or(u32::MAX),
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }

    /// The answer file, and what is wrong with it.
    fn answer(&self) -> (Option<String>, Option<String>) {
        let Some(name) = &self.program.answer else { return (None, None) };
        let file = self.entry.own().join(name);
        let most = self.program.limits.answer_bytes;
        match std::fs::symlink_metadata(&file) {
            Err(_) => (None, None),
            Ok(meta) if !meta.is_file() => (None, Some("its answer is no file".to_owned())),
            Ok(meta) if meta.len() > most => {
                (None, Some(format!("its answer of {} bytes is larger than {most}", meta.len())))
            }
            Ok(_) => match std::fs::read_to_string(&file) {
                Ok(answer) => (Some(answer), None),
                Err(error) => (None, Some(format!("its answer cannot be read: {error}"))),
            },
        }
    }

    /// Records the end, then tells whoever listens.
    fn close(self, exit: Exit) {
        let spools = self.attempt.spools();
        let kept = self.entry.close(&exit, &spools.stdout, &spools.stderr, &self.program.limits);
        drop(spools);
        match kept {
            Ok(()) => self.service.ended(&self.attempt),
            // It stays known in memory until it is released.
            Err(error) => {
                tracing::error!(id = %self.attempt.id, %error, "An end cannot be recorded");
            }
        }
        drop(self.attempt.changes.send_replace(Some(exit)));
    }
}

/// One stream, from the pipe into its spool.
struct Flow {
    stream: Stream,
    pipe: Option<pipe::Receiver>,
}

impl Flow {
    fn new(stream: Stream, pipe: OwnedFd) -> Self {
        let pipe = pipe::Receiver::from_owned_fd(pipe);
        let pipe = pipe.inspect_err(|error| tracing::error!(%error, "A pipe cannot be read"));
        Self { stream, pipe: pipe.ok() }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Waits for output and takes what there is.
    ///
    /// Cancel-safe: what was read is in the spool.
    async fn flow(&mut self, attempt: &Attempt) {
        let Some(pipe) = &self.pipe else { return };
        let ended = match pipe.readable().await {
            Ok(()) => take(pipe, self.stream, attempt),
            Err(_) => true,
        };
        if ended {
            self.pipe = None;
        }
    }
}

/// Takes what waits in the pipe; says whether that was the end. The buffer stands on the stack: a
/// thousand attempts share it.
fn take(pipe: &pipe::Receiver, stream: Stream, attempt: &Attempt) -> bool {
    let mut buffer = [0; PIPE];
    match pipe.try_read(&mut buffer) {
        Ok(0) => true,
        Ok(length) => {
            attempt.push(stream, &buffer[..length]);
            false
        }
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Writes a program's standard input and closes it. A program that does not want it is none the worse.
async fn feed(pipe: OwnedFd, input: String) {
    let written = async { pipe::Sender::from_owned_fd(pipe)?.write_all(input.as_bytes()).await };
    if let Err(error) = written.await {
        tracing::debug!(%error, "A program did not read its input to the end");
    }
}

/// The exit code as shells and StackStorm show it: a signal is its number below zero.
fn code(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| -signal)).unwrap_or(-1)
}

/// That long from now. Deadlines of processes follow the monotonic clock, as their programs do.
pub(super) fn later(span: Duration) -> Instant {
    // A year is for ever, and does not overflow.
    Instant::now() + span.min(Duration::from_hours(365 * 24))
}

async fn nap(span: Duration) {
    tokio::time::sleep_until(later(span)).await;
}
