//! Schedules on a real door, with a clock that the tests move.

use std::time::Duration;

use ifso::model::event::Event;
use ifso::model::sensor::HealthState;
use serde_json::{Value, json};

use super::{Station, catalog, definition};
use crate::world::at;

const MINUTE: Duration = Duration::from_mins(1);

fn minutes(misfire: &str) -> Station {
    let file = format!("kind: interval\nevery: 1m\nmax: 3\nmisfire: {misfire}\ndata: {{ job: x }}");
    Station::new([definition("tick", &file)])
}

fn nominal(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.data["nominal"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_instant_is_one_event_across_restarts() {
    let mut station = minutes("once");
    station.running("tick").await;
    for count in 1..=3 {
        station.world.manual.advance(MINUTE);
        let events = station.events_become(count).await;
        let last = events.last().unwrap();
        let instant = at(&format!("00:0{count}:00"));
        assert_eq!((last.trigger.as_str(), last.time), ("core.tick", instant));
        assert_eq!(
            *last.data,
            json!({
                "job": "x",
                "schedule": "every 1m",
                "nominal": instant.to_string(),
                "scheduled_at": instant.to_string(),
                "missed": 0,
                "zone": "UTC",
            })
        );
        station = station.restart().await;
        station.running("tick").await;
    }
    assert_eq!(station.events().await.len(), 3);
}

#[tokio::test]
async fn downtime_is_treated_as_the_file_says() {
    for (misfire, expected) in
        [("skip", vec![]), ("once", vec!["00:05"]), ("all", vec!["00:03", "00:04", "00:05"])]
    {
        let station = minutes(misfire);
        station.running("tick").await;
        // The engine is down while the clock goes on.
        let world = station.world;
        world.tasks.drain(Duration::from_secs(5)).await;
        world.manual.advance(5 * MINUTE + MINUTE / 2);
        let station = Station::on(world.restart().await);
        station.running("tick").await;
        let expected: Vec<_> =
            expected.iter().map(|time| format!("2026-03-01T{time}:00.000Z")).collect();
        assert_eq!(nominal(&station.events_become(expected.len()).await), expected, "{misfire}");
    }
}

#[tokio::test]
async fn a_clock_that_jumps_neither_doubles_nor_loses() {
    let station = minutes("once");
    station.running("tick").await;
    let day = Duration::from_hours(24);
    station.world.manual.advance(MINUTE);
    station.events_become(1).await;
    // A day forward: what was jumped over is one tick.
    station.world.manual.advance(day);
    let events = station.events_become(2).await;
    assert_eq!(events[1].data["missed"], 1439);
    // A day back: those instants have been, and the health says so.
    station.world.manual.set(at("00:01:30"));
    let station = station.restart().await;
    let health = station.running("tick").await;
    assert!(health.reason.unwrap().contains("the clock stands before the last tick"));
    station.world.manual.advance(day + MINUTE);
    station.events_become(3).await;
}

#[tokio::test]
async fn an_edited_schedule_begins_anew() {
    let station = minutes("all");
    station.running("tick").await;
    station.world.manual.advance(MINUTE);
    station.until("tick", |health| health.events == 1).await;
    let edited = definition("tick", "kind: interval\nevery: 5m");
    station.reload(catalog([edited], Value::Null));
    station.until("tick", |health| health.events == 0 && health.reason.is_some()).await;
    station.world.manual.advance(4 * MINUTE);
    assert_eq!(nominal(&station.events_become(2).await)[1], "2026-03-01T00:05:00.000Z");
}

#[tokio::test]
async fn single_instants_pass_and_then_the_sensor_rests() {
    let file = "kind: at\nzone: Europe/Prague\ntimes: ['2026-02-28T00:00', '2026-03-01T01:10', \
                '2026-03-01T00:20:00Z']";
    let station = Station::new([definition("once", file)]);
    station.running("once").await;
    for (span, count) in [(10, 1), (10, 2)] {
        station.world.manual.advance(span * MINUTE);
        station.events_become(count).await;
    }
    let health = station.until("once", |health| health.state == HealthState::Stopped).await;
    assert_eq!(health.reason.as_deref(), Some("every instant has passed"));
    // The one that lay in the past when the file came was never fired.
    let times = nominal(&station.events().await);
    assert_eq!(times, ["2026-03-01T00:10:00.000Z", "2026-03-01T00:20:00.000Z"]);
}
