//! StackStorm's clients find what they know: statuses and field names as its own tests recorded them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::api::House;
use crate::world::{action, catalog};

/// The recorded cases.
fn transcript() -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/conformance/stackstorm/rest_transcript.st2api.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut whole: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(cases) = whole["cases"].take() else { panic!("no cases") };
    cases
}

/// The field names of an answer: those of its rows, where it is a list.
fn fields(answer: &Value) -> BTreeSet<String> {
    let row = answer.as_array().map_or(answer, |rows| rows.first().unwrap_or(&Value::Null));
    row.as_object().map(|row| row.keys().cloned().collect()).unwrap_or_default()
}

async fn house() -> House {
    let mut act = action("demo.act");
    "Acts.".clone_into(&mut act.description);
    let house = House::new(catalog([act])).await;
    house.ask("POST", "/v1/events", Some(json!({ "trigger": "demo.t", "data": {} }))).await;
    house.ask("PUT", "/v1/keys/k", Some(json!({ "value": "v" }))).await;
    let (_, run) = house.ask("POST", "/v1/executions", Some(json!({ "action": "demo.act" }))).await;
    let id = run["id"].as_str().unwrap().parse().unwrap();
    house.world.reaches(id, ifso::model::execution::Status::Succeeded).await;
    house
}

/// Fields that only some of StackStorm's rows have: of workflows, of its message bus, of its database.
const OPTIONAL: &[&str] = &[
    "trigger",
    "trigger_type",
    "trigger_instance",
    "rule",
    "parent",
    "children",
    "delay",
    "notify",
    "task_execution",
    "workflow_execution",
    "end_timestamp",
    "elapsed_seconds",
    "expire_timestamp",
    "user",
    "stackstorm_version",
    "path",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_stackstorms_rows_is_in_ours() {
    let house = house().await;
    let cases = transcript();
    let mut seen = 0;
    for path in [
        "/v1/actions",
        "/v1/executions",
        "/v1/triggerinstances",
        "/v1/keys",
        "/v1/apikeys",
        "/v1/packs",
        "/v1/rules",
        "/v1/triggertypes",
        "/v1/runnertypes",
        "/v1/policytypes",
        "/v1/webhooks",
        "/v1/sensortypes",
    ] {
        let (status, ours) = house.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}");
        let ours = fields(&ours);
        if ours.is_empty() {
            continue;
        }
        let theirs = cases.iter().filter(|case| {
            case["method"] == "GET"
                && case["path"] == path
                && case["query"] == ""
                && case["status"] == 200
        });
        for case in theirs {
            let missing: Vec<_> = fields(&case["response"])
                .into_iter()
                .filter(|name| !ours.contains(name) && !OPTIONAL.contains(&name.as_str()))
                .filter(|name| name != "__omitted__")
                .collect();
            assert!(missing.is_empty(), "{path}: {missing:?} are missing ({})", case["test"]);
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} recorded answers were compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_queries_are_refused_as_stackstorm_refuses_them() {
    let house = house().await;
    let mut seen = 0;
    for case in transcript() {
        let (path, query) = (case["path"].as_str().unwrap(), case["query"].as_str().unwrap_or(""));
        let list = [
            "/v1/executions",
            "/v1/actions",
            "/v1/rules",
            "/v1/triggertypes",
            "/v1/triggerinstances",
            "/v1/sensortypes",
            "/v1/packs",
            "/v1/apikeys",
            "/v1/runnertypes",
            "/v1/policytypes",
            "/v1/policies",
        ];
        if case["method"] != "GET"
            || case["status"] != 400
            || query.is_empty()
            || !list.contains(&path)
        {
            continue;
        }
        let (status, body) = house.ask("GET", &format!("{path}?{query}"), None).await;
        assert_eq!(status, 400, "{path}?{query}: {body}");
        let theirs = case["response"]["faultstring"].as_str().unwrap();
        // Where the words are about StackStorm's database, ours differ.
        if !theirs.contains("ObjectId") {
            assert_eq!(body["faultstring"].as_str().unwrap(), theirs, "{path}?{query}");
        }
        seen += 1;
    }
    assert!(seen >= 25, "only {seen} recorded refusals were compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_stackstorms() {
    let house = house().await;
    let known = ifso::model::id::ExecutionId::from_bits(7);
    for (method, path, body, status) in [
        ("GET", "/v1/executions/100".to_owned(), None, 404),
        ("GET", format!("/v1/executions/{known}"), None, 404),
        ("GET", "/v1/executions/last".to_owned(), None, 200),
        ("GET", "/v1/executions/last/output".to_owned(), None, 200),
        ("GET", "/v1/executions/last/result".to_owned(), None, 200),
        ("GET", "/v1/executions/last/attribute/status".to_owned(), None, 200),
        ("GET", "/v1/executions/last/attribute/start_timestamp".to_owned(), None, 400),
        ("GET", "/v1/executions/last/children".to_owned(), None, 200),
        ("GET", "/v1/executions?parent=null&status=&action=&limit=50".to_owned(), None, 200),
        ("POST", "/v1/executions".to_owned(), Some(json!({ "action": "mock.foobar" })), 400),
        ("POST", "/v1/executions".to_owned(), Some(json!({ "action": "demo.act" })), 201),
        ("POST", "/v1/executions/last/re_run".to_owned(), Some(json!({})), 201),
        ("POST", "/v1/executions/last/re_run".to_owned(), Some(json!({ "tasks": ["x"] })), 400),
        ("POST", "/v1/executions/none/re_run".to_owned(), Some(json!({})), 404),
        ("GET", "/v1/actions/1".to_owned(), None, 404),
        ("GET", "/v1/actions/demo.act".to_owned(), None, 200),
        ("GET", "/v1/actions/views/parameters/demo.act".to_owned(), None, 200),
        ("GET", "/v1/actions/views/overview/?limit=-1".to_owned(), None, 200),
        ("GET", "/v1/keys/none".to_owned(), None, 404),
        ("PUT", "/v1/keys/k2".to_owned(), Some(json!({ "name": "k2", "value": "v" })), 200),
        ("DELETE", "/v1/keys/k2".to_owned(), None, 204),
        ("DELETE", "/v1/keys/k2".to_owned(), None, 404),
        ("POST", "/v1/apikeys".to_owned(), Some(json!({ "user": "herge" })), 201),
        ("POST", "/v1/webhooks/foo".to_owned(), Some(json!({})), 404),
        ("GET", "/v1/packs/doesntexistfoo".to_owned(), None, 404),
        ("GET", "/v1/rules/1".to_owned(), None, 404),
    ] {
        let (got, said) = house.ask(method, &path, body).await;
        assert_eq!(got, status, "{method} {path}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_cover_a_list_without_gap_or_overlap() {
    let house = House::new(catalog([action("demo.act")])).await;
    for _ in 0..25 {
        house.ask("POST", "/v1/executions", Some(json!({ "action": "demo.act" }))).await;
    }
    let mut seen = Vec::new();
    for offset in [0, 10, 20, 30] {
        let path = format!("/v1/executions?limit=10&offset={offset}&include_attributes=id");
        let response = house.call("GET", &path).send().await.unwrap();
        assert_eq!(response.headers()["x-total-count"], "25");
        assert_eq!(response.headers()["x-limit"], "10");
        let rows: Vec<Value> = response.json().await.unwrap();
        assert!(rows.iter().all(|row| fields(row) == BTreeSet::from(["id".to_owned()])));
        seen.extend(rows.into_iter().map(|row| row["id"].as_str().unwrap().to_owned()));
    }
    assert!(seen.len() == 25 && seen.is_sorted_by(|a, b| a > b), "newest first: {seen:?}");
    let (_, oldest) = house.ask("GET", "/v1/executions?limit=1&sort_asc=True", None).await;
    assert_eq!(oldest[0]["id"].as_str(), seen.last().map(String::as_str));
    let (_, by) = house.ask("GET", "/v1/executions?action=demo.act&status=succeeded,requested,running,scheduled&user=admin", None).await;
    assert_eq!(by.as_array().unwrap().len(), 25);
    for nothing in
        ["status=canceled", "action=demo.other", "user=nobody", "rule=demo.rule", "parent=exe_x"]
    {
        let (_, none) = house.ask("GET", &format!("/v1/executions?{nothing}"), None).await;
        assert_eq!(none, json!([]), "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_parameters_never_leave() {
    let mut act = action("demo.secret");
    let secret = ifso::model::parameter::Parameter { secret: true, ..Default::default() };
    act.parameters = vec![("password".to_owned(), secret)];
    let house = House::new(catalog([act])).await;
    let run = json!({ "action": "demo.secret", "parameters": { "password": "SUPER_SECRET" } });
    let (status, made) = house.ask("POST", "/v1/executions", Some(run)).await;
    assert_eq!((status, &made["parameters"]["password"]), (201, &json!("********")), "{made}");
    for path in ["/v1/executions", "/v1/executions/last", "/v1/executions/last/output"] {
        let text = house.call("GET", path).send().await.unwrap().text().await.unwrap();
        assert!(!text.contains("SUPER_SECRET"), "{path}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_an_execution_ends_with_it() {
    let house = House::new(catalog([action("demo.act")])).await;
    house.world.hands.hold();
    let (_, run) = house.ask("POST", "/v1/executions", Some(json!({ "action": "demo.act" }))).await;
    let id = run["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/executions/{id}");
    let (waited, canceled) = {
        let wait = format!("{path}?wait=60");
        let waiting = house.ask("GET", &wait, None);
        let canceling = async {
            house.world.reaches(id.parse().unwrap(), ifso::model::execution::Status::Running).await;
            house.ask("DELETE", &path, None).await
        };
        tokio::join!(waiting, canceling)
    };
    assert_eq!((canceled.0, waited.0), (200, 200));
    assert_eq!(waited.1["status"], "canceled");
    let (again, said) = house.ask("DELETE", &path, None).await;
    assert_eq!((again, &said["code"]), (409, &json!("illegal_move")));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_streams_until_the_end() {
    let house = House::new(catalog([action("demo.act")])).await;
    house.world.hands.will_print(&["one\n", "two\n"]);
    house.ask("POST", "/v1/executions", Some(json!({ "action": "demo.act" }))).await;
    let stream = house.call("GET", "/stream/v1/executions/last/output").send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let text = crate::world::patient(stream.text()).await.expect("the stream ends").unwrap();
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names.last(), Some(&"execution.end"), "{text}");
    assert!(text.contains("one\\n") && text.contains("two\\n"), "{text}");
    let plain = house.call("GET", "/v1/executions/last/output").send().await.unwrap();
    assert_eq!(plain.text().await.unwrap(), "one\ntwo\n");
}
