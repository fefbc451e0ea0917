//! The door: what is new becomes an event once, what is not is said so, and all of it is on disk
//! before anybody is answered.

use std::sync::Arc;
use std::time::Duration;

use ifso::intake::history::{self, Filter};
use ifso::intake::{Outcome, Submission};
use ifso::model::cause::Cause;
use ifso::model::event::{Origin, Report};
use ifso::model::id::EventId;
use ifso::model::trigger::Trigger;
use ifso::packs::catalog::Catalog;
use ifso::store::table::{self, Rows};
use ifso::store::tables::DeadLetter;
use serde_json::{Value, json};

use crate::world::{World, report};

fn from(stream: &str, at: i64) -> Report {
    let origin = Some(Origin { stream: stream.into(), at });
    Report { origin, ..report("test.tick", json!({ "at": at })) }
}

fn accepted(outcomes: &[Outcome]) -> Vec<bool> {
    outcomes.iter().map(|outcome| matches!(outcome, Outcome::Accepted(_))).collect()
}

#[tokio::test]
async fn what_stood_before_the_position_is_a_duplicate_after_a_restart_too() {
    let world = World::new(Catalog::default());
    let taken = world.report((0..3).map(|at| from("s", at)).collect()).await;
    assert_eq!(accepted(&taken), [true, true, true]);
    let world = world.restart().await;
    let taken = world.report(vec![from("s", 2), from("s", 3), from("t", 0), from("s", 3)]).await;
    assert_eq!(accepted(&taken), [false, true, true, false]);
    assert_eq!(world.door.position("s").await.unwrap(), Some(3));
    assert_eq!(world.door.position("unknown").await.unwrap(), None);
}

#[tokio::test]
async fn events_of_one_record_are_taken_in_together_and_once() {
    let world = World::new(Catalog::default());
    let record = || vec![from("s", 5), from("s", 5), from("s", 6)];
    assert_eq!(accepted(&world.report(record()).await), [true, true, true]);
    assert_eq!(accepted(&world.report(record()).await), [false, false, false]);
}

#[tokio::test]
async fn an_input_that_makes_no_event_moves_the_position_and_never_back() {
    let world = World::new(Catalog::default());
    for at in [7, 4] {
        let advance = vec![Origin { stream: "s".into(), at }];
        world.door.submit(Submission { advance, ..Submission::default() }).await.unwrap();
    }
    assert_eq!(world.door.position("s").await.unwrap(), Some(7));
}

#[tokio::test]
async fn the_same_key_is_the_same_event() {
    let world = World::new(Catalog::default());
    let once = |key: &str| Report { once: Some(key.to_owned()), ..report("test.a", json!({})) };
    let first = world.report(vec![once("k"), once("k"), once("other")]).await;
    let [Outcome::Accepted(id), Outcome::Duplicate(Some(same)), Outcome::Accepted(_)] = first[..]
    else {
        panic!("{first:?}")
    };
    assert_eq!(id, same);
    let world = world.restart().await;
    assert_eq!(world.report(vec![once("k")]).await, [Outcome::Duplicate(Some(id))]);
}

fn strict() -> Catalog {
    let trigger = Trigger {
        reference: "test.strict".parse().unwrap(),
        description: String::new(),
        payload_schema: Arc::new(json!({
            "type": "object",
            "required": ["pool"],
            "properties": { "pool": { "type": "string" } },
        })),
        parameters_schema: Arc::new(Value::Null),
        tags: Vec::new(),
    };
    let triggers = [(trigger.reference.clone(), Arc::new(trigger))].into();
    Catalog { triggers, generation: 1, ..Catalog::default() }
}

#[tokio::test]
async fn what_does_not_fit_its_trigger_is_refused_with_the_field_and_kept_aside() {
    let world = World::new(strict());
    let taken = world
        .report(vec![
            report("test.strict", json!({ "pool": 7 })),
            report("test.strict", json!({ "pool": "p1" })),
        ])
        .await;
    let Outcome::Refused(reason) = &taken[0] else { panic!("{taken:?}") };
    assert!(reason.contains("`/pool` does not fit trigger `test.strict`"), "{reason}");
    assert!(matches!(taken[1], Outcome::Accepted(_)));
    let letters = table::scan::<DeadLetter>(&world.store, Rows::first(9)).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].row.content, r#"{"pool":7}"#);
}

#[tokio::test]
async fn whoever_is_told_needs_no_dead_letter() {
    let world = World::new(strict());
    let told = Report { cause: Cause::User("ann".to_owned()), ..report("test.strict", json!([])) };
    let taken = world.report(vec![told]).await;
    assert!(matches!(taken[0], Outcome::Refused(_)));
    let letters = table::scan::<DeadLetter>(&world.store, Rows::first(9)).await.unwrap();
    assert!(letters.is_empty());
}

#[tokio::test]
async fn kept_events_are_found_by_id_and_listed_newest_first() {
    let world = World::new(Catalog::default());
    let mut ids: Vec<EventId> = Vec::new();
    for batch in 0..5 {
        let trigger = if batch % 2 == 0 { "test.even" } else { "test.odd" };
        let reports = (0..10).map(|n| report(trigger, json!({ "n": n }))).collect();
        for outcome in world.report(reports).await {
            let Outcome::Accepted(id) = outcome else { panic!("{outcome:?}") };
            ids.push(id);
        }
        world.manual.advance(Duration::from_mins(1));
    }
    for id in &ids {
        let kept = history::find(&world.store, *id).await.unwrap();
        assert_eq!(kept.map(|kept| kept.event.id), Some(*id));
    }
    assert!(history::find(&world.store, EventId::from_bits(5)).await.unwrap().is_none());

    let all = listed(&world, &Filter { limit: 100, ..Filter::default() }).await;
    assert_eq!(all, ids.iter().rev().copied().collect::<Vec<_>>());
    let trigger = Some("test.o*".to_owned());
    let odd = listed(&world, &Filter { trigger, limit: 100, ..Filter::default() }).await;
    assert_eq!(odd.len(), 20);
    let older = Filter { before: Some(all[14]), limit: 10, ..Filter::default() };
    assert_eq!(listed(&world, &older).await, all[15..25]);
    let since = Some(crate::world::at("00:03:00"));
    let recent = listed(&world, &Filter { since, limit: 100, ..Filter::default() }).await;
    assert_eq!(recent.len(), 20);
}

async fn listed(world: &World, filter: &Filter) -> Vec<EventId> {
    let kept = history::list(&world.store, filter).await.unwrap();
    kept.into_iter().map(|kept| kept.event.id).collect()
}

#[tokio::test]
async fn many_senders_at_once_are_each_answered_for_their_own() {
    let world = World::new(Catalog::default());
    let sent = (0..200).map(|n| {
        let door = world.door.clone();
        async move {
            let reports = vec![from(&format!("stream-{n}"), n), from("shared", n)];
            door.submit(Submission { reports, ..Submission::default() }).await.unwrap()
        }
    });
    let answers = futures_util::future::join_all(sent).await;
    assert!(answers.iter().all(|outcomes| outcomes.len() == 2));
    assert!(answers.iter().all(|outcomes| accepted(outcomes)[0]));
    assert_eq!(world.door.position("shared").await.unwrap(), Some(199));
}
