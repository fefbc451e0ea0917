//! Command lines and scripts.

use ifso::model::execution::End;
use ifso::model::parameter::Parameter;
use serde_json::json;

use super::desk::Desk;

#[tokio::test]
async fn a_command_line_gives_its_output_and_code() {
    let desk = Desk::new();
    let result = desk.cmd("echo hello; echo there >&2").run().await.succeeded();
    assert_eq!(
        result,
        json!({ "succeeded": true, "failed": false, "return_code": 0, "stdout": "hello", "stderr": "there" })
    );
}

#[tokio::test]
async fn output_that_is_json_is_parsed() {
    let desk = Desk::new();
    let result = desk.cmd(r#"echo '{"a": [1, 2]}'"#).run().await.succeeded();
    assert_eq!(result["stdout"], json!({ "a": [1, 2] }));
}

#[tokio::test]
async fn an_exit_code_fails_the_action_and_the_last_line_says_why() {
    let desk = Desk::new();
    let came = desk.cmd("echo no such pool >&2; exit 3").run().await;
    assert_eq!(came.end(), End::Failed);
    assert_eq!(came.outcome.result["return_code"], 3);
    assert_eq!(came.reason(), "it ended with exit code 3: no such pool");
}

#[tokio::test]
async fn stackstorms_command_lines_are_read_by_bash() {
    let desk = Desk::new();
    let line = r#"[[ "a-b" == a-* ]] && printf '%s' "${BASH_VERSION:+bash}""#;
    assert_eq!(desk.cmd(line).run().await.succeeded()["stdout"], "bash");
}

/// Prints its arguments, each between brackets.
const SHOW: &str = "#!/bin/sh\nfor a in \"$@\"; do printf '[%s]' \"$a\"; done\n";

fn at(position: u32) -> Parameter {
    Parameter { position: Some(position), ..Parameter::default() }
}

#[tokio::test]
async fn a_script_gets_its_arguments_in_stackstorms_form() {
    let desk = Desk::new();
    let came = desk
        .attempt("local-shell-script")
        .at(desk.script("packs/tests/actions/show.sh", SHOW))
        .parameter("second", at(1))
        .parameter("first", at(0))
        .parameter("flag", Parameter::default())
        .parameter("off", Parameter::default())
        .parameter("name", Parameter::default())
        .parameter("absent", at(2))
        .given("kwarg_op", "--")
        .given("first", true)
        .given("second", json!([1, "b"]))
        .given("flag", true)
        .given("off", false)
        .given("name", json!({ "a": 1 }))
        .run()
        .await;
    assert_eq!(came.succeeded()["stdout"], "[--flag][--name={\"a\":1}][1][1,b][]");
}

#[tokio::test]
async fn a_parameter_reaches_a_command_line_as_a_variable() {
    let desk = Desk::new();
    let pool = desk.cmd("echo \"pool $P_pool\"").given("pool", "$(touch /tmp/x); `id`");
    assert_eq!(pool.run().await.succeeded()["stdout"], "pool $(touch /tmp/x); `id`");
    let pasted = desk.cmd("echo {{ pool }}").given("pool", "x").run().await;
    assert!(pasted.reason().contains("write \"$P_pool\" in its place"), "{}", pasted.reason());
}
