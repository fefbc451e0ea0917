//! The one test binary; its modules mirror `src`.
#![expect(clippy::unwrap_used, reason = "helpers outside `#[test]` functions unwrap too")]

mod runners;
