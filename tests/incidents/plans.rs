//! `configs/notify.yaml`: what is right of it, and what is said of the rest.

use ifso::model::incident::Severity;
use ifso::packs::catalog::Catalog;

use super::home::{PLAN, load};

fn said(plan: &str) -> Vec<String> {
    let catalog = load(plan, &Catalog::default());
    let all = catalog.problems.iter();
    all.map(ToString::to_string).collect()
}

#[test]
fn a_right_plan_is_in_force_and_nothing_is_said() {
    let plan = format!("{PLAN}quiet: {{calendar: '!night', below: Fatal}}\nflap: {{changes: 6}}\n");
    assert_eq!(said(&plan), Vec::<String>::new());
    let catalog = load(&plan, &Catalog::default());
    let plan = &catalog.notices;
    assert_eq!(plan.channels.len(), 2);
    assert_eq!(plan.routes[0].levels.len(), 2);
    assert_eq!(plan.flap.changes, 6);
    let quiet = plan.quiet.as_ref().unwrap();
    assert!(quiet.outside);
    assert_eq!(quiet.below, Severity::Critical);
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_a_next_step() {
    let plan = "\
channels:
  ops: {action: notify.mial, with: {to: x}}
  lead: {action: notify.mail, with: {too: x}}
routes:
  - match: {severity: [dreadful]}
    levels: [{channels: [laed]}, {channels: [lead]}]
  - {level: []}
quiet: {calendar: nihgt}
flap: {change: 3}
";
    let said = said(plan).join("\n");
    for words in [
        "configs/notify.yaml:2:9: channel `ops` wants action `notify.mial`",
        "did you mean `notify.mail`?",
        "has no parameter `too` (help: did you mean `to`?)",
        "`dreadful` is no severity",
        "there is no channel `laed` (help: did you mean `lead`?)",
        "a level after the first says how long `after` it (help: add `after: 15m`)",
        "unknown field `level`",
        "there is no calendar `nihgt`; did you mean `night`?",
        "unknown field `change` (help: did you mean `changes`?)",
    ] {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
}

#[test]
fn a_plan_that_breaks_while_it_is_in_force_stays() {
    let before = load(PLAN, &Catalog::default());
    let after = load("channels: {ops: {action: notify.none}}\n", &before);
    assert_eq!(after.notices, before.notices);
    assert!(after.errors() > 0);
}

#[test]
fn a_plan_without_routes_says_that_nobody_is_told() {
    let said = said("channels: {ops: {action: notify.mail}}\n");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("nobody is told of incidents"), "{said:?}");
}
