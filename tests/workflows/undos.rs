//! `compensate` and `timeout`: what a flow that does not end well leaves behind.

use std::time::Duration;

use ifso::model::execution::Status;
use ifso::workflows::conduct::Happening;
use serde_json::{Value, json};

use super::play::Play;

/// Two tasks that can be undone, and a third that may fail.
fn trip() -> Play {
    let undo = |what: &str| json!({ "action": format!("trip.{what}"), "input": { "id": "<% result().id %>" } });
    let next = |to: &str| json!([{ "when": "<% succeeded() %>", "do": to }]);
    let mut play = Play::new(&json!({
        "tasks": {
            "flight": { "action": "trip.fly", "compensate": undo("unfly"), "next": next("hotel") },
            "hotel": { "action": "trip.sleep", "compensate": "trip.unsleep id=<% result().id %> who='me'", "next": next("car") },
            "car": { "action": "trip.drive", "compensate": "trip.undrive" },
        }
    }));
    play.succeed("flight", json!({ "id": "f1" }));
    play.succeed("hotel", json!({ "id": "h1" }));
    play
}

fn undo(play: &mut Play, action: &str, status: Status) -> Value {
    let (place, child) = play.children.first_key_value().expect("something is undone");
    assert_eq!((play.children.len(), child.action.as_str()), (1, action));
    let (place, parameters) = (*place, json!(child.parameters));
    play.child(place, status, json!({ "stderr": "stuck" }));
    parameters
}

#[test]
fn a_failed_flow_undoes_what_succeeded_last_first() {
    let mut play = trip();
    play.fail("car");
    assert_eq!(play.status(), Status::Running, "it is not over before that is undone");
    assert_eq!(
        undo(&mut play, "trip.unsleep", Status::Succeeded),
        json!({ "id": "h1", "who": "me" })
    );
    assert_eq!(play.status(), Status::Running);
    assert_eq!(undo(&mut play, "trip.unfly", Status::Succeeded), json!({ "id": "f1" }));
    assert_eq!(play.status(), Status::Failed);
    assert_eq!(play.tasks(), ["flight succeeded", "hotel succeeded", "car failed"]);
    let reasons: Vec<_> = play.flow.tasks().map(|task| task.reason).collect();
    assert_eq!(reasons[0].as_deref(), Some("it was undone"));
}

#[test]
fn an_undo_that_fails_is_told_and_the_others_still_run() {
    let mut play = trip();
    play.fail("car");
    undo(&mut play, "trip.unsleep", Status::Failed);
    undo(&mut play, "trip.unfly", Status::Succeeded);
    assert_eq!(play.status(), Status::Failed);
    let said = "task `hotel` could not be undone: stuck".to_owned();
    assert!(play.errors().contains(&said), "{:?}", play.errors());
}

#[test]
fn a_canceled_flow_waits_for_its_children_then_undoes() {
    let mut play = trip();
    play.tell(Happening::Cancel { reason: "rain".into() }).unwrap();
    assert_eq!((play.status(), play.stopped.len()), (Status::Canceling, 1));
    play.child(play.place("car"), Status::Canceled, Value::Null);
    assert_eq!(play.status(), Status::Canceling);
    undo(&mut play, "trip.unsleep", Status::Succeeded);
    undo(&mut play, "trip.unfly", Status::Succeeded);
    assert_eq!((play.status(), play.flow.reason()), (Status::Canceled, Some("rain")));
}

#[test]
fn a_child_that_succeeds_although_canceled_is_undone_too() {
    let mut play = trip();
    play.tell(Happening::Cancel { reason: "rain".into() }).unwrap();
    play.child(play.place("car"), Status::Succeeded, Value::Null);
    undo(&mut play, "trip.undrive", Status::Succeeded);
    assert_eq!(play.status(), Status::Canceling);
}

#[test]
fn canceling_again_leaves_the_rest_as_it_is() {
    let mut play = trip();
    play.fail("car");
    play.tell(Happening::Cancel { reason: "enough".into() }).unwrap();
    assert_eq!((play.status(), play.stopped.len()), (Status::Failed, 1));
    assert!(play.errors().iter().any(|error| error.contains("undoing was stopped")));
}

#[test]
fn an_undo_knows_why() {
    let mut play = Play::new(&json!({ "vars": [{ "st2": {} }], "tasks": {
        "a": { "action": "x.do", "compensate": "x.tell why=<% ctx().st2.failure %>",
            "next": [{ "when": "<% succeeded() %>", "do": "b" }] },
        "b": { "action": "x.fail" },
    } }));
    play.succeed("a", Value::Null);
    let result = json!({ "result": { "error": "no room" }, "exit_code": 0, "stderr": "log" });
    play.child(play.place("b"), Status::Failed, result);
    let told = undo(&mut play, "x.tell", Status::Succeeded);
    assert_eq!(told, json!({ "why": "task `b` failed: no room" }));
}

#[test]
fn giving_up_undoes() {
    let mut play = Play::new(&json!({ "on_error": "pause", "tasks": {
        "a": { "action": "x.do", "compensate": "x.undo", "next": [{ "when": "<% succeeded() %>", "do": "b" }] },
        "b": { "action": "x.fail" },
    } }));
    play.succeed("a", Value::Null);
    play.fail("b");
    assert!(play.children.is_empty());
    play.tell(Happening::Abort { reason: "no".into() }).unwrap();
    undo(&mut play, "x.undo", Status::Succeeded);
    assert_eq!((play.status(), play.flow.reason()), (Status::Failed, Some("no")));
}

#[test]
fn a_remedied_failure_undoes_nothing() {
    let mut play = Play::new(&json!({ "tasks": {
        "a": { "action": "x.do", "compensate": "x.undo", "next": [{ "do": "b" }] },
        "b": { "action": "x.fail", "next": [{ "when": "<% failed() %>", "do": "noop" }] },
    } }));
    play.succeed("a", Value::Null);
    play.fail("b");
    assert_eq!(play.status(), Status::Succeeded);
    assert!(play.children.is_empty());
}

#[test]
fn a_flow_ends_when_its_time_is_over() {
    let mut play = Play::with(
        &json!({
            "input": ["minutes"],
            "timeout": "<% ctx(minutes) * 60 %>",
            "output": [{ "x": 1 }],
            "tasks": { "a": { "action": "core.noop" }, "late": { "action": "core.noop", "delay": "1h" } },
        }),
        &json!({ "minutes": 10 }),
    );
    assert_eq!(play.wake(), Duration::from_mins(10));
    assert_eq!((play.status(), play.stopped.len()), (Status::Timeout, 1));
    assert_eq!(play.output(), json!({ "x": 1 }));
    play.child(play.place("a"), Status::Canceled, Value::Null);
    assert_eq!(play.tasks(), ["a canceled", "late canceled"]);
    assert_eq!((play.status(), play.flow.wake()), (Status::Timeout, None));
    play.tell(Happening::Rerun { tasks: Vec::new() }).unwrap();
    assert_eq!(play.running(), ["a"]);
}

#[test]
fn a_flow_out_of_time_is_undone() {
    let mut play = Play::new(&json!({ "timeout": "5m", "tasks": {
        "a": { "action": "x.do", "compensate": "x.undo", "next": [{ "do": "b" }] },
        "b": { "action": "x.wait" },
    } }));
    play.succeed("a", Value::Null);
    play.wake();
    assert_eq!(play.status(), Status::Running);
    play.child(play.place("b"), Status::Canceled, Value::Null);
    undo(&mut play, "x.undo", Status::Succeeded);
    assert_eq!(play.status(), Status::Timeout);
}

#[test]
fn a_task_hands_its_time_and_its_priority_to_its_child() {
    let mut play = Play::new(&json!({ "vars": [{ "p": 7 }], "tasks": { "a": {
        "action": "core.noop", "timeout": "1m30s", "priority": "<% ctx(p) %>",
    } } }));
    let child = &play.children[&play.place("a")];
    assert_eq!((child.timeout, child.priority), (Some(Duration::from_secs(90)), Some(7)));
    play.child(play.place("a"), Status::Timeout, Value::Null);
    assert_eq!(play.status(), Status::Failed);
}
