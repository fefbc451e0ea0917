//! The home of the demo, which is this repository, as `ifso check` sees it.

use std::path::Path;
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

#[test]
fn the_sensors_that_packs_show_can_be_copied() {
    let (home, packs) =
        (tempfile::tempdir().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")).join("packs"));
    std::os::unix::fs::symlink(&packs, home.path().join("packs")).unwrap();
    std::os::unix::fs::symlink(packs.join("../configs"), home.path().join("configs")).unwrap();
    std::fs::create_dir(home.path().join("sensors")).unwrap();
    let mut copied = 0;
    for pack in std::fs::read_dir(packs).unwrap().flatten() {
        let Ok(sensors) = std::fs::read_dir(pack.path().join("sensors")) else { continue };
        let shown = sensors
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|end| end == "example"));
        for file in shown {
            let name = format!(
                "sensors/{}-{}",
                pack.file_name().display(),
                file.path().file_stem().unwrap().display()
            );
            std::fs::copy(file.path(), home.path().join(name)).unwrap();
            copied += 1;
        }
    }
    assert!(copied > 3, "{copied}");
    let output = Command::new(env!("CARGO_BIN_EXE_ifso"))
        .args(["check", "--home"])
        .arg(home.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "no problems");
}
