//! StackStorm's own command line, `st2` of `st2client`, unchanged: `./dev test` installs it.

use std::path::Path;
use std::process::Stdio;

use ifso::model::execution::Status;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::{PASSWORD, user};
use crate::api::House;
use crate::api::inquiries::{asks, house as asking};
use crate::executions::inquiries::pending;
use crate::world::patient;

/// Somebody who sits at it, with a home of their own.
struct Desk {
    url: String,
    home: TempDir,
}

impl Desk {
    fn at(house: &House) -> Self {
        Self { url: house.url.clone(), home: tempfile::tempdir().unwrap() }
    }

    /// Whether it went well, and what it said.
    async fn says(&self, arguments: &[&str]) -> (bool, String) {
        let st2 = Path::new(env!("CARGO_MANIFEST_DIR")).join(".parts/st2/bin/st2");
        assert!(st2.exists(), "`./dev test --install-only` installs {}", st2.display());
        let mut command = Command::new(st2);
        command.args(arguments).env_clear().env("HOME", self.home.path()).env("NO_COLOR", "1");
        for (name, path) in
            [("ST2_API_URL", "api"), ("ST2_AUTH_URL", "auth"), ("ST2_STREAM_URL", "stream")]
        {
            command.env(name, format!("{}/{path}/v1", self.url));
        }
        command.env("ST2_BASE_URL", &self.url).stdin(Stdio::null()).kill_on_drop(true);
        let ended = patient(command.output()).await.expect("it ends").unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&ended.stdout) + &text(&ended.stderr);
        // It exits with 0 after some errors.
        (ended.status.success() && !said.contains("ERROR"), said)
    }

    async fn good(&self, arguments: &[&str]) -> String {
        let (good, said) = self.says(arguments).await;
        assert!(good, "st2 {arguments:?}: {said}");
        said
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let said = self.good(&[arguments, &["-j"]].concat()).await;
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stackstorms_command_line_signs_in_lists_runs_and_answers() {
    let house = asking().await;
    // It looks at the machine's clock whether its token has ended.
    house.world.manual.set(ifso::clock::system().now());
    user(&house, "ann", "operator", &[]).await;
    let desk = Desk::at(&house);
    let (_, refused) = desk.says(&["login", "ann", "-p", "wrong horse"]).await;
    assert!(refused.contains("Failed to log in as ann"), "{refused}");
    assert!(!desk.says(&["action", "list"]).await.0, "nobody is signed in");
    desk.good(&["login", "ann", "-p", PASSWORD]).await;
    let whoami = desk.good(&["whoami"]).await;
    assert!(whoami.contains("Currently logged in as \"ann\"") && whoami.contains("operator"));
    let listed = desk.json(&["action", "list"]).await.to_string();
    assert!(listed.contains("demo.act"), "{listed}");

    let ran = desk.json(&["run", "demo.act", "-a"]).await;
    let id = ran["id"].as_str().unwrap_or_else(|| panic!("{ran}"));
    house.world.reaches(id.parse().unwrap(), Status::Succeeded).await;
    let shown = desk.json(&["execution", "get", id]).await;
    assert_eq!(shown["status"], "succeeded", "{shown}");
    let said = desk.good(&["execution", "list", "-n", "5"]).await;
    assert!(said.contains(id) && said.contains("ann"), "{said}");

    asks(&house, "Grow it?").await;
    let question = pending(&house.world).await;
    let listed = desk.json(&["inquiry", "list"]).await;
    assert_eq!(listed[0]["id"], json!(question.id), "{listed}");
    let id = question.id.to_string();
    let answer = r#"{"approve": true, "pool": "fast"}"#;
    desk.good(&["inquiry", "respond", &id, "-r", answer]).await;
    let answered = house.world.reaches(question.id, Status::Succeeded).await;
    assert_eq!(answered.result["answered_by"], "ann");
    let flow = question.parent.unwrap();
    house.world.reaches(flow, Status::Succeeded).await;
    let tree = desk.good(&["execution", "get", &flow.to_string()]).await;
    assert!(tree.contains("approve"), "the tasks are listed below: {tree}");

    let (written, said) = desk.says(&["key", "set", "k", "v"]).await;
    assert!(!written && said.contains("role `operator` may not change"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stackstorms_command_line_cancels_tails_and_gives_tokens() {
    let house = asking().await;
    // It looks at the machine's clock whether its token has ended.
    house.world.manual.set(ifso::clock::system().now());
    user(&house, "ann", "operator", &[]).await;
    let desk = Desk::at(&house);
    desk.good(&["login", "ann", "-p", PASSWORD]).await;
    asks(&house, "Grow it?").await;
    let flow = pending(&house.world).await.parent.unwrap();
    house.world.reaches(flow, Status::Paused).await;
    let id = flow.to_string();
    desk.good(&["execution", "cancel", &id]).await;
    house.world.reaches(flow, Status::Canceled).await;

    house.world.hands.hold();
    house.world.hands.will_print(&["growing\n"]);
    let ran = desk.json(&["run", "demo.act", "-a"]).await;
    let id = ran["id"].as_str().unwrap().to_owned();
    house.world.hands.began().await;
    let tail = ["execution", "tail", &id];
    let (tail, ()) = tokio::join!(desk.good(&tail), async {
        house.world.hands.go_on();
    });
    assert!(tail.contains("growing") && tail.contains("has completed"), "{tail}");
    let token = desk.good(&["auth", "ann", "-p", PASSWORD, "-t"]).await;
    assert_eq!(house.keys.check(token.trim()).await.unwrap().user, "ann");
}
