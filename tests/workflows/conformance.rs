//! Cases that StackStorm itself recorded, and how to compare with them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::world::figure;
use ifso::model::time::Time;
use ifso::workflows::conduct::World;
use serde_json::Value;

/// The cases of `file`; nothing where the folder is not there.
pub(super) fn cases(file: &str) -> Option<Vec<Value>> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/stackstorm").join(file);
    if !path.exists() {
        figure(&format!("skipped: {} is not there", path.display()));
        return None;
    }
    let text = std::fs::read(&path).unwrap();
    let mut read: Value = serde_json::from_slice(&text).unwrap();
    let Value::Array(cases) = read["cases"].take() else { panic!("{file} has no cases") };
    assert!(!cases.is_empty());
    Some(cases)
}

/// Numbers as Python compares them: 1 is 1.0, and true is 1.
pub(super) fn same(ours: &Value, theirs: &Value) -> bool {
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

/// Runs every case of `file`; `differs` says what is wrong with one. The cases that `known` names, with
/// a reason, must differ.
pub(super) fn agree(
    file: &str,
    known: &[(&str, &str)],
    differs: impl Fn(&Value) -> Result<(), String>,
) {
    let Some(cases) = cases(file) else { return };
    let known: BTreeMap<&str, &str> = known.iter().copied().collect();
    let (mut passed, mut wrong) = (0, Vec::new());
    for case in &cases {
        let name = case["test"].as_str().unwrap_or("?");
        let short = name.rsplit_once('/').map_or(name, |(_, short)| short);
        match (differs(case), known.get(short)) {
            (Ok(()), None) => passed += 1,
            (Err(_), Some(_)) => {}
            (Ok(()), Some(reason)) => wrong.push(format!("{short} passes now, but: {reason}")),
            (Err(how), None) => wrong.push(format!("{short}: {how}")),
        }
    }
    figure(&format!("{file}: {passed} of {} agree", cases.len()));
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// A world without stored keys, in which it is always the same time.
pub(super) struct Still;

impl World for Still {
    fn key(&self, _: &str, _: bool) -> Result<Option<Value>, String> {
        Ok(None)
    }

    fn now(&self) -> Time {
        Time::from_millis(1_700_000_000_000)
    }
}
