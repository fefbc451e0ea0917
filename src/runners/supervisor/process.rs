//! The supervisor as a process: `ifso supervise <folder>`. It outlives the engine that started it, and
//! ends by itself when nobody needs it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{
    Resource, Rlimit, getpid, getrlimit, set_child_subreaper, setrlimit, setsid, umask,
};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::chain;
use super::connection::serve;
use super::service::Service;
use crate::clock;
use crate::tasks::Tasks;

/// Without an engine and without work it ends after this.
const IDLE: Duration = Duration::from_mins(5);

/// Between two looks for fork bombs.
const COUNT: Duration = Duration::from_millis(100);

/// Looks between two sweeps for strays.
const SWEEP_EVERY: u32 = 10;

/// Sweeps between two looks for outcomes that are too old: an hour.
const FORGET_EVERY: u32 = 36_000;

/// Why a supervisor cannot work.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("`{}` cannot be used by the supervisor", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("the supervisor cannot become what it has to be: {what}")]
    Process { what: &'static str, source: io::Error },
}

/// Runs the supervisor of `folder` until nobody needs it. Another one at work there makes this one
/// end at once, well.
#[must_use]
pub fn main(folder: &Path) -> ExitCode {
    // Its standard error is its log file.
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(io::stderr);
    drop(log.try_init());
    match run(folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = chain(&error), "The supervisor cannot work");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Path) -> Result<(), Error> {
    let at = |source| Error::Folder { path: folder.to_owned(), source };
    let spool = folder.join("spool");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&spool).map_err(at)?;
    let folder = folder.canonicalize().map_err(at)?;
    let lock = File::create(folder.join("lock")).map_err(at)?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    detach()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Process { what: "runtime", source })?;
    runtime.block_on(watch(&folder))?;
    drop(fs::remove_file(folder.join("socket")));
    drop(lock);
    Ok(())
}

/// Leaves the engine's session, adopts orphans, and sets what every action inherits.
fn detach() -> Result<(), Error> {
    let failed =
        |what| move |error: rustix::io::Errno| Error::Process { what, source: error.into() };
    if let Err(error) = setsid() {
        tracing::info!(%error, "Started by hand in a shell: it stays in its session");
    }
    set_child_subreaper(Some(getpid())).map_err(failed("sub-reaper"))?;
    umask(Mode::RWXG | Mode::RWXO);
    let files = getrlimit(Resource::Nofile);
    let most = Rlimit { current: files.maximum, maximum: files.maximum };
    setrlimit(Resource::Nofile, most).map_err(failed("open files"))
}

async fn watch(folder: &Path) -> Result<(), Error> {
    let at = |source| Error::Folder { path: folder.to_owned(), source };
    let tasks = Tasks::new();
    let spool = folder.join("spool");
    let booted = booted_ms(folder).map_err(at)?;
    let service = Arc::new(Service::new(tasks.clone(), clock::system(), spool, booted));
    service.kill_leftovers();
    let socket = folder.join("socket");
    drop(fs::remove_file(&socket));
    let listener = listen(folder).map_err(at)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).map_err(at)?;
    let mut ended = signal(SignalKind::child()).map_err(at)?;
    let mut tick = interval(COUNT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0u32;
    let mut busy = Instant::now();
    tracing::info!(pid = %getpid(), "The supervisor is ready");
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    let serving = serve(service.clone(), socket);
                    drop(tasks.spawn(async move {
                        if let Err(error) = serving.await {
                            tracing::debug!(error = chain(&error), "A connection ended early");
                        }
                    }));
                }
                Err(error) => tracing::error!(%error, "A connection cannot be accepted"),
            },
            _ = ended.recv() => service.reap(),
            _ = tick.tick() => {
                ticks = ticks.wrapping_add(1);
                if !service.is_idle() || tasks.running() > 0 {
                    busy = Instant::now();
                    service.count();
                }
                if ticks.is_multiple_of(SWEEP_EVERY) {
                    service.sweep();
                }
                if ticks.is_multiple_of(FORGET_EVERY) {
                    service.forget_old();
                }
                if busy.elapsed() > IDLE {
                    return Ok(());
                }
            }
        }
    }
}

/// Listens at `folder/socket`. A socket's path may have 107 bytes only, so it goes through the folder's
/// descriptor.
fn listen(folder: &Path) -> io::Result<UnixListener> {
    let open = File::open(folder)?;
    UnixListener::bind(short(&open))
}

/// The path of the socket in the folder that is open as `folder`, however long its own path is.
pub(super) fn short(folder: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}/socket", folder.as_raw_fd()))
}

/// When this machine started, in milliseconds since 1970. Nothing where the supervisor's folder was
/// last used in an earlier boot: a crash of the machine may have taken the trace of what had begun.
fn booted_ms(folder: &Path) -> io::Result<Option<i64>> {
    let now = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let file = folder.join("boot");
    let before = fs::read_to_string(&file);
    fs::write(&file, &now)?;
    if before.is_ok_and(|before| before != now) {
        return Ok(None);
    }
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    let seconds = line.and_then(|seconds| seconds.trim().parse::<i64>().ok());
    Ok(seconds.map(|seconds| seconds * 1000))
}
