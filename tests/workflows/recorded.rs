//! What StackStorm's own workflow engine did, case by case.

use std::path::Path;

use serde_json::Value;

/// The recorded cases of `file`; nothing, and a word on why, where they do not lie beside the sources.
pub(crate) fn cases(file: &str) -> Option<Vec<Value>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/stackstorm");
    if !folder.is_dir() {
        println!("skipped: there are no recorded cases in {}", folder.display());
        return None;
    }
    let path = folder.join(file);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut read: Value = serde_json::from_slice(&text).unwrap();
    let Value::Array(cases) = read["cases"].take() else { panic!("{file} has no cases") };
    assert!(!cases.is_empty());
    Some(cases)
}
