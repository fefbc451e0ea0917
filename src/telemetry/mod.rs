//! Logs and metrics: every name that we have stands here.
