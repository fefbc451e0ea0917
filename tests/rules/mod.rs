//! Rules through their front door: compile, evaluate, decide.

mod story;
mod tale;
mod memory;
mod ends;
mod autoscale;
mod traps;
mod deciding;
mod libraries;
mod limits;
mod diagnostics;
mod lints;
mod any;
mod index;
mod eda;

pub(crate) use story::Story;
