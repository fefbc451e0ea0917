//! Loading, whole or not at all.

use std::io::Write as _;

use ifso::model::action::Pause;
use ifso::model::policy::Delivery;
use ifso::packs::catalog::Catalog;
use serde_json::json;

use super::{Home, told};

const ACTION: &str = "\
name: restart
runner_type: local-shell-cmd
description: Restarts it
parameters:
  service:
    type: string
    required: true
    position: 0
  cmd:
    default: systemctl restart
    immutable: true
delivery: idempotent
pause: signal
timeout: 5m
retry: {count: 2, delay: 10s, backoff: 2}
";

fn reference(text: &str) -> ifso::model::reference::Reference {
    text.parse().unwrap()
}

#[test]
fn a_pack_becomes_actions_triggers_sensors_and_config() {
    let home = Home::new();
    home.pack("linux")
        .write("packs/linux/actions/restart.yaml", ACTION)
        .write(
            "packs/linux/triggers/full.yaml",
            "name: disk_full\npayload_schema: {type: object}\n",
        )
        .write("packs/linux/sensors/watch.yaml", "kind: interval\nevery: 5s\nenabled: false\n")
        .write("packs/linux/config.schema.yaml", "user: {type: string, default: root}\n")
        .write("configs/linux.yaml", "{}\n");
    let catalog = home.load();
    assert_eq!(told(&catalog), [""; 0]);
    let action = &catalog.actions[&reference("linux.restart")];
    assert_eq!((action.runner.as_str(), action.delivery), ("shell", Delivery::Idempotent));
    assert_eq!(action.pause, Pause::Signal);
    assert_eq!(action.timeout.unwrap().as_secs(), 300);
    assert_eq!(action.retry.as_ref().unwrap().wait(2).as_secs(), 20);
    let names: Vec<_> = action.parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["service", "cmd"]);
    assert!(catalog.triggers.contains_key(&reference("linux.disk_full")));
    let sensor = &catalog.sensors[&reference("linux.watch")];
    assert_eq!((sensor.enabled, &sensor.settings), (false, &json!({"every": "5s"})));
    assert_eq!(*catalog.configs["linux"], json!({"user": "root"}));
    assert_eq!(catalog.generation, 1);
}

#[test]
fn a_broken_file_keeps_its_whole_pack_as_it_was_and_harms_no_other() {
    let home = Home::new();
    home.pack("a").write("packs/a/actions/one.yaml", ACTION);
    home.pack("b").write("packs/b/actions/one.yaml", ACTION);
    let first = home.load();
    home.write("packs/a/actions/one.yaml", "name: restart\nrunner_typ: shell\n")
        .write("packs/a/actions/two.yaml", &ACTION.replace("restart", "two"))
        .write("packs/b/actions/two.yaml", &ACTION.replace("restart", "two"));
    let second = home.reload(&first);
    let names: Vec<_> = second.actions.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["a.restart", "b.restart", "b.two"]);
    assert_eq!(
        told(&second),
        [
            "packs/a/actions/one.yaml:1:1: `runner_type` is missing \
             (help: add `runner_type: …` to the action)",
            "packs/a/actions/one.yaml:2:1: unknown field `runner_typ` \
             (help: did you mean `runner_type`?)",
        ]
    );
    home.write("packs/a/actions/one.yaml", ACTION);
    let third = home.reload(&second);
    assert!(third.problems.is_empty() && third.actions.contains_key(&reference("a.two")));
    home.remove("packs/a");
    assert!(!home.reload(&third).packs.contains_key("a"));
}

#[test]
fn each_sensor_of_the_home_stands_for_itself() {
    let home = Home::new();
    home.write("sensors/a.yaml", "kind: interval\nevery: 1s\n")
        .write("sensors/b.yaml", "kind: interval\nevery: 1s\n");
    let first = home.load();
    home.write("sensors/a.yaml", "kind: interval\nevery: 1s\neveryy: 2s\n")
        .write("sensors/b.yaml", "kind: interval\nevery: 9s\n");
    let second = home.reload(&first);
    assert_eq!(told(&second), ["sensors/a.yaml:3:1: unknown field `everyy`"]);
    let every = |name: &str| second.sensors[&reference(name)].settings["every"].clone();
    assert_eq!((every("site.a"), every("site.b")), (json!("1s"), json!("9s")));
}

#[test]
fn what_comes_later_is_a_warning() {
    let home = Home::new();
    home.pack("old")
        .write("packs/old/actions/flow.yaml", "name: flow\nrunner_type: action-chain\n")
        .write("packs/old/aliases/a.yaml", "name: a\n")
        .write(
            "packs/old/sensors/s.yaml",
            "class_name: S\nentry_point: s.py\ntrigger_types:\n  - name: seen\n",
        );
    let catalog = home.load();
    let codes: Vec<_> = catalog.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(codes, ["later_runner", "later", "python_sensor"]);
    assert!(catalog.packs.contains_key("old") && catalog.actions.is_empty());
    assert!(catalog.triggers.contains_key(&reference("old.seen")));
}

#[test]
fn equal_files_make_equal_versions() {
    let home = Home::new();
    home.pack("a").write("packs/a/actions/one.yaml", ACTION);
    let first = home.load();
    assert_eq!(first.version, home.reload(&first).version);
    home.write("packs/a/actions/one.yaml", &ACTION.replace("Restarts", "Kicks"));
    assert_ne!(first.version, home.reload(&first).version);
}

#[test]
fn the_shipped_packs_load_without_a_word() {
    let home = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let runners = super::runners();
    let kinds = ifso::packs::Kinds { sensor: &|_| Vec::new(), ..super::kinds(&runners) };
    let catalog = ifso::packs::load(home, kinds, &Catalog::default());
    let said = told(&catalog).into_iter().filter(|problem| problem.starts_with("packs/"));
    assert_eq!(said.collect::<Vec<_>>(), [""; 0]);
    for trigger in ["prometheus.alert", "file.created", "core.tick", "core.st2.webhook"] {
        assert!(catalog.triggers.contains_key(&reference(trigger)), "{trigger}");
    }
}

fn rule(name: &str, then: &str) -> String {
    format!("rule(\"{name}\", #{{ on: \"a.b\", then: |e| {then} }});\n")
}

fn rule_names(catalog: &ifso::packs::catalog::Catalog) -> Vec<String> {
    catalog.rules.iter().map(|rule| rule.reference().to_string()).collect()
}

#[test]
fn a_broken_rule_keeps_the_whole_pack_that_was_there() {
    let home = Home::new();
    home.pack("a")
        .write("packs/a/actions/one.yaml", ACTION)
        .write("packs/a/rules/good.rhai", &rule("good", "log(`x`)"))
        .write("packs/a/rules/bad.rhai", &rule("bad", "log(`y`)"));
    let first = home.load();
    home.write("packs/a/rules/bad.rhai", "rule(\"bad\", #{ on: 5")
        .write("packs/a/rules/good.rhai", &rule("better", "log(`x`)"))
        .write("packs/a/actions/two.yaml", &ACTION.replace("restart", "two"));
    let second = home.reload(&first);
    assert_eq!(rule_names(&second), ["a.bad", "a.good"]);
    assert_eq!(second.actions.len(), 1);
    let places: Vec<_> = second.problems.iter().map(|one| one.place.to_string()).collect();
    assert_eq!(places.len(), 1);
    assert!(places[0].starts_with("packs/a/rules/bad.rhai:1:"), "{places:?}");
    home.write("packs/a/rules/bad.rhai", &rule("bad", "log(`y`)"));
    assert_eq!(rule_names(&home.reload(&second)), ["a.bad", "a.better"]);
}

#[test]
fn each_rule_file_of_the_home_stands_for_itself() {
    let home = Home::new();
    home.write("rules/a.rhai", &rule("a", "log(`1`)"))
        .write("rules/b.rhai", &rule("b", "log(`1`)"));
    let first = home.load();
    home.write("rules/a.rhai", "rule(\"a\",").write("rules/b.rhai", &rule("c", "log(`1`)"));
    let second = home.reload(&first);
    assert_eq!(rule_names(&second), ["site.a", "site.c"]);
    assert_eq!(second.problems.len(), 1);
    home.write("rules/a.rhai", &rule("c", "log(`1`)"));
    let third = home.reload(&second);
    assert_eq!(third.problems[0].code, "rule_twice");
    home.remove("rules/a.rhai");
    assert_eq!(rule_names(&home.reload(&third)), ["site.c"]);
}

#[test]
fn rules_that_did_not_change_are_not_compiled_again() {
    let home = Home::new();
    home.write("rules/a.rhai", &rule("a", "log(`1`)"))
        .write("rules/b.rhai", &rule("b", "log(`1`)"));
    let first = home.load();
    home.write("rules/b.rhai", &rule("b", "log(`2`)"));
    let second = home.reload(&first);
    let same = |name: &str| {
        let of = |catalog: &ifso::packs::catalog::Catalog| {
            std::sync::Arc::as_ptr(catalog.rules.get(&reference(name)).unwrap())
        };
        of(&first) == of(&second)
    };
    assert_eq!((same("site.a"), same("site.b")), (true, false));
    home.pack("p").write("packs/p/actions/one.yaml", ACTION);
    let third = home.reload(&second);
    assert!(!std::ptr::eq(
        std::sync::Arc::as_ptr(third.rules.get(&reference("site.a")).unwrap()),
        std::sync::Arc::as_ptr(second.rules.get(&reference("site.a")).unwrap()),
    ));
}

#[test]
fn rules_follow_the_libraries_of_other_packs() {
    let home = Home::new();
    let rule = "import \"a/limits\" as l;\n\
                rule(\"r\", #{ on: \"t.x\", when: |e| e.n > l::TOP, then: |e| log(\"r\") });\n";
    home.pack("a").write("packs/a/lib/limits.rhai", "export const TOP = 80;");
    home.pack("b").write("packs/b/rules/r.rhai", rule).write("rules/own.rhai", rule);
    let first = home.load();
    assert_eq!(told(&first), [""; 0]);
    assert_eq!(rule_names(&first), ["b.r", "site.r"]);
    let version = |catalog: &Catalog, name| {
        catalog.rules.get(&reference(name)).unwrap().version().to_string()
    };
    home.write("packs/a/lib/limits.rhai", "export const TOP = 90;");
    let second = home.reload(&first);
    for name in ["b.r", "site.r"] {
        assert_ne!(version(&first, name), version(&second, name), "{name}");
    }
    // A library that breaks is told to those who import it; what they had goes on.
    home.write("packs/a/lib/limits.rhai", "export const TOP = ;");
    let third = home.reload(&second);
    assert!(told(&third)[0].starts_with("packs/a/lib/limits.rhai:1:20: "), "{:?}", told(&third));
    for name in ["b.r", "site.r"] {
        assert_eq!(version(&second, name), version(&third, name), "{name}");
    }
    // The home has libraries too.
    home.write("packs/a/lib/limits.rhai", "export const TOP = 90;")
        .write("lib/own.rhai", "export const LOW = 1;")
        .write("rules/own.rhai", &rule.replace("a/limits", "own").replace("TOP", "LOW"));
    let fourth = home.reload(&third);
    assert_eq!(told(&fourth), [""; 0]);
    assert_ne!(version(&third, "site.r"), version(&fourth, "site.r"));
}

#[test]
fn a_thousand_rules_and_actions_load_at_once() {
    let home = Home::new();
    for pack in 0..10 {
        let pack = format!("p{pack}");
        home.pack(&pack);
        for file in 0..100 {
            let action = ACTION.replace("name: restart", &format!("name: a{file}"));
            home.write(&format!("packs/{pack}/actions/a{file}.yaml"), &action);
            let then = format!("run(\"{pack}.a{file}\", #{{ service: e.name }})");
            let text = rule(&format!("r{file}"), &then);
            home.write(&format!("packs/{pack}/rules/r{file}.rhai"), &text);
        }
    }
    let start = std::time::Instant::now();
    let first = home.load();
    let cold = start.elapsed();
    assert_eq!((told(&first).len(), first.actions.len(), first.rules.len()), (0, 1000, 1000));
    home.write("packs/p0/rules/r0.rhai", &rule("r0", "log(`x`)"));
    let start = std::time::Instant::now();
    let second = home.reload(&first);
    let warm = start.elapsed();
    writeln!(
        std::io::stdout(),
        "1,000 rules and 1,000 actions: {cold:?}; after one change: {warm:?}"
    )
    .unwrap();
    assert_eq!(second.rules.len(), 1000);
}

/// A message's first line as the report shows it: a tab is four spaces wide.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().replace('\t', "    ")
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(96))]

    #[test]
    fn whatever_stands_in_a_file_is_loaded_or_told(
        at in 0_usize..400,
        gone in 0_usize..40,
        put in "[\\PC\n\t:{}\\[\\]&*!|>'\"#-]{0,12}",
        file in proptest::sample::select(vec![
            "packs/a/pack.yaml", "packs/a/actions/x.yaml", "packs/a/triggers/x.yaml",
            "packs/a/config.schema.yaml", "configs/a.yaml", "sensors/x.yaml", "rules/x.rhai",
        ]),
    ) {
        let home = Home::new();
        let mut text: Vec<char> = ACTION.chars().collect();
        let at = at.min(text.len());
        let end = (at + gone).min(text.len());
        text.splice(at..end, put.chars());
        home.pack("a").write(file, &text.into_iter().collect::<String>());
        let catalog = home.load();
        let source = |file: &std::path::Path| std::fs::read_to_string(home.path().join(file)).ok();
        let style = ifso::packs::check::Style::Plain;
        let report = ifso::packs::check::report(&catalog.problems, source, style);
        let shown = catalog.problems.iter().all(|one| report.contains(&first_line(&one.message)));
        proptest::prop_assert!(shown, "{}", report);
    }
}
