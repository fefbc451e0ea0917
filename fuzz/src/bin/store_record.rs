//! Any bytes, read as a stored record and as a row of every table.
#![no_main]

#[path = "../../../tests/store/decode.rs"]
mod decode;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decode::read_as_everything(bytes));
