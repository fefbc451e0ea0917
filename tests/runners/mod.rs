//! The runners, through their front door and a real supervisor.

mod desk;

mod ending;
mod http;
mod kafka;
mod python;
mod returning;
mod rhai;
mod shell;
