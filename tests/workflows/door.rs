//! Whole workflows through the front door.

use std::time::Duration;

use ifso::model::execution::Status;
use ifso::workflows::conduct::{Again, Happening, Place, Refused};
use serde_json::{Value, json};

use super::play::{Play, then};

fn reason(text: &str) -> String {
    text.to_owned()
}

#[test]
fn tasks_follow_each_other_and_give_an_output() {
    let mut play = Play::with(
        &json!({
            "input": ["who", { "greeting": "hello" }],
            "vars": [{ "said": null }],
            "output": [{ "said": "<% ctx(said) %>" }],
            "tasks": {
                "say": {
                    "action": "core.echo",
                    "input": { "message": "<% ctx(greeting) %> <% ctx(who) %>" },
                    "next": [{ "when": "<% succeeded() %>", "publish": "said=<% result().out %>", "do": "rest" }],
                },
                "rest": { "action": "core.noop" },
            }
        }),
        &json!({ "who": "you" }),
    );
    let place = play.place("say");
    assert_eq!(play.children[&place].parameters["message"], "hello you");
    play.succeed("say", json!({ "out": "hello you" }));
    assert_eq!(play.running(), ["rest"]);
    play.succeed("rest", Value::Null);
    assert_eq!(play.status(), Status::Succeeded);
    assert_eq!(play.output(), json!({ "said": "hello you" }));
    assert_eq!(play.tasks(), ["say succeeded", "rest succeeded"]);
}

#[test]
fn a_task_shows_its_items_with_their_status() {
    let mut play = Play::new(&json!({
        "output": [{ "plain": "<% ctx(plain) %>" }, { "outs": "<% ctx(outs) %>" }, { "all": "<% ctx(all) %>" }],
        "tasks": {
            "each": {
                "with": "<% [1, 2] %>",
                "action": "core.local",
                "next": [{ "publish": [{ "plain": "<% result() %>" }], "do": "after" }],
            },
            "after": {
                "action": "core.noop",
                "next": [{ "publish": [
                    { "outs": "<% task(each).result.items.select($.result.stdout) %>" },
                    { "all": "<% task(each).result %>" },
                ] }],
            },
        }
    }));
    for (item, out) in [(0, "a"), (1, "b")] {
        let place = play.place_of("each", item);
        play.child(place, Status::Succeeded, json!({ "stdout": out }));
    }
    play.succeed("after", Value::Null);
    let [a, b] = ["a", "b"].map(|out| json!({ "stdout": out }));
    let item = |result: &Value| json!({ "status": "succeeded", "result": result });
    assert_eq!(
        play.output(),
        json!({ "plain": [a, b], "outs": ["a", "b"], "all": { "items": [item(&a), item(&b)] } })
    );
}

#[test]
fn what_was_given_is_never_run_as_an_expression() {
    let definition = json!({
        "input": ["text"],
        "tasks": { "a": { "action": "core.echo", "input": { "message": "<% ctx(text) %>" } } },
    });
    let play = Play::with(&definition, &json!({ "text": "<% 1 + 1 %>" }));
    assert_eq!(play.children[&play.place("a")].parameters["message"], "<% 1 + 1 %>");
}

#[test]
fn a_task_without_an_action_passes_at_once() {
    let play = Play::new(&json!({ "tasks": { "a": { "next": [{ "do": "b" }] }, "b": {} } }));
    assert_eq!(play.status(), Status::Succeeded);
    assert_eq!(play.tasks(), ["a succeeded", "b succeeded"]);
}

#[test]
fn items_run_so_many_at_once_and_give_a_list() {
    let mut play = Play::new(&json!({
        "vars": [{ "xs": [1, 2, 3] }],
        "output": [{ "all": "<% ctx(all) %>" }],
        "tasks": {
            "each": {
                "with": { "items": "x in <% ctx(xs) %>", "concurrency": 2 },
                "action": "core.echo message=<% item(x) %>",
                "next": [{ "publish": [{ "all": "<% result() %>" }] }],
            },
        }
    }));
    let item = |item| Place { entry: 0, item: Some(item), turn: 0 };
    assert_eq!(play.children.keys().copied().collect::<Vec<_>>(), [item(0), item(1)]);
    play.child(item(1), Status::Succeeded, json!("b"));
    assert_eq!(play.children[&item(2)].parameters["message"], 3);
    play.child(item(2), Status::Succeeded, json!("c"));
    let counts = play.flow.tasks().next().unwrap().items.unwrap();
    assert_eq!((counts.all, counts.active, counts.done), (3, 1, 2));
    play.child(item(0), Status::Succeeded, json!("a"));
    assert_eq!(play.status(), Status::Succeeded);
    assert_eq!(play.output(), json!({ "all": ["a", "b", "c"] }));
}

#[test]
fn no_items_are_a_success_with_an_empty_list() {
    let play = Play::new(&json!({
        "output": [{ "all": "<% ctx(all) %>" }],
        "vars": [{ "xs": [] }],
        "tasks": { "each": {
            "with": "<% ctx(xs) %>",
            "action": "core.noop",
            "next": [{ "publish": [{ "all": "<% result() %>" }] }],
        } }
    }));
    assert_eq!((play.status(), play.output()), (Status::Succeeded, json!({ "all": [] })));
}

#[test]
fn a_delayed_task_waits_for_its_time_and_no_longer_than_a_pause() {
    let late = json!({ "tasks": { "late": { "action": "core.noop", "delay": 60 } } });
    let mut play = Play::new(&late);
    assert!(play.children.is_empty());
    assert_eq!(play.tasks(), ["late delayed"]);
    play.wait(Duration::from_secs(59));
    assert!(play.children.is_empty());
    assert_eq!(play.wake(), Duration::from_secs(1));
    assert_eq!(play.running(), ["late"]);

    let mut play = Play::new(&late);
    play.tell(Happening::Pause { reason: reason("lunch") }).unwrap();
    assert_eq!((play.status(), play.flow.reason()), (Status::Paused, Some("lunch")));
    assert_eq!(play.flow.wake(), None, "what is paused sleeps");
    play.wait(Duration::from_mins(10));
    assert!(play.children.is_empty());
    play.tell(Happening::Resume).unwrap();
    assert_eq!(play.running(), ["late"]);
}

#[test]
fn a_failed_task_is_tried_again_after_its_pause() {
    let mut play = Play::new(&json!({ "tasks": {
        "flaky": { "action": "core.noop", "retry": { "count": 2, "delay": 5 } },
        "other": { "action": "core.noop" },
    } }));
    play.fail("flaky");
    play.succeed("other", Value::Null);
    assert_eq!(play.status(), Status::Running, "it does not end while a try is to come");
    assert_eq!(play.wake(), Duration::from_secs(5));
    play.fail("flaky");
    play.wake();
    play.fail("flaky");
    assert_eq!(play.status(), Status::Failed);
    assert_eq!(play.flow.wake(), None);
    let reason = play.flow.reason().unwrap();
    assert_eq!(reason, "task `flaky` failed: no");
}

#[test]
fn a_circle_without_end_is_stopped_by_canceling() {
    let mut play = Play::new(&json!({ "tasks": {
        "start": { "next": [{ "do": "turn" }] },
        "turn": { "next": [{ "do": "turn" }] },
    } }));
    assert_eq!(play.status(), Status::Running);
    let begun = play.tasks().len();
    assert_eq!(play.wake(), Duration::ZERO, "it wants to go on at once");
    assert!(play.tasks().len() > begun);
    play.tell(Happening::Cancel { reason: reason("enough") }).unwrap();
    assert_eq!((play.status(), play.flow.wake()), (Status::Canceled, None));
}

#[test]
fn canceling_stops_every_child_and_waits_for_it() {
    let mut play = Play::new(&json!({ "tasks": {
        "a": { "action": "core.noop" },
        "b": { "with": "<% ctx(xs) %>", "action": "core.noop" },
        "c": { "action": "core.noop", "delay": 5 },
    }, "vars": [{ "xs": [1, 2] }] }));
    let b = play.place_of("b", 0);
    play.child(b, Status::Succeeded, Value::Null);
    play.tell(Happening::Cancel { reason: reason("enough") }).unwrap();
    assert_eq!(play.status(), Status::Canceling);
    let left: Vec<Place> = play.children.keys().copied().collect();
    assert_eq!(play.stopped, left);
    for place in left {
        play.child(place, Status::Canceled, Value::Null);
    }
    assert_eq!((play.status(), play.flow.reason()), (Status::Canceled, Some("enough")));
    assert_eq!(play.tasks(), ["a canceled", "b canceled", "c canceled"]);
    let again = play.tell(Happening::Cancel { reason: reason("again") });
    assert!(matches!(again, Err(Refused::InvalidWorkflowStatusTransition { .. })), "{again:?}");
}

#[test]
fn an_asked_person_pauses_the_flow_until_the_answer() {
    let mut play = Play::new(&json!({ "tasks": { "ask": then("go"), "go": then("noop") } }));
    let ask = play.place("ask");
    play.child(ask, Status::Pending, Value::Null);
    assert_eq!(play.status(), Status::Paused);
    assert_eq!(play.flow.reason(), Some("task `ask` waits for an answer"));
    play.child(ask, Status::Succeeded, json!({ "response": {} }));
    assert_eq!((play.status(), play.flow.reason()), (Status::Running, None));
    assert_eq!(play.running(), ["go"]);
}

#[test]
fn an_answer_does_not_wake_what_a_person_paused() {
    let mut play = Play::new(&json!({ "tasks": { "ask": then("go"), "go": then("noop") } }));
    let ask = play.place("ask");
    play.child(ask, Status::Pending, Value::Null);
    play.tell(Happening::Resume).unwrap();
    play.tell(Happening::Pause { reason: reason("night") }).unwrap();
    play.child(ask, Status::Succeeded, Value::Null);
    assert_eq!(play.status(), Status::Paused);
    play.tell(Happening::Resume).unwrap();
    assert_eq!(play.running(), ["go"]);
}

#[test]
fn an_answer_that_never_came_fails_the_flow() {
    let mut play = Play::new(&json!({ "tasks": { "ask": { "action": "core.ask" } } }));
    let ask = play.place("ask");
    play.child(ask, Status::Pending, Value::Null);
    play.child(ask, Status::Timeout, Value::Null);
    assert_eq!(play.status(), Status::Failed);
}

#[test]
fn what_comes_too_late_or_twice_changes_nothing() {
    let mut play = Play::new(&json!({ "tasks": { "a": then("b"), "b": then("noop") } }));
    let a = play.place("a");
    play.succeed("a", json!(1));
    let before = play.flow.orquesta(&play.definition);
    let told = Happening::Task { place: a, status: Status::Failed, result: Value::Null };
    play.tell(told).unwrap();
    assert_eq!(play.flow.orquesta(&play.definition), before);
    assert_eq!(play.written, (0, 0));
    let nowhere = Place { entry: 7, item: None, turn: 0 };
    let told = Happening::Task { place: nowhere, status: Status::Running, result: Value::Null };
    assert_eq!(play.tell(told), Err(Refused::NoSuchPlace(nowhere)));
}

#[test]
fn a_flow_that_failed_runs_again_from_where_it_failed() {
    let mut play = Play::new(&json!({
        "output": [{ "x": "<% ctx(x) %>" }],
        "vars": [{ "x": 0 }],
        "tasks": {
            "a": { "action": "core.noop", "next": [
                { "when": "<% succeeded() %>", "publish": [{ "x": 1 }], "do": "b" }] },
            "b": { "action": "core.noop" },
        }
    }));
    play.succeed("a", Value::Null);
    play.fail("b");
    assert_eq!((play.status(), play.output()), (Status::Failed, json!({ "x": 1 })));
    let unknown = Again { name: "c".into(), route: None, reset_items: false };
    let refused = play.tell(Happening::Rerun { tasks: vec![unknown] });
    assert!(matches!(refused, Err(Refused::InvalidTaskRerunRequest(_))), "{refused:?}");
    play.tell(Happening::Rerun { tasks: Vec::new() }).unwrap();
    assert_eq!((play.running(), play.flow.reason()), (vec!["b"], None));
    play.succeed("b", Value::Null);
    assert_eq!((play.status(), play.errors()), (Status::Succeeded, Vec::new()));
    assert_eq!(play.tasks(), ["a succeeded", "b failed", "b succeeded"]);
}

/// A flow that failed by `a` while the others ran, and is run again: nothing is heard of the others.
fn cut_off(definition: &Value, tasks: &[&str]) -> Play {
    let mut play = Play::new(definition);
    play.fail("a");
    assert_eq!(play.status(), Status::Failed);
    play.children.clear();
    let again = |name: &&str| Again { name: (*name).into(), route: None, reset_items: false };
    play.tell(Happening::Rerun { tasks: tasks.iter().map(again).collect() }).unwrap();
    play
}

#[test]
fn what_still_ran_when_the_flow_failed_runs_again_with_it() {
    let two =
        json!({ "tasks": { "a": { "action": "core.noop" }, "b": { "action": "core.noop" } } });
    for tasks in [&[][..], &["a"], &["a", "b"]] {
        let mut play = cut_off(&two, tasks);
        assert_eq!(play.running(), ["a", "b"], "{tasks:?}");
        play.succeed("a", Value::Null);
        assert_eq!(play.status(), Status::Running);
        play.succeed("b", Value::Null);
        assert_eq!((play.status(), play.errors()), (Status::Succeeded, Vec::new()));
    }
    let mut play = cut_off(&two, &["b"]);
    assert_eq!(play.running(), ["b"]);
    play.succeed("b", Value::Null);
    assert!(play.status().is_done(), "{}", play.status());
}

#[test]
fn items_and_questions_that_nobody_hears_of_come_again() {
    let mut play = Play::new(&json!({ "vars": [{ "xs": [1, 2, 3] }], "tasks": {
        "a": { "action": "core.noop" },
        "ask": { "action": "core.local", "approve": true },
        "each": { "with": "<% ctx(xs) %>", "action": "core.noop" },
    } }));
    play.child(play.place("ask"), Status::Pending, Value::Null);
    play.child(play.place_of("each", 0), Status::Succeeded, json!(1));
    play.child(play.place_of("each", 1), Status::Failed, Value::Null);
    play.fail("a");
    play.children.clear();
    play.tell(Happening::Rerun { tasks: Vec::new() }).unwrap();
    assert_eq!(play.running(), ["a", "ask", "each", "each"]);
    assert_eq!(play.children[&play.place("ask")].action, "core.ask");
    play.succeed("ask", Value::Null);
    for place in play.children.keys().copied().collect::<Vec<_>>() {
        play.child(place, Status::Succeeded, json!(2));
    }
    assert_eq!((play.status(), play.errors()), (Status::Succeeded, Vec::new()));
}

#[test]
fn what_runs_again_can_be_canceled() {
    let two =
        json!({ "tasks": { "a": { "action": "core.noop" }, "b": { "action": "core.noop" } } });
    let mut play = cut_off(&two, &[]);
    play.tell(Happening::Cancel { reason: reason("enough") }).unwrap();
    for place in play.stopped.clone() {
        play.child(place, Status::Canceled, Value::Null);
    }
    assert_eq!(play.status(), Status::Canceled);
}

#[test]
fn what_follows_from_a_task_that_runs_again_runs_once() {
    let mut play = Play::new(&json!({ "tasks": {
        "a": { "action": "core.noop" }, "first": then("second"), "second": { "action": "core.noop" },
    } }));
    play.succeed("first", Value::Null);
    play.fail("a");
    play.children.clear();
    let again = |name: &str| Again { name: name.into(), route: None, reset_items: false };
    play.tell(Happening::Rerun { tasks: vec![again("a"), again("first")] }).unwrap();
    assert_eq!(play.running(), ["a", "first"]);
    play.succeed("a", Value::Null);
    play.succeed("first", Value::Null);
    assert_eq!(play.running(), ["second"]);
    play.succeed("second", Value::Null);
    assert_eq!(play.status(), Status::Succeeded);
}

#[test]
fn parameters_that_are_no_object_fail_the_task_with_a_reason() {
    let play = Play::new(&json!({
        "vars": [{ "x": 5 }],
        "tasks": { "a": { "action": "core.noop", "input": "<% ctx(x) %>" } },
    }));
    assert_eq!(play.status(), Status::Failed);
    assert!(play.errors()[0].contains("The input of task \"a\" is `5`"), "{:?}", play.errors());
}

#[test]
fn flows_and_definitions_go_from_thread_to_thread() {
    fn goes<T: Send + Sync + 'static>() {}
    goes::<ifso::workflows::conduct::Flow>();
    goes::<ifso::workflows::definition::Definition>();
}
