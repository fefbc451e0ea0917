//! Against a served engine: what tables, fields and refusals look like.

use ifso::model::execution::{End, Status};
use ifso::model::parameter::Parameter;
use ifso::runners::Ended;
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
        ("pool".to_owned(), parameter("string", "Which one.", true)),
    ];
    House::new(catalog([act])).await
}

/// What a command says to this engine.
async fn say(house: &House, arguments: &[&str]) -> String {
    let mut command = ifso(arguments);
    command.env("IFSO_URL", &house.url).env("IFSO_KEY", &house.admin);
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
