//! Secrets: struck out of whatever leaves the house. (Sealing at rest comes with its own issue.)

pub mod redact;
