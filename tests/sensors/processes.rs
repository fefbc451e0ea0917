//! Real programs that print lines.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use ifso::model::sensor::HealthState;
use ifso::store::table::{self, Rows};
use ifso::store::tables::DeadLetter;
use serde_json::json;
use tempfile::TempDir;

use super::{Station, catalog, eventually, in_folder};
use crate::world::World;

fn station(script: &str) -> (Station, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sensors")).unwrap();
    let program = folder.path().join("sensors/watch.sh");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let file = "kind: process\ncommand: [watch.sh, one]\ntrigger: site.line\nenv: { COLOUR: red }";
    (Station::new([in_folder("watch", file, folder.path().into())]), folder)
}

#[tokio::test]
async fn lines_become_events_and_bad_ones_dead_letters() {
    let script = r#"
        echo "{\"arg\":\"$1\",\"colour\":\"$COLOUR\",\"secret\":\"$CARGO\"}"
        echo '{"trigger":"other.thing","data":{"a":1},"subject":"s","time":"2026-01-01T00:00:00Z","id":"1"}'
        echo 'not json'
        echo ''
        head -c 2000000 /dev/zero | tr '\0' x
        echo
        echo '{"trigger":"other.thing","data":{"a":2},"id":"1"}'
        echo '{"trigger":"nonsense","data":{}}'
        printf '{"last":true}'
        exec >&-
        sleep 60"#;
    let (station, _folder) = station(script);
    let events = station.events_become(3).await;
    assert_eq!(*events[0].data, json!({ "arg": "one", "colour": "red", "secret": "" }));
    assert_eq!((events[1].trigger.as_str(), &*events[1].data), ("other.thing", &json!({ "a": 1 })));
    assert_eq!(events[1].subject.as_deref(), Some("s"));
    assert_eq!(
        (events[2].trigger.as_str(), &*events[2].data),
        ("site.line", &json!({ "last": true }))
    );
    let health = station.until("watch", |health| health.restarts == 1).await;
    assert_eq!((health.events, health.bad_inputs), (3, 3));
    assert!(health.reason.unwrap().contains("`watch.sh` ended"));
    let letters = table::scan::<DeadLetter>(&station.world.store, Rows::first(10)).await.unwrap();
    let mut reasons: Vec<_> = letters.iter().map(|held| held.row.reason.clone()).collect();
    reasons.sort();
    assert!(reasons[0].starts_with("`trigger`: `nonsense` is not a reference"), "{reasons:?}");
    assert!(reasons[1].starts_with("no JSON"), "{reasons:?}");
    assert!(reasons[2].starts_with("the line is longer than"), "{reasons:?}");
    assert!(letters.iter().all(|held| held.row.content.len() <= 64 * 1024));
}

#[tokio::test]
async fn a_program_is_told_the_configuration_of_its_pack() {
    // What it does not read must not hold it up, however long it is.
    for (script, long) in
        [("cat", "x".to_owned()), ("echo '{\"pool\":\"g\"}'", "x".repeat(200_000))]
    {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("watch.sh");
        fs::write(&program, format!("#!/bin/sh\n{script}\nexec >&-\nsleep 60\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let file = "kind: process\ncommand: [watch.sh]\ntrigger: site.line";
        let sensor = in_folder("watch", file, folder.path().into());
        let config = json!({ "pool": "g", "long": long });
        let station = Station::on(World::new(catalog([sensor], config)));
        assert_eq!(station.events_become(1).await[0].data["pool"], "g");
    }
}

#[tokio::test]
async fn it_ends_with_everything_it_started() {
    let script = "trap '' TERM\nsleep 1000 & echo \"{\\\"child\\\":$!,\\\"self\\\":$$}\"\nwait";
    let (station, _folder) = station(script);
    let events = station.events_become(1).await;
    assert!(station.world.tasks.drain(Duration::from_secs(1)).await);
    for who in ["child", "self"] {
        let stat = format!("/proc/{}/stat", events[0].data[who]);
        // Gone, or a zombie that waits for whoever reaps orphans here.
        let gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z"));
        eventually(|| gone().then_some(())).await.unwrap_or_else(|| panic!("{who} lives on"));
    }
}

#[tokio::test]
async fn a_program_that_ends_is_started_again_after_growing_pauses() {
    let (station, folder) = station("echo x >> runs; exit 3");
    for run in 1..=3 {
        let health = station.until("watch", |health| {
            health.restarts == run && health.state == HealthState::Waiting
        });
        assert!(health.await.reason.unwrap().ends_with("ended: exit status: 3"));
        assert_eq!(
            fs::read_to_string(folder.path().join("runs")).unwrap().lines().count() as u64,
            run
        );
        station.world.manual.advance(Duration::from_secs(1 << run));
    }
}
