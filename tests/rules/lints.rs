//! What `ifso check` doubts about rules that can be used, and what it leaves alone.

use serde_json::json;

use super::Story;
use super::story::lines;

fn home() -> Story {
    let disk = json!({"type": "object", "required": ["used_pct"], "properties": {
        "pool": {"type": "string"},
        "used_pct": {"type": "number", "minimum": 0, "maximum": 100},
        "tier": {"type": "string", "enum": ["gold", "silver"]},
        "thin": {"type": "boolean"},
        "tags": {"type": "array"},
        "disk_1": {"type": "integer"},
        "note": {"type": ["string", "null"]},
        "any": {"description": "whatever"},
        "node": {"type": "object", "properties": {
            "name": {"type": "string"}, "load": {"type": "number"}}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    }});
    let closed = json!({"type": "object", "additionalProperties": false, "properties": {
        "ms": {"type": "integer"}, "path": {"type": "string"}}});
    let half = json!({"type": "object", "properties": {
        "used": {"type": "number"}, "pool": {"type": "string"}}});
    let any_of = json!({"properties": {"pool": {}}, "anyOf": [{"required": ["pool"]}]});
    Story::new()
        .schema("t.disk", disk)
        .schema("t.closed", closed)
        .schema("t.half", half)
        .schema("t.any_of", any_of)
        .trigger("t.plain")
        .library("limits", "const HOT = 80;")
}

/// What is said about each text, which stands in a file of its own.
fn said(texts: &[String]) -> String {
    let home = home();
    let said = texts.iter().map(|text| match home.compile(text) {
        Ok((_, warnings)) => {
            let codes = warnings.iter().map(|one| format!("{} {one}", one.code));
            format!("{text}\n--\n{}\n", codes.collect::<Vec<_>>().join("\n"))
        }
        Err(problems) => panic!("{text}\n{}", lines(&problems)),
    });
    said.collect::<Vec<_>>().join("\n")
}

/// A rule on `trigger` with these keys beside `then`.
fn on(trigger: &str, keys: &str) -> String {
    let then = if keys.contains("then:") { "" } else { ", then: |e| ()" };
    format!("rule(\"r\", #{{ on: \"{trigger}\", {keys}{then} }});")
}

/// Every text is used without a doubt.
fn are_quiet(texts: &[String]) {
    let home = home();
    for text in texts {
        match home.compile(text) {
            Ok((_, warnings)) => assert!(warnings.is_empty(), "{text}\n{}", lines(&warnings)),
            Err(problems) => panic!("{text}\n{}", lines(&problems)),
        }
    }
}

#[test]
fn fields_that_no_event_has_are_told() {
    let texts = [
        on("t.disk", "when: |e| e.usedpct > 80"),
        on("t.disk", "when: |e| e.node.nmae == \"a\" && e[\"poool\"] == \"b\""),
        on("t.disk", "per: |e| e.pols, then: |e| log(`full: ${e.usd_pct} in ${e.pool}`)"),
        on("t.closed", "when: |e| e.seconds > 80"),
        on("t.closed", "within: \"5m\", having: |w| w.avg(\"sm\") > 5"),
        on("t.disk", "within: \"5m\", having: |w| w.max(\"node.laod\") > 5, then: |e, m| log(m.window.p95(\"usedpct\"))"),
        "rule(\"r\", #{ on: [\"t.disk\", \"t.half\"], when: |e| e.pol == \"p\", then: |e| () });"
            .to_owned(),
        "rule(\"r\", #{ within: \"5m\", sequence: [#{ on: \"t.disk\" }, #{ on: \"t.closed\", when: |e| e.mss > 5 }], then: |e| () });"
            .to_owned(),
    ];
    insta::assert_snapshot!(said(&texts));
}

#[test]
fn fields_that_an_event_may_have_are_left_alone() {
    are_quiet(&[
        on("t.disk", "when: |e| e.used_pct > 80 && e.node.name == \"a\" && e.labels.nmae == \"x\""),
        on("t.disk", "when: |e| e.disk_2 == 5 && e.something_else == 1"),
        on("t.disk", "when: |e| present(e.usedpct) && e.usedpct > 5"),
        on("t.disk", "when: |e| (e.usedpct ?? 0) > 5"),
        on("t.disk", "when: |e| e.pool.len() > 5 && e.tags.contains(\"x\") && e.any.poool == 1"),
        on("t.disk", "then: |e| { let e = #{ usedpct: 5 }; log(`${e.usedpct}`) }"),
        on("t.disk", "when: |e, m| m.subject == \"p\" && m.trigger == \"t.disk\""),
        on(
            "t.disk",
            "within: \"5m\", having: |w| w.count > 2 && w.avg(\"used_pct\") > 5 && w.max(\"node.load\") > 1",
        ),
        on("t.any_of", "when: |e| e.poool == 1"),
        on("t.plain", "when: |e| e.usedpct == 1"),
        on("t.*", "when: |e| e.usedpct == 1"),
        "rule(\"r\", #{ on: [\"t.disk\", \"t.half\"], when: |e| e.used > 1, then: |e| () });"
            .to_owned(),
        "rule(\"r\", #{ on: [\"t.disk\", \"t.plain\"], when: |e| e.usedpct > 1, then: |e| () });"
            .to_owned(),
    ]);
}

#[test]
fn comparisons_that_the_schema_decides_are_told() {
    let texts = [
        on("t.disk", "when: |e| e.used_pct >= \"80\""),
        on("t.disk", "when: |e| e.pool == 7"),
        on("t.disk", "when: |e| present(e.thin) && e.thin != \"true\""),
        on("t.disk", "when: |e| e.used_pct == true"),
        on("t.disk", "when: |e| e.tier == \"golden\""),
        on("t.disk", "when: |e| e.tier in [\"gold\", \"sliver\", 5]"),
        on("t.disk", "when: |e| e.pool > e.used_pct"),
        on("t.disk", "when: |e| e.used_pct > 100"),
        on("t.disk", "when: |e| e.used_pct in 101..200"),
        on("t.disk", "when: |e| e.node.load == \"high\""),
        on("t.disk", "when: |e| e.pool"),
        on("t.disk", "when: |e| e.used_pct.starts_with(\"8\")"),
    ];
    insta::assert_snapshot!(said(&texts));
}

#[test]
fn comparisons_that_may_hold_are_left_alone() {
    are_quiet(&[
        on("t.disk", "when: |e| e.used_pct >= 80 && e.used_pct <= 100.0 && e.used_pct in 0..100"),
        on("t.disk", "when: |e| e.note == () || e.note == \"x\" || e.any == 5 || e.any == \"5\""),
        on("t.disk", "when: |e| present(e.used_pct) && e.thin"),
        on("t.disk", "when: |e| e.tier in [\"gold\", \"silver\"] && \"x\" in e.tags && e.disk_1 == 1.0"),
        on("t.disk", "when: |e| e.used_pct > e.disk_1 && e.pool == e.node.name && e.any == e.pool"),
        on("t.disk", "when: |e| e.used_pct != ()"),
        "rule(\"r\", #{ on: [\"t.disk\", \"t.plain\"], when: |e| e.used_pct == \"80\", then: |e| () });".to_owned(),
    ]);
}

#[test]
fn conditions_that_never_or_always_hold_are_told() {
    let texts = [
        on("t.plain", "when: |e| e.n > 90 && e.n < 80"),
        on("t.plain", "when: |e| e.a == 1 && (e.t == \"a\" && e.t == \"b\")"),
        on("t.plain", "when: |e| e.a == 1 || e.n > 5 && e.n == \"x\""),
        on("t.plain", "when: |e| e.x in []"),
        on("t.plain", "when: |e| false"),
        on("t.plain", "when: |e| e.n in 5..5"),
        on("t.plain", "when: |e| e.n == 1 && (e.n == 2 || e.n > 3)"),
        on("t.plain", "when: |e| present(e.t) && (e.t != \"a\" || e.t != \"b\")"),
        on("t.plain", "when: |e| e.n == () && e.n > 5"),
        on("t.plain", "when: |e| e.t in [\"a\", \"b\"] && e.t == \"c\""),
        on("t.plain", "when: |e| e.t.len() < 0"),
        on("t.plain", "when: |e| !present(e.n) && e.n == 1"),
    ];
    insta::assert_snapshot!(said(&texts));
}

#[test]
fn conditions_that_hold_sometimes_are_left_alone() {
    are_quiet(&[
        on("t.plain", "when: |e| e.n > 80 && e.n < 90 || e.n > 5 || e.n <= 5"),
        on("t.plain", "when: |e| e.n >= 5 && e.n <= 5 && e.m > 3 && e.o < 3"),
        on("t.plain", "when: |e| e.t == \"a\" || e.t == \"b\""),
        on("t.plain", "when: |e| present(e.t) && e.t != \"a\" && e.t != \"b\" && e.t.starts_with(\"a\")"),
        on("t.plain", "when: |e| true"),
        "const MUTED = [];\nconst ON = false;\nrule(\"r\", #{ on: \"t.plain\", when: |e| !(e.host in MUTED) && (ON || e.n > 5), then: |e| () });".to_owned(),
        "const ON = false;\nrule(\"r\", #{ on: \"t.plain\", when: |e| ON, then: |e| () });".to_owned(),
        on("t.plain", "when: |e, m| m.subject == \"a\" && e.subject == \"b\""),
        on("t.plain", "when: |e| e.n > 9007199254740993 && e.n < 9007199254740995"),
    ]);
}

#[test]
fn an_end_that_comes_with_the_beginning_is_told() {
    let texts = [
        on("t.plain", "when: |e| e.used >= 80, until: |e| e.used >= 60"),
        on("t.plain", "when: |e| e.used >= 80, until: |e| e.used <= 80"),
        on("t.plain", "when: |e| e.tier == \"gold\" && e.used >= 80, until: |e| e.used > 60"),
        on("t.plain", "when: |e| e.state == \"down\", until: |e| e.state in [\"up\", \"down\"]"),
    ];
    insta::assert_snapshot!(said(&texts));
    are_quiet(&[
        on("t.plain", "when: |e| e.used >= 80, until: |e| e.used < 60"),
        on("t.plain", "when: |e| e.used >= 80, until: |e| false"),
        on("t.plain", "when: |e| e.used >= 80, until: |e| e.used < 60 || e.acknowledged == true"),
        on("t.plain", "when: |e| e.state == \"down\", until: |e| e.state == \"up\""),
        on("t.plain", "when: |e| e.used >= 80, until: |e| e.acknowledged == true"),
    ]);
}

#[test]
fn what_a_file_declares_and_does_not_use_is_told() {
    let rule = on("t.plain", "when: |e| e.n > 5");
    let texts = [
        format!("const LIMIT = 5;\nlet other = 6;\n{rule}"),
        format!("import \"limits\" as l;\n\nfn hot(e) {{ e.n > 5 }}\n{rule}"),
    ];
    insta::assert_snapshot!(said(&texts));
    are_quiet(&[
        "const LIMIT = 5;\nrule(\"r\", #{ on: \"t.plain\", when: |e| e.n > LIMIT, then: |e| () });".to_owned(),
        "const NAME = \"x\";\nrule(\"r\", #{ on: \"t.plain\", then: |e| log(`a ${NAME}`) });".to_owned(),
        "const LIMIT = 5;\nfn hot(e) { e.n > global::LIMIT }\nrule(\"r\", #{ on: \"t.plain\", when: |e| e.hot(), then: |e| () });".to_owned(),
        "import \"limits\" as l;\nrule(\"r\", #{ on: \"t.plain\", when: |e| e.n > l::HOT, then: |e| () });".to_owned(),
        "fn hot(e) { e.n > 5 }\nrule(\"r\", #{ on: \"t.plain\", when: |e| call(Fn(\"hot\"), e), then: |e| () });".to_owned(),
        "const _KEPT = 5;\nlet names = [\"a\"];\nfor name in names { rule(name, #{ on: \"t.plain\", then: |e| () }); }".to_owned(),
        "let then = |e| log(\"x\");\nrule(\"r\", #{ on: \"t.plain\", then: then });".to_owned(),
    ]);
}
