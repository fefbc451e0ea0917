//! The runners, through their front door and a real supervisor.

mod desk;
mod ending;
mod python;
mod returning;
mod shell;
