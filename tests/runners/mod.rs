//! The runners, through their front door and a real supervisor.

mod desk;

mod contract;
mod ending;
mod http;
mod injection;
mod kafka;
mod python;
mod returning;
mod rhai;
mod shell;
