//! Expressions of workflows, case by case as Orquesta evaluated them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ifso::model::time::Time;
use ifso::workflows::Context;
use ifso::workflows::expression::{
    self, Dialect, Scope, World, evaluate, inline, validate, variables,
};
use serde_json::{Value, json};

/// The cases of a file; none, said so, where the folder is not there.
fn cases(file: &str) -> Vec<Value> {
    let read = conformance(file);
    read["cases"].as_array().cloned().unwrap_or_default()
}

fn conformance(file: &str) -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/stackstorm").join(file);
    match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).unwrap(),
        Err(error) => {
            eprintln!("skipped: {}: {error}", path.display());
            Value::Null
        }
    }
}

/// Runs the cases; those of `differ` (their place, from 0, and why) have to differ.
fn agree(file: &str, differ: &[(usize, &str)], wrong: impl Fn(&Value) -> Option<String>) {
    let cases = cases(file);
    let (mut passed, mut bad) = (0, Vec::new());
    for (at, case) in cases.iter().enumerate() {
        let listed = differ.iter().find(|(listed, _)| at == *listed);
        match (wrong(case), listed) {
            (None, None) => passed += 1,
            (Some(_), Some(_)) => {}
            (None, Some((_, why))) => {
                bad.push(format!("{at} agrees, but is listed: {why}\n    {case}"));
            }
            (Some(how), None) => bad.push(format!("{at}: {how}\n    {case}")),
        }
    }
    eprintln!("{file}: {passed} of {} agree", cases.len());
    assert!(bad.is_empty(), "{file}: {} wrong:\n{}", bad.len(), bad.join("\n"));
}

struct Nothing;

impl World for Nothing {
    fn task_status(&self, _: &str, _: Option<u32>) -> Option<String> {
        None
    }

    fn task(&self, _: &str, _: Option<u32>) -> Option<Value> {
        None
    }

    fn key(&self, name: &str, decrypt: bool) -> Result<Option<Value>, String> {
        let open = BTreeMap::from([("system.x", json!("v")), ("system.n", json!(3))]);
        let value = open.get(name).cloned();
        Ok(value.map(|value| if decrypt { json!("open") } else { value }))
    }

    fn now(&self) -> Time {
        Time::from_millis(1_700_000_000_000)
    }
}

fn context(data: &Value) -> Context {
    let fields = data.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.as_str().into(), Arc::new(value.clone()))).collect()
}

fn evaluated(expression: &Value, data: &Value) -> Result<Value, expression::Error> {
    let context = context(data);
    evaluate(expression, &Scope { context: &context, task: None, item: None, world: &Nothing })
}

/// Numbers as Python compares them: 1 is 1.0. Sets have no order.
fn same(ours: &Value, theirs: &Value) -> bool {
    if let Some(items) = theirs.get("__set__").and_then(Value::as_array) {
        let ours = ours.as_array().cloned().unwrap_or_default();
        return ours.len() == items.len() && items.iter().all(|item| ours.contains(item));
    }
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64() == b.as_f64() && a.is_f64() == b.is_f64()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => ours == theirs,
    }
}

/// What differs between our value and the recorded one.
fn difference(case: &Value, data: &Value) -> Option<String> {
    let ours = evaluated(&case["expression"], data);
    match (&ours, case.get("raises")) {
        (Ok(value), None) if same(value, &case["expected"]) => None,
        (Err(error), Some(raises))
            if raises["type"] == error.kind()
                && address_free(&error.to_string())
                    == address_free(raises["message"].as_str().unwrap()) =>
        {
            None
        }
        _ => Some(ours.map_or_else(|error| error.to_string(), |value| value.to_string())),
    }
}

/// Python shows objects by their address.
fn address_free(message: &str) -> String {
    match message.split_once(" for receiver <") {
        Some((before, _)) => before.to_owned(),
        None => message.to_owned(),
    }
}

const AGAIN: &str = "what data holds is never evaluated: it may come from anybody";

#[test]
fn expressions_give_what_orquesta_gives() {
    let again = [4, 15, 16, 20, 43, 45, 57, 58, 60, 71, 72, 74, 87, 106, 108, 120, 122];
    let differ = again.map(|at| (at, AGAIN));
    agree("expression_evaluate.orquesta.json", &differ, |case| difference(case, &case["data"]));
}

#[test]
fn the_library_gives_what_orquestas_gives() {
    let data = conformance("expression_matrix.generated.json")["DATA"].clone();
    let differ = [(166, AGAIN), (167, AGAIN)];
    agree("expression_matrix.generated.json", &differ, |case| {
        difference(case, case.get("data").unwrap_or(&data))
    });
}

#[test]
fn faults_are_those_of_orquesta() {
    agree("expression_validate.orquesta.json", &[], |case| {
        let expected = case["expected"].get("errors").unwrap_or(&case["expected"]);
        let ours: Value = validate(&case["expression"])
            .into_iter()
            .map(|fault| {
                json!({
                    "type": fault.dialect.map(Dialect::name),
                    "expression": fault.expression,
                    "message": fault.message,
                })
            })
            .collect();
        (!unordered(&ours, expected)).then(|| ours.to_string())
    });
}

/// The fields of a map have no order here.
fn unordered(ours: &Value, theirs: &Value) -> bool {
    let (ours, theirs) = (ours.as_array().unwrap(), theirs.as_array().unwrap());
    ours.len() == theirs.len() && theirs.iter().all(|one| ours.contains(one))
}

#[test]
fn variables_are_those_that_orquesta_sees() {
    agree("expression_extract_vars.orquesta.json", &[], |case| {
        let ours: Value = match case["language"].as_str() {
            Some("any") => variables(&case["expression"])
                .into_iter()
                .map(|found| json!([found.dialect.name(), found.expression, found.name]))
                .collect(),
            Some("jinja") => {
                expression::references(case["expression"].as_str().unwrap(), Dialect::Jinja).into()
            }
            _ => expression::references(case["expression"].as_str().unwrap(), Dialect::Yaql).into(),
        };
        (!unordered(&ours, &case["expected"])).then(|| ours.to_string())
    });
}

#[test]
fn parameters_in_one_line_are_read_as_by_orquesta() {
    agree("inline_params.orquesta.json", &[], |case| {
        let ours: Value = case["text"]
            .as_str()
            .map(inline)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| json!({ (name): value }))
            .collect();
        (ours != case["expected"]).then(|| ours.to_string())
    });
}

#[test]
fn expressions_of_the_exchange_can_be_read() {
    let all = conformance("expressions_in_the_wild.json");
    for one in all.as_array().into_iter().flatten() {
        let text = match (one[0].as_str(), one[1].as_str()) {
            (Some("jinja"), Some(text)) => format!("{{{{ {text} }}}}"),
            (Some("yaql"), Some(text)) => format!("<% {text} %>"),
            _ => panic!("{one}"),
        };
        assert_eq!(validate(&json!(text)), []);
    }
}
