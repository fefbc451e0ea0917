//! The outside oracle: it starts the real program, does it harm, and judges it by ledgers alone. It
//! imports nothing of the product; what it knows are the command line, HTTP, and its own files.

mod chance;
mod crash;
mod engine;
mod faults;
mod http;
mod judge;
mod ledger;
mod load;

/// A size from the environment, else the one for CI.
#[expect(clippy::disallowed_methods, reason = "the oracle stands outside")]
fn wanted(name: &str, in_ci: u64) -> u64 {
    std::env::var(name).map_or(in_ci, |text| text.parse().expect("a whole number"))
}
