//! The second brain, through its front doors.

mod compose;
mod conformance;
mod expressions;
mod sessions;
