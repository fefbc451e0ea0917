//! Graphs as Orquesta composes them.

use std::collections::HashMap;

use ifso::workflows::definition::Definition;
use serde_json::{Value, json};

use super::conformance::{agree, same};

/// The order of nodes is that of Orquesta's walk; adjacency follows it.
#[test]
fn graphs_are_composed_as_orquesta_composes_them() {
    agree("workflow_compose.orquesta.json", &[], |case| {
        let definition = Definition::new(&case["definition"]).map_err(|p| format!("{p:?}"))?;
        let ours = definition.graph().adjacency();
        if same(&ours, &case["expected_graph"]) {
            return Ok(());
        }
        Err(format!("\n ours   {ours}\n theirs {}", case["expected_graph"]))
    });
}

#[test]
fn a_ladder_of_forks_and_joins_is_composed_in_no_time() {
    let mut tasks = serde_json::Map::new();
    for at in 0..300 {
        let next = |to: String| json!([{ "do": to }]);
        let fork = json!({ "join": "all", "next": next(format!("a{at},b{at}")) });
        tasks
            .insert(format!("f{at}"), if at == 0 { json!({ "next": fork["next"] }) } else { fork });
        let join = format!("f{}", at + 1);
        tasks.insert(format!("a{at}"), json!({ "next": next(join.clone()) }));
        tasks.insert(format!("b{at}"), json!({ "next": next(join) }));
    }
    tasks.insert("f300".into(), json!({ "join": "all" }));
    let definition = Definition::new(&json!({ "tasks": tasks })).unwrap();
    assert_eq!(definition.graph().nodes().len(), 901);
    assert_eq!(definition.graph().find("f300").unwrap().sources, 2);
}

#[test]
fn what_cannot_be_conducted_says_where() {
    let wrong = json!({
        "vars": 5,
        "tasks": {
            "a": { "next": [{ "do": "nowhere" }], "join": "some" },
            "b": { "with": {}, "retry": {} },
            "fail": {},
        }
    });
    let problems: HashMap<String, String> = Definition::new(&wrong)
        .unwrap_err()
        .into_iter()
        .map(|problem| (problem.path, problem.message))
        .collect();
    let mut paths: Vec<_> = problems.keys().map(String::as_str).collect();
    paths.sort_unstable();
    let expected = [
        "tasks.a.join",
        "tasks.a.next[0].do",
        "tasks.b.retry",
        "tasks.b.with",
        "tasks.fail",
        "vars",
    ];
    assert_eq!(paths, expected);
    assert_eq!(problems["tasks.a.next[0].do"], "there is no task `nowhere`");
    assert!(Definition::new(&Value::Null).is_err());
    let circle =
        json!({ "tasks": { "a": { "next": [{ "do": "b" }] }, "b": { "next": [{ "do": "a" }] } } });
    assert!(Definition::new(&circle).is_err(), "nothing starts it");
}
