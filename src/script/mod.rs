//! The Rhai host: one engine, its limits, and what a script sees.
