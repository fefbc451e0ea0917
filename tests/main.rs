//! The one test binary; its modules mirror `src`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod script;
mod rules;
