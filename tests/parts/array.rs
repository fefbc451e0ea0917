//! A storage cloud whose volumes are real: the program in `array/` beside this file, whose arrays are
//! qemu-storage-daemons. Two zones, `az1` with `host-1` and `az2` with `host-2`.

use std::process::Command;

use serde_json::{Value, json};

use super::program::Program;

/// A running cloud; it ends with all its arrays.
pub struct Array(Program);

impl Array {
    /// Starts it; whatever it does takes `delay` seconds longer than it has to.
    pub async fn start(delay: f32) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parts/array");
        let delay = delay.to_string();
        let arguments =
            [folder, "--folder", "{folder}", "--listen", "{address}", "--delay", &delay];
        Self(Program::start("python3", ("name", "array"), &arguments, "/_control").await)
    }

    /// Where it answers: `http://127.0.0.1:…`.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Tells it what is to go wrong: `fail`, `delay`, `kill` or `start`.
    pub async fn control(&self, what: &str, body: &Value) {
        let url = format!("{}/_control/{what}", self.url());
        let body = body.to_string();
        let answer = crate::sensors::client().post(url).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{what}: {}", answer.status());
    }

    /// What there is, and what was asked.
    pub async fn state(&self) -> Value {
        let url = format!("{}/_control", self.url());
        let answer = crate::sensors::client().get(url).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// How many volumes, attachments and replications there are.
    pub async fn counts(&self) -> (u64, u64, u64) {
        let counts = &self.state().await["counts"];
        let of = |kind: &str| counts[kind].as_u64().unwrap();
        (of("volumes"), of("attachments"), of("replications"))
    }

    /// Calls that changed something, without what names whose they are.
    pub async fn changes(&self) -> Vec<String> {
        let state = self.state().await;
        let all = state["changes"].as_array().unwrap().iter();
        all.map(|change| change.as_str().unwrap().replace("/v1beta/demo/block", "")).collect()
    }
}

/// Does something to a volume as its host: commands of qemu-io, which it has to carry out all.
pub fn use_volume(attachment: &Value, commands: &[String]) {
    let mut command = Command::new("qemu-io");
    command.args(["-f", "raw", uri(attachment)]);
    for text in commands {
        command.args(["-c", text]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    // A pattern that is not there is said, and no failure of qemu-io's.
    let good = output.status.success() && !said.contains("failed");
    assert!(good, "{commands:?}: {said}{errors}");
}

/// Where the host of an attachment reaches its volume.
pub fn uri(attachment: &Value) -> &str {
    attachment["connectionInfo"]["data"]["uri"].as_str().unwrap_or_else(|| panic!("{attachment}"))
}

/// A failure for `Array::control("fail", …)`: the next `what` is refused, or ends in error.
pub fn failure(what: &str, how: &str) -> Value {
    json!({ "what": what, "how": how, "message": "the array has a bad day" })
}
