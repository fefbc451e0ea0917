//! Libraries of other packs, and templates: functions of a library that declare rules.

use std::sync::Arc;

use ifso::model::rule::{Decision, Verdict};
use ifso::rules::Set;
use serde_json::json;

use super::Story;
use super::story::lines;

const THRESHOLDS: &str =
    "export const FULL = 80;\nfn full(e) { e.used >= FULL_AT() }\nfn FULL_AT() { 80 }";

/// A template with everything that closures of a library can need.
const TEMPLATE: &str = r#"import "words" as w;
const MARK = "!";
fn limit(e) { e.limit ?? 80 }
fn said(e) { w::loud(`${e.pool}${global::MARK}`) }
private fn names(pools, e) {
    if type_of(pools) == "Fn" { pools.call(e) } else { e.pool.like(pools) }
}
fn watch(options) {
    let pools = options.pools ?? "*";
    let out = options.out;
    let then = options.then ?? |e| log(said(e));
    rule(options.name, #{
        on: "t.x",
        per: |e| e.pool,
        when: |e| e.used >= out && names(pools, e),
        cooldown: options.cooldown ?? "1m",
        then: then,
    });
}
fn both(options) {
    watch(options + #{ name: options.name + "-a" });
    watch(options + #{ name: options.name + "-b" });
}
"#;

const WORDS: &str = "fn loud(text) { text.to_upper() }";

fn storage() -> Story {
    Story::new()
        .library_of("storage", "thresholds", THRESHOLDS)
        .library_of("storage", "autoscale", TEMPLATE)
        .library_of("storage", "words", WORDS)
}

fn wrong(text: &str) -> String {
    lines(&storage().compile(text).unwrap_err())
}

/// What fired, with what it logs.
fn fired(decisions: &[Decision]) -> Vec<String> {
    let each = decisions.iter().map(|decision| {
        let effects: Vec<String> =
            decision.effects.iter().map(|effect| json!(effect)["text"].to_string()).collect();
        let word = match &decision.verdict {
            Verdict::Error { message, line, .. } => format!("{message} in {line:?}"),
            verdict => verdict.word().to_owned(),
        };
        format!("{} {word} {}", decision.rule.name(), effects.join(" "))
    });
    each.collect()
}

#[test]
fn a_file_imports_a_library_of_another_pack() {
    let mut story = storage().rules(
        "import \"storage/thresholds\" as t;\n\
         rule(\"r\", #{ on: \"t.x\", when: |e| t::full(e) && e.used < t::FULL + 20, \
         then: |e| log(\"fired\") });",
    );
    assert!(story.fires(json!({ "used": 80 })));
    assert!(!story.fires(json!({ "used": 79 })));
    assert!(!story.fires(json!({ "used": 100 })));
}

#[test]
fn a_library_sees_those_of_its_own_pack() {
    // `autoscale` imports `words`, which is there in `storage` and not in `site`.
    let mut story = storage()
        .library("words", "fn loud(text) { \"wrong\" }")
        .rules("import \"storage/autoscale\" as s;\ns::watch(#{ name: \"gold\", out: 80 });");
    let decided = story.decide("t.x", json!({ "pool": "p", "used": 80 }));
    assert_eq!(fired(&decided), ["gold fired \"P!\""]);
}

#[test]
fn what_is_not_there_is_told_with_what_was_meant() {
    let told = [
        "import \"storage/autoscal\" as s;",
        "import \"storag/autoscale\" as s;",
        "import \"autoscale\" as s;",
        "import \"nowhere/else\" as s;",
        "import \"../storage/lib/autoscale\" as s;",
        "import \"storage/lib/autoscale\" as s;",
    ];
    insta::assert_snapshot!(told.map(wrong).join("\n"));
}

#[test]
fn a_circle_through_two_packs_is_refused() {
    let story = Story::new().library_of("a", "one", "import \"b/two\" as t;").library_of(
        "b",
        "two",
        "import \"a/one\" as o;",
    );
    let problems = story.compile("import \"a/one\" as o;").unwrap_err();
    insta::assert_snapshot!(lines(&problems));
}

#[test]
fn a_rule_changes_its_version_with_a_library_of_another_pack() {
    let version = |library: &str| {
        let story = Story::new().library_of("a", "one", library);
        let text = "import \"a/one\" as o;\nrule(\"r\", #{ on: \"t.x\", then: |e| o::f() });";
        story.compile(text).unwrap().0[0].version().clone()
    };
    assert_ne!(version("fn f() { log(\"1\") }"), version("fn f() { log(\"2\") }"));
}

#[test]
fn a_template_declares_a_rule_of_the_file_that_calls_it() {
    let text = "import \"storage/autoscale\" as s;\n\nfor name in [\"gold\", \"iron\"] {\n    \
                s::watch(#{ name: name, pools: name + \"-*\", out: 80 });\n}";
    let mut story = storage().rules(text);
    let gold = story.set.get(&"site.gold".parse().unwrap()).unwrap();
    assert_eq!(gold.place().to_string(), "rules/test.rhai:4:8");
    let decided = story.decide("t.x", json!({ "pool": "gold-1", "used": 80 }));
    assert_eq!(fired(&decided), ["gold fired \"GOLD-1!\""]);
    let decided = story.decide("t.x", json!({ "pool": "iron-1", "used": 80 }));
    assert_eq!(fired(&decided), ["iron fired \"IRON-1!\""]);
    let decided = story.decide("t.x", json!({ "pool": "gold-1", "used": 79 }));
    assert!(decided.is_empty(), "{decided:?}");
}

#[test]
fn a_template_calls_closures_of_its_caller() {
    // Both files have a function `limit` and a constant `MARK`; each closure sees its own.
    let text = r#"
        import "storage/autoscale" as s;
        import "storage/thresholds" as t;
        const MARK = "?";
        fn limit(e) { 90 }
        fn shown(e) { `${e.pool}${global::MARK}${limit(e)}${t::FULL}` }
        let lowest = 5;
        s::watch(#{ name: "gold", out: 80, pools: |e| e.used >= limit(e) && e.n > lowest,
                    then: |e| log(shown(e)) });
        lowest = 500;
    "#;
    let mut story = storage().rules(text);
    assert!(story.decide("t.x", json!({ "pool": "p", "used": 85, "n": 6 })).is_empty());
    assert!(story.decide("t.x", json!({ "pool": "p", "used": 90, "n": 5 })).is_empty());
    let decided = story.decide("t.x", json!({ "pool": "p", "used": 90, "n": 6 }));
    assert_eq!(fired(&decided), ["gold fired \"p?9080\""]);
}

#[test]
fn a_rule_may_use_closures_that_a_library_made() {
    let library = "fn above(n) { |e| e.used >= floor(n) }\nfn floor(n) { n * 10 }";
    let mut story = Story::new().library_of("storage", "made", library).rules(
        "import \"storage/made\" as m;\nfn floor(n) { 0 }\nlet hot = m::above(8);\n\
         rule(\"a\", #{ on: \"t.x\", when: m::above(9), then: |e| log(`${floor(1)}`) });\n\
         rule(\"b\", #{ on: \"t.x\", when: |e| hot.call(e) && e.used > floor(0), \
         then: |e| log(\"b\") });",
    );
    assert!(story.decide("t.x", json!({ "used": 79 })).is_empty());
    assert_eq!(fired(&story.decide("t.x", json!({ "used": 80 }))), ["b fired \"b\""]);
    let decided = story.decide("t.x", json!({ "used": 90 }));
    assert_eq!(fired(&decided), ["a fired \"0\"", "b fired \"b\""]);
}

#[test]
fn mistakes_in_what_a_template_is_given_name_the_call_and_the_library() {
    let call =
        |map: &str| wrong(&format!("import \"storage/autoscale\" as s;\n  s::watch({map});"));
    let told = [
        call("#{ name: \"gold\", out: 80, cooldown: 5 }"),
        call("#{ name: \"go ld\", out: 80 }"),
        call("#{ name: \"gold\", out: 80, then: 5 }"),
        call("#{ out: 80 }"),
        call("5"),
        wrong("import \"storage/autoscale\" as s;\ns::wach(#{ name: \"gold\" });"),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn an_error_in_a_closure_names_its_own_file() {
    let text = r#"
        import "storage/autoscale" as s;
        s::watch(#{ name: "library", out: 80 });
        s::watch(#{ name: "own", out: 80, pools: |e| e.n.to_upper() });
        s::watch(#{ name: "then", out: 80, then: |e| e.n.to_upper() });
    "#;
    let mut story = storage().rules(text);
    let mut told = fired(&story.decide("t.x", json!({ "pool": 5, "used": 80, "n": 1 })));
    told.extend(fired(&story.decide("t.x", json!({ "pool": "p", "used": 80, "n": 1 }))));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_index_sees_what_a_template_was_given() {
    let story = storage().rules(
        "import \"storage/autoscale\" as s;\n\
         for n in 0..50 { s::watch(#{ name: `r${n}`, out: 50 + n }); }",
    );
    let event = story.event("t.x", json!({ "pool": "p", "used": 52 }));
    let evaluation = ifso::rules::evaluate(&story.set, &event, &story.facts);
    assert_eq!((evaluation.examined(), evaluation.matches()), (3, 3));
}

#[test]
fn what_a_template_does_is_the_same_with_and_without_the_index() {
    let text = "import \"storage/autoscale\" as s;\ns::both(#{ name: \"gold\", out: 80, \
                pools: |e| e.n == 1 });";
    let mut story = storage().rules(text);
    let rules: Vec<Arc<_>> = story.set.iter().cloned().collect();
    let indexed = fired(&story.decide("t.x", json!({ "pool": "p", "used": 80, "n": 1 })));
    let mut story = storage();
    story.set = Set::new(rules).without_index();
    let plain = fired(&story.decide("t.x", json!({ "pool": "p", "used": 80, "n": 1 })));
    assert_eq!(indexed, plain);
    assert_eq!(indexed, ["gold-a fired \"P!\"", "gold-b fired \"P!\""]);
}

#[test]
fn a_library_that_is_imported_declares_nothing() {
    let story = Story::new().library_of("a", "one", "rule(\"r\", #{ on: \"t.x\" });");
    insta::assert_snapshot!(lines(&story.compile("import \"a/one\" as o;").unwrap_err()));
}
