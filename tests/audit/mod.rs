//! The audit log: no change without its line, and no line that can be changed unseen.

use std::time::Duration;

use ifso::audit::{self, Entry, Phase};
use ifso::clock::Ids;
use ifso::store::batch::Batch;
use ifso::store::retention::{self, Settings};
use ifso::store::table::{self, Row, Rows};
use ifso::store::tables::{AuditEnd, AuditLine};
use serde_json::{Value, json};

use crate::api::{House, answered};
use crate::world::{action, catalog};

async fn lines(house: &House, query: &str) -> Vec<Value> {
    let (status, rows) = house.ask("GET", &format!("/api/v1/audit{query}"), None).await;
    assert_eq!(status, 200, "{rows}");
    rows.as_array().unwrap().clone()
}

async fn verdict(house: &House) -> Value {
    house.ask("GET", "/api/v1/audit/verify", None).await.1
}

async fn count(house: &House) -> usize {
    lines(house, "").await;
    table::scan::<AuditLine>(&house.world.store, Rows::first(10_000)).await.unwrap().len()
}

/// A house in which some things were changed.
async fn house() -> House {
    let house = House::new(catalog([action("demo.act")])).await;
    for value in ["one", "two", "three"] {
        let body = json!({ "value": value });
        assert_eq!(house.ask("PUT", "/api/v1/keys/colour", Some(body)).await.0, 200);
    }
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_with_who_what_and_what_stood_there_before() {
    let house = house().await;
    let body = json!({ "value": "s3cr3t-canary", "secret": true });
    house.ask("PUT", "/api/v1/keys/colour", Some(body)).await;
    let all = lines(&house, "?object=colour").await;
    assert_eq!(all.len(), 4);
    let newest = &all[0];
    let id = house.admin.split_once('.').unwrap().0;
    for (name, wanted) in [
        ("outcome", json!("done")),
        ("status", json!(200)),
        ("user", json!("admin")),
        ("role", json!("admin")),
        ("key", json!(id)),
        ("from", json!("127.0.0.1")),
        ("what", json!("PUT /api/v1/keys/{name}")),
        ("object", json!("colour")),
    ] {
        assert_eq!(newest[name], wanted, "{name}: {newest}");
    }
    assert_eq!(
        (&newest["before"]["value"], &newest["after"]["value"]),
        (&json!("three"), &json!("********"))
    );
    assert!(!json!(all).to_string().contains("s3cr3t-canary"));
    let (_, secret) = house.admin.split_once('.').unwrap();
    assert!(!json!(all).to_string().contains(secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_a_secret_leaves_a_line_and_who_reads_else_does_not() {
    let house = house().await;
    let before = count(&house).await;
    house.ask("GET", "/api/v1/keys/colour", None).await;
    assert_eq!(count(&house).await, before);
    house.ask("GET", "/api/v1/keys/colour?decrypt=true", None).await;
    let all = lines(&house, "").await;
    assert_eq!(all[0]["what"], "GET /api/v1/keys/{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_call_is_there_and_those_without_a_key_are_counted() {
    let house = house().await;
    let viewer = house.key("viewer").await;
    let call = house.bare("DELETE", "/api/v1/keys/colour").bearer_auth(&viewer);
    assert_eq!(answered(call).await.0, 403);
    let all = lines(&house, "?outcome=denied").await;
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0]["user"], &all[0]["status"]), (&json!("viewer"), &json!(403)), "{}", all[0]);

    let before = count(&house).await;
    for _ in 0..20 {
        let call = house.bare("DELETE", "/api/v1/keys/colour").bearer_auth("nothing");
        assert_eq!(answered(call).await.0, 401);
    }
    assert_eq!(count(&house).await, before + 1, "only the first is written");
    house.world.manual.advance(Duration::from_mins(1));
    house.ask("PUT", "/api/v1/keys/colour", Some(json!({ "value": "four" }))).await;
    let counted = lines(&house, "?outcome=counted").await;
    assert_eq!((counted.len(), &counted[0]["count"]), (1, &json!(19)), "{counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_says_so_without_the_words_that_were_sent() {
    let house = house().await;
    let body = json!({ "value": "x", "secret": "s3cr3t-canary" });
    assert_eq!(house.ask("PUT", "/api/v1/keys/colour", Some(body)).await.0, 400);
    let newest = lines(&house, "").await.remove(0);
    assert_eq!((&newest["outcome"], &newest["reason"]), (&json!("refused"), &json!("bad_body")));
    assert!(!newest.to_string().contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_their_own_history() {
    let house = house().await;
    let before = count(&house).await;
    for path in ["/api/v1/events", "/api/v1/webhooks/st2"] {
        let body = json!({ "trigger": "demo.t", "payload": {}, "data": {} });
        house.ask("POST", path, Some(body)).await;
    }
    assert_eq!(count(&house).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_and_never_answered_is_seen_after_a_crash() {
    let house = house().await;
    // What a process leaves that is killed between the two lines.
    let entry = Entry {
        call: Some(Ids::new(house.world.manual.clock()).record()),
        user: Some("ada".to_owned()),
        what: Some("DELETE /api/v1/keys/{name}".to_owned()),
        ..Entry::new(Phase::Asked)
    };
    let now = house.world.manual.clock().now();
    lines(&house, "").await;
    audit::append(&house.world.store, &[entry], now).await.unwrap();
    let newest = lines(&house, "?user=ada").await.remove(0);
    assert_eq!(newest["outcome"], "unknown outcome", "{newest}");
    // Whoever writes next goes on behind it.
    house.ask("PUT", "/api/v1/keys/colour", Some(json!({ "value": "four" }))).await;
    assert_eq!(verdict(&house).await["sound"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_names_the_first_line_that_is_wrong() {
    let house = house().await;
    let (store, all) = (house.world.store.clone(), count(&house).await as u64);
    let sound = verdict(&house).await;
    assert_eq!(
        (&sound["sound"], &sound["first"], &sound["last"]),
        (&json!(true), &json!(1), &json!(all))
    );
    let line = async |number: u64| {
        table::get::<AuditLine>(&store, number.to_be_bytes().to_vec()).await.unwrap().unwrap().row
    };
    let write = async |change: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::new();
        change(&mut batch);
        store.commit(batch).await.unwrap();
    };
    let third = line(3).await;
    let key = table::key::<AuditLine>(third.key());

    // Another word in it.
    let text = third.text.replace("asked", "asker");
    write(&|batch| table::put(batch, &AuditLine { text: text.clone(), ..third.clone() })).await;
    let said = verdict(&house).await;
    assert_eq!((&said["sound"], &said["wrong"]), (&json!(false), &json!(3)), "{said}");

    // A line that is right by itself, in its place.
    let second = line(2).await;
    let copy = AuditLine { number: 3, ..second.clone() };
    write(&|batch| table::put(batch, &copy)).await;
    assert_eq!(verdict(&house).await["wrong"], 3);

    // It is gone.
    write(&|batch| batch.remove(key.clone())).await;
    let said = verdict(&house).await;
    assert_eq!(said["wrong"], 3, "{said}");
    assert!(said["problem"].as_str().unwrap().contains("missing"), "{said}");
    write(&|batch| table::put(batch, &third)).await;
    assert_eq!(verdict(&house).await["sound"], true);

    // One more behind the end, and the last one gone.
    let last = line(all).await;
    write(&|batch| table::put(batch, &AuditLine { number: all + 1, ..last.clone() })).await;
    assert_eq!(verdict(&house).await["wrong"], json!(all + 1));
    write(&|batch| batch.remove(table::key::<AuditLine>((all + 1).to_be_bytes().to_vec()))).await;
    write(&|batch| batch.remove(table::key::<AuditLine>(last.key()))).await;
    assert_eq!(verdict(&house).await["wrong"], json!(all));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_after_its_time_leaves_the_rest_sound() {
    let house = house().await;
    let old = count(&house).await as u64;
    house.world.manual.advance(Duration::from_hours(24 * 366));
    house.ask("PUT", "/api/v1/keys/colour", Some(json!({ "value": "four" }))).await;
    count(&house).await;
    let now = house.world.manual.clock().now();
    let counts = retention::sweep(&house.world.store, now, &Settings::default()).await.unwrap();
    assert_eq!(counts.forgotten["audit"], old);
    let said = verdict(&house).await;
    assert_eq!((&said["sound"], &said["first"]), (&json!(true), &json!(old + 1)), "{said}");
    let first =
        table::get::<AuditEnd>(&house.world.store, b"first".to_vec()).await.unwrap().unwrap();
    assert_eq!(first.row.number, old + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_can_be_checked_by_whoever_has_it() {
    let house = house().await;
    let response = house.call("GET", "/api/v1/audit/export?limit=10000").send().await.unwrap();
    let text = response.text().await.unwrap();
    let mut previous = audit::ZERO.to_owned();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let said = line["line"].as_str().unwrap();
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, said.as_bytes());
        assert_eq!(line["hash"], table::hex(hash.as_ref()));
        let inner: Value = serde_json::from_str(said).unwrap();
        assert_eq!(inner["previous"], previous);
        line["hash"].as_str().unwrap().clone_into(&mut previous);
    }
    assert_eq!(text.lines().count(), count(&house).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_nobody_knows_cannot_fill_the_disk() {
    let house = house().await;
    let before = count(&house).await;
    let mut said = Vec::new();
    for _ in 0..200 {
        said.push(house.bare("POST", "/inquiries/x/y").send().await.unwrap().status().as_u16());
    }
    assert_eq!((said[0], said[199]), (404, 429));
    assert!(count(&house).await - before <= 240);
    house.world.manual.advance(Duration::from_mins(1));
    let later = house.bare("POST", "/inquiries/x/y").send().await.unwrap();
    assert_eq!(later.status(), 404);
    let all = lines(&house, "?limit=1").await;
    assert_eq!(all[0]["object"], "x/***", "a link's secret is in no line: {}", all[0]);
}
