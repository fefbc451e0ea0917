//! The Rhai host.

mod functions;
