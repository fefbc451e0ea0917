//! Real programs that the tests start on loopback and end by their id.

pub mod alertmanager;
pub mod program;
pub mod prometheus;
