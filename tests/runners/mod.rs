//! The runners, through their front door and a real supervisor.

pub(crate) mod desk;

mod contract;
mod email;
mod ending;
mod holding;
mod http;
mod injection;
mod kafka;
mod migrate;
mod python;
mod returning;
mod rhai;
mod shell;
mod ssh;
