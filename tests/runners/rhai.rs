//! Scripts under limits.

use std::time::{Duration, Instant};

use ifso::model::execution::End;
use ifso::runners::Stream;
use serde_json::json;

use super::desk::{Attempt, Desk};

fn script(desk: &Desk, text: &str) -> Attempt {
    desk.attempt("rhai").at(desk.script("packs/tests/actions/script.rhai", text))
}

#[tokio::test]
async fn the_last_value_is_the_result() {
    let desk = Desk::new();
    let text =
        "print(`pool ${parameters.pool}`);\n#{ pool: parameters.pool, limit: config.limit * 2 }";
    let came = script(&desk, text).given("pool", "gold").config(json!({ "limit": 4 })).run().await;
    assert_eq!(came.said(Stream::Stdout), "pool gold\n");
    assert_eq!(came.succeeded()["result"], json!({ "pool": "gold", "limit": 8 }));
}

#[tokio::test]
async fn an_error_names_file_line_and_column() {
    let desk = Desk::new();
    let came = script(&desk, "let a = 1;\n  throw \"pool is gone\"").run().await;
    assert_eq!(came.end(), End::Failed);
    assert!(came.reason().contains("script.rhai:2:3: "), "{}", came.reason());
    assert!(came.reason().contains("pool is gone"), "{}", came.reason());
}

#[tokio::test]
async fn a_script_without_end_is_stopped() {
    let desk = Desk::new();
    let start = Instant::now();
    let came = script(&desk, "loop { }").within(Duration::from_millis(100)).run().await;
    assert_eq!(came.end(), End::TimedOut);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn hostile_scripts_end_in_an_error() {
    let desk = Desk::new();
    let hostile = [
        "let s = \"x\"; loop { s += s; }",
        "let a = [1]; loop { a += a; }",
        "fn f(n) { f(n + 1) } f(0)",
        "eval(\"1\")",
        "import \"/etc/passwd\" as p;",
        "sleep(60)",
        "open_file(\"/etc/passwd\")",
        "undefined_variable",
    ];
    for text in hostile {
        let came = script(&desk, text).run().await;
        assert_eq!(came.end(), End::Failed, "{text}: {:?}", came.outcome);
    }
}
