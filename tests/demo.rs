//! The home of the demo, which is this repository, as `ifso check` sees it.

use std::process::Command;

#[test]
fn the_demo_has_no_problems() {
    let output = Command::new(env!("CARGO_BIN_EXE_ifso"))
        .args(["check", "--home", env!("CARGO_MANIFEST_DIR")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    let problems = format!("{said}{errors}");
    assert!(!problems.contains("warning") && !problems.contains("error"), "{problems}");
}
