//! The door: takes in what sensors report, asks the rules, and writes everything that follows from a
//! batch of events in one commit. Only then is the sensor answered.

mod admit;
mod complaints;
mod effects;
mod hidden;
pub mod history;
pub mod remember;
mod stage;
mod tally;

pub use effects::{NOTIFICATION, RULES_USER, SYSTEM_SCOPE};
pub use stage::Stage;
pub use tally::word;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::clock::{Clock, Ids};

use crate::model::event::{Origin, Report};
use crate::model::id::EventId;
use crate::model::reference::Reference;
use crate::model::rule::Ending;
use crate::packs::catalog::Current;
use crate::rules::Memories;
use crate::store::queue::Ticket;
use crate::store::table::{self, Held};
use crate::store::tables::{DeadLetter, Position, Work};
use crate::store::{self, Handle};
use crate::telemetry::metrics::Metrics;

/// Submissions that wait for the loop at most; a full queue slows the sensors down.
pub const WAITING_LIMIT: usize = 256;

/// What a sensor hands over in one go; it becomes durable in one commit, whole.
#[derive(Debug, Default)]
pub struct Submission {
    /// What happened, oldest first.
    pub reports: Vec<Report>,
    /// Places up to which streams have been read, beyond those of the reports: inputs that made no
    /// event, ticks that were skipped.
    pub advance: Vec<Origin>,
    /// Inputs that could not become events.
    pub dead_letters: Vec<DeadLetter>,
    /// What a person wants done to rule memory.
    pub commands: Vec<Command>,
}

impl Submission {
    /// What Ifso itself reports, by its tickets.
    fn made_inside(tickets: &[Held<Ticket>]) -> Self {
        let reports = tickets.iter().filter_map(|ticket| match &ticket.row.work {
            Work::Report(report) => Some((**report).clone()),
            _ => None,
        });
        let ended = tickets.iter().filter_map(|ticket| match &ticket.row.work {
            Work::Ended(ending) => Some(Command::Ended(ending.clone())),
            _ => None,
        });
        Self { reports: reports.collect(), commands: ended.collect(), ..Self::default() }
    }
}

/// What a person wants done to the memory of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// End its quarantine: what was kept fires, within its budget, or is thrown away.
    Release {
        /// The rule.
        rule: Reference,
        /// Throw away what was kept.
        discard: bool,
    },
    /// An execution that it started has ended: no person wants this, executions tell it.
    Ended(Box<Ending>),
    /// Forget what it remembers under this key, or under all.
    Forget {
        /// The rule.
        rule: Reference,
        /// The key.
        key: Option<String>,
    },
}

/// What became of one report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is an event, on disk.
    Accepted(EventId),
    /// It had been reported before; the event that it was then, where that is still known.
    Duplicate(Option<EventId>),
    /// It does not fit its trigger; the reason names the field.
    Refused(String),
}

/// Why a submission was not taken in. Nothing of it is on disk, but after a store error of kind `Io`
/// it may be; submitting it again is safe for reports with an origin or a `once` key.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// Too much waits already.
    #[error("too many events wait to be taken in")]
    Busy,
    /// The store did not take it.
    #[error("the events could not be stored")]
    Store(#[source] store::Error),
    /// Ifso is stopping.
    #[error("Ifso is stopping")]
    Stopping,
}

/// What the room is built from.
pub struct Parts {
    /// The store.
    pub store: Handle,
    /// The catalog.
    pub catalog: Current,
    /// The time.
    pub clock: Clock,
    /// Ids.
    pub ids: Ids,
    /// What is counted.
    pub metrics: Metrics,
}

/// Builds the door and the loop behind it.
#[must_use]
pub fn open(parts: Parts) -> (Door, Stage) {
    let (sender, waiting) = mpsc::channel(WAITING_LIMIT);
    let door = Door { waiting: sender, store: Arc::clone(&parts.store) };
    let stage = Stage {
        parts,
        waiting,
        schemas: admit::Schemas::default(),
        tally: tally::Tally::default(),
        keys: (0, Arc::new(BTreeMap::new())),
        hidden: hidden::Hidden::default(),
        complaints: complaints::Complaints::default(),
        refusing: false,
        memories: Memories::new(),
        unsure: false,
        adopted: None,
        reloads: None,
    };
    (door, stage)
}

/// What stands in front of the loop.
pub(crate) struct Waiting {
    pub(crate) submission: Submission,
    pub(crate) answer: oneshot::Sender<Result<Vec<Outcome>, Refusal>>,
}

/// The way in for sensors and for the API. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    waiting: mpsc::Sender<Waiting>,
    store: Handle,
}

impl Door {
    /// Hands over a submission and waits until it is on disk; one outcome per report, in order.
    /// Waits where the queue is full: that is the back-pressure.
    ///
    /// Cancel-safe: a submission that was handed over is taken in, answered or not.
    ///
    /// # Errors
    /// `Store` and `Stopping`.
    pub async fn submit(&self, submission: Submission) -> Result<Vec<Outcome>, Refusal> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { submission, answer };
        self.waiting.send(waiting).await.map_err(|_| Refusal::Stopping)?;
        answered.await.map_err(|_| Refusal::Stopping)?
    }

    /// As `submit`, but refuses at once where the queue is full: for callers that can be told to
    /// come again (HTTP 429).
    ///
    /// # Errors
    /// `Busy`, `Store` and `Stopping`.
    pub async fn offer(&self, submission: Submission) -> Result<Vec<Outcome>, Refusal> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { submission, answer };
        self.waiting.try_send(waiting).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Refusal::Busy,
            mpsc::error::TrySendError::Closed(_) => Refusal::Stopping,
        })?;
        answered.await.map_err(|_| Refusal::Stopping)?
    }

    /// How many submissions wait for the loop.
    #[must_use]
    pub fn waiting(&self) -> usize {
        WAITING_LIMIT - self.waiting.capacity()
    }

    /// The last place of `stream` that was taken in: where a source starts again.
    ///
    /// # Errors
    /// As `Store::get`.
    pub async fn position(&self, stream: &str) -> Result<Option<i64>, store::Error> {
        let held = table::get::<Position>(&self.store, stream.as_bytes().to_vec()).await?;
        Ok(held.map(|held| held.row.at))
    }
}
