//! What people see of their mistakes: one typical mistake in each kind of file.

use ifso::packs::check::{Style, report};

use super::Home;

/// The report of a home with `file` in it, plain.
fn told(file: &str, text: &str) -> String {
    let home = Home::new();
    home.pack("linux").write(file, text);
    let catalog = home.load();
    assert!(!catalog.problems.is_empty(), "the mistake was not found");
    let source = |file: &std::path::Path| std::fs::read_to_string(home.path().join(file)).ok();
    report(&catalog.problems, source, Style::Plain)
}

macro_rules! mistakes {
    ($($name:ident: $file:expr, $text:expr;)+) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(told($file, $text));
        }
    )+};
}

const RESTART: &str = "packs/linux/actions/restart.yaml";

mistakes! {
    a_pack_without_a_version: "packs/linux/pack.yaml",
        "name: linux\ndescription: Things on Linux\nauthor: me\nverison: 1.0.0\n";
    a_pack_with_a_bad_name: "packs/linux/pack.yaml",
        "name: My Pack\ndescription: x\nauthor: me\nversion: 1\n";
    an_action_that_is_no_yaml: RESTART,
        "name: restart\nrunner_type: local-shell-cmd\nparameters:\n  cmd:\n   default: \"x\n";
    an_action_with_a_misspelt_runner: RESTART, "name: restart\nrunner_type: local-shel-cmd\n";
    an_action_with_a_wrong_type: RESTART,
        "name: restart\nrunner_type: noop\nparameters:\n  count:\n    type: int\n    requierd: true\n";
    an_action_that_changes_its_runner: RESTART,
        "name: restart\nrunner_type: shell\nparameters:\n  cmd:\n    type: integer\n";
    an_action_without_its_script: RESTART,
        "name: restart\nrunner_type: python-script\nentry_point: restrat.py\n";
    an_action_with_a_key_twice: RESTART, "name: restart\nrunner_type: noop\nname: again\n";
    an_action_with_a_bad_retry: RESTART,
        "name: restart\nrunner_type: noop\nretry: {count: often, delay: soon}\ndelivery: at_most\n";
    an_action_that_nothing_can_hold: RESTART,
        "name: restart\nrunner_type: noop\npause: signal\n";
    an_action_with_a_misspelt_pause: RESTART,
        "name: restart\nrunner_type: shell\npause: signl\n";
    a_policy_of_an_unknown_kind: "packs/linux/policies/one.yaml",
        "name: one\nresource_ref: linux.restart\npolicy_type: action.concurency\nparameters: {threshold: 1}\n";
    a_policy_with_wrong_parameters: "packs/linux/policies/one.yaml",
        "name: one\nresource_ref: linux.nothing\npolicy_type: action.concurrency.attr\n\
         parameters:\n  treshold: 1\n  attributes: [host]\n  action: wait\n";
    a_policy_with_a_bad_retry: "packs/linux/policies/one.yaml",
        "name: one\nresource_ref: linux.restart\npolicy_type: action.retry\n\
         parameters: {retry_on: failure, backoff: fast, jitter: 2, delay: soon}\n";
    a_trigger_with_a_bad_schema: "packs/linux/triggers/full.yaml",
        "name: full\npayload_schema:\n  type: objekt\n";
    a_sensor_of_an_unknown_kind: "sensors/tick.yaml", "kind: intervall\nevery: 5s\n";
    a_sensor_with_an_unknown_setting: "sensors/tick.yaml", "kind: interval\n\nevrey: 5s\n";
    a_sensor_without_a_kind: "sensors/tick.yaml", "every: 5s\n";
    a_config_schema_with_a_bad_default: "packs/linux/config.schema.yaml", "user:\n  typ: string\n";
}

#[test]
fn a_config_that_does_not_fit() {
    let home = Home::new();
    home.pack("linux")
        .write(
            "packs/linux/config.schema.yaml",
            "server:\n  type: object\n  properties:\n    port: {type: integer}\n\
             token: {type: string, secret: true, required: true}\nuser: {type: string}\n",
        )
        .write("configs/linux.yaml", "server:\n  port: ninety\ntoken: 7\nusr: me\n");
    let catalog = home.load();
    let source = |file: &std::path::Path| std::fs::read_to_string(home.path().join(file)).ok();
    insta::assert_snapshot!(report(&catalog.problems, source, Style::Plain));
}

#[test]
fn a_report_for_machines_names_the_place() {
    let home = Home::new();
    home.write("sensors/tick.yaml", "kind: interval\n\nevrey: 5s\n");
    let json = serde_json::to_value(&home.load().problems).unwrap();
    assert_eq!(
        json[0]["place"],
        serde_json::json!({"file": "sensors/tick.yaml", "line": 3, "column": 1})
    );
}
