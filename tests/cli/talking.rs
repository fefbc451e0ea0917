//! Against a served engine: what tables, fields and refusals look like.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use ifso::model::execution::{End, Status};
use ifso::model::parameter::Parameter;
use ifso::model::trigger::Trigger;
use ifso::runners::Ended;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::api::House;
use crate::cli::{ifso, told};
use crate::world::{action, catalog};

async fn house() -> House {
    let mut act = action("demo.grow_pool");
    "Grows a pool by some percent.".clone_into(&mut act.description);
    let parameter = |kind: &str, about: &str, required| Parameter {
        types: vec![kind.to_owned()],
        description: about.to_owned(),
        required,
        ..Parameter::default()
    };
    act.parameters = vec![
        ("percent".to_owned(), parameter("integer", "By how much.", false)),
        (
            "mode".to_owned(),
            Parameter {
                choices: vec![json!("safe"), json!("fast")],
                default: Some(json!("safe")),
                ..parameter("string", "How.", false)
            },
        ),
        ("token".to_owned(), Parameter { secret: true, ..parameter("string", "Leave.", false) }),
        ("pool".to_owned(), parameter("string", "Which one.", true)),
    ];
    let mut all = catalog([act]);
    let filled = Trigger {
        reference: "demo.filled".parse().unwrap(),
        description: "A pool fills.".to_owned(),
        payload_schema: json!({ "type": "object", "properties": {
            "pool": { "type": "string" }, "used_pct": { "type": "number" },
        }})
        .into(),
        parameters_schema: Value::Null.into(),
        tags: Vec::new(),
    };
    all.triggers.insert(filled.reference.clone(), Arc::new(filled));
    House::new(all).await
}

/// A command that talks to this engine.
pub fn command(house: &House, arguments: &[&str]) -> Command {
    let mut command = ifso(arguments);
    command.env("IFSO_URL", &house.url).env("IFSO_KEY", &house.admin);
    command
}

/// What a command says to this engine.
pub async fn say(house: &House, arguments: &[&str]) -> String {
    let mut command = command(house, arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    told(&output)
}

#[tokio::test(flavor = "multi_thread")]
async fn running_an_action_shows_its_result_and_ends_with_its_status() {
    let house = house().await;
    let well = say(&house, &["run", "demo.grow_pool", "pool=p1", "percent=20"]).await;
    insta::assert_snapshot!("run_succeeded", well);
    house.world.hands.will([Ended::So(End::Failed)]);
    let badly = say(&house, &["run", "demo.grow_pool", "pool=p1"]).await;
    assert!(badly.starts_with("exit 1"), "{badly}");
    insta::assert_snapshot!(
        "run_wrong_name",
        say(&house, &["run", "demo.grow_pol", "pool=p1"]).await
    );
    insta::assert_snapshot!(
        "run_wrong_parameter",
        say(&house, &["run", "demo.grow_pool", "pol=p1"]).await
    );
    insta::assert_snapshot!(
        "run_wrong_choice",
        say(&house, &["run", "demo.grow_pool", "pool=p1", "mode=sfae"]).await
    );
    let detached = say(&house, &["run", "demo.grow_pool", "pool=p1", "--async"]).await;
    assert_eq!(detached, "exit 0\n--- stdout\nexe_0123456789abcdefghjkmnpqrs\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_tables_for_people_and_one_array_for_programs() {
    let house = house().await;
    let run = json!({ "action": "demo.grow_pool", "parameters": { "pool": "p1" } });
    let (_, made) = house.ask("POST", "/v1/executions", Some(run)).await;
    house.world.reaches(made["id"].as_str().unwrap().parse().unwrap(), Status::Succeeded).await;
    let event = json!({ "trigger": "demo.filled", "data": { "pool": "p1" }, "source": "test" });
    house.ask("POST", "/v1/events", Some(event)).await;
    house.ask("PUT", "/v1/keys/region", Some(json!({ "value": "north" }))).await;
    house.ask("PUT", "/v1/keys/password", Some(json!({ "value": "x", "secret": true }))).await;
    for noun in [
        "action",
        "execution",
        "event",
        "key",
        "rule",
        "pack",
        "sensor",
        "trigger",
        "deadletter",
        "token",
    ] {
        let table = say(&house, &[noun, "list"]).await;
        insta::assert_snapshot!(format!("list_{noun}"), table);
        let array = say(&house, &[noun, "list", "--json"]).await;
        let body = array.strip_prefix("exit 0\n--- stdout\n").unwrap_or_else(|| panic!("{array}"));
        assert!(serde_json::from_str::<Vec<Value>>(body).is_ok(), "{noun}: {array}");
    }
    insta::assert_snapshot!(
        "show_action",
        say(&house, &["action", "show", "demo.grow_pool"]).await
    );
    insta::assert_snapshot!("show_execution", say(&house, &["execution", "show", "last"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn tailing_prints_output_as_it_comes_and_ends_with_the_execution() {
    let house = house().await;
    house.world.hands.will_print(&["one\n", "two\u{1b}[31m\n"]);
    let run = json!({ "action": "demo.grow_pool", "parameters": { "pool": "p1" } });
    house.ask("POST", "/v1/executions", Some(run)).await;
    insta::assert_snapshot!("tail", say(&house, &["execution", "tail"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_tokens_are_written_shown_and_removed() {
    let house = house().await;
    let set = ["key", "set", "limits", "{\"max\": 5}", "--convert"];
    assert!(say(&house, &set).await.starts_with("exit 0"));
    assert_eq!(
        say(&house, &["key", "get", "limits"]).await,
        "exit 0\n--- stdout\n{\n  \"max\": 5\n}\n"
    );
    assert!(say(&house, &["key", "delete", "limits"]).await.starts_with("exit 0"));
    insta::assert_snapshot!("key_gone", say(&house, &["key", "get", "limits"]).await);
    let made = say(&house, &["token", "create", "--role", "viewer", "--json"]).await;
    let body: Value =
        serde_json::from_str(made.strip_prefix("exit 0\n--- stdout\n").unwrap()).unwrap();
    assert_eq!(body["role"], "viewer");
    insta::assert_snapshot!(
        "token_wrong_role",
        say(&house, &["token", "create", "--role", "root"]).await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_says_where_it_came_from() {
    let mut house = house().await;
    house.admin = "nonsense".to_owned();
    insta::assert_snapshot!("wrong_key", say(&house, &["rule", "list"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_the_waiting_and_says_how_to_cancel() {
    let house = house().await;
    house.world.hands.hold();
    let mut command = command(&house, &["run", "demo.grow_pool", "pool=p1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let waited = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut heard = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        heard.read_line(&mut said).unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        heard.read_to_string(&mut said).unwrap();
        let mut output = child.wait_with_output().unwrap();
        output.stderr = said.into_bytes();
        output
    });
    insta::assert_snapshot!("run_interrupted", told(&waited.await.unwrap()));
    let (_, row) = house.ask("GET", "/v1/executions/last", None).await;
    assert_ne!(row["status"], "canceled");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_repeated_with_its_parameters_and_with_others() {
    let house = house().await;
    say(&house, &["run", "demo.grow_pool", "pool=p1", "percent=5"]).await;
    let again = say(&house, &["execution", "rerun", "last", "percent=7", "--json"]).await;
    let body = again.strip_prefix("exit 0\n--- stdout\n").unwrap_or_else(|| panic!("{again}"));
    let body = body.split("--- stderr").next().unwrap();
    let row: Value = serde_json::from_str(body).unwrap();
    assert_eq!(row["parameters"], json!({ "pool": "p1", "percent": 7 }), "{row}");
    assert_eq!(house.world.hands.jobs().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_sent_as_its_trigger_describes_it() {
    let house = house().await;
    let last = async || house.ask("GET", "/v1/events?limit=1", None).await.1[0]["data"].clone();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\"pool\": \"p2\"}").unwrap();
    let at_file = format!("@{}", file.path().display());
    for (arguments, expected) in [
        (
            &["pool=7", "used_pct=95", "more=1"][..],
            json!({ "pool": "7", "used_pct": 95, "more": "1" }),
        ),
        (&["--payload", at_file.as_str()][..], json!({ "pool": "p2" })),
        (&["--payload", "{\"pool\": \"p3\"}"][..], json!({ "pool": "p3" })),
    ] {
        let said = say(&house, &[&["event", "send", "demo.filled"][..], arguments].concat()).await;
        assert_eq!(said, "exit 0\n--- stdout\nevt_0123456789abcdefghjkmnpqrs\n");
        assert_eq!(last().await, expected);
    }
    let mut command = command(&house, &["event", "send", "demo.filled", "--payload", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let sent = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"{\"pool\": \"p4\"}").unwrap();
        child.wait().unwrap()
    });
    assert!(sent.await.unwrap().success());
    assert_eq!(last().await, json!({ "pool": "p4" }));
    let said = say(&house, &["event", "send", "demo.fill", "pool=p1"]).await;
    insta::assert_snapshot!("event_unheard", said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_usage_line_shows_only_what_is_missing() {
    let house = house().await;
    insta::assert_snapshot!("missing_argument_with_url", say(&house, &["run"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_its_pack_is_answered_with_the_whole_name() {
    let house = house().await;
    for (noun, name, whole) in
        [("action", "grow_pool", "demo.grow_pool"), ("trigger", "filed", "demo.filled")]
    {
        let said = say(&house, &[noun, "show", name]).await;
        assert!(said.contains(&format!("help: did you mean `{whole}`?")), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_time_is_over_is_listed_as_expired_and_one_needs_a_name() {
    let house = house().await;
    let create = ["token", "create", "--role", "viewer", "--ttl", "1"];
    assert!(say(&house, &create).await.starts_with("exit 0"));
    insta::assert_snapshot!("list_token_expired", say(&house, &["token", "list"]).await);
    let nobody = say(&house, &["token", "create", "--user", ""]).await;
    insta::assert_snapshot!("token_nobody", nobody);
    let (_, made) = house.ask("POST", "/v1/apikeys", Some(json!({}))).await;
    assert_eq!(made["role"], "operator");
}
