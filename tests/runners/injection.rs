//! Values and names from outside reach programs byte by byte, and are never executed.

use std::path::Path;

use ifso::model::parameter::Parameter;
use ifso::runners::Stream;
use serde_json::{Map, Value, json};

use super::desk::Desk;

/// What people try. `WITNESS` is a file that appears when any of them is executed.
#[expect(clippy::too_many_lines, reason = "a list of payloads")]
fn payloads(witness: &Path) -> Vec<String> {
    let touch = format!("touch {}", witness.display());
    let shells = [
        "; {}",
        "| {}",
        "|| {}",
        "&& {}",
        "& {}",
        "\n{}\n",
        "\r\n{}",
        "`{}`",
        "$({})",
        "$(({}))",
        "${IFS}{}",
        "'; {}; '",
        "\"; {}; \"",
        "'\"; {} #",
        "\\'; {}; \\'",
        "\\\"; {}",
        "\\\n; {}",
        "> /dev/null; {}",
        "< /dev/null; {}",
        ">&2; {}",
        "{ {}; }",
        "( {} )",
        "x=1 {}",
        "eval {}",
        "exec {}",
        "-c {}",
        "--help; {}",
        "-e {}",
        "() { :;}; {}",
        "a[$({})]",
        "$'\\x3b'{}",
        "\u{ff1b} {}",
        "\u{2028}{}",
        "\u{0085}{}",
        "\u{feff}; {}",
        "%0a{}",
        "%3b{}",
        "\t;\t{}",
        "!{}",
        "~; {}",
        "*; {}",
        "?; {}",
        "[a]; {}",
        "<({})",
        ">({})",
        "<<EOF\n{}\nEOF",
        "#\n{}",
    ];
    let templates = [
        "{{ 7*7 }}",
        "{% import os %}{{ os.system('{}') }}",
        "<% $.x %>",
        "${ 7*7 }",
        "#{7*7}",
        "__import__('os').system('{}')",
        "');__import__('os').system('{}')#",
        "\"\"\"+{}+\"\"\"",
        "%s%n%x",
        "%%%%%~=~=~=************=~=~=~%%%%{\"result\": 1}",
        "IFSO\u{1b}[31m",
        "",
        "\u{1f600}\u{202e}\u{200b}",
        "null",
        "true",
        "-1",
        "-",
        "--",
        "-rf",
        "=",
        "a=b",
    ];
    let all = shells.iter().chain(&templates).map(|text| text.replace("{}", &touch));
    all.chain([format!("{}{touch}", "A".repeat(100_000))]).collect()
}

fn untouched(witness: &Path, payload: &str) {
    assert!(!witness.exists(), "executed: {payload:?}");
}

#[tokio::test]
async fn values_reach_a_script_as_they_are() {
    let desk = Desk::new();
    let witness = desk.data().join("witness");
    let show = "#!/bin/sh\nprintf '%s\\0' \"$@\"\ncat \"$IFSO_PARAMETERS\" >&2\n";
    let file = desk.script("packs/tests/actions/show.sh", show);
    for payload in payloads(&witness) {
        let placed = Parameter { position: Some(0), ..Parameter::default() };
        let attempt = desk
            .attempt("local-shell-script")
            .at(file.clone())
            .parameter("placed", placed)
            .parameter("named", Parameter::default())
            .given("placed", payload.clone())
            .given("named", payload.clone());
        let came = attempt.run().await;
        let mut expected = format!("{payload}\0");
        if !payload.is_empty() {
            expected = format!("--named={payload}\0{expected}");
        }
        assert_eq!(came.said(Stream::Stdout), expected);
        let seen: Value = serde_json::from_str(&came.said(Stream::Stderr)).unwrap();
        assert_eq!(seen, json!({ "placed": payload, "named": payload }));
        untouched(&witness, &payload);
    }
}

#[tokio::test]
async fn values_reach_a_command_line_as_they_are() {
    let desk = Desk::new();
    let witness = desk.data().join("witness");
    for payload in payloads(&witness) {
        let came = desk.cmd("printf '%s' \"$P_value\"").given("value", payload.clone()).run().await;
        assert_eq!(came.said(Stream::Stdout), payload);
        untouched(&witness, &payload);
    }
}

#[tokio::test]
async fn names_reach_programs_as_they_are() {
    let desk = Desk::new();
    let witness = desk.data().join("witness");
    let names: Vec<_> = payloads(&witness).into_iter().filter(|name| !name.is_empty()).collect();
    let mut given: Map<String, Value> = Map::new();
    for name in &names {
        given.insert(name.clone(), json!("v"));
    }
    for name in ["PATH", "LD_PRELOAD", "BASH_ENV", "ENV", "IFS", "PYTHONPATH", "x\0y"] {
        given.insert(name.to_owned(), json!("/evil"));
    }
    let mut attempt = desk.cmd("cat \"$IFSO_PARAMETERS\"; env >&2");
    for (name, value) in &given {
        attempt = attempt.given(name, value.clone());
    }
    let came = attempt.run().await;
    let seen: Map<String, Value> = serde_json::from_str(&came.said(Stream::Stdout)).unwrap();
    assert_eq!(seen, given);
    let environment = came.said(Stream::Stderr);
    let reserved = ["LD_PRELOAD=", "BASH_ENV=", "ENV=", "IFS=", "PYTHONPATH="];
    for line in environment.lines() {
        assert!(!reserved.iter().any(|name| line.starts_with(name)), "{line}");
    }
    assert!(!environment.contains("\nPATH=/evil"), "{environment}");
    untouched(&witness, "a name");
}

#[tokio::test]
async fn names_and_values_reach_python_as_they_are() {
    let desk = Desk::new();
    let witness = desk.data().join("witness");
    let text = "class Echo(object):\n    def __init__(self, config): pass\n    def run(self, **all): return all\n";
    let file = desk.script("packs/tests/actions/echo.py", text);
    let mut attempt = desk.attempt("python-script").at(file);
    let mut given = Map::new();
    for payload in payloads(&witness).into_iter().chain(["a\0b".to_owned()]) {
        given.insert(payload.clone(), Value::String(payload));
    }
    for (name, value) in &given {
        attempt = attempt.given(name, value.clone());
    }
    assert_eq!(attempt.run().await.succeeded()["result"], Value::Object(given));
    untouched(&witness, "a parameter");
}

#[tokio::test]
async fn the_parameter_env_cannot_choose_which_code_runs() {
    let desk = Desk::new();
    for name in
        ["PATH", "LD_PRELOAD", "BASH_ENV", "ENV", "IFS", "PYTHONSTARTUP", "GIT_SSH", "A=B", ""]
    {
        let came = desk.cmd("true").given("env", json!({ name: "/evil" })).run().await;
        assert!(came.reason().contains("parameter `env`"), "{name}: {}", came.reason());
    }
    let came = desk.cmd("echo $POOL").given("env", json!({ "POOL": "gold" })).run().await;
    assert_eq!(came.succeeded()["stdout"], "gold");
}

#[tokio::test]
async fn what_no_program_can_be_given_fails_only_that_action() {
    let desk = Desk::new();
    let file = desk.script("packs/tests/actions/show.sh", "#!/bin/sh\nexit 0\n");
    for (value, expected) in [("a\0b".to_owned(), "NUL"), ("x".repeat(200_000), "too big")] {
        let script = desk.attempt("local-shell-script").at(file.clone());
        let came = script.given("value", value.clone()).run().await;
        assert!(came.reason().contains(expected), "{}", came.reason());
        let came = desk.cmd("echo \"$P_value\"").given("value", value.clone()).run().await;
        assert!(came.reason().contains("IFSO_PARAMETERS"), "{}", came.reason());
        let came = desk.cmd("wc -c < \"$IFSO_PARAMETERS\"").given("value", value).run().await;
        came.succeeded();
    }
}

#[tokio::test]
async fn the_environment_holds_nothing_of_ours() {
    let desk = Desk::new();
    let came = desk.cmd("env | cut -d= -f1 | sort; umask; pwd; ls -A").run().await;
    let said = came.said(Stream::Stdout);
    let mut lines: Vec<_> = said.lines().collect();
    let here = lines.pop().unwrap();
    assert_eq!(lines.pop().unwrap(), "0077");
    // bash adds two of its own.
    lines.retain(|name| !["SHLVL", "_"].contains(name));
    let known =
        ["IFSO_ATTEMPT", "IFSO_EXECUTION_ID", "IFSO_PARAMETERS", "LANG", "PATH", "PWD", "TMPDIR"];
    assert_eq!(lines, known);
    assert!(here.ends_with("/tmp") && !Path::new(here).exists(), "{here}");
}
