//! The Rhai host: one engine, its limits, and what a script sees. Beside it, what StackStorm's templates
//! need of Python and Jinja, for every room that renders them.
//!
//! An engine of ours has no file, network, clock, randomness or output. It is cheap to make (its
//! functions are shared), runs one script at a time, and its `Deadline` is started before each.

pub mod limits;
pub mod convert;
pub mod scope;
pub mod fault;
pub mod functions;
pub(crate) mod python;
pub(crate) mod regex;
pub(crate) mod jinja;
mod words;

use rhai::{Engine, OptimizationLevel};

use crate::script::limits::{Deadline, Limits};

/// An engine with our functions and these limits.
#[must_use]
pub fn engine(limits: &Limits) -> (Engine, Deadline) {
    let mut engine = Engine::new_raw();
    for module in functions::modules() {
        engine.register_global_module(module.clone());
    }
    words::free(&mut engine);
    limits.apply(&mut engine);
    let deadline = Deadline::watch(&mut engine, limits.wall);
    engine.set_strict_variables(true);
    // Whoever compiles looks at the tree as it was written, and optimises it afterwards.
    engine.set_optimization_level(OptimizationLevel::None);
    engine.disable_symbol("eval");
    // A closure curried with itself doubles with every step, and no size limit sees it.
    engine.disable_symbol("curry");
    (engine, deadline)
}
