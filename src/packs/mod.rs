//! Packs on disk become a catalog: an immutable snapshot of everything that people wrote.
//!
//! `load` reads a home folder, and leaves out what is wrong in it. It runs nothing of what it reads.

pub mod catalog;
pub mod bench;
pub mod trial;
pub mod load;
mod draft;
mod compile;
mod manifest;
mod action;
pub mod workflow;
mod trigger;
mod rule;
mod timer;
mod calendar;
mod policy;
mod notices;
mod sensor;
mod stackstorm;
mod strays;
pub mod built_in;
mod config;
pub mod parameters;
pub mod answer;
pub mod render;
pub mod cast;
mod literal;
pub mod secrets;
pub mod schema;
mod disk;
mod fields;
pub mod yaml;
pub mod check;
pub mod watch;

pub use disk::BUILT_IN;
pub use load::{Kinds, RunnerType, Runners, load};
