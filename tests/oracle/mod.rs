//! The outside oracle: it starts the real program, does it harm, and judges it by ledgers alone. It
//! imports nothing of the product; what it knows are the command line, HTTP, and its own files.

mod chance;
mod crash;
mod engine;
mod http;
mod judge;
mod ledger;
mod load;
