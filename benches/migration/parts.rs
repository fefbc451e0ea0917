//! The servers of the tests, and what they ask of the tests.

#[path = "../../tests/parts/program.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests share it")]
pub(crate) mod program;
#[path = "../../tests/parts/s3.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests share it, and ask more of a server")]
pub(crate) mod s3;
