//! Logs, metrics and traces: every name that we have stands here.

pub mod disk;
pub mod logs;
pub mod metrics;
pub mod kept;
pub mod traces;
