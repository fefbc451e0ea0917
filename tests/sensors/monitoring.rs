//! Real Prometheus and Alertmanager: an alert's life as they tell it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use ifso::clock::{self, Manual};
use ifso::model::event::Event;
use ifso::model::sensor::HealthState;
use ifso::sensors::hooks::{AlertsVersion, Answer, Delivery, Hooks};
use ifso::store::Handle;
use ifso::store::redb::Redb;
use serde_json::{Value, json};

use super::{Station, catalog, definition, eventually};
use crate::parts::{alertmanager, prometheus};
use crate::world::World;

/// A pool that says how full it is, and the hooks of a station, on one port.
#[derive(Clone, Default)]
struct Site {
    used: Arc<AtomicUsize>,
    deliveries: Arc<AtomicUsize>,
    hooks: Arc<std::sync::OnceLock<Hooks>>,
}

impl Site {
    /// Serves it; gives `host:port`.
    async fn serve(&self) -> String {
        let metrics = |State(site): State<Site>| async move {
            let used = site.used.load(Ordering::Relaxed);
            format!("pool_used{{pool=\"p1\"}} {used}\n")
        };
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/api/v1/webhooks/{name}", post(webhook))
            .route("/api/v2/alerts", post(alerts))
            .with_state(self.clone());
        super::serve(router).await
    }

    fn delivery(&self, headers: HeaderMap, body: Bytes) -> Option<(Hooks, Delivery)> {
        let hooks = self.hooks.get()?.clone();
        Some((hooks, Delivery { headers, query: None, body, authenticated: None }))
    }

    fn answer(&self, answer: &Answer) -> (StatusCode, String) {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        (StatusCode::from_u16(answer.status).unwrap(), answer.body.to_string())
    }

    /// Waits for so many more deliveries.
    async fn delivered(&self, more: usize) {
        let wanted = self.deliveries.load(Ordering::Relaxed) + more;
        eventually(|| (self.deliveries.load(Ordering::Relaxed) >= wanted).then_some(()))
            .await
            .expect("it is told again and again");
    }
}

type Told = (StatusCode, String);

async fn webhook(
    State(site): State<Site>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Told {
    let Some((hooks, delivery)) = site.delivery(headers, body) else {
        return (StatusCode::SERVICE_UNAVAILABLE, String::new());
    };
    site.answer(&hooks.deliver(&name, delivery).await)
}

async fn alerts(State(site): State<Site>, headers: HeaderMap, body: Bytes) -> Told {
    let Some((hooks, delivery)) = site.delivery(headers, body) else {
        return (StatusCode::SERVICE_UNAVAILABLE, String::new());
    };
    site.answer(&hooks.alerts(AlertsVersion::V2, delivery).await)
}

/// A station whose clock shows the real time.
async fn station(name: &str, file: &str) -> Station {
    let catalog = catalog([definition(name, file)], json!({ "token": "s3cret" }));
    let store: Handle = Arc::new(Redb::in_memory().unwrap());
    let world = World::on(store, catalog, Manual::at(clock::system().now()));
    let station = Station::on(world).live();
    station.running(name).await;
    station
}

/// The pool is full: one event, however often it is told.
async fn fills(site: &Site, station: &Station) {
    station.events_become(1).await;
    site.delivered(3).await;
    let events = station.events().await;
    assert_eq!(events.len(), 1, "what is told again is no news: {events:#?}");
}

fn part<'a>(events: &'a [Event], key: &str) -> [&'a Value; 2] {
    [&events[0].data[key], &events[1].data[key]]
}

fn check(events: &[Event]) {
    assert_eq!(part(events, "status"), [&json!("firing"), &json!("resolved")]);
    let labels = json!({
        "alertname": "PoolFull", "instance": events[0].data["labels"]["instance"],
        "job": "pools", "pool": "p1", "severity": "warning",
    });
    assert_eq!(part(events, "labels"), [&labels, &labels]);
    assert_eq!(events[0].data["annotations"], json!({ "summary": "pool p1 is 91 % full" }));
    let [began, same] = part(events, "startsAt");
    assert_eq!(began, same);
    let keys: Vec<_> = events[0].data.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "annotations",
            "endsAt",
            "externalURL",
            "fingerprint",
            "generatorURL",
            "groupKey",
            "labels",
            "receiver",
            "startsAt",
            "status",
        ]
    );
    assert!(events.iter().all(|event| event.trigger.as_str() == "prometheus.alert"));
}

#[tokio::test]
async fn an_alert_comes_through_alertmanager_and_from_prometheus_itself() {
    let (through, direct) = (Site::default(), Site::default());
    let (address, straight) = (through.serve().await, direct.serve().await);
    let sensor = "kind: alertmanager\nauth: bearer\nsecrets: [{ config: token }]";
    let first = station("alertmanager", sensor).await;
    let second = station("alertmanager", "kind: alertmanager\nauth: none").await;
    through.hooks.set(first.hooks.clone()).ok().unwrap();
    direct.hooks.set(second.hooks.clone()).ok().unwrap();
    let webhook = format!("http://{address}/api/v1/webhooks/alertmanager");
    let manager = alertmanager::start(&webhook, "s3cret").await;
    let managers = [manager.url.trim_start_matches("http://"), &straight];
    let _prometheus = prometheus::start(&address, &managers).await;
    // One pool feeds both, so it stays full until both have heard of it again and again.
    through.used.store(91, Ordering::Relaxed);
    tokio::join!(fills(&through, &first), fills(&direct, &second));
    through.used.store(40, Ordering::Relaxed);
    let (told, pushed) = tokio::join!(first.events_become(2), second.events_become(2));
    check(&told);
    check(&pushed);
    // Prometheus goes on telling of what is over for a while.
    direct.delivered(2).await;
    second.events_become(2).await;
    // Ifso computes the fingerprint where nobody sends it, and gets Alertmanager's.
    assert_eq!(part(&told, "fingerprint"), part(&pushed, "fingerprint"));
    assert_eq!(
        (&told[0].data["receiver"], &told[0].data["endsAt"]),
        (&json!("ifso"), &json!("0001-01-01T00:00:00Z"),)
    );
}

#[tokio::test]
async fn a_query_becomes_an_event_for_each_series_that_changed() {
    let site = Site::default();
    site.used.store(50, Ordering::Relaxed);
    let address = site.serve().await;
    let server = prometheus::start(&address, &[]).await;
    let file = |query: &str| {
        format!("kind: prometheus\nurl: {}\nquery: {query}\nevery: 1s\nonly: change", server.url)
    };
    let used = station("used", &file("pool_used")).await;
    let events = used.events_become(1).await;
    assert_eq!(
        (events[0].trigger.as_str(), &events[0].data["value"]),
        ("prometheus.sample", &json!(50.0))
    );
    assert_eq!(events[0].data["labels"]["pool"], "p1");
    site.used.store(60, Ordering::Relaxed);
    let events = used.events_become(2).await;
    assert_eq!(events[1].data["value"], json!(60.0));

    // Further queries are joined by labels; of what has none of these labels nothing is said.
    let with = "\nwith: { twice: 'pool_used * 2', none: 'vector(1)' }";
    let more = station("more", &format!("{}{with}", file("pool_used"))).await;
    let events = more.events_become(1).await;
    assert_eq!(events[0].data["with"], json!({ "none": null, "twice": 120.0 }));

    let odd = station("odd", &file("'vector(0) / 0'")).await;
    let events = odd.events_become(1).await;
    assert_eq!(
        (&events[0].data["value"], &events[0].data["special"]),
        (&Value::Null, &json!("NaN"))
    );

    let world = World::new(catalog([definition("bad", &file("'pool_used >'"))], Value::Null));
    let bad = Station::on(world);
    let health = bad.until("bad", |health| health.state == HealthState::Waiting).await;
    let reason = health.reason.unwrap();
    assert!(reason.contains("refuses the query `pool_used >`: invalid parameter"), "{reason}");
    let ranges = Station::new([definition("range", &file("'pool_used[1m]'"))]);
    let health = ranges.until("range", |health| health.state == HealthState::Stopped).await;
    assert!(health.reason.unwrap().contains("gives a matrix; only instant vectors"));
}
