//! Upstream of the door: sensors watch the world and report events. Each restarts on its own, with
//! back-off, and none can hurt another.
//!
//! A kind reads its settings (`Kind::build`) and builds sensors that run until they are stopped or
//! their source fails; `supervisor` starts, watches and restarts them. Sensors that are driven by HTTP
//! open a hook; the API hands deliveries to `hooks`. A sensor never talks to rules or executions.

pub mod alerts;
pub mod books;
pub mod decode;
pub mod hooks;
pub mod kafka;
pub mod signature;
pub mod supervisor;

mod at;
mod alertmanager;
mod cron;
mod elements;
mod fetch;
mod file;
mod interval;
mod poll;
mod process;
mod prometheus;
mod proof;
mod schedule;
mod secret;
mod span;
mod webhook;

pub use supervisor::{Registry, Status, Supervisor, build, check, opened};

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Ids};
use crate::intake::{Door, Outcome, Submission};
use crate::model::problem::{Problem, nearest};
use crate::model::reference::Reference;
use crate::model::sensor::{Definition, Health, HealthState};
use crate::model::time::Time;
use crate::sensors::books::Books;
use crate::sensors::hooks::Hooks;
use crate::store::tables::DeadLetter;
use crate::tasks::Tasks;

/// Every kind of sensor, in the order the manual lists them.
pub const KINDS: &[&dyn Kind] = &[
    &kafka::Kafka,
    &cron::Cron,
    &interval::Interval,
    &at::At,
    &webhook::Webhook,
    &alertmanager::Alertmanager,
    &prometheus::Prometheus,
    &poll::Poll,
    &file::File,
    &process::Process,
];

/// The kind of this name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}

/// A kind of sensor: reads its settings and builds sensors of that kind.
pub trait Kind: Send + Sync {
    /// The word after `kind:`.
    fn name(&self) -> &'static str;

    /// One sentence for the manual.
    fn about(&self) -> &'static str;

    /// A whole, commented sensor file that loads: the manual's example and the contract suite's.
    fn example(&self) -> &'static str;

    /// Reads the settings of one file, without touching the world.
    ///
    /// # Errors
    /// One problem per thing that is wrong, each with its next step.
    fn build(&self, definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>>;

    /// The addresses at which such a sensor listens: `/api/v1/webhooks/deploy`.
    fn hooks(&self, _definition: &Definition) -> Vec<String> {
        Vec::new()
    }

    /// What is not there now and may come: warnings. Looks at files, and at nothing else.
    fn doubts(&self, _definition: &Arc<Definition>) -> Vec<Problem> {
        Vec::new()
    }
}

/// One sensor, ready to run.
#[async_trait]
pub trait Sensor: Send + Sync {
    /// Watches until `stop`, or until its source fails. An error restarts it after a back-off, so a
    /// sensor has no retry loop of its own.
    async fn run(&self, context: Context, stop: CancellationToken) -> Result<(), Error>;

    /// The names of the hooks that it has open while it runs.
    fn hooks(&self) -> Vec<String> {
        Vec::new()
    }

    /// When it reports what, where that is known beforehand: schedules.
    fn schedule(&self) -> Option<&dyn Schedule> {
        None
    }
}

/// What reports at times that are known beforehand.
pub trait Schedule {
    /// When, as its file says it: a cron expression, `every 30s`.
    fn words(&self) -> &str;

    /// The time zone that this is meant in.
    fn zone(&self) -> &str;

    /// What it reports.
    fn trigger(&self) -> &Reference;

    /// The first instant after `time` at which it reports.
    fn after(&self, time: Time) -> Option<Time>;
}

/// What a sensor gets to work with.
#[derive(Clone)]
pub struct Context {
    /// Where reports go.
    pub door: Door,
    /// The time.
    pub clock: Clock,
    /// Ids, for dead letters.
    pub ids: Ids,
    /// How it does.
    pub health: Reporter,
    /// What it took in, and what it could not.
    pub books: Books,
    /// For background work of its own.
    pub tasks: Tasks,
    /// Where it listens for HTTP.
    pub hooks: Hooks,
    /// The shared HTTP client: it has timeouts.
    pub client: reqwest::Client,
    /// The configuration of its pack.
    pub config: Arc<Value>,
}

/// The largest piece of a bad input that is kept, in bytes.
const DEAD_LETTER_LIMIT: usize = 64 * 1024;

impl Context {
    /// Hands over a submission, waits until it is on disk, and keeps the sensor's books.
    ///
    /// Cancel-safe: as `Door::submit`; only the books may miss what was taken in.
    ///
    /// # Errors
    /// As `Door::submit`.
    pub async fn report(&self, submission: Submission) -> Result<Vec<Outcome>, Error> {
        let unread = submission.dead_letters.len();
        let outcomes = self.door.submit(submission).await?;
        self.books.outcomes(&outcomes);
        self.books.dead_letters(unread);
        Ok(outcomes)
    }

    /// An input of `sensor` that could not become an event; `from` says where it stood.
    #[must_use]
    pub fn dead_letter(
        &self,
        sensor: &str,
        from: &str,
        reason: String,
        content: &[u8],
    ) -> DeadLetter {
        let kept = &content[..content.len().min(DEAD_LETTER_LIMIT)];
        DeadLetter {
            id: self.ids.record(),
            sensor: sensor.to_owned(),
            from: from.to_owned(),
            reason,
            content: String::from_utf8_lossy(kept).into_owned(),
            at: self.clock.now(),
        }
    }
}

/// Why a sensor stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source is away or answers wrongly; it is tried again.
    #[error("{what}")]
    Source {
        /// What happened, with the address.
        what: String,
    },
    /// It makes no sense to try again before a person has acted.
    #[error("{what}")]
    Stop {
        /// What happened and what to do.
        what: String,
    },
    /// The events could not be taken in.
    #[error("events could not be handed over")]
    Intake(#[from] crate::intake::Refusal),
    /// The position could not be read.
    #[error("the position could not be read")]
    Store(#[from] crate::store::Error),
}

/// Where a sensor says how it does. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    health: Arc<Mutex<Health>>,
    clock: Clock,
}

impl Reporter {
    /// The health of a sensor that has not begun.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let health = Health::starting(clock.now());
        Self { health: Arc::new(Mutex::new(health)), clock }
    }

    /// Changes what is known; `since` follows the state.
    pub fn update(&self, change: impl FnOnce(&mut Health)) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let before = health.state;
        change(&mut health);
        if health.state != before {
            health.since = self.clock.now();
        }
    }

    /// It listens.
    pub fn running(&self) {
        self.update(|health| {
            health.state = HealthState::Running;
            health.reason = None;
        });
    }

    /// Its source is away; it tries again by itself.
    pub fn waiting(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.update(|health| {
            health.state = HealthState::Waiting;
            health.reason = Some(reason);
        });
    }

    /// `count` events were accepted.
    pub fn accepted(&self, count: usize, now: Time) {
        self.update(|health| {
            health.events += count as u64;
            health.last_event = Some(now);
        });
    }

    /// What is known now.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keys of a sensor file that belong to every kind and are read elsewhere.
const COMMON: [&str; 3] = ["kind", "enabled", "description"];

/// Reads a sensor's settings into its kind's own struct; unknown keys are errors with a suggestion.
///
/// # Errors
/// One problem that names the key.
pub fn settings<S: DeserializeOwned>(definition: &Definition) -> Result<S, Vec<Problem>> {
    let mut settings = definition.settings.clone();
    if let Value::Object(map) = &mut settings {
        map.retain(|key, _| !COMMON.contains(&key.as_str()));
    }
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.inner().to_string();
        let message = if path == "." || inner.starts_with(&format!("unknown field `{path}`")) {
            inner.clone()
        } else {
            format!("`{path}`: {inner}")
        };
        let problem = Problem::error("sensor_settings", definition.place.clone(), message);
        vec![match suggestion(&inner) {
            Some(help) => problem.help(help),
            None => problem,
        }]
    })
}

/// A wrong setting that only its kind can see, with the key it stands under.
#[must_use]
pub fn wrong(definition: &Definition, key: &str, message: impl std::fmt::Display) -> Problem {
    let message = format!("`{}`: {message}", written(definition, key));
    Problem::error("sensor_settings", definition.place.clone(), message)
}

/// Settings that may be written under a second name: the first, and the second.
const SECOND_NAMES: [(&str, &str); 4] =
    [("every", "interval"), ("expression", "cron"), ("zone", "timezone"), ("environment", "env")];

/// The name under which the file has the setting `key`.
pub(crate) fn written<'a>(definition: &Definition, key: &'a str) -> &'a str {
    let there = |name: &str| definition.settings.get(name).is_some();
    let other = SECOND_NAMES.iter().find(|(first, _)| *first == key && !there(first));
    other.filter(|(_, second)| there(second)).map_or(key, |(_, second)| *second)
}

/// serde says "unknown field `topcs`, expected one of `a`, `b`": which one was meant?
fn suggestion(message: &str) -> Option<String> {
    let (head, tail) = message.split_once(", expected ")?;
    let wrong =
        head.strip_prefix("unknown field ").or_else(|| head.strip_prefix("unknown variant "))?;
    let known = tail.split('`').skip(1).step_by(2);
    nearest(wrong.trim_matches('`'), known).map(|meant| format!("did you mean `{meant}`?"))
}
