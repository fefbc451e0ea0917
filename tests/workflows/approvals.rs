//! `approve`, `until` and growing pauses: tasks that wait before they run, or run again.

use std::time::Duration;

use ifso::model::execution::Status;
use ifso::workflows::conduct::Happening;
use serde_json::{Value, json};

use super::play::Play;

fn deploy(approve: &Value) -> Play {
    Play::new(&json!({ "vars": [{ "to": "prod" }], "tasks": {
        "deploy": { "action": "core.local", "input": { "cmd": "go" }, "approve": approve },
    } }))
}

#[test]
fn a_person_is_asked_before_it_runs() {
    let mut play = deploy(&json!({ "users": ["ann"], "route": "<% ctx(to) %>", "ttl": 60 }));
    let place = play.place("deploy");
    let question = play.children[&place].clone();
    assert_eq!(question.action, "core.ask");
    assert_eq!(question.parameters["users"], json!(["ann"]));
    assert_eq!(question.parameters["route"], "prod");
    assert_eq!(question.parameters["schema"]["properties"]["approved"]["type"], "boolean");
    play.child(place, Status::Pending, Value::Null);
    assert_eq!(
        (play.status(), play.flow.reason()),
        (Status::Paused, Some("task `deploy` waits for an answer"))
    );
    play.child(place, Status::Succeeded, json!({ "response": { "approved": true } }));
    assert_eq!(play.status(), Status::Running);
    let place = play.place("deploy");
    assert_eq!((place.entry, place.turn), (0, 1));
    assert_eq!(play.children[&place].parameters["cmd"], "go");
    play.succeed("deploy", Value::Null);
    assert_eq!(play.status(), Status::Succeeded);
}

#[test]
fn a_refusal_fails_the_task_and_says_who() {
    let mut play = deploy(&json!(true));
    let answer = json!({ "response": { "approved": false }, "by": "ann" });
    play.succeed("deploy", answer);
    assert_eq!(play.status(), Status::Failed);
    let task = play.flow.tasks().next().unwrap();
    assert_eq!(task.reason.as_deref(), Some("`ann` did not approve it"));

    let mut play = deploy(&json!(true));
    play.child(play.place("deploy"), Status::Timeout, Value::Null);
    let task = play.flow.tasks().next().unwrap();
    assert_eq!(
        (play.status(), task.reason.as_deref()),
        (Status::Failed, Some("nobody answered in time"))
    );
}

#[test]
fn an_approval_while_somebody_paused_the_flow_waits_for_them() {
    let mut play = deploy(&json!(true));
    let place = play.place("deploy");
    play.tell(Happening::Pause { reason: "night".into() }).unwrap();
    assert_eq!(play.status(), Status::Pausing);
    play.child(place, Status::Succeeded, json!({ "response": { "approved": true } }));
    assert_eq!((play.status(), play.running()), (Status::Paused, Vec::new()));
    play.tell(Happening::Resume).unwrap();
    assert_eq!(play.children[&play.place("deploy")].action, "core.local");
}

#[test]
fn canceling_stops_the_question() {
    let mut play = deploy(&json!(true));
    let place = play.place("deploy");
    play.tell(Happening::Cancel { reason: "no".into() }).unwrap();
    assert_eq!(play.stopped, [place]);
    play.child(place, Status::Canceled, Value::Null);
    assert_eq!(
        (play.status(), play.tasks()),
        (Status::Canceled, vec!["deploy canceled".to_owned()])
    );
}

#[test]
fn one_answer_is_for_all_items_and_for_every_try() {
    let mut play = Play::new(&json!({ "vars": [{ "xs": [1, 2] }], "tasks": {
        "each": { "with": "<% ctx(xs) %>", "action": "core.noop", "approve": true, "retry": { "count": 1 }, "delay": 5 },
    } }));
    assert_eq!(play.wake(), Duration::from_secs(5));
    play.succeed("each", json!({ "response": { "approved": true } }));
    assert_eq!(play.children.len(), 2);
    play.child(play.place_of("each", 0), Status::Failed, Value::Null);
    play.child(play.place_of("each", 1), Status::Succeeded, Value::Null);
    let actions: Vec<_> = play.children.values().map(|child| child.action.as_str()).collect();
    assert_eq!(actions, ["core.noop", "core.noop"]);
}

fn polling(until: &Value) -> Play {
    Play::new(&json!({
        "output": [{ "state": "<% ctx(state) %>" }],
        "vars": [{ "state": null }],
        "tasks": { "poll": {
            "action": "core.http",
            "until": until,
            "next": [{ "when": "<% succeeded() %>", "publish": [{ "state": "<% result().state %>" }] }],
        } }
    }))
}

#[test]
fn a_task_runs_again_until_something_holds() {
    let mut play = polling(&json!({ "when": "<% result().state = up %>", "every": "10s" }));
    play.succeed("poll", json!({ "state": "down" }));
    assert_eq!((play.status(), play.running()), (Status::Running, Vec::new()));
    assert_eq!(play.wake(), Duration::from_secs(10));
    play.fail("poll");
    play.wake();
    play.succeed("poll", json!({ "state": "up" }));
    assert_eq!((play.status(), play.output()), (Status::Succeeded, json!({ "state": "up" })));
    assert_eq!(play.errors(), Vec::<String>::new());
    assert_eq!(play.tasks(), ["poll succeeded", "continue succeeded"]);
}

#[test]
fn a_limit_ends_it() {
    let mut play = polling(&json!({ "when": "<% result().state = up %>", "every": 1, "limit": 3 }));
    for _ in 0..2 {
        play.succeed("poll", json!({ "state": "down" }));
        play.wake();
    }
    play.succeed("poll", json!({ "state": "down" }));
    assert_eq!(play.status(), Status::Failed);
    let task = play.flow.tasks().next().unwrap();
    assert_eq!(task.reason.as_deref(), Some("`until` did not hold after 3 runs, its limit"));
}

#[test]
fn so_does_a_span_of_time() {
    let mut play = polling(&json!({ "when": "<% false %>", "every": "20s", "within": "1m" }));
    let mut runs = 0;
    while play.status() == Status::Running {
        runs += 1;
        play.succeed("poll", json!({}));
        if play.flow.wake().is_some() {
            play.wake();
        }
    }
    assert_eq!((runs, play.status()), (4, Status::Failed), "at 0, 20, 40 and 60 seconds");
}

#[test]
fn a_condition_that_cannot_be_read_on_a_success_fails_the_task() {
    let mut play = polling(&json!({ "when": "<% result().no.such %>" }));
    play.succeed("poll", json!({}));
    assert_eq!(play.status(), Status::Failed);
    assert!(play.errors()[0].contains("Unable to resolve key 'no'"), "{:?}", play.errors());
}

#[test]
fn pauses_between_tries_grow_up_to_their_limit() {
    let pauses = |retry: Value| {
        let mut play =
            Play::new(&json!({ "tasks": { "a": { "action": "core.noop", "retry": retry } } }));
        let mut pauses = Vec::new();
        for _ in 0..4 {
            play.fail("a");
            pauses.push(play.wake().as_secs());
        }
        pauses
    };
    assert_eq!(pauses(json!({ "count": 4, "delay": 2, "backoff": "linear" })), [2, 4, 6, 8]);
    let doubling = json!({ "count": 4, "delay": 2, "backoff": "exponential", "max_delay": "10s" });
    assert_eq!(pauses(doubling), [2, 4, 8, 10]);
    let chance = pauses(json!({ "count": 4, "delay": 1000, "jitter": 0.5 }));
    assert!(chance.iter().all(|pause| (500..=1000).contains(pause)), "{chance:?}");
    assert_eq!(chance, pauses(json!({ "count": 4, "delay": 1000, "jitter": 0.5 })));
}

#[test]
fn a_question_of_an_item_is_withdrawn_when_another_item_failed() {
    let mut play = Play::new(&json!({ "tasks": {
        "each": {
            "action": "core.ask",
            "with": "x in <% list(1, 2) %>",
            "retry": { "count": 1, "delay": 3 },
        },
        "side": { "action": "core.noop" },
    } }));
    let (one, two) = (play.place_of("each", 0), play.place_of("each", 1));
    play.child(two, Status::Pending, Value::Null);
    play.succeed("side", Value::Null);
    assert_eq!(play.status(), Status::Pausing);
    play.child(one, Status::Failed, Value::Null);
    assert_eq!((play.status(), &play.stopped[..]), (Status::Resuming, &[two][..]));
    // What the withdrawn question ends with is not taken for the next try.
    play.child(two, Status::Succeeded, Value::Null);
    play.wake();
    assert_eq!((play.status(), play.running()), (Status::Running, vec!["each", "each"]));
    play.child(play.place_of("each", 0), Status::Succeeded, json!(1));
    play.child(play.place_of("each", 1), Status::Succeeded, json!(2));
    assert_eq!(play.status(), Status::Succeeded);
}
