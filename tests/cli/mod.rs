//! The command line as people meet it: the real program, against a served engine and alone.

pub mod alone;
mod doctor;
mod incidents;
mod inquiries;
mod tables;
mod talking;
mod trying;
mod workflows;
mod trouble;
mod users;
mod watching;

use std::path::Path;
use std::process::{Command, Output};

/// The program, with nothing of this machine's environment but what the test says.
pub fn ifso(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ifso"));
    command.args(arguments).env_clear().env("NO_COLOR", "1").env("TZ", "UTC");
    command
}

/// What it printed and how it ended, with all that differs between runs struck out.
pub fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut said = format!("exit {}\n", output.status.code().unwrap_or(-1));
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            said.extend(["--- ", name, "\n", text(bytes).as_str()]);
        }
    }
    let ids = regex::Regex::new(r"\b(evt|exe|inc|key|rec)_[0-9a-hjkmnp-tv-z]{26}\b").unwrap();
    let said = ids.replace_all(&said, "${1}_0123456789abcdefghjkmnpqrs").into_owned();
    let ports = regex::Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    let said = ports.replace_all(&said, "127.0.0.1:PORT").into_owned();
    let spans = regex::Regex::new(r"\d+\.\d\d s\b").unwrap();
    spans.replace_all(&said, "0.00 s").into_owned()
}

/// A home with one action, one rule and nothing else.
pub fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "packs/demo/pack.yaml",
        "ref: demo\nname: demo\ndescription: Shows.\nversion: 1.0.0\nauthor: me\n",
    );
    write(
        "packs/demo/actions/greet.yaml",
        "name: greet\ndescription: Greets somebody.\nrunner_type: local-shell-cmd\nenabled: true\n\
         parameters:\n  cmd:\n    immutable: true\n    default: echo \"hello $WHO\"\n  \
         env:\n    default: {}\n  times:\n    type: integer\n    default: 1\n",
    );
    write(
        "rules/greet.rhai",
        "rule(\"greet\", #{ about: \"Greets\", on: \"demo.came\", \
         then: |e| run(\"demo.greet\", #{ times: 1 }) });\n",
    );
    home
}
