//! Events over HTTP: every form, once, and what became of them.

use serde_json::{Value, json};

use crate::api::{House, answered, is_problem};
use crate::world::catalog;

async fn send(house: &House, kind: &str, body: &Value) -> (u16, Value) {
    let call = house.call("POST", "/api/v1/events").header("content-type", kind);
    answered(call.body(body.to_string())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_an_event_is_kept_with_its_data() {
    let house = House::new(catalog([])).await;
    let cloud = json!({
        "specversion": "1.0", "type": "demo.cloud", "source": "/here", "id": "1",
        "subject": "pool-1", "time": "2026-02-28T23:00:00Z", "data": { "n": 1 },
    });
    let (status, sent) = send(&house, "application/cloudevents+json; charset=utf-8", &cloud).await;
    assert_eq!((status, &sent["outcome"]), (202, &json!("accepted")));
    let (_, kept) =
        house.ask("GET", &format!("/v1/events/{}", sent["id"].as_str().unwrap()), None).await;
    assert_eq!(kept["trigger"], "demo.cloud");
    assert_eq!(kept["source"], "/here");
    assert_eq!(kept["subject"], "pool-1");
    assert_eq!(kept["time"], "2026-02-28T23:00:00.000Z");
    assert_eq!(kept["data"], json!({ "n": 1 }));

    let binary = house
        .call("POST", "/v1/events")
        .header("ce-specversion", "1.0")
        .header("ce-type", "demo.binary")
        .header("ce-source", "%2Fthere")
        .header("ce-id", "2")
        .json(&json!({ "n": 2 }));
    assert_eq!(answered(binary).await.0, 202);

    let (status, _) =
        send(&house, "application/json", &json!({ "trigger": "demo.plain", "data": { "n": 3 } }))
            .await;
    assert_eq!(status, 202);

    let (_, all) = house.ask("GET", "/v1/events", None).await;
    let triggers: Vec<_> = all.as_array().unwrap().iter().map(|row| &row["trigger"]).collect();
    assert_eq!(triggers, ["demo.plain", "demo.binary", "demo.cloud"]);
    assert_eq!(all[1]["source"], "/there");
    let (_, some) = house.ask("GET", "/v1/triggerinstances?trigger=demo.plain", None).await;
    assert_eq!(some.as_array().unwrap().len(), 1);
    assert_eq!(some[0]["payload"], json!({ "n": 3 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn stackstorms_generic_webhook_reports_any_trigger() {
    let house = House::new(catalog([])).await;
    let body = json!({ "trigger": "demo.generic", "payload": { "n": 4 } });
    let call = house.call("POST", "/api/v1/webhooks/st2").header("st2-trace-tag", "t-1");
    let (status, sent) = answered(call.json(&body)).await;
    assert_eq!((status, &sent["outcome"]), (202, &json!("accepted")));
    let id = sent["id"].as_str().unwrap();
    let (_, kept) = house.ask("GET", &format!("/v1/events/{id}"), None).await;
    assert_eq!((&kept["data"], &kept["trace"]), (&json!({ "n": 4 }), &json!("t-1")));
    let nameless = house.call("POST", "/api/v1/webhooks/st2").json(&json!({ "payload": {} }));
    assert_eq!(answered(nameless).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_taken_whole_and_each_event_of_it_once() {
    let house = House::new(catalog([])).await;
    let event = |id: &str| json!({ "specversion": "1.0", "type": "demo.b", "source": "s", "id": id, "data": id });
    let batch = json!([event("a"), event("b"), event("a")]);
    let (status, rows) = send(&house, "application/cloudevents-batch+json", &batch).await;
    assert_eq!(status, 202, "{rows}");
    let outcomes: Vec<_> = rows.as_array().unwrap().iter().map(|row| &row["outcome"]).collect();
    assert_eq!(outcomes, ["accepted", "accepted", "duplicate"]);
    let (_, kept) = house.ask("GET", "/v1/events", None).await;
    assert_eq!(kept.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_counts_once_and_never_for_another_event() {
    let house = House::new(catalog([])).await;
    let send = async |data: i64| {
        let body = json!({ "trigger": "demo.once", "data": { "n": data } });
        let call = house.call("POST", "/v1/events").header("idempotency-key", "k1").json(&body);
        answered(call).await
    };
    let (first, again, other) = (send(1).await, send(1).await, send(2).await);
    assert_eq!((first.0, &first.1["outcome"]), (202, &json!("accepted")));
    assert_eq!((again.0, &again.1["outcome"]), (202, &json!("duplicate")));
    assert_eq!(again.1["id"], first.1["id"]);
    assert_eq!((other.0, &other.1["code"]), (409, &json!("key_reused")));
    let (_, kept) = house.ask("GET", "/v1/events", None).await;
    assert_eq!(kept.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_refused_with_the_field_that_does_not_fit() {
    let house = House::new(catalog([])).await;
    let plain = "application/json";
    let cloud = "application/cloudevents+json";
    for (kind, body, word) in [
        (plain, json!({ "data": {} }), "trigger"),
        (plain, json!({ "trigger": "nodot" }), "nodot"),
        (plain, json!({ "trigger": "a.b", "dta": {} }), "dta"),
        (plain, json!({ "trigger": "a.b", "time": "noon" }), "time"),
        (plain, json!([]), "body"),
        (
            cloud,
            json!({ "specversion": "0.3", "type": "a.b", "source": "s", "id": "1" }),
            "specversion",
        ),
        (cloud, json!({ "specversion": "1.0", "type": "a.b", "source": "s" }), "id"),
        (cloud, json!({ "specversion": "1.0", "type": "ab", "source": "s", "id": "1" }), "type"),
        (cloud, json!({ "specversion": "1.0", "type": "a.b", "source": 1, "id": "1" }), "source"),
    ] {
        let (status, said) = send(&house, kind, &body).await;
        assert!(status == 400 && is_problem(status, &said), "{body}: {status} {said}");
        let text = said["faultstring"].as_str().unwrap();
        assert!(text.contains(word), "{body}: {text}");
    }
    let (status, said) = send(&house, "text/plain", &json!("x")).await;
    assert_eq!((status, &said["code"]), (415, &json!("unknown_form")));
    let (_, kept) = house.ask("GET", "/v1/events", None).await;
    assert_eq!(kept, json!([]));
}
