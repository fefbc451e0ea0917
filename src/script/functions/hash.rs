//! Hashes: names for contents, and shares that stay the same.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use rhai::EvalAltResult;
use rhai::plugin::export_module;

#[export_module]
pub mod functions {
    /// SHA-256 of a text, in hexadecimal.
    ///
    /// > sha256("abc") => "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    pub fn sha256(text: &str) -> String {
        let mut hexadecimal = String::new();
        for byte in digest(&SHA256, text.as_bytes()).as_ref() {
            write!(hexadecimal, "{byte:02x}").expect("a String takes any text");
        }
        hexadecimal
    }

    /// The share, from 0 to `count - 1`, into which a text always falls: for canaries and spreading.
    ///
    /// > share("pool-1", 1) => 0
    ///
    /// # Errors
    /// Where `count` is not at least 1.
    #[rhai_fn(return_raw)]
    pub fn share(text: &str, count: i64) -> Result<i64, Box<EvalAltResult>> {
        let count = u64::try_from(count).ok().filter(|count| *count > 0);
        let count = count.ok_or("`share` needs a count of at least 1")?;
        let hash = digest(&SHA256, text.as_bytes());
        let first = hash.as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes);
        Ok(i64::try_from(first % count).unwrap_or(0))
    }
}
