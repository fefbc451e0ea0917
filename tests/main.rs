//! The one test binary; its modules mirror `src`.
#![expect(unreachable_pub, clippy::unwrap_used, reason = "nobody imports a test binary")]

mod parts;
mod world;

mod api;
mod auth;
mod audit;
mod cli;
mod demo;
mod deploy;
mod executions;
mod flow;
mod incidents;
mod intake;
mod oracle;
mod packs;
mod rules;
mod runners;
mod script;
mod sensors;
mod store;
mod tidy;
mod vault;
mod traces;
mod web;
mod workflows;
