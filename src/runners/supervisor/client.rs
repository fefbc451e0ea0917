//! The engine's side: starts the supervisor where none runs, and follows one attempt per connection.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::process::short;
use super::protocol::{self, AttemptId, Frames, Opening, Program, Reply, Request, VERSION, send};

/// How long a new supervisor may take until it listens; it kills what an earlier one left first.
const START: Duration = Duration::from_secs(15);

/// Between two tries to reach a new one.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// Past this size, the log starts anew with the next supervisor.
const LONGEST_LOG: u64 = 1 << 20;

/// How to reach the supervisor.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This product's own binary, which is started as `<program> supervise <folder>`.
    pub program: PathBuf,
    /// `<data>/supervisor`.
    pub folder: PathBuf,
}

/// A handle on the supervisor of one data folder. Cheap to clone.
#[derive(Clone)]
pub struct Supervisor {
    settings: Arc<Settings>,
    /// One starts it, the others wait.
    starting: Arc<Mutex<()>>,
}

/// What the supervisor said about an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// It runs or ran; its output follows from the beginning, then `Ended`.
    Reply(Reply),
    /// The supervisor is gone.
    Silence,
}

/// Why the supervisor cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be started.
    #[error("the supervisor `{}` cannot be started in `{}`", .program.display(), .folder.display())]
    Start {
        /// This product's binary.
        program: PathBuf,
        /// The supervisor's folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was started, but does not listen.
    #[error("the supervisor does not listen; its log is `{}`", .log.display())]
    Deaf {
        /// Its log file.
        log: PathBuf,
    },
    /// It is older than this engine.
    #[error("the supervisor does not know how to hold what runs")]
    Old,
    /// The conversation broke.
    #[error(transparent)]
    Protocol(#[from] protocol::Error),
}

impl Error {
    /// The next step.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Start { .. } => "check that the binary exists and the data folder is writable",
            Self::Deaf { .. } => "read the supervisor's log, and end a process that hangs",
            Self::Old => "wait until what it runs has ended; the next one knows it",
            Self::Protocol(_) => "the attempt is asked for again when the engine starts",
        }
    }
}

/// A conversation about one attempt.
pub struct Conversation {
    frames: Frames<OwnedReadHalf>,
    // Held open: its end tells the supervisor that the engine is gone.
    _writer: tokio::net::unix::OwnedWriteHalf,
}

impl Conversation {
    /// What the supervisor says next.
    ///
    /// Cancel-safe: a half-read frame stays.
    ///
    /// # Errors
    /// `Protocol` where it says what nobody understands.
    pub async fn hear(&mut self) -> Result<Heard, Error> {
        match self.frames.next().await {
            Ok(Some(reply)) => Ok(Heard::Reply(reply)),
            Ok(None) | Err(protocol::Error::Broken(_)) => Ok(Heard::Silence),
            Err(error) => Err(error.into()),
        }
    }
}

impl Supervisor {
    /// The supervisor that `settings` tell of; it is started when it is first needed.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), starting: Arc::default() }
    }

    /// Starts an attempt, or attaches to it where it is known.
    ///
    /// # Errors
    /// `Start`, `Deaf`, `Protocol`.
    pub async fn start(&self, id: AttemptId, program: Program) -> Result<Conversation, Error> {
        self.open(id, Request::Start(Box::new(program))).await
    }

    /// Attaches to an attempt, or learns what became of it.
    ///
    /// # Errors
    /// `Start`, `Deaf`, `Protocol`.
    pub async fn attach(&self, id: AttemptId) -> Result<Conversation, Error> {
        self.open(id, Request::Attach).await
    }

    /// Asks an attempt to stop. Returns when the supervisor has heard it.
    ///
    /// # Errors
    /// `Start`, `Deaf`, `Protocol`.
    pub async fn cancel(&self, id: AttemptId) -> Result<(), Error> {
        self.open(id, Request::Cancel).await?.hear().await.map(drop)
    }

    /// Asks that an attempt stand still, or go on. Gives the number of the order; nothing where it does
    /// not run. Returns when the supervisor has heard it; once it is so, the conversation about the
    /// attempt says it.
    ///
    /// # Errors
    /// `Start`, `Deaf`, `Protocol`; `Old` where the supervisor does not know how.
    pub async fn hold(&self, id: AttemptId, hold: bool) -> Result<Option<u64>, Error> {
        match self.open(id, Request::Hold(hold)).await?.hear().await? {
            Heard::Reply(Reply::Ordered { order }) => Ok(order),
            Heard::Reply(_) | Heard::Silence => Err(Error::Old),
        }
    }

    /// Says that an attempt's outcome is stored: the supervisor may forget it. Until then it keeps the
    /// outcome, for an engine that died before it stored it. None is started for this.
    ///
    /// # Errors
    /// `Protocol`.
    pub async fn release(&self, id: AttemptId) -> Result<(), Error> {
        let socket = self.reach().await.map_err(protocol::Error::Broken)?;
        Self::say(socket, id, Request::Release).await?.hear().await.map(drop)
    }

    async fn open(&self, id: AttemptId, request: Request) -> Result<Conversation, Error> {
        Self::say(self.connect().await?, id, request).await
    }

    async fn say(
        socket: UnixStream,
        id: AttemptId,
        request: Request,
    ) -> Result<Conversation, Error> {
        let opening = Opening { version: VERSION, id, request };
        let (reader, mut writer) = socket.into_split();
        send(&mut writer, &opening).await?;
        Ok(Conversation { frames: Frames::new(reader), _writer: writer })
    }

    async fn connect(&self) -> Result<UnixStream, Error> {
        if let Ok(socket) = self.reach().await {
            return Ok(socket);
        }
        let _one = self.starting.lock().await;
        if let Ok(socket) = self.reach().await {
            return Ok(socket);
        }
        let mut started = self.spawn()?;
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Ok(socket) = self.reach().await {
                return Ok(socket);
            }
            // One that ended found another at work, which may itself be about to end for want of it.
            if started.try_wait().is_ok_and(|ended| ended.is_some()) {
                started = self.spawn()?;
            }
            tokio::time::sleep_until(Instant::now() + TRY_AGAIN).await;
        }
        Err(Error::Deaf { log: self.settings.folder.join("log") })
    }

    async fn reach(&self) -> io::Result<UnixStream> {
        let folder = File::open(&self.settings.folder)?;
        UnixStream::connect(short(&folder)).await
    }

    /// Starts it. Dropping the handle is on purpose: it is to outlive us.
    fn spawn(&self) -> Result<tokio::process::Child, Error> {
        let Settings { program, folder } = &*self.settings;
        let failed =
            |source| Error::Start { program: program.clone(), folder: folder.clone(), source };
        let start = || {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let path = folder.join("log");
            let long = std::fs::metadata(&path).is_ok_and(|meta| meta.len() > LONGEST_LOG);
            let mut options = File::options();
            options.create(true).mode(0o600).write(true).append(!long).truncate(long);
            let file = options.open(path)?;
            tokio::process::Command::new(program)
                .arg("supervise")
                .arg(folder)
                .stdin(Stdio::null())
                .stdout(file.try_clone()?)
                .stderr(file)
                .spawn()
        };
        start().map_err(failed)
    }
}
