//! The second brain, through its front doors.

mod expressions;
mod inspect;
mod mistral;
mod recorded;
