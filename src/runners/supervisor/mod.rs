//! A small process that holds running actions, so that they survive the engine: it starts programs
//! fast, keeps their output, ends them in time, and leaves nothing of them behind.
//!
//! ```text
//! engine ── Supervisor ──► socket ──► supervisor ──► programs
//!                                         │
//!                          spool/<execution>-<attempt>/{stdout, stderr, exit.json, tmp/}
//! ```
//!
//! One supervisor serves all attempts of one data folder. It knows no store, no pack and no secret
//! beyond what a program is given.

mod attempt;
mod brake;
mod client;
mod connection;
mod entry;
mod family;
mod launch;
mod process;
pub mod protocol;
mod service;
mod spool;

pub use client::{Conversation, Error, Heard, Settings, Supervisor};
pub use process::main;

/// An error with what led to it, in one line.
pub(in crate::runners) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
