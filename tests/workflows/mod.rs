//! The second brain, through its front doors.

mod approvals;
mod compose;
mod conformance;
mod costs;
mod damage;
mod door;
mod expressions;
mod holds;
mod inspect;
mod mistral;
mod orders;
mod play;
mod rehearsals;
mod sessions;
mod storms;
mod undos;
