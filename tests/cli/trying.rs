//! Rules that are tried, explained and looked after from the command line.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::api::House;
use crate::cli::{ifso, told};
use crate::flow::{load, write};

const POOLS: &str = r#"
rule("watch", #{
    about:   "Says when a pool is full",
    on:      "pool.filled",
    when:    |e| e.tier == "gold" && (e.used >= 80 || e.free_gb < 5 || e.tags.contains("hot")),
    until:   |e| e.used <= 60,
    per:     |e| e.id,
    hold:    "1m",
    then:    |e| log(`${e.id} is at ${e.used}`),
    recover: |e| log(`${e.id} is fine`),
});
rule("each", #{ on: "pool.filled", when: |e| e.used >= 90, then: |e| log("high") });
rule("storm", #{ on: "pool.storm", budget: #{ count: 1, per: "1m" }, then: |e| log("storm") });
"#;

const TESTS: &str = "
- test: A pool that stays full is told of once
  steps:
    - event: pool.filled
      data: { id: p1, tier: gold, used: 85 }
      expect: []
      verdicts: { watch: holding }
    - at: 1m
      expect: [{ rule: watch, log: p1 is at 85 }]
- test: This one is wrong
  steps:
    - event: pool.filled
      data: { id: p1, tier: gold, used: 95 }
      expect: [{ rule: each, log: low }, { rule: watch, log: x }]
";

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    write(home.path(), "rules/pools.rhai", POOLS);
    home
}

async fn say(house: &House, home: &Path, arguments: &[&str]) -> String {
    let mut command: Command = ifso(arguments);
    command.env("IFSO_URL", &house.url).env("IFSO_KEY", &house.admin).current_dir(home);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    told(&output)
}

async fn event(house: &House, trigger: &str, data: serde_json::Value) -> String {
    let body = json!({ "trigger": trigger, "data": data });
    let (_, sent) = house.ask("POST", "/v1/events", Some(body)).await;
    sent["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_explained_rule_by_rule() {
    let home = home();
    let house = House::new(load(home.path())).await;
    let pool = |used: f64| json!({ "id": "p1", "tier": "gold", "used": used, "tags": ["cold"] });
    let low = event(&house, "pool.filled", pool(75.0)).await;
    house.world.manual.advance(Duration::from_secs(1));
    let high = event(&house, "pool.filled", pool(85.5)).await;
    house.world.manual.advance(Duration::from_secs(30));
    let again = event(&house, "pool.filled", pool(70.0)).await;
    for (name, id) in [("low", &low), ("high", &high), ("again", &again)] {
        let said = say(&house, home.path(), &["rule", "explain", "site.watch", id]).await;
        insta::assert_snapshot!(format!("explain_{name}"), said);
    }
    insta::assert_snapshot!(
        "event_show_explained",
        say(&house, home.path(), &["event", "show", &low]).await
    );
    insta::assert_snapshot!(
        "explain_another_trigger",
        say(&house, home.path(), &["rule", "explain", "site.storm", &low]).await
    );
    insta::assert_snapshot!(
        "explain_no_event",
        say(&house, home.path(), &["rule", "explain", "site.storm", "last"]).await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_tried_on_kept_events_and_against_another_version() {
    let home = home();
    let house = House::new(load(home.path())).await;
    for (minute, used) in [(0, 95), (10, 50), (30, 85), (31, 92), (60, 10)] {
        house.world.manual.set(
            "2026-03-01T00:00:00Z"
                .parse::<ifso::model::time::Time>()
                .unwrap()
                .plus(Duration::from_mins(minute)),
        );
        event(&house, "pool.filled", json!({ "id": "p1", "tier": "gold", "used": used })).await;
    }
    let backtest = |more: &[&'static str]| {
        let mut arguments = vec!["rule", "backtest"];
        arguments.extend(more);
        arguments
    };
    let arguments = backtest(&["site.watch", "--since", "2h"]);
    let said = say(&house, home.path(), &arguments).await;
    insta::assert_snapshot!("backtest", masked(&said));
    write(home.path(), "new.rhai", &POOLS.replace(">= 90", ">= 80"));
    let arguments = backtest(&["each", "--file", "new.rhai", "--against", "live", "--since", "2h"]);
    let said = say(&house, home.path(), &arguments).await;
    insta::assert_snapshot!("backtest_against", masked(&said));
    let arguments = backtest(&["eech", "--file", "new.rhai", "--since", "2h"]);
    insta::assert_snapshot!("backtest_wrong_name", say(&house, home.path(), &arguments).await);
    let arguments = backtest(&["each", "--since", "yesterday"]);
    insta::assert_snapshot!("backtest_wrong_time", say(&house, home.path(), &arguments).await);
}

/// The figure that is never the same.
fn masked(said: &str) -> String {
    let parts: Vec<&str> = said.splitn(2, " events in ").collect();
    let [head, rest] = parts.as_slice() else { panic!("{said}") };
    let (_, rest) = rest.split_once(" ms, ").unwrap();
    format!("{head} events in N ms, {rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_does_nothing_unless_asked() {
    let home = home();
    let house = House::new(load(home.path())).await;
    let id = event(&house, "pool.filled", json!({ "id": "p1", "tier": "gold", "used": 95 })).await;
    let said = say(&house, home.path(), &["event", "replay", &id, "--json"]).await;
    let ids: serde_json::Value =
        serde_json::from_str(said.split("--- stdout\n").nth(1).unwrap()).unwrap();
    assert_eq!(ids["ids"].as_array().unwrap().len(), 1, "{said}");
    let (_, all) = house.ask("GET", "/v1/events?limit=10", None).await;
    let replayed = &all[0];
    assert_eq!(replayed["replay"], json!({ "of": id, "acts": false }));
    let verdicts: Vec<_> = replayed["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["rule"].as_str().unwrap(), one["verdict"]["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(verdicts, [("site.each", "shadowed"), ("site.watch", "holding")]);
    let (_, memory) = house.ask("GET", "/v1/rules/site.watch/memory", None).await;
    let since = &memory[0]["memory"]["began"];
    assert_eq!(since, &json!(id), "memory is that of the first event");
    let body = json!({ "since": "1h", "effects": true });
    let (status, done) = house.ask("POST", "/v1/events/replay", Some(body)).await;
    assert_eq!((status, done["ids"].as_array().unwrap().len()), (202, 1), "{done}");
    let (_, all) = house.ask("GET", "/v1/events?limit=1", None).await;
    assert_eq!(all[0]["decisions"][0]["verdict"]["verdict"], "fired");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_listed_planned_released_and_forgotten() {
    let home = home();
    let house = House::new(load(home.path())).await;
    event(&house, "pool.filled", json!({ "id": "p1", "tier": "gold", "used": 95 })).await;
    for _ in 0..3 {
        event(&house, "pool.storm", json!({})).await;
    }
    let here = home.path();
    insta::assert_snapshot!("memory", say(&house, here, &["rule", "memory", "site.watch"]).await);
    insta::assert_snapshot!(
        "memory_quarantined",
        say(&house, here, &["rule", "memory", "site.storm"]).await
    );
    write(here, "rules/pools.rhai", &POOLS.replace("used >= 80", "used >= 81"));
    insta::assert_snapshot!("plan", say(&house, here, &["rule", "plan"]).await);
    house.world.manual.advance(Duration::from_secs(61));
    insta::assert_snapshot!("release", say(&house, here, &["rule", "release", "site.storm"]).await);
    let again = say(&house, here, &["rule", "release", "site.watch"]).await;
    assert!(again.contains("is not in quarantine"), "{again}");
    let forgot = say(&house, here, &["rule", "forget", "site.watch", "p9"]).await;
    assert!(forgot.contains("remembers nothing under `p9`"), "{forgot}");
    let forgot = say(&house, here, &["rule", "forget", "site.watch", "--all"]).await;
    assert!(forgot.starts_with("exit 0"), "{forgot}");
    let (_, memory) = house.ask("GET", "/v1/rules/site.watch/memory", None).await;
    assert_eq!(memory, json!([]));
}

#[tokio::test]
async fn tests_of_rules_show_what_differs() {
    let home = home();
    write(home.path(), "tests/pools.yaml", TESTS);
    let said =
        |arguments: &[&str]| told(&ifso(arguments).current_dir(home.path()).output().unwrap());
    insta::assert_snapshot!("rule_test", said(&["rule", "test"]));
    assert!(said(&["rule", "test", "stays full"]).starts_with("exit 0"));
    write(
        home.path(),
        "tests/wrong.yaml",
        "- tst: x\n  steps: [{ at: soon, event: no, expect: 5 }]\n",
    );
    insta::assert_snapshot!("rule_test_wrong", said(&["rule", "test"]));
}

const LOGIN: &str = "
name: login
runner_type: hands
description: logs in
parameters:
  user: { type: string }
  password: { type: string, secret: true }
";

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_struck_out_of_what_rules_would_do() {
    let home = tempfile::tempdir().unwrap();
    let here = home.path();
    write(here, "packs/gate/pack.yaml", "name: gate\ndescription: x\nversion: 1.0.0\nauthor: x\n");
    write(here, "packs/gate/actions/login.yaml", LOGIN);
    write(here, "packs/gate/config.schema.yaml", "token: { type: string, secret: true }\n");
    write(here, "configs/gate.yaml", "token: hunter2\n");
    let rule = r#"rule("in", #{ on: "gate.open", then: |e| [
        run("gate.login", #{ user: "ada", password: e.pass }), log(config("token"))] });"#;
    write(here, "packs/gate/rules/in.rhai", rule);
    let house = House::new(load(here)).await;
    let id = event(&house, "gate.open", json!({ "pass": "sesame" })).await;
    let explain = format!("/v1/rules/gate.in/explain?event={id}");
    let (_, explained) = house.ask("GET", &explain, None).await;
    let body = json!({ "rule": "gate.in", "since": "1h" });
    let (_, tried) = house.ask("POST", "/v1/rules/backtest", Some(body)).await;
    let mine = rule.replace("log(config", "log(\"mine \" + config");
    let body = json!({ "rule": "gate.in", "since": "1h",
        "source": { "file": "mine.rhai", "text": mine } });
    let (_, own) = house.ask("POST", "/v1/rules/backtest", Some(body)).await;
    for effects in [
        &explained["decisions"][0]["effects"],
        &tried["outcome"]["firings"][0]["effects"],
        &own["outcome"]["firings"][0]["effects"],
    ] {
        assert_eq!(effects[0]["parameters"], json!({ "user": "ada", "password": "********" }));
        assert!(!effects.to_string().contains("hunter2"), "{effects}");
    }
    let (_, kept) = house.ask("GET", &format!("/v1/events/{id}"), None).await;
    assert_eq!(kept["decisions"][0]["effects"][0]["parameters"]["password"], "********");
}
