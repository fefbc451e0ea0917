//! Webhooks: who may call, what becomes an event, and what the caller is told.

use aws_lc_rs::hmac;
use ifso::sensors::hooks::AlertsVersion;
use serde_json::{Value, json};

use super::{Station, catalog, definition, delivery};
use crate::world::World;

fn sign(secret: &str, message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    ifso::store::table::hex(hmac::sign(&key, message.as_bytes()).as_ref())
}

async fn station(file: &str) -> Station {
    let definitions = [definition("deploy", file)];
    let config = json!({ "token": "s3cret" });
    let station = Station::on(World::new(catalog(definitions, config)));
    station.running("deploy").await;
    station
}

#[tokio::test]
async fn an_open_webhook_takes_json_forms_and_lists() {
    let station = station("kind: webhook\nauth: none").await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for (headers, body, expected) in [
        (&[][..], r#"{"pool":"p1"}"#, json!({ "pool": "p1" })),
        (&[][..], "[1,2]", json!({ "value": [1, 2] })),
        (&[][..], "", json!({})),
        (&form[..], "a=1&b=x+y&b=%C3%A9", json!({ "a": "1", "b": ["x y", "é"] })),
    ] {
        let before = station.events().await.len();
        let answer = station.post("deploy", headers, body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let events = station.events_become(before + 1).await;
        let event = events.last().unwrap();
        assert_eq!((event.trigger.as_str(), &*event.data), ("webhook.deploy", &expected));
        assert_eq!(answer.body["events"], json!([event.id.to_string()]));
    }
    let answer = station.post("deploy", &[], "{").await;
    assert_eq!((answer.status, &answer.body["code"]), (400, &json!("wrong_body")));
    let answer = station.post("deplyo", &[], "{}").await;
    assert_eq!((answer.status, &answer.body["help"]), (404, &json!("did you mean `deploy`?")));
}

#[tokio::test]
async fn a_request_keeps_its_headers_but_no_credentials() {
    let file = "kind: webhook\nauth: bearer\nshape: request\nsecrets: [{ config: token }]";
    let station = station(file).await;
    let headers =
        [("authorization", "Bearer s3cret"), ("cookie", "a=s3cret"), ("x-github-event", "push")];
    assert_eq!(station.post("deploy", &headers, "{\"a\":1}").await.status, 202);
    let events = station.events_become(1).await;
    let expected = json!({
        "body": { "a": 1 },
        "headers": { "X-Github-Event": "push" },
        "headers_lower": { "x-github-event": "push" },
        "query": {},
    });
    assert_eq!(*events[0].data, expected);
}

#[tokio::test]
async fn who_proves_nothing_is_refused() {
    for (file, headers) in [
        ("kind: webhook", vec![]),
        (
            "kind: webhook\nauth: bearer\nsecrets: [{ config: token }]",
            vec![("authorization", "Bearer s3cres")],
        ),
        ("kind: webhook\nauth: bearer\nsecrets: [{ config: token }]", vec![]),
        ("kind: webhook\nauth: hmac\nsecrets: [{ config: token }]", vec![]),
    ] {
        let station = station(file).await;
        let answer = station.post("deploy", &headers, "{}").await;
        assert_eq!((answer.status, &answer.body["code"]), (401, &json!("not_proven")), "{file}");
        assert_eq!(station.events().await.len(), 0);
    }
    let station = station("kind: webhook").await;
    let known = Some("ann".to_owned());
    let answer = station
        .hooks
        .deliver("deploy", super::Delivery { authenticated: known, ..delivery(&[], "{}") });
    assert_eq!(answer.await.status, 202);
}

#[tokio::test]
async fn forged_and_replayed_signatures_are_refused() {
    let file = "kind: webhook\nauth: hmac\nsecrets: [{ inline: new }, { inline: old }]";
    let station = station(file).await;
    let body = r#"{"a":1}"#;
    for (secret, status) in [("new", 202), ("new", 409), ("old", 202), ("other", 401)] {
        let signature = format!("sha256={}", sign(secret, body));
        let answer = station.post("deploy", &[("x-hub-signature-256", &signature)], body).await;
        assert_eq!(answer.status, status, "{secret}: {answer:?}");
    }
    let signature = format!("sha256={}", sign("new", body));
    let forged = station.post("deploy", &[("x-hub-signature-256", &signature)], "{\"a\":2}").await;
    assert_eq!(forged.status, 401);
    // With a delivery's name, that name tells deliveries apart.
    for (id, status) in [("1", 202), ("2", 202), ("1", 409)] {
        let headers = [("x-hub-signature-256", signature.as_str()), ("x-github-delivery", id)];
        assert_eq!(station.post("deploy", &headers, body).await.status, status, "{id}");
    }
    assert_eq!(station.events().await.len(), 4);
}

#[tokio::test]
async fn stripes_signatures_hold_for_five_minutes_and_once() {
    let file = "kind: webhook\nauth: hmac\nsignature: { form: stripe }\nsecrets: [{ inline: k }]";
    let station = station(file).await;
    let now = "2026-03-01T00:00:00Z".parse::<ifso::model::time::Time>().unwrap().millis() / 1000;
    for (late, status) in [(0, 202), (0, 409), (-299, 202), (-301, 401), (301, 401)] {
        let time = now + late;
        let header = format!("t={time},v1={}", sign("k", &format!("{time}.{{}}")));
        let answer = station.post("deploy", &[("stripe-signature", &header)], "{}").await;
        assert_eq!(answer.status, status, "{late}");
    }
}

#[tokio::test]
async fn an_idempotency_key_is_one_event_and_the_second_answer_names_it() {
    let station = station("kind: webhook\nauth: none").await;
    let headers = [("idempotency-key", "k1")];
    let first = station.post("deploy", &headers, "{}").await;
    let second = station.post("deploy", &headers, "{}").await;
    assert_eq!((first.status, second.status), (202, 200));
    assert_eq!(first.body["events"], second.body["duplicates"]);
    assert_eq!(station.events().await.len(), 1);
}

#[tokio::test]
async fn two_sensors_cannot_have_one_webhook() {
    let station = Station::new([
        definition("a", "kind: webhook\nname: x\nauth: none"),
        definition("b", "kind: webhook\nname: x\nauth: none"),
    ]);
    let stopped = |name: &str| {
        station
            .health(name)
            .and_then(|health| health.reason)
            .filter(|why| why.contains("is open already"))
    };
    let why = super::eventually(|| stopped("a").or_else(|| stopped("b"))).await.unwrap();
    assert!(why.contains("by sensor `site."), "{why}");
    assert_eq!(station.hooks.names(), ["x"]);
}

fn notification(alerts: &Value) -> String {
    json!({
        "receiver": "ifso", "status": "firing", "alerts": alerts, "groupLabels": {},
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am:9093",
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "notification_reason": "new",
    })
    .to_string()
}

fn alert(status: &str, starts: &str) -> Value {
    json!({
        "status": status,
        "labels": { "alertname": "Full", "pool": "p1" },
        "annotations": { "summary": "it is full" },
        "startsAt": starts, "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prom/graph", "fingerprint": "f7e8026ae4adce22", "newer": {},
    })
}

#[tokio::test]
async fn each_alert_and_change_is_one_event() {
    let station = station("kind: alertmanager\nname: deploy\nauth: none").await;
    let first = "2026-02-28T23:00:00.123Z";
    let again = "2026-02-28T23:30:00.123Z";
    for (alerts, accepted) in [
        (json!([alert("firing", first)]), 1),
        (json!([alert("firing", first)]), 0),
        (json!([alert("firing", first), alert("firing", again)]), 1),
        (json!([alert("resolved", again)]), 1),
        (json!([alert("resolved", again)]), 0),
    ] {
        let answer = station.post("deploy", &[], &notification(&alerts)).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.body["events"].as_array().unwrap().len(), accepted, "{alerts}");
    }
    let events = station.events_become(3).await;
    assert_eq!(
        *events[0].data,
        json!({
            "status": "firing",
            "labels": { "alertname": "Full", "pool": "p1" },
            "annotations": { "summary": "it is full" },
            "startsAt": first, "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prom/graph", "fingerprint": "f7e8026ae4adce22",
            "receiver": "ifso", "groupKey": "{}:{}", "externalURL": "http://am:9093",
        })
    );
    assert_eq!(station.health("deploy").unwrap().duplicates, 3);
    let told = station.world.metrics.text().unwrap();
    assert!(told.contains("ifso_events_taken_total{outcome=\"duplicate\"} 3"), "{told}");
    // What memory forgot, the store remembers.
    let station = station.restart().await;
    station.running("deploy").await;
    let alerts = json!([alert("firing", again)]);
    let answer = station.post("deploy", &[], &notification(&alerts)).await;
    assert_eq!(answer.body["duplicates"].as_array().unwrap().len(), 1, "{answer:?}");
}

fn delfin(occurred: i64, category: &str, severity: &str) -> Value {
    json!({
        "labels": {
            "alert_id": "0x1", "alert_name": "Link state down", "sequence_number": occurred.to_string(),
            "category": category, "severity": severity, "location": "Controller A port 1",
            "storage_id": "s1", "occur_time": occurred.to_string(),
        },
        "annotations": { "summary": "a link is down" },
    })
}

/// delfin never forgets: each push holds everything that ever was. `reference/soda.md` 4.3.
#[tokio::test]
async fn delfins_alerts_are_told_once_per_change() {
    let station = station("kind: alertmanager\nname: deploy\nauth: none").await;
    let (first, over, again) = (1_772_000_000_000_i64, 1_772_000_060_000, 1_772_000_120_000);
    let all = [
        delfin(first, "Fault", "Critical"),
        delfin(first + 1000, "Fault", "Critical"),
        delfin(over, "Recovery", "Informational"),
        delfin(again, "Fault", "Critical"),
    ];
    let mut news = Vec::new();
    for count in [1, 1, 2, 3, 3, 4, 4] {
        let body = json!(&all[..count]).to_string();
        let answer = station.hooks.alerts(AlertsVersion::V1, delivery(&[], &body)).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("success")));
        news.push(answer.body["events"].as_array().unwrap().len());
    }
    assert_eq!(news, [1, 0, 0, 1, 0, 1, 0]);
    let events = station.events_become(3).await;
    let told: Vec<_> = events.iter().map(|event| event.data["status"].as_str().unwrap()).collect();
    assert_eq!(told, ["firing", "resolved", "firing"]);
    assert!(events.windows(2).all(|two| two[0].data["fingerprint"] == two[1].data["fingerprint"]));
    assert_eq!(events[1].data["endsAt"], "2026-02-25T06:14:20.000Z");
    // Other storages and places are other alerts; all at once they are told in order.
    let station = super::Station::on(World::new(catalog(
        [definition("deploy", "kind: alertmanager\nname: deploy\nauth: none")],
        Value::Null,
    )));
    station.running("deploy").await;
    let answer = station.hooks.alerts(AlertsVersion::V1, delivery(&[], &json!(all).to_string()));
    assert_eq!(answer.await.body["events"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn alerts_find_nobody_where_no_sensor_takes_them() {
    let station = Station::new([]);
    station.settled().await;
    let answer = station.hooks.alerts(AlertsVersion::V2, delivery(&[], "[]")).await;
    assert_eq!((answer.status, &answer.body["code"]), (404, &json!("no_alert_sensor")));
}

#[tokio::test]
async fn one_bad_alert_does_not_spoil_the_others() {
    let station = station("kind: alertmanager\nname: deploy\nauth: none").await;
    let good = alert("firing", "2026-02-28T23:00:00Z");
    let bad = json!({ "status": "firing", "labels": ["no", "map"] });
    let answer = station.post("deploy", &[], &notification(&json!([bad, good]))).await;
    assert_eq!((answer.status, answer.body["events"].as_array().unwrap().len()), (202, 1));
    let reason = "`alerts[0]`: `labels` must be a map of strings";
    assert_eq!(answer.body["refused"], json!([reason]));
    let rows = ifso::store::table::Rows::first(10);
    let letters = ifso::store::table::scan::<ifso::store::tables::DeadLetter>;
    let letters = letters(&station.world.store, rows).await.unwrap();
    assert_eq!((letters.len(), letters[0].row.reason.as_str()), (1, reason));
    let count = "ifso_dead_letters_total{sensor=\"site.deploy\"} 1";
    assert!(station.world.metrics.text().unwrap().contains(count));
    let answer = station.post("deploy", &[], &notification(&json!([bad]))).await;
    assert_eq!((answer.status, &answer.body["faultstring"]), (400, &json!(reason)));
    assert_eq!(station.health("deploy").unwrap().bad_inputs, 2);
}

/// Alertmanager drops what is answered with 404 or 413, and repeats what is answered with 503.
#[tokio::test]
async fn a_hook_that_is_not_open_yet_asks_to_come_again() {
    let later = |answer: &ifso::sensors::hooks::Answer, code: &str| {
        let told = (answer.status, answer.retry_after_seconds, &answer.body["code"]);
        assert_eq!(told, (503, Some(1), &json!(code)), "{answer:?}");
    };
    let file = "kind: alertmanager\nname: deploy\nauth: bearer\nsecrets: [{ file: token }]";
    let folder = tempfile::tempdir().unwrap();
    let station = Station::new([super::in_folder("deploy", file, folder.path().into())]);
    // Nobody has said yet which sensors there are.
    later(&station.post("whatever", &[], "{}").await, "starting");
    let push = || station.hooks.alerts(AlertsVersion::V2, delivery(&[], "[]"));
    later(&push().await, "starting");
    // Its secret is not there: it tries again, with a pause.
    station.until("deploy", |health| health.restarts == 1).await;
    later(&station.post("deploy", &[], "{}").await, "starting");
    later(&push().await, "starting");
    assert_eq!(station.hooks.limit_bytes("deploy"), ifso::sensors::hooks::ALERTS_LIMIT_BYTES);
    assert_eq!(station.post("whatever", &[], "{}").await.status, 404);
    assert_eq!(station.hooks.limit_bytes("whatever"), ifso::sensors::hooks::BODY_LIMIT_BYTES);
    std::fs::write(folder.path().join("token"), "t").unwrap();
    station.world.manual.advance(std::time::Duration::from_secs(1));
    station.running("deploy").await;
    assert_eq!(station.post("deploy", &[], "{}").await.status, 401);
    // Taken away, it is nobody's.
    station.reload(catalog([], Value::Null));
    let gone = || (station.hooks.limit_bytes("deploy") < 2 << 20).then_some(());
    super::eventually(gone).await.unwrap();
    station.world.tasks.drain(std::time::Duration::from_secs(5)).await;
    later(&station.post("deploy", &[], "{}").await, "stopping");
}
