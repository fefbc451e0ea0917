//! What a step costs, in rows and bytes: the same at the first task and at the thousandth.

use ifso::model::execution::Status;
use ifso::workflows::conduct::Place;
use serde_json::{Map, Value, json};

use super::play::{Play, then};

fn chain(length: usize) -> Value {
    let mut tasks = Map::new();
    for at in 0..length {
        let mut task = json!({ "action": "core.echo", "input": { "n": "<% ctx(n) %>" } });
        if at + 1 < length {
            task["next"] =
                json!([{ "publish": [{ "n": "<% ctx(n) + 1 %>" }], "do": format!("t{}", at + 1) }]);
        }
        tasks.insert(format!("t{at}"), task);
    }
    json!({ "vars": [{ "n": 0 }], "output": [{ "n": "<% ctx(n) %>" }], "tasks": tasks })
}

#[test]
fn a_step_writes_as_much_at_the_thousandth_task_as_at_the_tenth() {
    let mut play = Play::new(&chain(1000));
    play.restart_every = 100;
    let mut written = Vec::new();
    for at in 0..1000 {
        play.succeed(&format!("t{at}"), Value::Null);
        written.push(play.written);
    }
    assert_eq!((play.status(), play.output()), (Status::Succeeded, json!({ "n": 999 })));
    let (rows, bytes) = written[10];
    for (at, (more_rows, more_bytes)) in written[10..999].iter().enumerate() {
        assert!(*more_rows <= rows + 1, "step {at} writes {more_rows} rows");
        assert!(*more_bytes <= bytes + 40, "step {at} writes {more_bytes} bytes, not {bytes}");
    }
    assert!(bytes < 300, "{bytes}");
}

#[test]
fn a_thousand_tasks_that_meet_write_no_more_each_than_ten() {
    let wide = |width: usize| {
        let mut tasks = Map::new();
        for at in 0..width {
            tasks.insert(format!("t{at:04}"), then("end"));
        }
        tasks.insert("end".into(), json!({ "action": "core.noop", "join": "all" }));
        let mut play = Play::new(&json!({ "tasks": tasks }));
        play.restart_every = 100;
        let mut most = 0;
        for at in 0..width {
            play.succeed(&format!("t{at:04}"), Value::Null);
            most = most.max(play.written.1);
        }
        play.succeed("end", Value::Null);
        assert_eq!(play.status(), Status::Succeeded);
        most
    };
    assert!(wide(300) <= wide(10) + 20);
}

#[test]
fn an_item_writes_only_its_own_rows() {
    let xs: Vec<usize> = (0..500).collect();
    let mut play = Play::new(&json!({
        "vars": [{ "xs": xs }],
        "tasks": { "each": {
            "with": { "items": "x in <% ctx(xs) %>", "concurrency": 100 },
            "action": "core.echo message=<% item(x) %>",
        } }
    }));
    play.restart_every = 100;
    assert_eq!(play.children.len(), 100);
    for at in 0..500 {
        play.child(Place { entry: 0, item: Some(at), turn: 0 }, Status::Succeeded, json!(at));
        if at < 499 {
            let (rows, bytes) = play.written;
            assert!(rows <= 3 && bytes < 60, "item {at} writes {rows} rows, {bytes} bytes");
        }
    }
    assert_eq!(play.status(), Status::Succeeded);
    let result = play.flow.tasks().next().unwrap().result;
    assert_eq!(result.as_array().unwrap().len(), 500);
}

#[test]
fn a_sleeping_flow_is_small() {
    let play = Play::with(
        &json!({
            "input": ["host"],
            "tasks": { "sleep": { "action": "core.noop", "delay": 86_400 } },
        }),
        &json!({ "host": "web-1.example.org" }),
    );
    assert!(play.size() < 150, "{} bytes", play.size());
}
