//! The life of an execution, through the front door: accepted, started once, settled once, whatever
//! stops in between.

pub mod inquiries;
mod deaths;
pub mod workflows;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ifso::executions::{Error, Request};
use ifso::model::action::Action;
use ifso::model::cause::Cause;
use ifso::model::execution::{End, Status};
use ifso::model::parameter::Parameter;
use ifso::model::policy::{Delivery, Retry};
use ifso::runners::{Begin, Ended};
use ifso::store::table::{self, Rows};
use ifso::store::tables::Output;
use serde_json::{Map, Value, json};

use crate::world::{World, action, catalog};

mod holding;
mod policies;

pub fn request(name: &str) -> Request {
    Request {
        action: name.parse().unwrap(),
        parameters: Map::new(),
        user: "ann".to_owned(),
        cause: Cause::User("ann".to_owned()),
        timeout: None,
        delay: None,
        context: Map::new(),
        once: None,
    }
}

#[tokio::test]
async fn a_request_runs_and_its_result_is_kept() {
    let world = World::new(catalog([action("test.do")]));
    let accepted = world.executions.request(request("test.do")).await.unwrap();
    assert_eq!(accepted.status, Status::Requested);
    let done = world.reaches(accepted.id, Status::Succeeded).await;
    assert_eq!(done.result, json!({ "attempt": 1 }));
    let moves: Vec<_> = done.log.iter().map(|(_, status)| *status).collect();
    assert_eq!(moves, [Status::Requested, Status::Running, Status::Succeeded]);
    assert_eq!(world.hands.jobs(), [(accepted.id, 1, Begin::Fresh)]);
}

#[tokio::test]
async fn an_unknown_action_is_refused_with_the_nearest_name() {
    let world = World::new(catalog([action("storage.grow_pool")]));
    let refused = world.executions.request(request("storage.grow_pol")).await.unwrap_err();
    assert_eq!(refused.to_string(), "no pack provides action `storage.grow_pol`");
    assert_eq!(refused.help().unwrap(), "did you mean `storage.grow_pool`?");
    let off = Action { enabled: false, ..action("test.off") };
    let world = World::new(catalog([off]));
    let refused = world.executions.request(request("test.off")).await.unwrap_err();
    assert!(matches!(refused, Error::Disabled(_)), "{refused}");
}

#[tokio::test]
async fn a_key_makes_one_execution_and_another_request_under_it_is_refused() {
    let world = World::new(catalog([action("test.do"), action("test.other")]));
    let keyed = Request { once: Some("k".to_owned()), ..request("test.do") };
    let first = world.executions.request(keyed.clone()).await.unwrap();
    world.reaches(first.id, Status::Succeeded).await;
    let again = world.executions.request(keyed.clone()).await.unwrap();
    assert_eq!(again.id, first.id);
    let other = Request { action: "test.other".parse().unwrap(), ..keyed };
    let refused = world.executions.request(other).await.unwrap_err();
    assert!(matches!(refused, Error::OnceAgain { .. }), "{refused}");
    assert_eq!(world.hands.jobs().len(), 1);
}

#[tokio::test]
async fn a_delay_is_waited_for_to_the_millisecond() {
    let world = World::new(catalog([action("test.do")]));
    let later = Request { delay: Some(Duration::from_mins(1)), ..request("test.do") };
    let accepted = world.executions.request(later).await.unwrap();
    assert_eq!(accepted.status, Status::Delayed);
    world.manual.advance(Duration::from_millis(59_999));
    let now = world.executions.request(request("test.do")).await.unwrap();
    world.reaches(now.id, Status::Succeeded).await;
    let still = world.executions.get(accepted.id).await.unwrap().unwrap();
    assert_eq!(still.status, Status::Delayed);
    world.manual.advance(Duration::from_millis(1));
    world.reaches(accepted.id, Status::Succeeded).await;
}

fn retrying(count: u32) -> Action {
    let retry = Retry {
        on_failure: true,
        on_timeout: false,
        count,
        delay: Duration::from_secs(10),
        backoff: 2.0,
        max_delay: Duration::from_mins(1),
    };
    Action { retry: Some(retry), ..action("test.retry") }
}

#[tokio::test]
async fn a_failure_is_tried_again_after_its_wait_and_only_so_often() {
    let world = World::new(catalog([retrying(1)]));
    world.hands.will([Ended::So(End::Failed), Ended::So(End::Failed)]);
    let accepted = world.executions.request(request("test.retry")).await.unwrap();
    world.reaches(accepted.id, Status::Delayed).await;
    world.manual.advance(Duration::from_secs(10));
    let done = world.reaches(accepted.id, Status::Failed).await;
    assert_eq!(done.attempt, 2);
}

#[tokio::test]
async fn a_time_out_is_not_tried_again_where_only_failures_are() {
    let world = World::new(catalog([retrying(3)]));
    world.hands.will([Ended::So(End::TimedOut)]);
    let accepted = world.executions.request(request("test.retry")).await.unwrap();
    world.reaches(accepted.id, Status::Timeout).await;
    assert_eq!(world.hands.jobs().len(), 1);
}

#[tokio::test]
async fn what_would_fail_again_is_not_tried_again() {
    let world = World::new(catalog([retrying(3)]));
    world.hands.will([Ended::So(End::Failed), Ended::Hopeless]);
    let accepted = world.executions.request(request("test.retry")).await.unwrap();
    world.reaches(accepted.id, Status::Delayed).await;
    world.manual.advance(Duration::from_secs(10));
    let done = world.reaches(accepted.id, Status::Failed).await;
    assert_eq!(done.attempt, 2);
}

#[tokio::test]
async fn what_ran_when_the_engine_died_is_taken_up_again_not_started_twice() {
    let world = World::new(catalog([action("test.long")]));
    world.hands.hold();
    let accepted = world.executions.request(request("test.long")).await.unwrap();
    world.reaches(accepted.id, Status::Running).await;
    let world = world.restart().await;
    world.reaches(accepted.id, Status::Succeeded).await;
    assert_eq!(world.hands.jobs(), [(accepted.id, 1, Begin::Return)]);
}

#[tokio::test]
async fn what_surely_never_began_is_started_under_its_first_number() {
    let world = World::new(catalog([action("test.long")]));
    world.hands.hold();
    let accepted = world.executions.request(request("test.long")).await.unwrap();
    world.reaches(accepted.id, Status::Running).await;
    let World { store, manual, tasks, catalog: current, .. } = world;
    tasks.drain(Duration::from_millis(1)).await;
    let catalog = (*current.load_full()).clone();
    let hands_will = [Ended::NeverBegan];
    let world = World::on(store, catalog, manual);
    world.hands.will(hands_will);
    world.reaches(accepted.id, Status::Succeeded).await;
    let begins: Vec<_> = world.hands.jobs().iter().map(|job| (job.1, job.2)).collect();
    assert_eq!(begins, [(1, Begin::Return), (1, Begin::Fresh)]);
}

#[tokio::test]
async fn an_attempt_that_found_no_room_is_made_again_whatever_the_policy() {
    let world = World::new(catalog([action("test.once")]));
    world.hands.will([Ended::NeverBegan]);
    let accepted = world.executions.request(request("test.once")).await.unwrap();
    world.reaches(accepted.id, Status::Delayed).await;
    world.manual.advance(Duration::from_secs(2));
    let done = world.reaches(accepted.id, Status::Succeeded).await;
    assert_eq!(done.attempt, 2);
}

#[tokio::test]
async fn what_nobody_can_know_follows_the_actions_policy() {
    for (delivery, end, attempts) in [
        (Delivery::AtMostOnce, Status::Abandoned, 1),
        (Delivery::AtLeastOnce, Status::Succeeded, 2),
        (Delivery::Idempotent, Status::Succeeded, 2),
    ] {
        let world = World::new(catalog([Action { delivery, ..action("test.lost") }]));
        world.hands.will([Ended::Lost]);
        let accepted = world.executions.request(request("test.lost")).await.unwrap();
        let done = world.reaches(accepted.id, end).await;
        assert_eq!(done.attempt, attempts, "{delivery:?}");
    }
}

#[tokio::test]
async fn canceling_ends_what_waits_at_once_and_what_runs_when_it_has_stopped() {
    let world = World::new(catalog([action("test.do")]));
    let later = Request { delay: Some(Duration::from_mins(1)), ..request("test.do") };
    let waiting = world.executions.request(later).await.unwrap();
    let canceled = world.executions.cancel(waiting.id, "bob").await.unwrap();
    assert_eq!(canceled.status, Status::Canceled);
    world.hands.hold();
    let running = world.executions.request(request("test.do")).await.unwrap();
    world.reaches(running.id, Status::Running).await;
    let canceling = world.executions.cancel(running.id, "bob").await.unwrap();
    assert_eq!(canceling.status, Status::Canceling);
    let done = world.reaches(running.id, Status::Canceled).await;
    assert_eq!(done.reason.as_deref(), Some("canceled by `bob`"));
    let refused = world.executions.cancel(running.id, "bob").await.unwrap_err();
    assert_eq!(refused.to_string(), "an execution that is `canceled` cannot be canceled");
}

#[tokio::test]
async fn output_is_kept_in_order_and_printed_once_when_an_attempt_is_taken_up_again() {
    let world = World::new(catalog([action("test.print")]));
    world.hands.will_print(&["one\n", "two\n"]);
    let accepted = world.executions.request(request("test.print")).await.unwrap();
    world.reaches(accepted.id, Status::Succeeded).await;
    let rows = Rows::first(99).under(accepted.id.to_bytes().to_vec());
    let output = table::scan::<Output>(&world.store, rows).await.unwrap();
    let text: String = output.iter().map(|held| held.row.text.as_str()).collect();
    assert_eq!(text, "one\ntwo\n");
}

#[tokio::test]
async fn no_more_attempts_run_at_once_than_there_are_places() {
    let world = World::new(catalog([action("test.do")]));
    world.hands.hold();
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(world.executions.request(request("test.do")).await.unwrap().id);
    }
    while world.hands.most_at_once() < 4 {
        world.hands.began().await;
    }
    for (number, id) in ids.iter().enumerate() {
        world.reaches(*id, Status::Running).await;
        if let Some(waiting) = ids.get(number + 4) {
            let waiting = world.executions.get(*waiting).await.unwrap().unwrap();
            assert_eq!(waiting.status, Status::Requested);
        }
        world.executions.cancel(*id, "bob").await.unwrap();
        world.reaches(*id, Status::Canceled).await;
    }
    assert_eq!(world.hands.most_at_once(), 4);
}

#[tokio::test]
async fn state_changes_are_told_to_whoever_watches() {
    let world = World::new(catalog([action("test.do")]));
    let mut watched = world.executions.watch();
    let accepted = world.executions.request(request("test.do")).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let change: Arc<_> = crate::world::patient(watched.recv()).await.unwrap().unwrap();
        assert_eq!(change.id, accepted.id);
        seen.push(change.status);
    }
    seen.sort();
    assert_eq!(seen, [Status::Requested, Status::Running, Status::Succeeded]);
}

#[tokio::test]
async fn what_an_event_says_never_becomes_part_of_a_command_line() {
    let parameter = |default: Value| Parameter { default: Some(default), ..Parameter::default() };
    let grow = Action {
        runner: "shell".to_owned(),
        parameters: vec![
            ("cmd".to_owned(), parameter(json!("grow {{ pool }}"))),
            ("pool".to_owned(), parameter(json!("none"))),
        ],
        ..action("test.grow")
    };
    let world = World::new(catalog([grow]));
    let run = async |pool: &str, end| {
        let Value::Object(parameters) = json!({ "pool": pool }) else { unreachable!() };
        let asked = Request { parameters, ..request("test.grow") };
        let accepted = world.executions.request(asked).await.unwrap();
        world.reaches(accepted.id, end).await.reason
    };
    assert_eq!(run("gold-1", Status::Succeeded).await, None);
    let reason = run("gold-1; touch /tmp/pwned", Status::Failed).await.unwrap();
    assert!(reason.contains("would become part of the command line"), "{reason}");
    assert_eq!(world.hands.jobs().len(), 1);
}

#[tokio::test]
async fn a_token_is_good_while_its_attempt_runs_and_no_longer() {
    let world = World::new(catalog([action("test.call")]));
    let good = || world.tokens.load(Ordering::Relaxed);
    world.hands.hold();
    let accepted = world.executions.request(request("test.call")).await.unwrap();
    world.hands.began().await;
    assert_eq!(good(), 1);
    world.executions.cancel(accepted.id, "bob").await.unwrap();
    world.reaches(accepted.id, Status::Canceled).await;
    assert_eq!(good(), 0);
}
