//! Incidents: what fails is told to people once, louder when nobody acts, and once more when it is
//! over. `decide` and `gather` say what is told and when, and are pure; the stage keeps, sends and
//! waits. It does not deliver: a message is an execution of its channel's action.

mod decide;
mod gather;
mod words;
mod turn;
mod stage;
mod handle;

use std::sync::Arc;

use crate::clock::{Clock, Ids};
use crate::executions::Executions;
use crate::packs::catalog::Current;
use crate::store::Handle;

pub use decide::{Happening, decide};
pub use gather::{Message, gather, next_due, sent};
pub use handle::{Error, Incidents};
pub use stage::Stage;
pub use words::{Words, span, words};

/// The user in whose name messages are delivered.
pub const USER: &str = "incidents";

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
    /// Where messages are delivered.
    pub executions: Executions,
    /// What links for people begin with.
    pub public_url: String,
}

/// What handle and stage share.
struct Room {
    parts: Parts,
}

/// Builds the handle and the loop behind it.
#[must_use]
pub fn open(parts: Parts) -> (Incidents, Stage) {
    let room = Arc::new(Room { parts });
    (Incidents::new(Arc::clone(&room)), Stage::new(room))
}
