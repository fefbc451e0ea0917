//! A right of some things only.

use ifso::api::route::{Access, Of, Route};
use ifso::auth::Right;
use ifso::model::execution::Status;
use serde_json::{Value, json};

use super::{by, narrow};
use crate::api::inquiries::{asks, house as asking};
use crate::api::{House, answered, is_problem};
use crate::executions::inquiries::pending;
use crate::world::{action, catalog};

fn path(route: &Route) -> String {
    let parts = route.path.split('/').map(|part| if part.starts_with('{') { "x.y" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Every right of another pack, and of another thing of every kind, opens nothing here.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_all_of_something_else_may_nothing_here() {
    let house = House::new(catalog([action("demo.act")])).await;
    let kinds = ["pack", "action", "rule", "sensor", "trigger", "execution", "inquiry", "key"];
    let rights = Right::ALL.iter().filter(|right| **right != Right::Administer);
    let all: Vec<String> = rights
        .flat_map(|right| kinds.map(|kind| format!("{} {kind}:elsewhere", right.word())))
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let key = narrow(&house, &all).await;
    house.ask("PUT", "/v1/keys/x.y", Some(json!({ "value": 1 }))).await;
    for route in ifso::api::routes() {
        if !matches!(route.access, Access::Needs(_)) || route.path == "/stream/v1/stream" {
            continue;
        }
        let name = format!("{} {}", route.verb.word(), route.path);
        let call = house.bare(route.verb.word(), &path(route)).bearer_auth(&key);
        let (status, body) = answered(call.json(&json!({ "action": "demo.act" }))).await;
        match (route.of, status) {
            (Of::Each, 200) => assert_eq!(body, json!([]), "{name}"),
            (Of::Each, _) => assert_eq!(status / 100, 4, "{name}: {body}"),
            _ => assert_eq!((status, is_problem(status, &body)), (403, true), "{name}: {body}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_run_by_whoever_may_run_it_or_its_pack() {
    let house =
        House::new(catalog([action("demo.act"), action("demo.other"), action("demo2.act")])).await;
    let one = narrow(&house, &["run action:demo.act"]).await;
    let pack = narrow(&house, &["run pack:demo", "view pack:demo"]).await;
    let run = async |key: &str, action: &str| {
        by(&house, key, "POST", "/v1/executions", Some(json!({ "action": action }))).await
    };
    assert_eq!(run(&one, "demo.act").await.0, 201);
    for (key, action) in
        [(&one, "demo.other"), (&one, "demo2.act"), (&pack, "demo2.act"), (&pack, "demo")]
    {
        let (status, told) = run(key, action).await;
        assert_eq!((status, is_problem(status, &told)), (403, true), "{action}: {told}");
    }
    let (status, made) = run(&pack, "demo.other").await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().unwrap();
    house.world.reaches(id.parse().unwrap(), Status::Succeeded).await;
    let (_, foreign) =
        house.ask("POST", "/v1/executions", Some(json!({ "action": "demo2.act" }))).await;
    let foreign = foreign["id"].as_str().unwrap();
    for (method, path, body) in [
        ("GET", format!("/v1/executions/{foreign}"), None),
        ("GET", format!("/v1/executions/{foreign}/output"), None),
        ("GET", format!("/v1/executions/{foreign}/tree"), None),
        ("GET", format!("/stream/v1/executions/{foreign}/output"), None),
        ("DELETE", format!("/v1/executions/{foreign}"), None),
        ("PUT", format!("/v1/executions/{foreign}"), Some(json!({ "status": "canceling" }))),
        ("POST", format!("/v1/executions/{foreign}/re_run"), Some(json!({}))),
        ("GET", "/v1/executions/last".to_owned(), None),
        (
            "POST",
            "/v1/executions/steer".to_owned(),
            Some(json!({ "wish": "cancel", "selector": { "action": "*" } })),
        ),
        ("GET", "/v1/actions/demo2.act".to_owned(), None),
        ("GET", "/v1/events".to_owned(), None),
    ] {
        let (status, told) = by(&house, &pack, method, &path, body).await;
        assert_eq!(status, 403, "{method} {path}: {told}");
    }
    assert_eq!(by(&house, &pack, "GET", &format!("/v1/executions/{id}"), None).await.0, 200);
    assert_eq!(
        by(&house, &pack, "POST", &format!("/v1/executions/{id}/re_run"), None).await.0,
        201
    );
    assert_eq!(
        by(&house, &one, "GET", &format!("/v1/executions/{id}"), None).await.0,
        403,
        "to run is not to see"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_only_what_the_caller_may_see() {
    let house = House::new(catalog([action("demo.act"), action("demo2.act")])).await;
    for action in ["demo.act", "demo2.act"] {
        let body = json!({ "action": action });
        assert_eq!(house.ask("POST", "/v1/executions", Some(body)).await.0, 201);
    }
    for name in ["demo.k", "demo2.k"] {
        house.ask("PUT", &format!("/v1/keys/{name}"), Some(json!({ "value": 1 }))).await;
    }
    let key = narrow(&house, &["view pack:demo", "view key:demo.*"]).await;
    let names = |rows: &Value, field: &str| -> Vec<String> {
        let rows = rows.as_array().unwrap();
        rows.iter().map(|row| row.pointer(field).unwrap().as_str().unwrap().to_owned()).collect()
    };
    for (path, field, seen) in [
        ("/v1/executions", "/action/ref", "demo.act"),
        ("/v1/executions?action=demo2.act&action=demo.act", "/action/ref", "demo.act"),
        ("/v1/actions", "/ref", "demo.act"),
        ("/v1/actions/views/overview", "/ref", "demo.act"),
        ("/v1/keys", "/name", "demo.k"),
        ("/v1/keys?scope=all", "/name", "demo.k"),
    ] {
        let (status, rows) = by(&house, &key, "GET", path, None).await;
        assert_eq!((status, names(&rows, field)), (200, vec![seen.to_owned()]), "{path}");
    }
    for path in ["/v1/executions?action=demo2.act", "/v1/executions?filter=action.ref:demo2.act"] {
        assert_eq!(by(&house, &key, "GET", path, None).await.1, json!([]), "{path}");
    }
    // What may not be seen is not counted either.
    let call = house.bare("GET", "/v1/executions").bearer_auth(&key).send().await.unwrap();
    assert_eq!(call.headers()["x-total-count"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_whoever_may_answer_it() {
    let house = asking().await;
    let path = asks(&house, "Grow it?").await;
    let id = pending(&house.world).await.id.to_string();
    let answer = || Some(json!({ "response": { "approve": true, "pool": "fast" } }));
    for grants in [
        &["answer pack:elsewhere"][..],
        &["view pack:demo", "run pack:demo"],
        &["answer inquiry:exe_0"],
    ] {
        let key = narrow(&house, grants).await;
        let (status, told) = by(&house, &key, "PUT", &path, answer()).await;
        assert_eq!(status, 403, "{grants:?}: {told}");
    }
    let operator = house.keys.issue("ann", "action", std::time::Duration::from_mins(1)).reveal();
    let (status, told) = by(&house, &operator, "PUT", &path, answer()).await;
    assert_eq!(status, 403, "what runs does not answer itself: {told}");
    let viewer = narrow(&house, &["view pack:demo"]).await;
    let (_, list) = by(&house, &viewer, "GET", "/v1/inquiries", None).await;
    assert_eq!(list[0]["id"], json!(id), "its workflow is of the pack: {list}");
    let blind = narrow(&house, &["view pack:elsewhere"]).await;
    assert_eq!(by(&house, &blind, "GET", "/v1/inquiries", None).await.1, json!([]));
    let key = narrow(&house, &["answer pack:demo"]).await;
    let (status, told) = by(&house, &key, "PUT", &path, answer()).await;
    assert_eq!(status, 200, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_workflow_are_seen_but_not_run_with_other_parameters() {
    let house = asking().await;
    asks(&house, "Grow it?").await;
    let asked = pending(&house.world).await;
    let key = narrow(&house, &["view pack:demo", "run pack:demo"]).await;
    let part = format!("/v1/executions/{}", asked.id);
    assert_eq!(by(&house, &key, "GET", &part, None).await.0, 200);
    let again = Some(json!({ "parameters": { "message": "mine" } }));
    assert_eq!(by(&house, &key, "POST", &format!("{part}/re_run"), again).await.0, 403);
    assert_eq!(by(&house, &key, "DELETE", &part, None).await.0, 403);
    let flow = format!("/v1/executions/{}", asked.parent.unwrap());
    for body in [
        json!({ "remedy": "retry", "parameters": { "cmd": "id" } }),
        json!({ "remedy": "skip", "result": { "x": 1 } }),
    ] {
        let (status, told) = by(&house, &key, "POST", &format!("{flow}/remedy"), Some(body)).await;
        assert_eq!(status, 403, "{told}");
    }
    assert_eq!(by(&house, &key, "DELETE", &flow, None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_reported_of_granted_triggers_only() {
    let house = House::new(catalog([])).await;
    let key = narrow(&house, &["report trigger:storage.*"]).await;
    let event = |trigger: &str| json!({ "trigger": trigger, "data": {} });
    assert_eq!(by(&house, &key, "POST", "/v1/events", Some(event("storage.full"))).await.0, 202);
    for path in ["/v1/events", "/v1/webhooks/st2"] {
        let (status, told) = by(&house, &key, "POST", path, Some(event("other.full"))).await;
        assert_eq!((status, is_problem(status, &told)), (403, true), "{path}");
    }
    let cloud = |kind: &str| json!({ "specversion": "1.0", "id": kind, "source": "s", "type": kind, "data": {} });
    let batch = json!([cloud("storage.full"), cloud("other.full")]);
    let call = house.bare("POST", "/v1/events").bearer_auth(&key);
    let call =
        call.header("content-type", "application/cloudevents-batch+json").body(batch.to_string());
    assert_eq!(answered(call).await.0, 403, "one of them is enough");
    let (_, kept) = house.ask("GET", "/v1/events?trigger=storage.full", None).await;
    assert_eq!(kept.as_array().map(Vec::len), Some(1), "nothing of that batch was taken in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_revealed_by_its_own_grant() {
    let house = House::new(catalog([])).await;
    for name in ["demo.password", "other.password"] {
        let draft = json!({ "value": "hidden", "secret": true });
        house.ask("PUT", &format!("/v1/keys/{name}"), Some(draft)).await;
    }
    let key = narrow(&house, &["view key:*", "reveal key:demo.*"]).await;
    let value = async |name: &str| {
        let path = format!("/v1/keys/{name}?decrypt=true");
        by(&house, &key, "GET", &path, None).await.1["value"].clone()
    };
    assert_eq!(value("demo.password").await, "hidden");
    assert_ne!(value("other.password").await, "hidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_tells_only_of_what_the_caller_may_see() {
    use futures_util::StreamExt;
    let house = House::new(catalog([action("demo.act"), action("demo2.act")])).await;
    let key = narrow(&house, &["view action:demo.act"]).await;
    let call = house.bare("GET", "/stream/v1/stream").bearer_auth(&key);
    let mut stream = call.send().await.unwrap().bytes_stream();
    for action in ["demo2.act", "demo.act"] {
        let (_, made) =
            house.ask("POST", "/v1/executions", Some(json!({ "action": action }))).await;
        let id = made["id"].as_str().unwrap().parse().unwrap();
        house.world.reaches(id, Status::Succeeded).await;
    }
    let mut text = String::new();
    let heard = crate::world::patient(async {
        while !text.contains("succeeded") {
            let piece = stream.next().await.unwrap().unwrap();
            text.push_str(&String::from_utf8_lossy(&piece));
        }
    });
    heard.await.expect("its own execution is told of");
    assert!(text.contains("demo.act") && !text.contains("demo2.act"), "{text}");
}
