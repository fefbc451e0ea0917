//! The vocabulary: what the words of the product mean as data, and the pure rules between them.
//!
//! No I/O, no clock, no async: whatever stands here can be built in a test with a literal.

pub mod time;
pub mod zone;
pub mod size;
pub mod span;
pub mod id;
pub mod reference;
pub mod problem;
pub mod cause;
pub mod parameter;
pub mod event;
pub mod trigger;
pub mod sensor;
pub mod rule;
pub mod calendar;
pub mod memory;
pub mod action;
pub mod policy;
pub mod execution;
pub mod workflow;
pub mod trace;
pub mod incident;
pub mod notices;
pub mod pack;
pub mod key;
