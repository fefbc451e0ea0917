//! Rules through their front door: compile, evaluate, decide.

mod story;
mod traps;
mod deciding;
mod limits;

pub(crate) use story::Story;
