//! The second brain, through its front doors.

mod compose;
mod conformance;
mod rehearsals;
mod sessions;
