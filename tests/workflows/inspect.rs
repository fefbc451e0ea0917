//! What is said of a workflow before it runs.

use ifso::workflows::inspect::{Actions, Input, Known, Report, doubts, inspect};
use serde_json::{Map, Value, json};

use crate::workflows::conformance::agree;

#[test]
fn reports_are_those_of_orquesta() {
    agree("workflow_inspect.orquesta.json", &[], |case| {
        let given = case["app_ctx"].as_object().into_iter().flatten();
        let variables: Vec<&str> = given.map(|(name, _)| name.as_str()).collect();
        let known = Known { variables: &variables, actions: None };
        let (ours, theirs) = (inspect(&case["definition"], known).to_json(), &case["expected"]);
        let definition = &case["definition"];
        let how = || format!("{definition:#}\nours: {ours}\ntheirs: {theirs}");
        if ours == *theirs { Ok(()) } else { Err(how()) }
    });
}

fn looked_at(definition: &Value) -> Report {
    inspect(definition, Known::default())
}

/// Each fault as `path: message (help)`.
fn said(report: &Report) -> Vec<String> {
    let one = |fault: &ifso::workflows::inspect::Fault| {
        let help = fault.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}: {}{help}", fault.spec_path, fault.message)
    };
    report.faults().map(|(_, fault)| one(fault)).collect()
}

/// A workflow of one task with `key` in it.
fn with(key: &str, value: Value) -> Value {
    let mut task = Map::from_iter([("action".to_owned(), json!("core.noop"))]);
    task.insert(key.to_owned(), value);
    json!({ "version": 1.0, "tasks": { "a": task } })
}

#[test]
fn keys_of_our_own_are_known() {
    for (key, value) in [
        ("on_error", json!("pause")),
        ("compensate", json!("core.local cmd=undo")),
        ("compensate", json!({ "action": "core.local", "input": { "cmd": "<% ctx().st2 %>" } })),
        ("timeout", json!(90)),
        ("timeout", json!("5m")),
        ("timeout", json!("<% ctx().st2.limit %>")),
        ("approve", json!(true)),
        ("approve", json!({ "users": ["ann"], "ttl": "1h", "message": "Go on?" })),
        (
            "until",
            json!({ "when": "<% result() = 1 %>", "every": "5s", "limit": 20, "within": "10m" }),
        ),
        ("resume_when", json!({ "action": "core.noop", "when": "<% result() %>", "every": 30 })),
        ("priority", json!(-3)),
    ] {
        let definition = with(key, value.clone());
        let report = inspect(&definition, Known { variables: &["st2"], actions: None });
        assert!(report.is_empty(), "{key}: {value}\n{:?}", said(&report));
    }
    let probe = json!({ "action": "core.noop", "when": "<% succeeded() %>", "every": "1m" });
    let whole = json!({
        "on_error": "pause", "timeout": "2h", "resume_when": probe, "tasks": { "a": { "join": 1 } },
    });
    assert_eq!(said(&looked_at(&whole)), Vec::<String>::new());
}

#[test]
fn wrong_values_under_our_keys_are_told() {
    for (key, value, expected) in [
        ("on_error", json!("stop"), "'stop' is not one of ['fail', 'pause']"),
        ("timeout", json!("soon"), "'soon' is not valid"),
        ("timeout", json!(-1), "-1 is not valid"),
        ("approve", json!(false), "False is not valid"),
        ("approve", json!({ "user": "ann" }), "is not valid"),
        ("until", json!({ "every": 5 }), "'when' is a required property"),
        ("until", json!({ "when": "<% 1 + %>" }), "Parse error"),
        ("resume_when", json!({ "action": "a.b", "evry": 5 }), "did you mean `every`?"),
        ("priority", json!(1.5), "1.5 is not valid"),
        ("compensate", json!({ "input": {} }), "is not valid"),
        ("compensate", json!("core.local cmd=<% ctx().gone %>"), "before assignment"),
    ] {
        let said = said(&looked_at(&with(key, value.clone())));
        assert!(said.iter().any(|one| one.contains(expected)), "{key}: {value}: {said:?}");
        assert!(said.iter().all(|one| one.starts_with("tasks.a")), "{said:?}");
    }
}

#[test]
fn a_wrong_probe_of_the_whole_workflow_is_told() {
    let probe = json!({ "action": "a.b", "evry": 5, "when": "<% 1 + %>" });
    let definition = json!({ "resume_when": probe, "tasks": { "a": { "action": "core.noop" } } });
    let said = said(&looked_at(&definition));
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|one| one.starts_with("resume_when")), "{said:?}");
}

#[test]
fn what_stands_between_parameters_is_told() {
    let said = said(&looked_at(&with("action", json!("core.echo message=1 hello x=2"))));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("tasks.a.action") && said[0].contains("\"hello\""), "{said:?}");
}

#[test]
fn slips_of_the_pen_get_a_proposal() {
    let definition = json!({
        "inputs": ["name"],
        "vars": [{ "greeting": "hello" }],
        "tasks": {
            "greet": {
                "action": "core.echo message=<% ctx().greting %>",
                "timout": 5,
                "next": [{ "do": "depart" }, { "do": "fial" }],
            },
            "dapart": { "action": "core.noop" },
        },
    });
    let set = "tasks.greet.input: Variable \"greting\" is referenced before assignment.";
    assert_eq!(
        said(&looked_at(&definition)),
        [
            ": Additional properties are not allowed ('inputs' was unexpected) (did you mean `input`?)",
            "tasks.greet: Additional properties are not allowed ('timout' was unexpected) \
             (did you mean `timeout`?)",
            "tasks.greet.next[0].do: The task \"depart\" is not defined. (did you mean `dapart`?)",
            "tasks.greet.next[1].do: The task \"fial\" is not defined. (did you mean `fail`?)",
            &format!("{set} (did you mean `greeting`?)"),
        ]
    );
}

struct Shop;

impl Actions for Shop {
    fn parameters(&self, reference: &str) -> Option<Vec<Input>> {
        let input =
            |name: &str, needed, immutable| Input { name: name.to_owned(), needed, immutable };
        let all = vec![
            input("message", true, false),
            input("colour", false, false),
            input("device", false, true),
        ];
        (reference == "core.echo").then_some(all)
    }

    fn nearest(&self, reference: &str) -> Option<String> {
        (reference == "core.echoz").then(|| "core.echo".to_owned())
    }
}

#[test]
fn actions_are_looked_up_where_there_is_a_catalog() {
    let definition = json!({ "tasks": {
        "a": { "action": "echo message=1" },
        "b": { "action": "core.echoz", "input": { "message": 1 } },
        "c": { "action": "core.echo", "input": { "messages": 1, "device": "x" } },
        "d": { "action": "<% ctx().st2 %>" },
        "e": { "action": "core.echo", "input": "<% ctx().st2 %>" },
        "f": { "action": "core.echo message=hi", "compensate": "core.gone" },
    } });
    let known = Known { variables: &["st2"], actions: Some(&Shop) };
    let report = inspect(&definition, known);
    let not_there = "is not registered in the database.";
    assert_eq!(
        said(&report),
        [
            "tasks.a.action: The action reference \"echo\" is not formatted correctly. \
             (name the pack and the action: `pack.name`)",
            &format!(
                "tasks.b.action: The action \"core.echoz\" {not_there} (did you mean `core.echo`?)"
            ),
            &format!(
                "tasks.f.action: The action \"core.echo message=hi\" {not_there} (parameters behind an \
                 action are written `name=\"text\"`, `name=1` or `name=<% … %>`)"
            ),
            &format!(
                "tasks.f.compensate.action: The action \"core.gone\" {not_there} (install the pack that \
                 provides it, or correct the name)"
            ),
            "tasks.c.input: Action \"core.echo\" is missing required input \"message\". (one of the \
             inputs may be meant for it: write `message`)",
            "tasks.c.input.device: Action \"core.echo\" does not let input \"device\" be set. (leave it \
             out: the action sets it)",
            "tasks.c.input.messages: Action \"core.echo\" has unexpected input \"messages\". (did you \
             mean `message`?)",
        ]
    );
    let list = report.to_list();
    assert_eq!(
        list[0],
        json!({
            "type": "content",
            "message": "The action reference \"echo\" is not formatted correctly.",
            "spec_path": "tasks.a.action",
            "schema_path": "properties.tasks.patternProperties.^\\w+$.properties.action",
        })
    );
}

#[test]
fn lists_have_a_type_and_a_language() {
    let definition = json!({ "tasks": {
        "a": { "action": "core.echo message=<% ctx().gone %>", "delay": true },
    } });
    let list = looked_at(&definition).to_list();
    let types: Vec<&Value> = list.iter().map(|one| &one["type"]).collect();
    assert_eq!(types, ["context", "syntax"]);
    assert_eq!(list[0]["language"], "yaql");
    assert_eq!(list[1].get("language"), None);
}

#[test]
fn tasks_that_never_run_are_doubted() {
    let definition = json!({ "tasks": {
        "start": { "action": "core.noop" },
        "round": { "next": [{ "do": "about" }] },
        "about": { "next": [{ "do": ["round", "noop"] }] },
    } });
    assert!(looked_at(&definition).is_empty());
    let paths: Vec<String> = doubts(&definition).into_iter().map(|one| one.spec_path).collect();
    assert_eq!(paths, ["tasks.about", "tasks.round"]);
}

#[test]
fn anything_at_all_may_be_looked_at() {
    let odd = [json!(null), json!(5), json!("x"), json!([]), json!({}), json!([{ "a": [1] }])];
    for value in &odd {
        assert!(!looked_at(value).is_empty(), "{value}");
        assert!(!looked_at(&json!({ "tasks": value })).is_empty(), "{value}");
        for key in ["with", "next", "retry", "input", "action", "join", "approve", "delay"] {
            looked_at(&with(key, value.clone()));
            looked_at(&with("next", json!([{ key: value, "do": value, "publish": value }])));
        }
        for key in ["input", "vars", "output", "version", "timeout"] {
            looked_at(&json!({ "tasks": { "a": {} }, key: value }));
        }
    }
}

#[test]
fn a_lattice_of_joins_is_walked_once() {
    // Two ways from each of 300 floors to the next: as many ways in all as 2 has powers.
    let mut tasks = Map::new();
    for floor in 0..300 {
        let up = format!("left{n}, right{n}", n = floor + 1);
        for side in ["left", "right"] {
            let next = json!([{ "publish": [{ "v": floor }], "do": up }]);
            tasks.insert(format!("{side}{floor}"), json!({ "join": "all", "next": next }));
        }
    }
    for side in ["left", "right"] {
        tasks.insert(format!("{side}300"), json!({ "join": "all", "delay": "<% ctx().gone %>" }));
    }
    let report = looked_at(&json!({ "tasks": tasks }));
    assert_eq!(report.faults().count(), 2, "{:?}", said(&report));
}
