//! A list behind HTTP, compared by key.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use ifso::model::sensor::HealthState;
use serde_json::{Value, json};

use super::{Station, catalog, definition};
use crate::world::World;

type Answer = Arc<Mutex<(StatusCode, Value)>>;

/// A server that answers what the test says, to those who know the token.
async fn server(answer: &Answer) -> String {
    let serve = |State(answer): State<Answer>, headers: HeaderMap| async move {
        assert_eq!(headers["authorization"], "Bearer s3cret");
        let (status, body) = answer.lock().unwrap().clone();
        (status, body.to_string())
    };
    let router = Router::new().route("/v1/pools", get(serve)).with_state(Arc::clone(answer));
    format!("http://{}/v1/pools", super::serve(router).await)
}

async fn station(initial: bool, answer: &Answer) -> Station {
    station_with(&format!("initial: {initial}"), answer).await
}

async fn station_with(more: &str, answer: &Answer) -> Station {
    let url = server(answer).await;
    let file = format!(
        "kind: poll\nurl: {url}\nevery: 10s\nitems: $.pools[*]\nkey: $.id\n{more}\n\
         bearer: {{ config: token }}"
    );
    let world = World::new(catalog([definition("pools", &file)], json!({ "token": "s3cret" })));
    Station::on(world)
}

fn pools(pools: &Value) -> (StatusCode, Value) {
    (StatusCode::OK, json!({ "pools": pools }))
}

#[tokio::test]
async fn what_is_added_changed_and_removed_is_told() {
    let answer: Answer = Arc::new(Mutex::new(pools(&json!([{ "id": 1, "free": 5 }, { "id": 2 }]))));
    let station = station(false, &answer).await;
    station.running("pools").await;
    assert_eq!(station.events().await.len(), 0);
    *answer.lock().unwrap() =
        pools(&json!([{ "id": 1, "free": 4 }, { "id": "x" }, { "no": "id" }]));
    station.world.manual.advance(Duration::from_secs(10));
    let events = station.events_become(3).await;
    let told: Vec<_> =
        events.iter().map(|event| (event.trigger.as_str(), (*event.data).clone())).collect();
    assert_eq!(
        told,
        [
            (
                "poll.removed",
                json!({ "change": "removed", "key": "2", "old": { "id": 2 }, "new": null })
            ),
            (
                "poll.changed",
                json!({
                    "change": "changed", "key": "1",
                    "old": { "id": 1, "free": 5 }, "new": { "id": 1, "free": 4 },
                })
            ),
            (
                "poll.added",
                json!({ "change": "added", "key": "x", "old": null, "new": { "id": "x" } })
            ),
        ]
    );
    station.until("pools", |health| health.bad_inputs == 1).await;
}

#[tokio::test]
async fn what_stays_is_told_where_that_is_wanted() {
    let answer: Answer = Arc::new(Mutex::new(pools(&json!([{ "id": 1, "free": 5 }]))));
    let station = station_with("initial: true\nonly: always", &answer).await;
    station.events_become(1).await;
    station.world.manual.advance(Duration::from_secs(10));
    let events = station.events_become(2).await;
    let same = json!({ "id": 1, "free": 5 });
    let data = json!({ "change": "same", "key": "1", "old": same, "new": same });
    assert_eq!((events[1].trigger.as_str(), &*events[1].data), ("poll.same", &data));
}

#[tokio::test]
async fn an_error_is_said_and_forgets_nothing() {
    let answer: Answer = Arc::new(Mutex::new(pools(&json!([{ "id": 1 }]))));
    let station = station(true, &answer).await;
    station.events_become(1).await;
    *answer.lock().unwrap() = (StatusCode::FORBIDDEN, json!("keep out"));
    station.world.manual.advance(Duration::from_secs(10));
    let health = station.until("pools", |health| health.state == HealthState::Waiting).await;
    assert!(health.reason.as_deref().unwrap().ends_with("answers 403: \"keep out\""), "{health:?}");
    *answer.lock().unwrap() = pools(&json!([{ "id": 1 }, { "id": 2 }]));
    station.world.manual.advance(Duration::from_secs(1));
    let events = station.events_become(2).await;
    assert_eq!((&events[1].data["change"], &events[1].data["key"]), (&json!("added"), &json!("2")));
}

/// An error in the place of the list is no empty list: nothing was removed.
#[tokio::test]
async fn an_answer_without_its_list_has_failed() {
    let answer: Answer = Arc::new(Mutex::new(pools(&json!([{ "id": 1 }, { "id": 2 }]))));
    let station = station(true, &answer).await;
    station.events_become(2).await;
    for (body, reason) in [
        (json!({ "error": "backend\nbusy" }), "`$.pools` is not there"),
        (json!({ "pools": "x" }), "`$.pools` is a text, no list"),
        (json!({ "pools": [{ "error": "busy" }] }), "`$.id` finds no key"),
    ] {
        *answer.lock().unwrap() = (StatusCode::OK, body);
        station.world.manual.advance(Duration::from_mins(1));
        let failed = |health: &ifso::model::sensor::Health| {
            health.reason.as_ref().is_some_and(|said| said.contains(reason))
        };
        station.until("pools", failed).await;
    }
    assert_eq!(station.events().await.len(), 2);
    *answer.lock().unwrap() = pools(&json!([]));
    station.world.manual.advance(Duration::from_mins(1));
    let events = station.events_become(4).await;
    assert_eq!(events[3].trigger.as_str(), "poll.removed");
}
