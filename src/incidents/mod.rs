//! Incidents: what fails is told to people once, louder when nobody acts, and once more when it is
//! over. `decide` and `gather` say what is told and when, and are pure; the stage keeps, sends and
//! waits. It does not deliver: a message is an execution of its channel's action.

mod decide;
mod gather;

pub use decide::{Happening, decide};
pub use gather::{Message, gather, next_due, sent};
