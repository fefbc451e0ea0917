//! Rules through their front door: compile, evaluate, decide.

mod story;
mod traps;
mod deciding;
mod limits;
mod diagnostics;

pub(crate) use story::Story;
