//! Starting, stopping and replacing sensors.

use ifso::model::sensor::HealthState;
use serde_json::{Value, json};

use super::{Station, catalog, definition, eventually};

#[tokio::test]
async fn a_reload_touches_only_what_changed() {
    let kept = definition("kept", "kind: webhook\nauth: none");
    let gone = definition("gone", "kind: webhook\nauth: none");
    let station = Station::new([kept.clone(), gone]);
    station.running("kept").await;
    station.running("gone").await;
    station.post("kept", &[], "{}").await;
    let new = definition("new", "kind: webhook\nauth: none");
    station.reload(catalog([kept, new], Value::Null));
    station.running("new").await;
    eventually(|| (station.hooks.names() == ["kept", "new"]).then_some(())).await.unwrap();
    // It was not restarted: it still knows what it did.
    assert_eq!(station.health("kept").unwrap().events, 1);
    assert!(station.health("gone").is_none());
    // A changed configuration restarts the sensors of that pack.
    let changed = definition("new", "kind: webhook\nauth: none\nname: other");
    station.reload(catalog([changed], json!({ "a": 1 })));
    eventually(|| (station.hooks.names() == ["other"]).then_some(())).await.unwrap();
}

#[tokio::test]
async fn a_disabled_and_a_broken_sensor_say_so() {
    let station = Station::new([
        definition("off", "kind: webhook\nenabled: false\nauth: none"),
        definition("broken", "kind: cron\nexpression: '61 * * * *'"),
        definition("odd", "kind: webhok"),
    ]);
    let off = station.until("off", |health| health.state == HealthState::Disabled).await;
    assert_eq!(off.reason.as_deref(), Some("switched off in its file"));
    let broken = station.until("broken", |health| health.state == HealthState::Stopped).await;
    let reason = broken.reason.unwrap();
    assert!(reason.contains("sensors/broken.yaml: `expression`: `61` is no minute"), "{reason}");
    let odd = station.until("odd", |health| health.state == HealthState::Stopped).await;
    assert!(odd.reason.unwrap().contains("did you mean `webhook`?"));
}

#[tokio::test]
async fn a_source_that_is_away_is_tried_again_after_a_pause() {
    let file = "kind: webhook\nauth: bearer\nsecrets: [{ file: token }]";
    let folder = tempfile::tempdir().unwrap();
    let station = Station::new([super::in_folder("hook", file, folder.path().to_owned())]);
    let health = station.until("hook", |health| health.state == HealthState::Waiting).await;
    assert!(health.reason.unwrap().contains("cannot be read"), "the reason names the file");
    std::fs::write(folder.path().join("token"), "t\n").unwrap();
    station.world.manual.advance(std::time::Duration::from_secs(1));
    let health = station.running("hook").await;
    assert_eq!(health.restarts, 1);
    assert_eq!(station.post("hook", &[("authorization", "Bearer t")], "{}").await.status, 202);
}

#[tokio::test]
async fn a_person_can_start_a_sensor_anew() {
    let file = "kind: webhook\nauth: bearer\nsecrets: [{ config: token }]";
    let station = Station::new([definition("hook", file)]);
    let health = station.until("hook", |health| health.state == HealthState::Stopped).await;
    assert!(health.reason.unwrap().contains("no text under `token`"));
    let reference = "site.hook".parse().unwrap();
    assert!(station.registry.restart(&reference));
    station.reload(catalog([definition("hook", file)], json!({ "token": "t" })));
    station.running("hook").await;
    assert!(station.registry.restart(&reference));
    station.running("hook").await;
    assert!(!station.registry.restart(&"site.other".parse().unwrap()));
}
