//! Rhai's own traps, `reference/spikes.md` 1.4: each is closed here.

use serde_json::json;

use super::Story;
use super::story::lines;

#[test]
fn t1_a_missing_field_is_nothing_at_any_depth() {
    let cases = [
        ("e.missing > 85", false),
        ("e.missing < 85", false),
        ("e.missing == 85", false),
        ("e.missing != 85", true),
        ("e.a.b.c.d == 1", false),
        ("e.a.b.c.d >= 1", false),
        ("e.a.b.c.d != 1", true),
        ("e.n.deep.down == 1", false),
        ("e.tier.deep.down == 1", false),
        ("e.list.deep == 1", false),
        ("e.nothing.deep == 1", false),
        ("e.yes.deep == 1", false),
        ("e.f.deep == 1", false),
        ("e[\"missing\"][\"deep\"] == 1", false),
        ("e.missing.tag == 0", false),
        ("present(e.tier)", true),
        ("present(e.a.b.c)", false),
        ("present(e.nothing)", false),
    ];
    for (condition, expected) in cases {
        let mut story = Story::new().when(condition);
        let data =
            json!({"n": 5, "tier": "gold", "list": [1], "nothing": null, "yes": true, "f": 1.5});
        assert_eq!(story.fires(data), expected, "{condition}");
    }
}

#[test]
fn t1_a_call_on_a_missing_field_is_an_error_of_that_rule_only() {
    let mut story = Story::new().rules(
        r#"
        rule("bad", #{ on: "t.x", when: |e| e.name.starts_with("a"), then: |e| log("bad") });
        rule("good", #{ on: "t.x", when: |e| e.n == 1, then: |e| log("good") });
        "#,
    );
    let decisions = story.decide("t.x", json!({"n": 1}));
    insta::assert_snapshot!(serde_json::to_string_pretty(&decisions).unwrap());
}

#[test]
fn t5_a_closure_captures_what_stood_there_when_rule_was_called() {
    let mut story = Story::new().rules(
        r#"
        for limit in [80, 95] {
            rule(`above-${limit}`, #{ on: "t.x", when: |e| e.n > limit, then: |e| log(`${limit}`) });
        }
        let limit = 10;
        let list = [1, 2];
        rule("ten", #{ on: "t.x", when: |e| e.n > limit && list.len() == 2, then: |e| log("ten") });
        limit = 1000;
        list.push(3);
        "#,
    );
    assert_eq!(story.logs(json!({"n": 90})), ["80", "ten"]);
    assert_eq!(story.logs(json!({"n": 99})), ["80", "95", "ten"]);
    assert_eq!(story.logs(json!({"n": 9})), [""; 0]);
}

#[test]
fn t6_imports_are_there_inside_stored_closures() {
    let library = r"
        export const GOLD = 85;
        const HIDDEN = 7;
        fn hidden() { global::HIDDEN }
        fn hot(e) { e.n > hidden() }
    ";
    let mut story = Story::new().library("thr", library).rules(
        r#"
        import "thr" as t;
        fn own(e) { t::hot(e) }
        rule("const", #{ on: "t.x", when: |e| e.n > t::GOLD, then: |e| log("const") });
        rule("function", #{ on: "t.x", when: |e| t::hot(e), then: |e| log(`${t::GOLD}`) });
        rule("own", #{ on: "t.x", when: |e| own(e), then: |e| log("own") });
        "#,
    );
    assert_eq!(story.logs(json!({"n": 90})), ["const", "85", "own"]);
    assert_eq!(story.logs(json!({"n": 8})), ["85", "own"]);
}

#[test]
fn t7_a_circle_of_imports_is_an_error() {
    let story = Story::new()
        .library("a", "import \"b\" as b;")
        .library("b", "import \"c\" as c;")
        .library("c", "import \"a\" as a;");
    let problems = story.compile("import \"a\" as a;").unwrap_err();
    insta::assert_snapshot!(lines(&problems));
}

#[test]
fn t7_an_import_stays_in_the_library() {
    for name in ["../lib/thr", "/etc/passwd", "lib/thr", "thr.rhai", "..", "thresold"] {
        let story = Story::new().library("threshold", "export const A = 1;");
        let problems = story.compile(&format!("import \"{name}\" as t;")).unwrap_err();
        assert_eq!(problems.len(), 1, "{name}");
    }
}

#[test]
fn t10_the_event_cannot_be_changed() {
    let bodies = [
        "{ e.tier = \"x\"; true }",
        "{ e.tier += \"x\"; true }",
        "{ e.deep.b = 2; true }",
        "{ e.list.push(2); true }",
        "{ e.list[0] = 2; true }",
        "{ e.clear(); true }",
        "{ let x = e; x.tier = \"x\"; x.deep.b = 2; x.list.push(3); true }",
        "{ let x = e.deep; x.b = 2; let y = e.list; y.push(3); true }",
        "{ change(e); true }",
        "{ change(e.deep); true }",
        "{ e.change2(); true }",
        "{ let f = |x| { e.tier = x; }; f.call(1); true }",
        "{ let f = |x| { e.list.push(x); }; f.call(1); true }",
        "{ [1].map(|x| { e.deep.b = x; }); true }",
        "{ e.list.map(|x| { x = 5; }); true }",
        "{ e.list.for_each(|x| { this = 5; }); true }",
        "{ for x in e.list { x = 5; } true }",
        "{ let f = |x| { x.tier = 5; }; f.call(e); true }",
        "{ let f = || { e.tier = 5; }; f.call(); true }",
        "{ switch e.tier { \"gold\" => { let f = || { e.tier = 5; }; f.call(); } } true }",
        "{ let f = || || { e.tier = 5; }; f.call().call(); true }",
        "{ e.remove(\"tier\"); true }",
        "{ e.mixin(#{tier: 1}); true }",
    ];
    let data = json!({"tier": "gold", "deep": {"b": 1}, "list": [1]});
    for body in bodies {
        let text = format!(
            r#"
            fn change(x) {{ x.tier = "x"; x.b = 3; x }}
            fn change2() {{ this.tier = "x"; }}
            rule("first", #{{ on: "t.x", priority: 1, when: |e| {body}, then: |e| () }});
            rule("second", #{{ on: "t.x",
                when: |e| e.tier == "gold" && e.deep.b == 1 && e.list.len() == 1 && e.list[0] == 1,
                then: |e| log("unharmed") }});
            "#
        );
        let mut story = match Story::new().compile(&text) {
            Ok(_) => Story::new().rules(&text),
            Err(problems) => {
                assert!(lines(&problems).contains("cannot be changed"), "{body}");
                continue;
            }
        };
        assert_eq!(story.logs(data.clone()), ["unharmed"], "{body}");
    }
}

#[test]
fn t11_errors_name_the_inner_place() {
    let mut story = Story::new().rules(
        "fn deep(e) {\n    e.n.starts_with(\"x\")\n}\nrule(\"r\", #{ on: \"t.x\",\n  when: |e| deep(e),\n  then: |e| () });",
    );
    insta::assert_snapshot!(story.error(json!({"n": 1})));
}

#[test]
fn t2_numbers_compare_as_people_expect_and_large_ones_stay_exact() {
    let cases = [
        ("e.f == 0.3", true),
        ("e.n == 85.0", true),
        ("e.n / 2 == 42", true),
        ("e.big > 9223372036854775807", true),
        ("e.big == e.big_again", true),
        ("e.big == e.big_less", false),
        ("e.text > 5", false),
        ("e.text == 85", false),
    ];
    for (condition, expected) in cases {
        let mut story = Story::new().when(condition);
        let data = json!({"f": 0.1 + 0.2, "n": 85, "big": u64::MAX, "big_again": u64::MAX,
            "big_less": u64::MAX - 1, "text": "85"});
        assert_eq!(story.fires(data), expected, "{condition}");
    }
}

#[test]
fn t2_arithmetic_that_has_no_answer_is_an_error_of_the_rule() {
    for condition in ["e.n / 0 == 1", "e.n % 0 == 1", "9223372036854775807 + e.n > 0", "-e.min > 0"]
    {
        let mut story = Story::new().when(condition);
        let said = story.error(json!({"n": 85, "min": i64::MIN}));
        assert!(said.contains("overflow") || said.contains("zero"), "{condition}: {said}");
    }
}

#[test]
fn t3_a_number_that_is_no_integer_lies_in_a_range_too() {
    for (condition, expected) in [
        ("e.f in 80..95", true),
        ("e.f in 80..=85", false),
        ("e.n in 80..=85", true),
        ("e.n in 80..85", false),
        ("e.f !in 80..95", false),
        ("e.missing in 80..95", false),
        ("e.tier in 80..95", false),
        ("1 in e.missing", false),
        ("e.tier in [\"gold\", \"silver\"]", true),
        ("e.tier !in [\"gold\"]", false),
    ] {
        let mut story = Story::new().when(condition);
        assert_eq!(
            story.fires(json!({"f": 85.5, "n": 85, "tier": "gold"})),
            expected,
            "{condition}"
        );
    }
}

#[test]
fn t4_when_must_say_true_or_false() {
    for condition in
        ["e.n && true", "e.n || false", "e.n", "e.missing", "if e.n == 1 { true }", "()"]
    {
        let said = Story::new().when(condition).error(json!({"n": 85}));
        let refused = said.contains("not true or false") || said.contains("expected `bool`");
        assert!(refused, "{condition}: {said}");
    }
}

#[test]
fn t8_a_panic_of_rhai_is_a_problem_of_the_file_or_an_error_of_the_rule() {
    let problems = Story::new().compile("const T = #{gold: 85}; T.gold = 5;").unwrap_err();
    assert_eq!(problems[0].code, "rhai_panic");
    let mut story = Story::new().rules(
        r#"rule("r", #{ on: "t.x", when: |e| { const T = #{gold: 85}; T.gold = e.n; true }, then: |e| log("x") });
        rule("s", #{ on: "t.x", then: |e| log("well") });"#,
    );
    for _ in 0..3 {
        assert!(story.logs(json!({"n": 1})).contains(&"well".to_owned()));
    }
}

#[test]
fn t9_one_runaway_rule_delays_others_by_its_limit_only() {
    let mut story = Story::new().rules(
        r#"rule("bad", #{ on: "t.x", priority: 9, when: |e| { loop {} true }, then: |e| () });
        rule("good", #{ on: "t.x", then: |e| log("well") });"#,
    );
    let begin = std::time::Instant::now();
    assert_eq!(story.logs(json!({})), ["well"]);
    assert!(
        begin.elapsed() < ifso::script::limits::DECIDING.wall * super::limits::BUSY,
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_closure_inside_may_read_the_event_that_it_is_called_on() {
    let data = json!({"list": [1, 5, 9], "n": 4, "deep": {"list": [{"n": 5}]}});
    for condition in [
        "e.list.filter(|x| x > e.n).len() == 2",
        "e.list.some(|x| x > e.n && e.list.len() == 3)",
        "e.deep.list.all(|x| x.n > e.n)",
        "{ let sum = 0; let list = e.list; list.for_each(|i| sum += this + e.n); sum == 27 }",
        "{ let f = |x| e.list.contains(x); f.call(5) }",
        "if e.n == 4 { e.list.reduce(|s, x| s + x + e.n, 0) == 27 } else { false }",
        "switch e.n { 4 => e.list.map(|x| x * e.n) == [4, 20, 36], _ => false }",
    ] {
        assert!(Story::new().when(condition).fires(data.clone()), "{condition}");
    }
}

#[test]
fn t11_an_error_in_a_library_names_both_places() {
    let mut story = Story::new().library("lib", "fn deep(e) {\n    e.n.shout()\n}").rules(
        "import \"lib\" as l;\nrule(\"r\", #{ on: \"t.x\",\n  when: |e| l::deep(e),\n  then: |e| () });",
    );
    insta::assert_snapshot!(story.error(json!({"n": 1})));
    let problems =
        Story::new().library("lib", "fn deep(e) {\n    e.n +\n}").compile("import \"lib\" as l;");
    insta::assert_snapshot!(lines(&problems.unwrap_err()));
}
