//! What StackStorm itself made of parameters, schemas and secrets, case by case.

use std::path::Path;

use ifso::packs::{cast::cast, schema, secrets};
use serde_json::Value;

fn cases(file: &str) -> Vec<Value> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/stackstorm").join(file);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut read: Value = serde_json::from_slice(&text).unwrap();
    let Value::Array(cases) = read["cases"].take() else { panic!("{file} has no cases") };
    assert!(!cases.is_empty());
    cases
}

/// Numbers as Python compares them: 1 is 1.0.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => ours == theirs,
    }
}

/// Runs every case of the files; `differs` says what is wrong with one.
fn agree(files: &[&str], differs: impl Fn(&Value) -> Option<String>) {
    let mut wrong = Vec::new();
    for file in files {
        for (at, case) in cases(file).iter().enumerate() {
            if let Some(how) = differs(case) {
                wrong.push(format!("{file} case {at}: {how}\n    {case}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn values_are_cast_as_stackstorm_casts_them() {
    agree(&["param_cast_matrix.generated.json", "cast.st2common.json"], |case| {
        let ours = cast(case["type"].as_str().unwrap(), &case["value"]);
        match (&ours, case.get("raises")) {
            (Err(_), Some(_)) => None,
            (Ok(value), None) if same(value, &case["expected"]) => None,
            _ => Some(format!("{ours:?}")),
        }
    });
}

#[test]
fn schemas_clean_and_refuse_as_stackstorms_do() {
    agree(&["schema_validate.st2common.json", "schema_validate.st2api.json"], |case| {
        let mut rules = case["schema"].clone();
        if case["allow_default_none"] == true {
            rules = schema::nullable(&rules);
        }
        let ours = if rules["type"] == "object" {
            schema::defaulted(&case["instance"], &rules)
        } else {
            case["instance"].clone()
        };
        let fits = schema::compile(&rules).map(|validator| validator.is_valid(&ours));
        match (fits, case.get("raises")) {
            (Ok(false), Some(_)) => None,
            (Ok(true), None) if same(&ours, &case["expected"]) => None,
            (fits, _) => Some(format!("{fits:?}: {ours}")),
        }
    });
}

#[test]
fn secrets_are_found_as_stackstorm_finds_them() {
    agree(&["secret_find.st2common.json", "secret_find.st2api.json"], |case| {
        let ours = secrets::find(&case["parameters"]);
        (ours != case["expected"]).then(|| ours.to_string())
    });
}

#[test]
fn secrets_are_masked_as_stackstorm_masks_them() {
    agree(&["secret_mask.st2common.json", "secret_mask.st2api.json"], |case| {
        let given = case.get("result").unwrap_or(&case["parameters"]);
        let ours = secrets::mask(given, &case["secret_parameters"]);
        (ours != case["expected"]).then(|| ours.to_string())
    });
}
