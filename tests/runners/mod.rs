//! The runners, through their front door and a real supervisor.

mod desk;
mod ending;
mod returning;
mod shell;
