//! Ifso: *if so, then*.
//!
//! Read top-down, the rooms tell the story of one event: sensors report it, intake takes it in, rules
//! decide, one commit keeps all that follows, executions carry it out. `ARCHITECTURE.md` walks it.

// Ground: no room below, nothing to fail.
pub mod model;
pub mod tasks;
pub mod clock;
pub mod telemetry;
pub mod store;

// Instruments: hang on the wall, know no stage.
pub mod vault;
pub mod auth;
pub mod audit;
pub mod script;
pub mod rules;
pub mod workflows;
pub mod packs;
pub mod runners;

// Stages: the river.
pub mod intake;
pub mod sensors;
pub mod executions;
pub mod incidents;

// Edges: windows of the house.
pub mod api;
pub mod web;
pub mod config;
pub mod app;
pub mod cli;
