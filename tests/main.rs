//! The one test binary; its modules mirror `src`.
#![expect(unreachable_pub, clippy::unwrap_used, reason = "nobody imports a test binary")]

mod world;

mod demo;
mod executions;
mod flow;
mod intake;
mod oracle;
mod parts;
mod packs;
mod rules;
mod runners;
mod script;
mod sensors;
mod store;
mod tidy;
