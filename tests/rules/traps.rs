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
        "{ e.remove(\"tier\"); true }",
        "{ e.mixin(#{tier: 1}); true }",
    ];
    let data = json!({"tier": "gold", "deep": {"b": 1}, "list": [1]});
    for body in bodies {
        let mut story = Story::new().rules(&format!(
            r#"
            fn change(x) {{ x.tier = "x"; x.b = 3; x }}
            fn change2() {{ this.tier = "x"; }}
            rule("first", #{{ on: "t.x", priority: 1, when: |e| {body}, then: |e| () }});
            rule("second", #{{ on: "t.x",
                when: |e| e.tier == "gold" && e.deep.b == 1 && e.list.len() == 1 && e.list[0] == 1,
                then: |e| log("unharmed") }});
            "#
        ));
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
