//! The three missions together, on real parts: what `deploy/missions/story.py` shows to people, and looks
//! at itself: it fails where a step does not happen, where something is missing or told twice.

use std::process::Command;

use serde_json::json;

use crate::parts::program::free_port;

#[test]
fn a_pool_grows_a_migration_gives_way_and_everybody_hears_of_it_once() {
    let root = env!("CARGO_MANIFEST_DIR");
    let work = tempfile::tempdir().unwrap();
    let names = ["ifso", "prometheus", "alertmanager", "array", "mail"];
    let ports: serde_json::Map<_, _> =
        names.map(|name| (name.to_owned(), json!(free_port()))).into_iter().collect();
    let told = Command::new(format!("{root}/deploy/missions/story.py"))
        .args(["--ifso", env!("CARGO_BIN_EXE_ifso"), "--ports", &json!(ports).to_string()])
        .arg("--work")
        .arg(work.path().join("story"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&told.stdout);
    let wrong = String::from_utf8_lossy(&told.stderr);
    let log = std::fs::read_to_string(work.path().join("story/ifso.log")).unwrap_or_default();
    assert!(told.status.success(), "{said}{wrong}{log}");
    assert!(said.contains("601 objects are the same on both sides"), "{said}");
    assert!(said.contains("one mail at its beginning and one at its end"), "{said}");
}
