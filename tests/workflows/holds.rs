//! `on_error: pause` and `resume_when`: a failure that waits for a person or a probe.

use std::time::Duration;

use ifso::model::execution::Status;
use ifso::workflows::conduct::{Happening, Refused};
use serde_json::{Value, json};

use super::play::Play;

/// Three tasks in a row, of which the second may fail.
fn row() -> Value {
    json!({
        "on_error": "pause",
        "vars": [{ "got": null }],
        "output": [{ "got": "<% ctx(got) %>" }],
        "tasks": {
            "first": { "action": "core.noop", "next": [{ "when": "<% succeeded() %>", "do": "second" }] },
            "second": {
                "action": "core.local",
                "input": { "cmd": "deploy" },
                "next": [{ "when": "<% succeeded() %>", "publish": [{ "got": "<% result().got %>" }], "do": "third" }],
            },
            "third": { "action": "core.noop" },
        }
    })
}

fn held() -> Play {
    let mut play = Play::new(&row());
    play.succeed("first", Value::Null);
    play.fail("second");
    assert_eq!(play.status(), Status::Paused);
    assert_eq!(play.flow.reason(), Some("task `second` failed: no"));
    assert_eq!(play.tasks(), ["first succeeded", "second failed"]);
    play
}

#[test]
fn resuming_makes_the_same_step_again() {
    let mut play = held();
    play.tell(Happening::Resume).unwrap();
    assert_eq!((play.status(), play.flow.reason()), (Status::Running, None));
    let place = play.place("second");
    assert_eq!((place.entry, place.turn), (1, 1), "the same entry, another child");
    assert_eq!(play.children[&place].parameters["cmd"], "deploy");
    play.succeed("second", json!({ "got": 1 }));
    play.succeed("third", Value::Null);
    assert_eq!((play.status(), play.output()), (Status::Succeeded, json!({ "got": 1 })));
    assert_eq!(play.errors(), Vec::<String>::new());
    assert_eq!(play.tasks(), ["first succeeded", "second succeeded", "third succeeded"]);
}

#[test]
fn it_can_be_tried_with_other_parameters() {
    let mut play = held();
    let parameters = json!({ "cmd": "deploy --force" }).as_object().cloned();
    let wrong = Happening::Retry { entry: 0, parameters: None };
    assert_eq!(play.tell(wrong), Err(Refused::NotTheFailed(0)));
    play.tell(Happening::Retry { entry: 1, parameters }).unwrap();
    let place = play.place("second");
    assert_eq!(play.children[&place].parameters["cmd"], "deploy --force");
    play.fail("second");
    assert_eq!(play.status(), Status::Paused);
    play.tell(Happening::Resume).unwrap();
    let place = play.place("second");
    assert_eq!(play.children[&place].parameters["cmd"], "deploy --force", "the same again");
}

#[test]
fn other_parameters_leave_those_that_they_do_not_name() {
    let mut play = Play::new(&json!({ "on_error": "pause", "vars": [{ "xs": [1, 2] }], "tasks": {
        "one": { "action": "core.local", "input": { "cmd": "deploy", "cwd": "/srv" } },
        "each": {
            "with": "x in <% ctx(xs) %>",
            "action": "core.local",
            "input": { "cmd": "<% item(x) %>", "cwd": "/srv" },
        },
    } }));
    for place in play.children.keys().copied().collect::<Vec<_>>() {
        play.child(place, Status::Failed, json!({}));
    }
    let parameters = json!({ "cwd": "/tmp" }).as_object().cloned();
    for entry in [0, 1] {
        play.tell(Happening::Retry { entry, parameters: parameters.clone() }).unwrap();
    }
    let given: Vec<Value> = play.children.values().map(|child| json!(child.parameters)).collect();
    let with = |cmd: Value| json!({ "cmd": cmd, "cwd": "/tmp" });
    assert_eq!(given, [with(json!(1)), with(json!(2)), with(json!("deploy"))]);
}

#[test]
fn it_can_be_skipped_with_a_result() {
    let mut play = held();
    play.tell(Happening::Skip { entry: 1, result: json!({ "got": "by hand" }) }).unwrap();
    assert_eq!(play.running(), ["third"]);
    play.succeed("third", Value::Null);
    assert_eq!((play.status(), play.output()), (Status::Succeeded, json!({ "got": "by hand" })));
    let skipped = play.flow.tasks().nth(1).unwrap();
    assert_eq!(skipped.status, Status::Succeeded);
    assert_eq!(skipped.reason.as_deref(), Some("skipped: the result was given by hand"));
}

/// An action that ended well, after which an expression failed.
fn broken() -> Play {
    let mut play = Play::new(&json!({ "on_error": "pause", "tasks": {
        "a": { "action": "core.noop", "next": [
            { "publish": [{ "x": "<% result().missing %>" }], "do": "later" },
        ] },
        "later": { "action": "core.echo", "input": { "message": "<% ctx(x) %>" } },
    } }));
    play.succeed("a", json!({}));
    assert_eq!((play.status(), play.tasks()), (Status::Paused, vec!["a succeeded".to_owned()]));
    assert!(play.flow.tasks().next().unwrap().held);
    play
}

#[test]
fn after_a_broken_transition_the_action_can_be_tried_again() {
    let mut play = broken();
    play.tell(Happening::Retry { entry: 0, parameters: None }).unwrap();
    assert_eq!((play.status(), play.running()), (Status::Running, vec!["a"]));
    assert!(!play.flow.tasks().next().unwrap().held);
    play.succeed("a", json!({ "missing": "here" }));
    assert_eq!(play.children[&play.place("later")].parameters["message"], "here");
    play.succeed("later", Value::Null);
    assert_eq!((play.status(), play.errors()), (Status::Succeeded, Vec::new()));
}

#[test]
fn after_a_broken_transition_it_can_be_given_up() {
    let mut play = broken();
    play.tell(Happening::Abort { reason: "too late".into() }).unwrap();
    assert_eq!((play.status(), play.flow.reason()), (Status::Failed, Some("too late")));
}

#[test]
fn it_can_be_given_up() {
    let mut play = held();
    play.tell(Happening::Abort { reason: "too late".into() }).unwrap();
    assert_eq!((play.status(), play.flow.reason()), (Status::Failed, Some("too late")));
    assert_eq!(play.output(), json!({ "got": null }));
    let again = play.tell(Happening::Abort { reason: "again".into() });
    assert_eq!(again, Err(Refused::NotHeld(Status::Failed)));
}

#[test]
fn it_can_be_canceled() {
    let mut play = held();
    play.tell(Happening::Cancel { reason: "no".into() }).unwrap();
    assert_eq!((play.status(), play.flow.reason()), (Status::Canceled, Some("no")));
}

#[test]
fn a_remedied_failure_holds_nothing() {
    let mut play = Play::new(&json!({ "on_error": "pause", "tasks": {
        "a": { "action": "core.noop", "next": [{ "when": "<% failed() %>", "do": "b" }] },
        "b": { "action": "core.noop" },
    } }));
    play.fail("a");
    assert_eq!((play.status(), play.running()), (Status::Running, vec!["b"]));
}

#[test]
fn what_runs_beside_goes_on_but_starts_nothing_new() {
    let mut play = Play::new(&json!({ "tasks": {
        "a": { "action": "core.noop", "on_error": "pause" },
        "b": { "action": "core.noop", "next": [{ "do": "c" }] },
        "c": { "action": "core.noop" },
    } }));
    play.fail("a");
    assert_eq!(play.status(), Status::Pausing);
    play.succeed("b", Value::Null);
    assert_eq!((play.status(), play.running()), (Status::Paused, Vec::new()));
    play.tell(Happening::Retry { entry: 0, parameters: None }).unwrap();
    assert_eq!(play.running(), ["a", "c"]);
    play.succeed("c", Value::Null);
    play.succeed("a", Value::Null);
    assert_eq!(play.status(), Status::Succeeded);
}

#[test]
fn of_two_that_hold_the_flow_the_other_still_does() {
    let mut play = Play::new(&json!({ "on_error": "pause", "tasks": {
        "a": { "action": "core.noop" }, "b": { "action": "core.noop" },
    } }));
    play.fail("a");
    play.fail("b");
    play.tell(Happening::Skip { entry: 0, result: Value::Null }).unwrap();
    assert_eq!((play.status(), play.flow.reason()), (Status::Paused, Some("task `b` failed: no")));
    play.tell(Happening::Skip { entry: 1, result: Value::Null }).unwrap();
    assert_eq!(play.status(), Status::Succeeded);
}

#[test]
fn an_expression_that_fails_holds_the_flow_too() {
    let mut play = Play::new(&json!({ "on_error": "pause", "tasks": {
        "a": { "action": "core.echo", "input": { "message": "<% st2kv('system.word') %>" } },
    } }));
    assert_eq!(play.status(), Status::Paused);
    let reason = play.flow.reason().unwrap();
    assert!(reason.starts_with("task `a` failed: YaqlEvaluationException"), "{reason}");
    play.clock.keys.insert("system.word".into(), json!("hello"));
    play.tell(Happening::Resume).unwrap();
    assert_eq!(play.children[&play.place("a")].parameters["message"], "hello");
}

#[test]
fn a_broken_transition_is_evaluated_again_and_nothing_else() {
    let mut play = Play::new(&json!({ "on_error": "pause", "tasks": {
        "a": { "action": "core.noop", "next": [
            { "do": "fine" },
            { "publish": [{ "x": "<% result().missing %>" }], "do": "later" },
        ] },
        "fine": { "action": "core.noop" },
        "later": { "action": "core.echo", "input": { "message": "<% ctx(x) %>" } },
    } }));
    play.succeed("a", json!({}));
    assert_eq!(play.status(), Status::Paused);
    play.tell(Happening::Resume).unwrap();
    assert_eq!((play.status(), play.running()), (Status::Paused, Vec::new()), "it fails again");
    play.tell(Happening::Skip { entry: 0, result: json!({ "missing": "here" }) }).unwrap();
    assert_eq!(play.running(), ["fine", "later"]);
    assert_eq!(play.children[&play.place("later")].parameters["message"], "here");
    play.succeed("fine", Value::Null);
    play.succeed("later", Value::Null);
    assert_eq!(play.status(), Status::Succeeded);
}

#[test]
fn only_the_items_that_failed_are_run_again() {
    let mut play =
        Play::new(&json!({ "on_error": "pause", "vars": [{ "xs": [1, 2, 3] }], "tasks": {
        "each": { "with": "x in <% ctx(xs) %>", "action": "core.echo message=<% item(x) %>" },
    } }));
    for item in [0, 2] {
        play.child(play.place_of("each", item), Status::Succeeded, json!(item));
    }
    play.child(play.place_of("each", 1), Status::Failed, Value::Null);
    assert_eq!(play.status(), Status::Paused);
    play.tell(Happening::Resume).unwrap();
    assert_eq!(play.children.len(), 1);
    play.child(play.place_of("each", 1), Status::Succeeded, json!("now"));
    assert_eq!(play.status(), Status::Succeeded);
    assert_eq!(*play.flow.tasks().next().unwrap().result, json!([0, "now", 2]));
}

fn probing() -> Play {
    let mut play = Play::new(&json!({ "tasks": { "deploy": {
        "action": "core.local",
        "on_error": "pause",
        "resume_when": {
            "action": "core.http url=<% ctx(url) %>",
            "when": "<% succeeded() and result().code = 200 %>",
            "every": "1m",
        },
    } }, "vars": [{ "url": "http://x" }] }));
    play.fail("deploy");
    play
}

#[test]
fn a_probe_lets_it_go_on_by_itself() {
    let mut play = probing();
    assert_eq!((play.status(), play.running()), (Status::Paused, Vec::new()));
    assert_eq!(play.wake(), Duration::from_mins(1));
    let place = play.place("deploy");
    let probe = &play.children[&place];
    assert_eq!(
        (probe.action.as_str(), &probe.parameters["url"]),
        ("core.http", &json!("http://x"))
    );
    assert_eq!(play.flow.wake(), None, "one probe at a time");
    play.child(place, Status::Running, Value::Null);
    play.child(place, Status::Succeeded, json!({ "code": 503 }));
    assert_eq!(play.status(), Status::Paused);
    play.wake();
    play.child(play.place("deploy"), Status::Failed, Value::Null);
    play.wake();
    play.child(play.place("deploy"), Status::Succeeded, json!({ "code": 200 }));
    assert_eq!(play.status(), Status::Running);
    assert_eq!(play.children[&play.place("deploy")].action, "core.local");
    play.succeed("deploy", Value::Null);
    assert_eq!((play.status(), play.flow.wake()), (Status::Succeeded, None));
}

#[test]
fn a_probe_that_comes_late_is_not_taken_for_the_task() {
    let mut play = probing();
    play.wake();
    let probe = play.place("deploy");
    play.tell(Happening::Resume).unwrap();
    assert_eq!(play.stopped, [probe]);
    assert_eq!(play.children.len(), 2, "the probe has not stopped yet, the task runs");
    play.child(probe, Status::Canceled, Value::Null);
    assert_eq!((play.status(), play.running()), (Status::Running, vec!["deploy"]));
}
