//! Incidents through the whole river: events, rules, tickets, rows, and the executions that deliver.

use std::time::Duration;

use ifso::model::cause::Cause;
use ifso::model::execution::{End, Status};
use ifso::model::incident::State;
use ifso::runners::Ended;
use ifso::store::queue;
use serde_json::{Value, json};

use super::home::{PLAN, deliveries, engine, incidents, messages, reload, rests};
use crate::world::{World, figure, report};

fn alert(key: &str, status: &str) -> Value {
    json!({ "key": key, "status": status, "group": null })
}

async fn alerts(world: &World, alerts: impl IntoIterator<Item = Value>) {
    let reports = alerts.into_iter().map(|data| report("test.alert", data)).collect();
    world.report(reports).await;
}

fn said(to: &str, kind: &str, count: u64) -> (String, String, u64) {
    (to.to_owned(), kind.to_owned(), count)
}

#[tokio::test]
async fn a_failure_is_told_once_and_its_end_once() {
    let world = engine(PLAN);
    for _ in 0..5 {
        alerts(&world, [alert("disk", "firing")]).await;
        rests(&world).await;
    }
    assert_eq!(messages(&world).await, [said("ops", "opened", 1)]);
    let first = deliveries(&world).await.remove(0);
    assert!(matches!(first.cause, Cause::Rule { .. }), "{:?}", first.cause);
    assert_eq!(first.status, Status::Succeeded);
    assert_eq!(first.given["subject"], "[error] disk is broken");
    world.manual.advance(Duration::from_mins(3));
    alerts(&world, [alert("disk", "resolved")]).await;
    rests(&world).await;
    assert_eq!(messages(&world).await[1..], [said("ops", "recovered", 1)]);
    let last = deliveries(&world).await.remove(1);
    assert_eq!(last.given["subject"], "[recovered after 3 min] disk is broken");
    let kept = incidents(&world).await.remove(0);
    assert_eq!((kept.count, kept.state), (5, State::Resolved));
    assert!(kept.told.iter().all(|told| told.arrived == Some(true)), "{:?}", kept.told);
    assert_eq!(queue::next_due(&world.store, queue::INCIDENTS).await.unwrap(), None);
}

#[tokio::test]
async fn whoever_was_missed_is_told_again_when_a_person_says_so() {
    let world = engine(PLAN);
    world.hands.will([Ended::Hopeless]);
    alerts(&world, [alert("disk", "firing")]).await;
    rests(&world).await;
    let missed = incidents(&world).await.remove(0);
    assert_eq!(missed.missed(), ["ops"]);
    assert!(missed.audience().is_empty());
    let told = world.incidents.tell(missed.id, "ann").await.unwrap();
    assert!(told.log.iter().any(|entry| entry.what == "ann has ops told again"), "{:?}", told.log);
    rests(&world).await;
    assert_eq!(messages(&world).await[1..], [said("ops", "opened", 1)]);
    // Who knows is not told twice, and hears of the end.
    let refused = world.incidents.tell(missed.id, "ann").await.unwrap_err();
    assert!(matches!(refused, ifso::incidents::Error::Reached(_)), "{refused}");
    alerts(&world, [alert("disk", "resolved")]).await;
    rests(&world).await;
    assert_eq!(messages(&world).await[2..], [said("ops", "recovered", 1)]);
}

#[tokio::test]
async fn levels_are_told_by_the_clock() {
    let world = engine(PLAN);
    alerts(&world, [alert("disk", "firing")]).await;
    rests(&world).await;
    world.manual.advance(Duration::from_mins(15) - Duration::from_millis(1));
    rests(&world).await;
    assert_eq!(messages(&world).await.len(), 1);
    world.manual.advance(Duration::from_millis(1));
    rests(&world).await;
    assert_eq!(messages(&world).await[1..], [said("lead", "escalated", 1)]);
}

#[tokio::test]
async fn whoever_acknowledges_or_resolves_is_written_down() {
    let world = engine(PLAN);
    alerts(&world, [alert("disk", "firing")]).await;
    rests(&world).await;
    let id = incidents(&world).await[0].id;
    world.incidents.acknowledge(id, "ann", None).await.unwrap();
    world.manual.advance(Duration::from_hours(1));
    rests(&world).await;
    assert_eq!(messages(&world).await.len(), 1);
    let resolved = world.incidents.resolve(id, "ann").await.unwrap();
    assert_eq!(resolved.resolved.unwrap().by.as_deref(), Some("ann"));
    rests(&world).await;
    let all = deliveries(&world).await;
    assert_eq!(all[1].cause, Cause::User("ann".to_owned()));
    let again = world.incidents.resolve(id, "bob").await.unwrap_err();
    assert!(again.to_string().contains("resolved already"), "{again}");
}

#[tokio::test]
async fn a_link_acknowledges_all_that_its_message_tells_of() {
    let world = engine(PLAN);
    let grouped =
        |n: u32| json!({ "key": format!("d{n}"), "status": "firing", "group": "array s1" });
    alerts(&world, (0..40).map(grouped)).await;
    rests(&world).await;
    assert_eq!(messages(&world).await, []);
    world.manual.advance(Duration::from_secs(30));
    rests(&world).await;
    assert_eq!(messages(&world).await, [said("ops", "opened", 40)]);
    let message = deliveries(&world).await.remove(0);
    assert_eq!(message.given["subject"], "[error] array s1: 40 incidents");
    let link = message.given["link"].as_str().unwrap();
    let secret = link.strip_prefix("https://ifso.example/incidents/link/").unwrap();
    assert_eq!(world.incidents.by_link("wrong", false).await.unwrap(), 0);
    assert_eq!(world.incidents.by_link(secret, false).await.unwrap(), 40);
    assert_eq!(world.incidents.by_link(secret, false).await.unwrap(), 0);
    let all = incidents(&world).await;
    assert!(all.iter().all(|one| one.state == State::Acknowledged));
    assert_eq!(all[0].acked.as_ref().unwrap().by, "link of ops");
}

#[tokio::test]
async fn a_mail_server_that_is_down_delays_and_keeps_the_order() {
    let world = engine(PLAN);
    world.hands.will([Ended::So(End::Failed), Ended::So(End::Failed)]);
    alerts(&world, [alert("disk", "firing")]).await;
    rests(&world).await;
    alerts(&world, [alert("disk", "resolved")]).await;
    rests(&world).await;
    assert_eq!(messages(&world).await, [said("ops", "opened", 1)]);
    for _ in 0..2 {
        world.manual.advance(Duration::from_mins(1));
        rests(&world).await;
    }
    rests(&world).await;
    assert_eq!(messages(&world).await[1..], [said("ops", "recovered", 1)]);
    let all = deliveries(&world).await;
    assert_eq!(all[0].attempt, 3);
    assert!(all[0].ended <= all[1].started);
}

#[tokio::test]
async fn without_a_plan_incidents_are_kept_and_told_when_there_is_one() {
    let world = engine("");
    alerts(&world, [alert("disk", "firing")]).await;
    rests(&world).await;
    assert_eq!(messages(&world).await, []);
    assert_eq!(incidents(&world).await[0].state, State::Open);
    reload(&world, PLAN);
    alerts(&world, [alert("other", "firing")]).await;
    rests(&world).await;
    assert_eq!(messages(&world).await, [said("ops", "opened", 1), said("ops", "opened", 1)]);
}

#[tokio::test]
async fn notify_says_something_over_a_channel() {
    let world = engine(PLAN);
    let say = |channel: &str| report("test.say", json!({ "channel": channel, "text": "hello" }));
    world.report(vec![say("ops"), say("nowhere")]).await;
    rests(&world).await;
    assert_eq!(messages(&world).await, [said("ops", "message", 0)]);
    assert_eq!(deliveries(&world).await[0].given["text"], "hello");
}

/// Ten thousand alerts of fifty incidents, ten of which somebody acknowledges, with an engine that
/// dies again and again.
#[tokio::test]
async fn ten_thousand_alerts_of_fifty_incidents_make_fifty_messages() {
    let mut world = engine(PLAN);
    let mut deaths = 0;
    for round in 0..100u32 {
        let reports = (0..100u32).map(|n| alert(&format!("i{}", (n * 7 + round) % 50), "firing"));
        alerts(&world, reports).await;
        // Somewhere in the middle of what follows: so many commits later.
        if round % 5 == 0 {
            let mut changes = world.store.changes();
            for _ in 0..(round / 5) % 7 {
                let next = tokio::time::timeout(Duration::from_millis(50), changes.changed());
                if next.await.is_err() {
                    break;
                }
            }
            world = world.restart().await;
            deaths += 1;
        }
    }
    rests(&world).await;
    let kept = incidents(&world).await;
    assert_eq!(kept.len(), 50);
    assert_eq!(kept.iter().map(|one| one.count).sum::<u64>(), 10_000);
    for one in &kept[..10] {
        world.incidents.acknowledge(one.id, "ann", None).await.unwrap();
    }
    world.manual.advance(Duration::from_mins(15));
    world = world.restart().await;
    rests(&world).await;
    for round in 0..10 {
        alerts(&world, (0..50).map(|n| alert(&format!("i{n}"), "resolved"))).await;
        if round % 3 == 0 {
            world = world.restart().await;
            deaths += 1;
        }
    }
    rests(&world).await;
    let told = messages(&world).await;
    let count = |to: &str, kind: &str| {
        told.iter().filter(|(name, what, _)| name == to && what == kind).count()
    };
    figure(&format!(
        "incidents: 10000 alerts through {deaths} deaths, {} messages: {} opened, {} escalated, {} \
         recovered",
        told.len(),
        count("ops", "opened"),
        count("lead", "escalated"),
        count("ops", "recovered") + count("lead", "recovered"),
    ));
    assert_eq!(count("ops", "opened"), 50);
    assert_eq!(count("lead", "escalated"), 40);
    assert_eq!(count("ops", "recovered"), 50);
    assert_eq!(count("lead", "recovered"), 40);
    assert_eq!(told.len(), 180);
}
