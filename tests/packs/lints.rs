//! Doubts that need the whole catalog: circles of rules, and schemas that change.

use ifso::packs::catalog::Catalog;

use super::Home;

const SCHEMA: &str = "\
name: disk
payload_schema:
  type: object
  properties:
    used_pct: {type: number}
    pool: {type: string}
";

const YAML: &str = "\
name: full
enabled: true
trigger: {type: linux.disk}
criteria:
  trigger.usedpct: {type: gt, pattern: 80}
  trigger.poool: {type: exists}
action: {ref: core.noop}
";

fn noop(home: &Home) -> &Home {
    home.pack("core").write(
        "packs/core/actions/noop.yaml",
        "name: noop\nrunner_type: local-shell-cmd\nparameters:\n  cmd: {default: 'true'}\n",
    )
}

/// Codes, places, messages and helps.
fn said(catalog: &Catalog) -> Vec<String> {
    catalog.problems.iter().map(|one| format!("{} {one}", one.code)).collect()
}

#[test]
fn rules_that_feed_themselves_are_told() {
    let home = Home::new();
    home.write(
        "rules/circle.rhai",
        r#"rule("again", #{ on: "t.x", when: |e| e.n > 5, then: |e| emit("t.x", #{ n: e.n }) });
rule("to-b", #{ on: "t.a", then: |e| [log("a"), emit("t.b", #{ kind: "cooked" })] });
"#,
    )
    .write(
        "rules/other.rhai",
        r#"rule("to-a", #{ on: "t.b*", when: |e| e.kind == "cooked", then: |e| emit("t.a", e) });
rule("late", #{ on: "t.y", hold: "1m", when: |e| e.n > 5, then: |e| (), recover: |e| emit("t.y", #{ n: 6 }) });
"#,
    );
    insta::assert_snapshot!(said(&home.load()).join("\n"));
}

#[test]
fn rules_that_do_not_hear_what_they_emit_are_left_alone() {
    let home = Home::new();
    home.write(
        "rules/chain.rhai",
        r#"rule("cook", #{ on: "t.x", when: |e| e.kind == "raw", then: |e| emit("t.x", #{ kind: "cooked" }) });
rule("count", #{ on: "t.n", when: |e| e.level < 3, then: |e| emit("t.n", #{ level: e.level + 1 }) });
rule("lacks", #{ on: "t.m", when: |e| e.n > 3, then: |e| emit("t.m", #{ other: 5 }) });
rule("begins", #{ on: "t.a", then: |e| emit("t.b", e) });
rule("ends", #{ on: "t.b", then: |e| emit("t.c", e) });
rule("off", #{ on: "t.d", enabled: false, then: |e| emit("t.d", e) });
rule("outside", #{ on: "t.e", when: |e, m| m.source == "sensor.x", then: |e| emit("t.e", e) });
rule("climbs", #{ on: "t.h", then: |e| if e.level < 3 { emit("t.h", #{ level: e.level + 1 }) } else { () } });
rule("leaves", #{ on: "t.i", then: |e| { if e.level > 3 { return (); } emit("t.i", e) } });
rule("shadow", #{ on: "t.j", shadow: true, then: |e| emit("t.j", e) });
rule("same", #{ on: "t.f", when: |e| e.kind == "raw", then: |e| emit("t.g", #{ kind: e.kind }) });
rule("back", #{ on: "t.g", when: |e| e.kind == "cooked", then: |e| emit("t.f", #{ kind: e.kind }) });
"#,
    );
    assert_eq!(said(&home.load()), [""; 0]);
}

#[test]
fn criteria_name_fields_that_events_have() {
    let home = Home::new();
    noop(&home).pack("linux").write("packs/linux/triggers/disk.yaml", SCHEMA);
    home.write("rules/full.yaml", YAML);
    let said = said(&home.load());
    assert_eq!(
        said,
        ["unknown_field rules/full.yaml:5:3: events of `linux.disk` have no field `usedpct` \
          (help: did you mean `used_pct`?)"]
    );
}

#[test]
fn a_schema_that_changes_is_held_against_rules_that_did_not() {
    let home = Home::new();
    home.pack("linux").write("packs/linux/triggers/disk.yaml", SCHEMA).write(
        "rules/full.rhai",
        "rule(\"full\", #{ on: \"linux.disk\", when: |e| e.used_pct > 80, then: |e| () });\n",
    );
    let before = home.load();
    assert_eq!(said(&before), [""; 0]);
    home.write("packs/linux/triggers/disk.yaml", &SCHEMA.replace("used_pct", "usedpct"));
    let changed = home.reload(&before);
    assert_eq!(
        said(&changed),
        ["unknown_field rules/full.rhai:1:47: events of `linux.disk` have no field `used_pct` \
          (help: did you mean `usedpct`?)"]
    );
    home.write("packs/linux/triggers/disk.yaml", SCHEMA);
    assert_eq!(said(&home.reload(&changed)), [""; 0]);
}
