//! The store: one contract for all backends, and what redb's own file has to withstand.

mod contract;
mod damage;
mod decode;
mod disk;
mod faults;
mod file;
mod keeping;
mod kill;
mod load;
mod model;
mod power;

use std::io::Write;

/// Prints a figure even where the test that found it passes.
fn figure(words: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{words}").unwrap();
}
