//! Who changed what: an append-only log, each line with the hash of the one before it.
//!
//! A call that may change something leaves two lines: `asked`, on disk before anything is done, and
//! `answered` after it. So no change is without its line, and a crash between the two is seen. What
//! rules and schedules do is no call: their decisions and executions are kept as such.

mod book;
mod chain;
mod line;

pub use book::{Book, Slot, Stage, open};
pub use chain::{Verdict, ZERO, append, verify};
pub use line::{Entry, Line, Phase, bounded};
