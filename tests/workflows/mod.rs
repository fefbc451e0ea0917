//! The second brain, through its front doors.

mod compose;
mod conformance;
mod door;
mod costs;
mod expressions;
mod orders;
mod play;
mod rehearsals;
mod sessions;
