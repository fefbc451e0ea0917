//! Mistral's workflows, turned into what the conductor runs.

use ifso::workflows::inspect::{Known, inspect};
use ifso::workflows::mistral::{MAIN, load, origin};
use serde_json::{Value, json};

/// A workbook of one workflow with these `tasks`, in which `a`, `b` and `list` are inputs.
fn book(tasks: &Value) -> Value {
    json!({ "version": "2.0", "name": "shop.order", "workflows": { "main": {
        "type": "direct", "input": ["a", { "b": 2 }, "list"], "tasks": tasks,
    } } })
}

fn turned(tasks: &Value) -> Value {
    let turned = load(&book(tasks), MAIN).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let report = inspect(&turned, Known::default());
    assert!(report.is_empty(), "{turned:#}\n{:#}", report.to_json());
    turned["tasks"].clone()
}

/// What `text` is turned into as a parameter of the task `t`, which stands beside `other`.
fn parameter(text: &str) -> String {
    let tasks = json!({
        "t": { "action": "x.y", "input": { "p": text }, "on-success": "other" },
        "other": { "action": "x.y" },
    });
    let turned = load(&book(&tasks), MAIN).unwrap_or_else(|faults| panic!("{faults:#?}"));
    turned["tasks"]["t"]["input"]["p"].as_str().unwrap().to_owned()
}

#[test]
fn expressions_ask_for_variables_of_the_context() {
    for (theirs, ours) in [
        ("<% $.a %>", "<% ctx().a %>"),
        ("http://<% $.a %>:<% $.b %>/x", "http://<% ctx().a %>:<% ctx().b %>/x"),
        ("<% $ %>", "<% ctx() %>"),
        ("<% $.get(a) %>", "<% ctx().get(a) %>"),
        (
            "<% $.a.b.where($.size > 3).select($.name) %>",
            "<% ctx().a.b.where($.size > 3).select($.name) %>",
        ),
        ("<% ', '.join($.list) %>", "<% ', '.join(ctx().list) %>"),
        ("<% $.a.mergeWith($.b) %>", "<% ctx().a.mergeWith(ctx().b) %>"),
        ("<% dict(x => $.a, y => '$.a') %>", "<% dict(x => ctx().a, y => '$.a') %>"),
        ("<% \"it's $.a\" + $.a %>", "<% \"it's $.a\" + ctx().a %>"),
        ("<% 'quote \\' $.a' + $.a %>", "<% 'quote \\' $.a' + ctx().a %>"),
        ("<% let(n => $.a) -> $n + $1 %>", "<% let(n => ctx().a) -> $n + $1 %>"),
        ("<% task(other).result.result %>", "<% task('other').result.result %>"),
        ("<% task('other').result %>", "<% task('other').result %>"),
        ("<% $.other.stdout %>", "<% task('other').result.stdout %>"),
        ("<% $.subtask(other) %>", "<% ctx().subtask(other) %>"),
        ("{{ _.a }} and {{ _['b'] }}", "{{ ctx().a }} and {{ ctx()['b'] }}"),
        (
            "{{ my_.a ~ '_.a' ~ task('other').result }}",
            "{{ my_.a ~ '_.a' ~ task('other').result }}",
        ),
        ("{% if _.a %}yes{% endif %}", "{% if ctx().a %}yes{% endif %}"),
        ("costs $.a, $5", "costs $.a, $5"),
    ] {
        assert_eq!(parameter(theirs), ours, "{theirs}");
    }
}

#[test]
fn what_follows_becomes_a_list_with_conditions() {
    let tasks = json!({
        "buy": {
            "action": "shop.buy",
            "input": { "what": "<% $.a %>" },
            "publish": { "id": "<% task(buy).result.result %>" },
            "on-success": ["pack", { "gift": "<% $.b > 1 %>" }, { "note": "<% $.b > 1 %>" }],
            "on-error": "refund",
        },
        "pack": { "action": "shop.pack", "on-error": ["fail"] },
        "gift": { "action": "shop.gift id=\"<% $.id %>\"" },
        "note": { "action": "std.noop" },
        "refund": { "action": "shop.refund", "on-complete": ["fail"] },
    });
    let turned = turned(&tasks);
    let publish = json!([{ "id": "<% result().result %>" }]);
    assert_eq!(
        turned["buy"],
        json!({
            "action": "shop.buy",
            "input": { "what": "<% ctx().a %>" },
            "next": [
                { "when": "<% succeeded() %>", "publish": publish, "do": ["pack"] },
                { "when": "<% succeeded() and (ctx().b > 1) %>", "publish": publish, "do": ["gift", "note"] },
                { "when": "<% failed() %>", "do": ["refund"] },
            ],
        })
    );
    assert_eq!(turned["pack"], json!({ "action": "shop.pack" }));
    assert_eq!(
        turned["gift"],
        json!({ "action": "shop.gift", "input": { "id": "<% ctx().id %>" } })
    );
    assert_eq!(turned["note"], json!({}));
    assert_eq!(turned["refund"]["next"], json!([{ "when": "<% completed() %>", "do": ["fail"] }]));
}

#[test]
fn conditions_see_what_was_just_published() {
    let tasks = json!({
        "ask": {
            "action": "shop.ask",
            "publish": { "code": "<% task(ask).result.code %>" },
            "on-success": [
                { "yes": "<% $.code = 0 %>" },
                { "no": "<% $.code != 0 and task(ask).result.final %>" },
            ],
        },
        "yes": { "action": "x.y" },
        "no": { "action": "x.y" },
    });
    let turned = turned(&tasks);
    let publish = json!([{ "code": "<% result().code %>" }]);
    let next =
        json!([{ "when": "<% succeeded() %>", "publish": publish, "do": ["ask_on_success"] }]);
    assert_eq!(turned["ask"]["next"], next);
    let no = "<% ctx().code != 0 and task('ask').result.final %>";
    let behind = json!({ "next": [
        { "when": "<% ctx().code = 0 %>", "do": ["yes"] },
        { "when": no, "do": ["no"] },
    ] });
    assert_eq!(turned["ask_on_success"], behind);
}

#[test]
fn conditions_alone_do_not_lose_what_is_published() {
    let tasks = json!({
        "t": { "publish": { "v": 1 }, "on-success": [{ "u": "<% $.a %>" }] },
        "u": { "action": "x.y" },
    });
    let next = &turned(&tasks)["t"]["next"];
    assert_eq!(
        next[1],
        json!({ "when": "<% succeeded() and (not (ctx().a)) %>", "publish": [{ "v": 1 }] })
    );
}

#[test]
fn waiting_stands_between_a_task_and_the_next() {
    let tasks = json!({
        "t": { "action": "x.y", "wait-before": 3, "wait-after": 5, "timeout": 60, "on-success": ["u"] },
        "u": { "action": "x.y", "on-success": ["pause", "v"] },
        "v": { "action": "x.y" },
    });
    let turned = turned(&tasks);
    assert_eq!((&turned["t"]["delay"], &turned["t"]["timeout"]), (&json!(3), &json!(60)));
    assert_eq!(turned["t_on_success"], json!({ "delay": 5, "next": [{ "do": ["u"] }] }));
    let pause = json!({ "approve": true, "next": [{ "do": ["v"] }] });
    assert_eq!(turned["u_on_success_pause"], pause);
    assert_eq!(turned["u"]["next"][0]["do"], json!(["u_on_success_pause"]));
}

#[test]
fn items_and_retries_keep_their_meaning() {
    let tasks = json!({
        "each": {
            "with-items": "one in <% $.list %>",
            "concurrency": 2,
            "action": "x.y n=<% $.one %>",
            "retry": { "count": 3, "delay": 2, "break-on": "<% $.b > 1 %>" },
        },
        "pairs": {
            "with-items": ["p in <% $.list %>", "q in <% $.list %>"],
            "action": "x.y",
            "input": { "p": "<% $.p %>", "q": "<% $.q + $.b %>" },
            "retry": "count=3 delay=1",
        },
        "until": {
            "action": "x.y",
            "join": "all",
            "retry": { "count": 9, "continue-on": "<% task(until).result.busy %>", "break-on": "<% $.b %>" },
        },
    });
    let turned = turned(&tasks);
    assert_eq!(
        turned["each"]["with"],
        json!({ "items": "one in <% ctx().list %>", "concurrency": 2 })
    );
    assert_eq!(turned["each"]["input"], json!({ "n": "<% item('one') %>" }));
    let retry = json!({ "count": 3, "delay": 2, "when": "<% failed() and not (ctx().b > 1) %>" });
    assert_eq!(turned["each"]["retry"], retry);
    assert_eq!(turned["pairs"]["with"]["items"], "p, q in <% zip(ctx().list, ctx().list) %>");
    assert_eq!(turned["pairs"]["input"]["q"], "<% item('q') + ctx().b %>");
    assert_eq!(turned["pairs"]["retry"], json!({ "count": 3, "delay": 1 }));
    let when = "<% (result().busy) and not (failed() and (ctx().b)) %>";
    assert_eq!(turned["until"]["retry"]["when"], when);
}

#[test]
fn what_follows_either_way_publishes_after_success() {
    let tasks = json!({
        "t": { "action": "x.y", "publish": { "v": "<% task(t).result %>" }, "on-complete": ["u"] },
        "u": { "action": "x.y" },
    });
    let value = "<% switch(succeeded() => (result()), true => ctx().get(v)) %>";
    let next = &turned(&tasks)["t"]["next"];
    assert_eq!(
        next[1],
        json!({ "when": "<% completed() %>", "publish": [{ "v": value }], "do": ["u"] })
    );
}

#[test]
fn defaults_hold_where_a_task_says_nothing() {
    let file = json!({ "version": "2.0", "flow": {
        "input": [{ "a": 1 }],
        "vars": { "twice": "<% $.a * 2 %>" },
        "output": { "answer": "<% $.b %>", "b": "<% $.a %>" },
        "task-defaults": { "retry": { "count": 2 }, "on-error": ["clean-up"] },
        "tasks": {
            "do-it": { "action": "x.y", "publish": { "b": "<% $.twice %>" } },
            "clean-up": { "action": "x.y", "retry": { "count": 5 }, "on-error": ["succeed"] },
        },
    } });
    let turned = load(&file, "anything").unwrap();
    assert_eq!(turned["vars"], json!([{ "twice": "<% ctx().a * 2 %>" }]));
    // `answer` asks for the variable, so it stands before the output of that name.
    assert_eq!(turned["output"], json!([{ "answer": "<% ctx().b %>" }, { "b": "<% ctx().a %>" }]));
    let task = &turned["tasks"]["do_it"];
    assert_eq!(task["retry"], json!({ "count": 2 }));
    assert_eq!(task["next"][1], json!({ "when": "<% failed() %>", "do": ["clean_up"] }));
    let clean = &turned["tasks"]["clean_up"];
    assert_eq!(clean["retry"]["count"], 5);
    assert_eq!(clean["next"], json!([{ "when": "<% failed() %>", "do": ["noop"] }]));
    assert_eq!(origin(&file, "anything", "tasks.do_it.action"), "flow.tasks.do-it.action");
    assert_eq!(origin(&file, "anything", "output[0]"), "flow.output[0]");
}

#[test]
fn what_has_no_counterpart_is_refused_by_name() {
    for (tasks, path, expected) in [
        (json!({ "t": { "requires": ["u"] } }), "requires", "cannot be run"),
        (json!({ "t": { "acton": "x.y" } }), "acton", "has no `acton`"),
        (json!({ "t": { "on-success": ["gone"] } }), "on-success[0]", "there is no task `gone`"),
        (json!({ "t": { "on-success": [{ "t": "always" }] } }), "on-success[0]", "no expression"),
        (json!({ "t": { "workflow": "sub" } }), "workflow", "is no action"),
        (json!({ "t": { "action": "std.http" } }), "action", "comes with Mistral"),
        (
            json!({ "t": { "action": "x.y", "input": { "p": "<% env().x %>" } } }),
            "input",
            "`env()`",
        ),
        (json!({ "t": { "with-items": "<% $.list %>" } }), "with-items", "does not name"),
        (json!({ "t": { "retry": { "delay": 1 } } }), "retry", "how often"),
        (
            json!({ "t": { "publish": { "a": "<% $.b %>", "b": "<% $.a %>" } } }),
            "publish",
            "each other",
        ),
        (json!({ "t-u": {}, "t_u": {} }), "", "two tasks"),
    ] {
        let faults = load(&book(&tasks), MAIN).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:#?}");
        assert!(faults[0].message.contains(expected), "{faults:#?}");
        assert!(faults[0].spec_path.starts_with("workflows.main.tasks.t"), "{faults:#?}");
        assert!(faults[0].spec_path.ends_with(path), "{faults:#?}");
        assert!(faults[0].help.is_some());
    }
    for file in
        [json!({}), json!({ "version": 1.0, "tasks": {} }), json!({ "version": "2.0" }), json!(5)]
    {
        assert_eq!(load(&file, MAIN).unwrap_err().len(), 1, "{file}");
    }
}
