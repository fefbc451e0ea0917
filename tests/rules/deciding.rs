//! What a rule decides, and what it asks for.

use ifso::model::cause::MAX_HOPS;
use ifso::model::parameter::Parameter;
use ifso::model::rule::{Effect, Verdict};
use ifso::model::time::Time;
use ifso::rules::{self, Memories};
use serde_json::json;

use super::Story;

#[test]
fn every_effect_is_returned_as_data() {
    let mut story = Story::new()
        .action("storage.grow", vec![("pool".to_owned(), Parameter::default())])
        .trigger("storage.grown")
        .rules(
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

#[test]
fn a_shadow_decides_and_remembers_and_does_nothing() {
    let mut story = Story::new().rules(
        r#"rule("r", #{ on: "t.x", shadow: true, cooldown: "1m", then: |e| log("would") });"#,
    );
    assert_eq!(story.verdict(json!({})), Verdict::Shadowed);
    assert!(matches!(story.verdict(json!({})), Verdict::Cooling { .. }));
}

#[test]
fn a_disabled_rule_is_not_asked() {
    let mut story =
        Story::new().rules(r#"rule("r", #{ on: "t.x", enabled: false, then: |e| log("no") });"#);
    assert_eq!(story.logs(json!({})), [""; 0]);
    assert_eq!(story.set.len(), 1);
}

#[test]
fn a_rule_that_feeds_itself_is_stopped() {
    let mut story = Story::new().rules(r#"rule("r", #{ on: "t.x", then: |e| emit("t.x", e) });"#);
    story.hops = MAX_HOPS - 1;
    assert_eq!(story.verdict(json!({})), Verdict::Fired);
    story.hops = MAX_HOPS;
    assert_eq!(story.verdict(json!({})), Verdict::LoopStopped { hops: MAX_HOPS });
}

#[test]
fn rules_listen_to_triggers_lists_and_globs() {
    let mut story = Story::new().rules(
        r#"
        rule("one", #{ on: "storage.pool", then: |e| log("one") });
        rule("list", #{ on: ["host.hba", "storage.pool", "storage.pool"], then: |e| log("list") });
        rule("glob", #{ on: ["storage.*", "*.pool"], priority: 5, then: |e| log("glob") });
        rule("dots", #{ on: "*.st2.*", then: |e| log("dots") });
        "#,
    );
    let mut heard = |trigger: &str| -> Vec<String> {
        let decisions = story.decide(trigger, json!({}));
        decisions.iter().map(|decision| decision.rule.name().to_owned()).collect()
    };
    assert_eq!(heard("storage.pool"), ["glob", "list", "one"]);
    assert_eq!(heard("host.hba"), ["list"]);
    assert_eq!(heard("core.st2.webhook"), ["dots"]);
    assert_eq!(heard("other.pools"), [""; 0]);
}

#[test]
fn the_second_parameter_is_the_envelope() {
    let mut story = Story::new().rules(
        r#"rule("r", #{ on: "t.x",
            when: |e, m| m.trigger == "t.x" && m.source == "test" && m.subject == () && m.time == 1700000000000,
            then: |_, envelope| log(envelope.id) });"#,
    );
    assert_eq!(story.logs(json!({})), ["evt_00000000000000000000000007"]);
    let mut story = Story::new().rules(
        r#"rule("a", #{ on: "t.x", when: |e, m| { m.clear(); m.remove("id"); true }, then: |e| () });
        rule("b", #{ on: "t.x", then: |e, m| log(m.source) });"#,
    );
    assert_eq!(story.logs(json!({})), ["test"]);
}

#[test]
fn what_then_gives_back_must_be_effects() {
    let cases = [
        ("|e| 5", "`then` returned an integer"),
        ("|e| [log(\"a\"), \"b\"]", "`then` returned a text"),
        ("|e| run(e.action)", "`nonsense` is not a reference"),
        ("|e| run(\"a.b\", #{ f: || 1 })", "there is no action `a.b`"),
        (
            "|e| { let a = \"a.b\"; run(a, #{ f: |x| 1 }) }",
            "in the parameters: a closure is not data",
        ),
        (
            "|e| { let o = #{ pirority: 1 }; run(\"c.d\", #{}, o) }",
            "`run` has no option `pirority`",
        ),
        (
            "|e| { let l = []; for i in 0..200 { l.push(log(\"x\")); } l }",
            "200 effects; 100 is the most",
        ),
        ("|e| throw \"not today\"", "not today"),
    ];
    for (then, expected) in cases {
        let story = Story::new().action("c.d", Vec::new());
        let text = format!("rule(\"r\", #{{ on: \"t.x\", cooldown: \"1m\", then: {then} }});");
        let said = match story.compile(&text) {
            Err(problems) => problems[0].to_string(),
            Ok(_) => story.rules(&text).error(json!({"action": "nonsense"})),
        };
        assert!(said.contains(expected), "{then}: {said}");
    }
}

#[test]
fn a_rule_that_failed_has_not_fired() {
    let mut story = Story::new().rules(
        r#"rule("r", #{ on: "t.x", cooldown: "1m", then: |e| if e.bad == true { throw "bad" } else { log("well") } });"#,
    );
    assert!(matches!(story.verdict(json!({"bad": true})), Verdict::Error { .. }));
    assert_eq!(story.verdict(json!({})), Verdict::Fired);
}

#[test]
fn memory_keys_are_texts_and_bounded() {
    let mut story = Story::new()
        .rules(r#"rule("r", #{ on: "t.x", per: |e| e.k, cooldown: "1m", then: |e| () });"#);
    for (value, key) in
        [(json!("a"), "a"), (json!(5), "5"), (json!(null), ""), (json!([1, "x"]), "[1,\"x\"]")]
    {
        let decision = story.decide("t.x", json!({"k": value})).remove(0);
        assert_eq!((decision.verdict, decision.key.as_deref()), (Verdict::Fired, Some(key)));
    }
    assert!(story.error(json!({"k": "x".repeat(513)})).contains("513 bytes; 512 is the most"));
}

#[test]
fn how_many_rules_were_asked_is_told() {
    let story = Story::new().rules(
        r#"
        rule("cool", #{ on: "t.x", per: |e| e.k, cooldown: "1m", then: |e| () });
        rule("plain", #{ on: "t.x", per: |e| e.k, then: |e| () });
        rule("no", #{ on: "t.x", when: |e| false, cooldown: "1m", then: |e| () });
        "#,
    );
    let event = story.event("t.x", json!({"k": "a"}));
    let evaluation = rules::evaluate(&story.set, &event, &story.facts);
    // `no` can never match nor fail, so nobody asks it.
    assert_eq!(evaluation.examined(), 2);
}

#[test]
fn threads_ask_at_once_and_agree() {
    let story = Story::new().rules(
        r#"rule("r", #{ on: "t.x", when: |e| e.list.filter(|x| x > e.n).len() == 2, then: |e| log(`${e.n}`) });
        rule("loop", #{ on: "t.x", when: |e| { loop {} true }, then: |e| () });"#,
    );
    std::thread::scope(|scope| {
        for n in 0..4 {
            let story = &story;
            scope.spawn(move || {
                for _ in 0..20 {
                    let event = story.event("t.x", json!({"n": n, "list": [n, n + 1, n + 2]}));
                    let evaluation = rules::evaluate(&story.set, &event, &story.facts);
                    let mut memories = Memories::new();
                    let decisions =
                        rules::decide(&story.set, &event, evaluation, &mut memories, &story.facts);
                    assert_eq!(decisions.len(), 2);
                    assert_eq!(
                        decisions[1].effects,
                        [Effect::Log { text: n.to_string() }],
                        "{decisions:?}"
                    );
                }
            });
        }
    });
}

#[test]
fn the_version_changes_with_the_file_and_its_libraries() {
    let text = r#"import "a" as a; rule("r", #{ on: "t.x", then: |e| () });"#;
    let version = |library: &str, text: &str| {
        let home = Story::new().library("a", library).library("b", library);
        home.compile(text).unwrap().0[0].version().to_string()
    };
    let first = version("fn x() { 1 }", text);
    assert_eq!(first, version("fn x() { 1 }", text));
    assert_ne!(first, version("fn x() { 2 }", text));
    assert_ne!(first, version("fn x() { 1 }", &format!("{text} ")));
}
