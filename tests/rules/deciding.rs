//! What a rule decides, and what it asks for.

use ifso::model::rule::Verdict;
use ifso::model::time::Time;
use serde_json::json;

use super::Story;

#[test]
fn every_effect_is_returned_as_data() {
    let mut story = Story::new().action("storage.grow", Vec::new()).trigger("storage.grown").rules(
        r#"
        rule("all", #{
            on: "t.x",
            then: |e, m| [
                run("storage.grow", #{ pool: e.pool }, #{ timeout: "30s", priority: 3 }),
                emit("storage.grown", #{ pool: e.pool, source: m.source }),
                [notify("ops", `pool ${e.pool}`), ()],
                set("last_pool", e.pool),
                log("done"),
            ],
        });
        "#,
    );
    let decisions = story.decide("t.x", json!({"pool": "p1"}));
    insta::assert_snapshot!(serde_json::to_string_pretty(&decisions).unwrap());
}

#[test]
fn the_cool_down_is_half_open() {
    let mut story = Story::new()
        .rules(r#"rule("r", #{ on: "t.x", per: |e| e.k, cooldown: "1s", then: |e| () });"#);
    let start = story.facts.now;
    let at = |story: &mut Story, ms: u64, key: &str| {
        story.facts.now = start.plus(std::time::Duration::from_millis(ms));
        story.verdict(json!({"k": key}))
    };
    let until = Time::from_millis(start.millis() + 1_000);
    assert_eq!(at(&mut story, 0, "a"), Verdict::Fired);
    assert_eq!(at(&mut story, 0, "a"), Verdict::Cooling { until });
    assert_eq!(at(&mut story, 0, "b"), Verdict::Fired);
    assert_eq!(at(&mut story, 999, "a"), Verdict::Cooling { until });
    assert_eq!(at(&mut story, 1_000, "a"), Verdict::Fired);
    assert_eq!(at(&mut story, 1_001, "b"), Verdict::Fired);
}

#[test]
fn the_world_comes_in_as_data() {
    let mut story = Story::new()
        .config(json!({"region": "north", "limits": {"high": 80}}))
        .key("maintenance", json!(false))
        .rules(
            r#"rule("r", #{ on: "t.x",
                when: |e| e.n > config("limits").high && key("maintenance") == false && !present(key("x")),
                then: |e| log(`${now()} ${config("region")}`) });"#,
        );
    story.advance(5);
    assert_eq!(story.logs(json!({"n": 90})), ["1700000000005 north"]);
    assert_eq!(story.logs(json!({"n": 80})), [""; 0]);
}
