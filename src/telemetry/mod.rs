//! Logs and metrics: every name that we have stands here.

pub mod logs;
pub mod metrics;
