//! Rules that wait for what they started: `exclusive`, and cool-downs that count from an end.

use ifso::model::execution::Status;
use ifso::model::rule::{Ending, Verdict};
use ifso::rules::Memories;
use ifso::rules::reload::Moment;
use serde_json::{Value, json};

use super::Story;
use super::story::lines;
use super::tale::{Tale, dying};

const GROW: &str = "per: |e| e.p, when: |e| e.n >= 80, then: |e| run(\"t.grow\", #{})";

fn tale(keys: &str) -> Tale {
    Tale::rule(&format!("{GROW}, {keys}"))
}

fn full(pool: &str) -> Value {
    json!({ "p": pool, "n": 85 })
}

fn unchanged(ending: &Ending) -> Ending {
    Ending { result: json!({ "output": { "changed": false } }), ..ending.clone() }
}

const AFTER: &str = "cooldown: #{ span: \"10s\", \
     after: |x| x.status == \"succeeded\" && x.result.output.changed == true }";

fn no_second_firing_before_the_end() {
    let mut tale = tale("exclusive: true");
    assert_eq!(tale.at(0, full("a")), ["a fired t.grow"]);
    let ending = tale.ending("a", 0);
    assert_eq!(tale.at(1, full("a")), ["a busy 0"]);
    // Each key waits for itself.
    assert_eq!(tale.at(2, full("b")), ["b fired t.grow"]);
    assert_eq!(tale.at(999, full("a")), ["a busy 0"]);
    assert_eq!(tale.end(1000, &ending), [""; 0]);
    assert_eq!(tale.at(1000, full("a")), ["a fired t.grow"]);
    // An end that is told twice, of a firing that is not the last, changes nothing.
    assert_eq!(tale.end(1001, &ending), [""; 0]);
    assert_eq!(tale.at(1002, full("a")), ["a busy 1000"]);
}

#[test]
fn an_exclusive_rule_does_not_fire_before_what_it_started_is_over() {
    no_second_firing_before_the_end();
}

#[test]
fn what_fails_is_over_too() {
    for status in [Status::Failed, Status::Canceled, Status::Timeout, Status::Abandoned] {
        let mut tale = tale("exclusive: true");
        tale.at(0, full("a"));
        let ending = Ending { status, result: Value::Null, ..tale.ending("a", 0) };
        tale.end(5, &ending);
        assert_eq!(tale.at(6, full("a")), ["a fired t.grow"], "{status}");
    }
}

fn once_fires_as_soon_as_it_may() {
    let mut tale = tale("exclusive: true, once: true");
    assert_eq!(tale.at(0, full("a")), ["a fired t.grow"]);
    let ending = tale.ending("a", 0);
    assert_eq!(tale.at(1, json!({ "p": "a", "n": 1 })), ["a recovered"]);
    assert_eq!(tale.at(2, full("a")), ["a busy 0"]);
    assert_eq!(tale.pass(5000), [""; 0]);
    assert_eq!(tale.end(5001, &ending), ["5001: a fired t.grow"]);
    assert_eq!(tale.at(5002, full("a")), ["a still_true 2"]);
}

#[test]
fn a_rule_that_is_once_fires_at_the_end_if_it_is_true_still() {
    once_fires_as_soon_as_it_may();
    let mut tale = tale("exclusive: true, once: true");
    tale.at(0, full("a"));
    let ending = tale.ending("a", 0);
    tale.at(1, json!({ "p": "a", "n": 1 }));
    tale.at(2, full("a"));
    tale.at(3, json!({ "p": "a", "n": 1 }));
    assert_eq!(tale.end(4, &ending), [""; 0]);
}

#[test]
fn a_hold_that_ends_meanwhile_fires_at_the_end() {
    let mut tale = tale("exclusive: true, hold: \"10s\"");
    tale.at(0, full("a"));
    assert_eq!(tale.pass(10_000), ["10000: a fired t.grow"]);
    let ending = tale.ending("a", 0);
    tale.at(11_000, json!({ "p": "a", "n": 1 }));
    tale.at(12_000, full("a"));
    assert_eq!(tale.pass(30_000), [""; 0]);
    assert_eq!(tale.end(30_001, &ending), ["30001: a fired t.grow"]);
}

fn the_cool_down_counts_from_the_last_change() {
    let mut tale = tale(AFTER);
    assert_eq!(tale.at(0, full("a")), ["a fired t.grow"]);
    let ending = tale.ending("a", 0);
    assert_eq!(tale.end(5_000, &ending), [""; 0]);
    assert_eq!(tale.at(14_999, full("a")), ["a cooling 15000"]);
    assert_eq!(tale.at(15_000, full("a")), ["a fired t.grow"]);
    // What changed nothing cools nothing.
    let ending = unchanged(&tale.ending("a", 0));
    tale.end(16_000, &ending);
    assert_eq!(tale.at(16_001, full("a")), ["a fired t.grow"]);
    let ending = Ending { status: Status::Failed, ..tale.ending("a", 0) };
    tale.end(17_000, &ending);
    assert_eq!(tale.at(17_001, full("a")), ["a fired t.grow"]);
}

#[test]
fn a_cool_down_may_count_from_the_end_of_a_change() {
    the_cool_down_counts_from_the_last_change();
}

#[test]
fn a_rule_that_is_once_fires_when_the_cool_down_is_over() {
    let mut tale = tale(&format!("{AFTER}, exclusive: true, once: true"));
    tale.at(0, full("a"));
    let ending = tale.ending("a", 0);
    tale.at(1, json!({ "p": "a", "n": 1 }));
    assert_eq!(tale.at(2, full("a")), ["a busy 0"]);
    assert_eq!(tale.end(5_000, &ending), ["5000: a cooling 15000"]);
    assert_eq!(tale.pass(14_999), [""; 0]);
    assert_eq!(tale.pass(15_001), ["15000: a fired t.grow"]);
}

#[test]
fn of_several_executions_the_last_end_counts() {
    let mut tale = Tale::rule(&format!(
        "when: |e| true, exclusive: true, {AFTER}, \
         then: |e| [run(\"t.grow\", #{{}}), log(\"grow\"), run(\"t.grow\", #{{}})]"
    ));
    assert_eq!(tale.at(0, json!({})), ["fired t.grow grow t.grow"]);
    let (first, last) = (tale.ending("", 0), tale.ending("", 2));
    tale.end(3_000, &last);
    // The same end again is not the other one.
    tale.end(3_500, &last);
    assert_eq!(tale.at(3_600, json!({})), ["busy 0"]);
    tale.end(4_000, &unchanged(&first));
    assert_eq!(tale.at(12_999, json!({})), ["cooling 13000"]);
    assert_eq!(tale.at(13_000, json!({})), ["fired t.grow grow t.grow"]);
    let (first, last) = (tale.ending("", 0), tale.ending("", 2));
    tale.end(14_000, &first);
    tale.end(15_000, &last);
    assert_eq!(tale.at(24_999, json!({})), ["cooling 25000"]);
    assert_eq!(tale.at(25_000, json!({})), ["fired t.grow grow t.grow"]);
}

#[test]
fn what_starts_nothing_waits_for_nothing() {
    let mut tale = Tale::rule("exclusive: true, then: |e| log(\"told\")");
    assert_eq!(tale.at(0, json!({})), ["fired told"]);
    assert_eq!(tale.at(0, json!({})), ["fired told"]);
}

#[test]
fn an_after_that_fails_is_told_and_cools() {
    let mut tale =
        tale("cooldown: #{ span: \"10s\", after: |x| x.result.output.changed.to_upper() }");
    tale.at(0, full("a"));
    let ending = tale.ending("a", 0);
    let told = tale.end(1_000, &ending);
    assert!(told[0].starts_with("1000: a error"), "{told:?}");
    assert_eq!(tale.at(10_999, full("a")), ["a cooling 11000"]);
    assert_eq!(tale.at(11_000, full("a")), ["a fired t.grow"]);
}

#[test]
fn a_shadow_cools_from_its_firing_and_waits_for_nothing() {
    let mut tale = tale(&format!("{AFTER}, exclusive: true, shadow: true"));
    assert_eq!(tale.at(0, full("a")), ["a shadowed t.grow"]);
    assert_eq!(tale.at(9_999, full("a")), ["a cooling 10000"]);
    assert_eq!(tale.at(10_000, full("a")), ["a shadowed t.grow"]);
}

#[test]
fn waiting_survives_reloads_and_ends_with_the_key() {
    let mut tale = tale("exclusive: true");
    tale.at(0, full("a"));
    let ending = tale.ending("a", 0);
    // Another action, another condition: what was started is still what it waits for.
    tale.reload("per: |e| e.p, when: |e| e.n >= 84, exclusive: true, then: |e| log(\"new\")");
    assert_eq!(tale.at(1, full("a")), ["a busy 0"]);
    // A rule that does not wait forgets what it waited for.
    tale.reload("per: |e| e.p, when: |e| e.n >= 84, then: |e| log(\"new\")");
    assert_eq!(tale.at(2, full("a")), ["a fired new"]);
    tale.reload("per: |e| e.p, when: |e| e.n >= 84, exclusive: true, then: |e| log(\"new\")");
    assert_eq!(tale.at(3, full("a")), ["a fired new"]);
    assert_eq!(tale.end(4, &ending), [""; 0]);
}

#[test]
fn an_end_is_heard_while_the_rule_is_not_in_force() {
    let mut tale = tale("exclusive: true");
    tale.at(0, full("a"));
    let ending = tale.ending("a", 0);
    let memories = tale.simulation().memories();
    let rows: Vec<_> = memories
        .each(&ending.rule)
        .map(|(key, memory)| (ending.rule.clone(), key.to_owned(), memory.clone()))
        .collect();
    let mut memories = Memories::of(rows);
    let set = ifso::rules::Set::default();
    let facts = ifso::rules::Facts { now: ending.at, ..Default::default() };
    assert!(ifso::rules::ended(&set, &mut memories, &ending, &facts, ending.event).is_none());
    assert!(!memories.is_open(&ending.rule));
}

#[test]
fn waiting_goes_the_same_way_when_ifso_dies_between_any_two_steps() {
    for story in [
        no_second_firing_before_the_end as fn(),
        once_fires_as_soon_as_it_may,
        the_cool_down_counts_from_the_last_change,
    ] {
        dying(story);
    }
}

#[test]
fn an_end_while_ifso_was_down_counts_from_when_it_was() {
    let mut tale = tale(AFTER);
    tale.at(0, full("a"));
    let ending = tale.ending("a", 0);
    tale.later(8_000);
    tale.restart(Moment::Start);
    assert_eq!(tale.end(5_000, &ending), [""; 0]);
    assert_eq!(tale.at(14_999, full("a")), ["a cooling 15000"]);
    assert_eq!(tale.at(15_000, full("a")), ["a fired t.grow"]);
}

#[test]
fn absence_cools_and_fires_when_that_is_over() {
    let mut tale = Tale::rule("absent: \"1s\", cooldown: \"10s\", then: |e| log(\"silent\")");
    tale.at(0, json!({}));
    assert_eq!(tale.pass(1_000), ["1000: fired silent"]);
    tale.at(2_000, json!({}));
    assert_eq!(tale.pass(10_999), ["3000: cooling 11000"]);
    assert_eq!(tale.pass(11_000), ["11000: fired silent"]);
}

#[test]
fn mistakes_in_the_keys_are_told() {
    let wrong = |keys: &str| {
        let text = format!("rule(\"r\", #{{ on: \"t.x\", then: |e| log(\"x\"),\n    {keys} }});");
        match Story::new().compile(&text) {
            Ok((_, doubts)) => lines(&doubts),
            Err(problems) => lines(&problems),
        }
    };
    let told = [
        "exclusive: 5",
        "cooldown: #{ after: |x| true }",
        "cooldown: #{ span: \"5m\" }",
        "cooldown: #{ span: \"5 parsecs\", after: |x| true }",
        "cooldown: #{ span: \"5m\", after: true }",
        "cooldown: #{ span: \"5m\", aftr: |x| true }",
        "cooldown: #{ span: \"5m\", after: |x| x.stats == \"succeeded\" }",
        "cooldown: #{ span: \"5m\", after: |x| x.status == \"suceeded\" }",
        "exclusive: true, limit: #{ count: 1, per: \"1h\", over: \"queue\" }",
        "cooldown: #{ span: \"5m\", after: |x| true }, budget: #{ count: 1, per: \"1h\" }",
    ];
    insta::assert_snapshot!(told.map(wrong).join("\n"));
}

#[test]
fn what_it_waits_for_is_said() {
    let busy = Verdict::Busy { since: super::tale::at(0), execution: None };
    insta::assert_snapshot!(busy.sentence());
}
