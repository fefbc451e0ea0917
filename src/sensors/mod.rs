//! Upstream of the door: sensors watch the world and report events. Each restarts on its own, with
//! back-off, and none can hurt another.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Ids};
use crate::intake::Door;
use crate::model::problem::Problem;
use crate::model::sensor::{Definition, Health, HealthState};
use crate::model::time::Time;
use crate::tasks::Tasks;

pub mod decode;
pub mod kafka;

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
}

/// One sensor, ready to run.
#[async_trait]
pub trait Sensor: Send + Sync {
    /// Watches until `stop`, or until its source fails. An error restarts it after a back-off, so a
    /// sensor has no retry loop of its own.
    async fn run(&self, context: Context, stop: CancellationToken) -> Result<(), Error>;
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
    /// For background work of its own.
    pub tasks: Tasks,
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
        let health = Health {
            state: HealthState::Starting,
            since: clock.now(),
            reason: None,
            lag: None,
            events: 0,
            bad_inputs: 0,
            restarts: 0,
            last_event: None,
        };
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

/// Reads a sensor's settings into its kind's own struct; unknown keys are errors with a suggestion.
///
/// # Errors
/// One problem that names the key.
pub fn settings<S: DeserializeOwned>(definition: &Definition) -> Result<S, Vec<Problem>> {
    serde_path_to_error::deserialize(definition.settings.clone()).map_err(|error| {
        let path = error.path().to_string();
        let message = if path == "." {
            error.inner().to_string()
        } else {
            format!("`{path}`: {}", error.inner())
        };
        vec![Problem::error("sensor_settings", definition.place.clone(), message)]
    })
}
