//! A sensor as a file describes it. What it does stands in the room `sensors`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::problem::Place;
use crate::model::reference::Reference;
use crate::model::time::Time;

/// One sensor file, read. `settings` holds every key of the file but `kind` and `enabled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// `pack.name`; the name is the file's stem.
    pub reference: Reference,
    /// Which kind: `kafka`, `cron`, …
    pub kind: String,
    /// Whether it runs.
    pub enabled: bool,
    /// One sentence for people.
    pub description: String,
    /// The rest of the file, for its kind to read.
    pub settings: Value,
    /// The folder of its pack, for programs that stand beside it.
    pub folder: std::path::PathBuf,
    /// The file.
    pub place: Place,
}

/// How a sensor does, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// What it is doing.
    pub state: HealthState,
    /// Since when it is in that state.
    pub since: Time,
    /// Why, where there is something to say: the last error, or what it waits for.
    pub reason: Option<String>,
    /// How far behind its source it is, in the source's own unit (Kafka: records).
    pub lag: Option<u64>,
    /// Events accepted since the start of the process.
    pub events: u64,
    /// Inputs that could not become events since the start of the process.
    pub bad_inputs: u64,
    /// Inputs that had been reported before, since the start of the process.
    #[serde(default)]
    pub duplicates: u64,
    /// Inputs that only say that something is gone, and were passed over as the file says (Kafka:
    /// records without content), since the start of the process.
    #[serde(default)]
    pub tombstones: u64,
    /// Restarts since the start of the process.
    pub restarts: u64,
    /// When the last event came.
    pub last_event: Option<Time>,
}

impl Health {
    /// A sensor that has not begun.
    #[must_use]
    pub fn starting(since: Time) -> Self {
        Self {
            state: HealthState::Starting,
            since,
            reason: None,
            lag: None,
            events: 0,
            bad_inputs: 0,
            duplicates: 0,
            tombstones: 0,
            restarts: 0,
            last_event: None,
        }
    }
}

/// What a sensor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Built, not yet listening.
    Starting,
    /// Listening.
    Running,
    /// Its source is away or wrong; it tries again by itself.
    Waiting,
    /// It will not run until a person acts; the reason says on what.
    Stopped,
    /// Switched off in its file.
    Disabled,
}
