//! What people read when a file of rules is wrong: every message, its place and its next step.

use ifso::model::parameter::Parameter;
use serde_json::json;

use super::Story;
use super::story::lines;

fn home() -> Story {
    let parameter = |types: &[&str], required| Parameter {
        types: types.iter().map(ToString::to_string).collect(),
        required,
        ..Parameter::default()
    };
    let speed =
        Parameter { choices: vec![json!("slow"), json!("fast")], ..parameter(&["string"], false) };
    let fixed = Parameter { immutable: true, ..parameter(&["string"], true) };
    let with_default = Parameter { default: Some(json!(1)), ..parameter(&["integer"], true) };
    let pool =
        Parameter { description: "the pool's id".to_owned(), ..parameter(&["string"], true) };
    Story::new()
        .action(
            "storage.grow_pool",
            vec![
                ("pool".to_owned(), pool),
                ("percent".to_owned(), parameter(&["integer", "number"], false)),
                ("speed".to_owned(), speed),
                ("fixed".to_owned(), fixed),
                ("steps".to_owned(), with_default),
            ],
        )
        .action("core.noop", Vec::new())
        .trigger("storage.pool_capacity")
        .library("thresholds", "fn hot(e) { e.n > 80 }\nfn broken(e) {\n    e.n.shout()\n}")
}

/// Each text is a file of its own; what is said about it follows.
const FILES: &[&str] = &[
    r#"rule("r", #{ on: "t.x", wen: |e| true, then: |e| () });"#,
    r#"rule("r", #{ on: "t.x", hold: "5m", until: |e| false, then: |e| () });"#,
    "rule(\"r\", #{ on: \"t.x\", when: |e| e.x > 1\n    then: |e| () });",
    "rule(\"r\", #{ on: \"t.x\", hold: \"1s\"\n    then: |e| () });",
    "rule(\"r\", #{ on: \"t.x\", when: |e| e.x > 1 and e.y > 1, then: |e| () });",
    "rule(\"r\", #{ on: \"t.x\", hold: '10s', then: |e| () });",
    "rule(\"r\", { about: \"x\", on: \"t.x\", then: |e| () });",
    "rule(\"r\", #{ on: \"t.x\", when: e.x > 1, then: |e| () });",
    r#"rule("r", #{ on: "t.x", hold: "0s", stale: "soon", until: 5, limit: 3, budget: #{ count: 0 }, then: |e| () });"#,
    r#"rule("r", #{ on: "t.x", hold: "5m", stale: "1m", limit: #{ count: 1, per: "1h", over: "wait", most: 2 }, then: |e| () });"#,
    r#"rule("r", #{ on: "t.x", having: |w| w.count > 2, window: "tumblin", then: |e| () });"#,
    r#"rule("r", #{ on: "t.x", within: "1m", window: "tumbling", zone: "Mars", having: |w| w.avg(w.count) > 2, until: |w| true, then: |e| () });"#,
    r#"rule("r", #{ on: "t.x", within: "1m", having: |w| true, absent: "5m", then: |e| () });"#,
    r#"rule("r", #{ on: "t.x", absent: "5m", expect: ["a"], hold: "1m", then: |e| () });"#,
    r#"rule("r", #{ on: "t.x", samples: 0, expect: [], lateness: "1m", stale: "1m", within: "1m", then: |e| () });"#,
    r#"rule("r", #{ on: "t.x", once: false, recover: |e| (), then: |e| () });"#,
    r#"rule("r", #{ within: "1m", sequence: [#{ on: "t.x" }], then: |e| () });"#,
    r#"rule("r", #{ within: "1m", hold: "1m", sequence: [#{ not: true, on: "t.x" }, 5, #{ wen: |e| true }], then: |e| () });"#,
    r#"rule("r", #{ on: "t.x", all_of: [#{ when: |e| true }, #{ not: true }], then: |e| () });"#,
    r#"rule("r", #{ on: 5, when: "x", cooldown: 5, enabled: 1, priority: "high", about: 3, then: |e| () });"#,
    r#"rule("r", #{ on: "t.x", cooldown: "soon", then: |e| () });"#,
    r#"rule("r", #{ on: "tx", then: |e| () });"#,
    r#"rule("r", #{ on: ["a.b", "c.[d"], then: |e| () });"#,
    r#"rule("r", #{ on: [], then: |e| () });"#,
    r#"rule("r", #{ on: "t.x" });"#,
    r#"rule("r", #{ then: |e| () });"#,
    r#"rule("a b", #{ on: "t.x", then: |e| () });"#,
    r#"rule("r", #{ on: "t.x", then: |a, b, c| () });"#,
    "rule(5, #{});",
    r#"rule("r");"#,
    r#"rul("r", #{ on: "t.x", then: |e| () });"#,
    "rule(\"r\", #{ on: \"t.x\",\n    when: |e| e.n = 5,\n    then: |e| () });",
    "rule(\"r\", #{ on: \"t.x\",\n    when: |e| e.n > limit,\n    then: |e| () });",
    "rule(\"r\", #{ on: \"t.x\",\n    when: |e| e.n >\n});",
    "rule(\"r\", #{ on: \"t.x\", then: |e| () });\n}",
    "rule(\"r\", #{ on: \"t.x\", when: |e| e.name.start_with(\"a\"), then: |e| () });",
    "rule(\"r\", #{ on: \"t.x\", when: |e| sleep(5), then: |e| () });",
    "rule(\"r\", #{ on: \"t.x\", when: |e| eval(\"1\"), then: |e| () });",
    "rule(\"r\", #{ on: \"t.x\", when: |e| e.tier != \"gold\" && !(e.n > 5) && !e.thin, then: |e| () });",
    "rule(\"r\", #{ on: \"t.x\", when: |e| present(e.tier) && e.tier != \"gold\" && e.n != (), then: |e| () });",
    "rule(\"r\", #{ on: \"storage.pool_capacty\", then: |e| emit(\"storage.pool_capacit\", #{}) });",
    "rule(\"r\", #{ on: \"t.x\", then: |e| run(\"storage.grow_pol\", #{}) });",
    "rule(\"r\", #{ on: \"t.x\", then: |e| run(\"nosuch.thing\", #{}) });",
    "rule(\"r\", #{ on: \"t.x\", then: |e| run(\"grow\", #{}) });",
    "rule(\"r\", #{ on: \"t.x\", then: |e| run(\"core.noop\", #{ x: 1 }) });",
    "rule(\"r\", #{ on: \"t.x\", then: |e| run(\"storage.grow_pool\") });",
    "rule(\"r\", #{ on: \"t.x\", then: |e| run(\"storage.grow_pool\", #{\n    pol: e.id,\n    percent: \"20\",\n    speed: \"medium\",\n    fixed: \"x\",\n    steps: 2,\n}, #{ timeot: \"5m\", delay: \"later\", priority: 2.5 }) });",
    "rule(\"r\", #{ on: \"t.x\", then: |e| { run(\"core.noop\"); notify(\"ops\", \"x\"); } });\nlog(\"loaded\");",
    "rule(\"r\", #{ on: \"t.x\", then: |e| { for x in e.list { notify(\"ops\", x) } } });",
    "import \"threshold\" as t;",
    "import \"../secrets\" as t;",
    "import \"thresholds\" as t;\nrule(\"r\", #{ on: \"t.x\", when: |e| u::hot(e), then: |e| () });",
    "let x = now();",
    "rule(\"r\", #{ on: \"t.x\", when: |e| e.default == 1 && e.match.new == e.with, then: |e| run(\"core.noop\", #{ default: 1, new: 2 }) });",
    "rule(\"r\", #{ on: \"t.x\", when: |e| { do { } until e.x == 1; true }, then: |e| if e.big { log(\"big\") } else { log(\"small\"); () } });",
    "fn twice(e) { e.n = 2; e }\nrule(\"r\", #{ on: \"t.x\", when: |e| twice(e).n == 2, then: |e| { let x = e; x.n = 5; () } });",
    "throw \"no rules today\";",
    "const T = #{gold: 85};\nT.gold = 5;",
    "let f = |e| true;\nfor i in 0..2_000 { rule(`r${i}`, #{ on: \"t.x\", when: f, then: |e| () }); }",
];

#[test]
fn every_mistake_is_answered_with_place_and_next_step() {
    let home = home();
    let said: Vec<String> = FILES
        .iter()
        .map(|text| {
            let answer = match home.compile(text) {
                Ok((rules, warnings)) => format!(
                    "{} rules, {} warnings\n{}",
                    rules.len(),
                    warnings.len(),
                    lines(&warnings)
                ),
                Err(problems) => lines(&problems),
            };
            format!("{text}\n--\n{}\n", answer.trim_end())
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}
