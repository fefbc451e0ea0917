//! What lies in a home and is not read, and what is there and cannot work.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::{Home, told};

/// The problems of a home with these files, after `change`.
fn said(files: &[(&str, &str)], change: impl Fn(&Home)) -> Vec<String> {
    let home = Home::new();
    home.pack("p");
    for (file, text) in files {
        home.write(file, text);
    }
    change(&home);
    told(&home.load())
}

#[test]
fn what_was_meant_to_be_read_is_told() {
    let sensor = "kind: interval\nevery: 1s\n";
    for (file, text, expected) in [
        (
            "rules/foo.rhia",
            "",
            "rules/foo.rhia: the file is not read: expected `foo.rhai` (help: rename it to `foo.rhai`)",
        ),
        (
            "packs/p/rules/foo.RHAI",
            "",
            "packs/p/rules/foo.RHAI: the file is not read: expected `foo.rhai` (help: rename it to `foo.rhai`)",
        ),
        (
            "rules/more/foo.rhai",
            "",
            "rules/more: folders in `rules` are not read (help: move its files into `rules` itself)",
        ),
        (
            "sensors/x.ymal",
            sensor,
            "sensors/x.ymal: the file is not read: expected `x.yaml` (help: rename it to `x.yaml`)",
        ),
        (
            "packs/p/config.schema.yml",
            "",
            "packs/p/config.schema.yml: the file is not read: expected `config.schema.yaml` (help: rename it to `config.schema.yaml`)",
        ),
        (
            "configs/p.yml",
            "",
            "configs/p.yml: the file is not read: expected `p.yaml` (help: rename it to `p.yaml`)",
        ),
        (
            "configs/nopack.yaml",
            "",
            "configs/nopack.yaml: there is no pack `nopack` (help: add the pack, or remove the file)",
        ),
    ] {
        assert_eq!(said(&[(file, text)], |_| {}), [expected]);
    }
}

#[test]
fn what_is_meant_as_it_is_is_let_be() {
    for (file, text) in [
        ("sensors/x.yml", "kind: interval\nevery: 1s\n"),
        ("rules/README.md", "x"),
        ("rules/a.rhai~", "x"),
        ("rules/a.rhai-off", "x"),
        ("packs/p/sensors/lib/x.py", "x"),
        ("packs/p/actions/lib/x.py", "x"),
    ] {
        assert_eq!(said(&[(file, text)], |_| {}), [""; 0], "{file}");
    }
}

#[test]
fn folders_and_dead_links_in_the_place_of_files_are_errors() {
    let path = "packs/p/actions/bad.yaml";
    let folder = said(&[], |home| std::fs::create_dir_all(home.path().join(path)).unwrap());
    assert_eq!(
        folder,
        [format!(
            "{path}: it is a folder (help: give it another name, or put a file in its place)"
        )]
    );
    let link = said(&[("packs/p/actions/x", "")], |home| {
        symlink("nowhere", home.path().join(path)).unwrap();
    });
    assert_eq!(
        link,
        [format!("{path}: the link leads nowhere (help: correct the link, or remove it)")]
    );
}

#[test]
fn a_script_that_may_not_be_executed_is_an_error() {
    let files = [
        ("packs/p/actions/a.yaml", "name: a\nrunner_type: local-shell-script\nentry_point: a.sh\n"),
        ("packs/p/actions/b.yaml", "name: b\nrunner_type: python-script\nentry_point: a.sh\n"),
        ("packs/p/actions/a.sh", "#!/bin/sh\n"),
    ];
    let first = said(&files, |_| {});
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(
        first[0].contains("`actions/a.sh` may not be executed (help: make it executable: chmod +x")
    );
    let executable = |home: &Home| {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(home.path().join("packs/p/actions/a.sh"), mode).unwrap();
    };
    assert_eq!(said(&files, executable), [""; 0]);
}

#[test]
fn a_trigger_of_a_sensor_that_is_nearly_described_is_doubted() {
    let problems = said(
        &[
            ("packs/p/triggers/t.yaml", "name: capacity\n"),
            ("sensors/s.yaml", "kind: interval\nevery: 1s\ntrigger: p.capacty\n"),
        ],
        |_| {},
    );
    let doubt = "sensors/s.yaml:3:10: no pack describes trigger `p.capacty` (help: did you mean `p.capacity`?)";
    assert!(problems.contains(&doubt.to_owned()), "{problems:#?}");
}

#[test]
fn a_folder_that_looks_like_no_home_is_doubted() {
    let home = Home::new();
    let told = told(&home.load());
    let expected = format!(
        "`{}` has no `packs/`, `rules/` or `sensors/`: is it a home?",
        home.path().display()
    );
    assert!(told.len() == 1 && told[0].contains(&expected), "{told:?}");
}

#[test]
fn stackstorms_sensors_come_with_what_they_would_be_here() {
    let sensor = "class_name: S\nentry_point: s.py\ntrigger_types:\n  - name: seen\n";
    let problems = said(&[("packs/p/sensors/s.yaml", sensor)], |_| {});
    insta::assert_snapshot!(problems.join("\n"));
}
