//! Stories through the whole river: files as people write them, events as sensors report them, and
//! what is in the store afterwards.

use std::path::Path;
use std::time::Duration;

use ifso::intake::history::{self, Filter, Kept};
use ifso::model::cause::{Cause, MAX_HOPS};
use ifso::model::execution::{Execution, Status};
use ifso::model::key::KeyValue;
use ifso::model::rule::{Decision, Verdict};
use ifso::packs::catalog::Catalog;
use ifso::packs::{self, Kinds, RunnerType, Runners};
use ifso::store::table::{self, Rows};
use ifso::store::tables::Count;
use serde_json::{Value, json};

mod array;
mod autoscale;
mod ends;
mod memory;
mod migration;
mod missions;
mod opensds;

use crate::world::{World, patient, report};

const PACK: &str = "name: test\ndescription: for stories\nversion: 1.0.0\nauthor: nobody\n";
const GROW: &str = r"
name: grow
runner_type: hands
description: grows a pool
parameters:
  pool:
    type: string
    required: true
  percent:
    type: integer
    default: 10
";

/// An engine on a home with one pack and these site rules.
struct Story {
    world: World,
    _home: tempfile::TempDir,
}

impl Story {
    fn new(rules: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        write(home.path(), "packs/test/pack.yaml", PACK);
        write(home.path(), "packs/test/actions/grow.yaml", GROW);
        let file = if rules.starts_with("name:") { "rules/site.yaml" } else { "rules/site.rhai" };
        write(home.path(), file, rules);
        Self { world: World::new(load(home.path())), _home: home }
    }

    /// Reports one event and gives it as it was kept.
    async fn event(&self, trigger: &str, data: Value) -> Kept {
        self.world.report(vec![report(trigger, data)]).await;
        self.newest(1).await.remove(0)
    }

    /// The newest kept events, newest first, once there are so many.
    async fn newest(&self, count: usize) -> Vec<Kept> {
        let mut changes = self.world.store.changes();
        let enough = async {
            loop {
                changes.mark_unchanged();
                let filter = Filter { limit: count, ..Filter::default() };
                let kept = history::list(&self.world.store, &filter).await.unwrap();
                if kept.len() >= count {
                    return kept;
                }
                changes.changed().await.unwrap();
            }
        };
        patient(enough).await.expect("so many events")
    }

    async fn executions(&self) -> Vec<Execution> {
        let rows = table::scan::<Execution>(&self.world.store, Rows::first(1000)).await.unwrap();
        rows.into_iter().map(|held| held.row).collect()
    }

    async fn count(&self, rule: &str, verdict: &str) -> u64 {
        let held = table::get::<Count>(&self.world.store, rule.into()).await.unwrap();
        held.and_then(|held| held.row.verdicts.get(verdict).copied()).unwrap_or_default()
    }
}

pub(crate) fn write(home: &Path, file: &str, text: &str) {
    let file = home.join(file);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

pub(crate) fn load(home: &Path) -> Catalog {
    let hands = RunnerType { name: "hands".to_owned(), parameters: Vec::new() };
    let runners: Runners = [("hands".to_owned(), hands)].into();
    let kinds =
        Kinds { runners: &runners, sensor: &|_| Vec::new(), hooks: &|_| Vec::new(), built_in: &[] };
    let catalog = packs::load(home, kinds, &Catalog::default());
    // Warnings are welcome: a story may be about what they warn of.
    assert_eq!(catalog.errors(), 0, "{:#?}", catalog.problems);
    catalog
}

fn verdicts(kept: &Kept) -> Vec<(&str, &Verdict)> {
    kept.decisions.iter().map(|one| (one.rule.as_str(), &one.verdict)).collect()
}

#[tokio::test]
async fn an_event_that_a_rule_wants_becomes_an_execution_in_the_same_commit() {
    let story = Story::new(
        r#"
        rule("grow", #{
            on: "pool.full",
            when: |e| e.used >= 80,
            then: |e| run("test.grow", #{ pool: e.id }),
        });
        "#,
    );
    let kept = story.event("pool.full", json!({ "id": "p1", "used": 91 })).await;
    assert_eq!(verdicts(&kept), [("site.grow", &Verdict::Fired)]);
    let made = kept.decisions[0].executions[0];
    let done = story.world.reaches(made, Status::Succeeded).await;
    let Cause::Rule { rule, event, effect } = &done.cause else { panic!("{:?}", done.cause) };
    assert_eq!((rule.as_str(), *event, *effect), ("site.grow", kept.event.id, 0));
    assert_eq!(story.count("site.grow", "fired").await, 1);
}

#[tokio::test]
async fn a_rule_in_yaml_acts_as_one_in_rhai_does() {
    let story = Story::new(
        r#"name: grow
enabled: true
trigger: {type: pool.full}
criteria:
  trigger.used: {type: gt, pattern: 80}
action:
  ref: test.grow
  parameters: {pool: "{{ trigger.id }}", percent: "{{ trigger.percent }}"}
"#,
    );
    let hostile = json!({ "id": "$(id)", "used": 91, "percent": "7" });
    let kept = story.event("pool.full", hostile).await;
    assert_eq!(verdicts(&kept), [("site.grow", &Verdict::Fired)]);
    let done = story.world.reaches(kept.decisions[0].executions[0], Status::Succeeded).await;
    assert_eq!(json!(done.given), json!({ "pool": "$(id)", "percent": "7" }));
    let no = story.event("pool.full", json!({ "id": "p1", "used": 80, "percent": 1 })).await;
    assert_eq!(verdicts(&no), []);
    let wrong = story.event("pool.full", json!({ "id": "p1", "used": "x", "percent": 1 })).await;
    let Verdict::Error { message, line, .. } = &wrong.decisions[0].verdict else {
        panic!("{wrong:?}")
    };
    assert_eq!(*line, Some(5));
    assert_eq!(message, "criterion `trigger.used`: a text and a number cannot be put in an order");
    assert_eq!(story.count("site.grow", "error").await, 1);
}

#[tokio::test]
async fn every_rule_that_matched_or_failed_leaves_its_decision() {
    let story = Story::new(
        r#"
        rule("no", #{ on: "a.b", when: |e| e.n > 5, then: |e| log("never") });
        rule("yes", #{ on: "a.*", when: |e| e.n > 1, then: |e| log("often") });
        rule("other", #{ on: "x.y", when: |e| true, then: |e| log("not asked") });
        rule("broken", #{ on: "a.b", when: |e| e.n.len() > 1, then: |e| log("never") });
        rule("shade", #{ on: "a.b", shadow: true, when: |e| true, then: |e| emit("x.z", #{}) });
        "#,
    );
    let kept = story.event("a.b", json!({ "n": 3 })).await;
    let mut said: Vec<_> = kept
        .decisions
        .iter()
        .map(|one| (one.rule.name().to_owned(), ifso::intake::word(&one.verdict)))
        .collect();
    said.sort();
    // `no` is no longer among them: what says no to an event costs nothing, and leaves nothing.
    let expected = [("broken", "error"), ("shade", "shadowed"), ("yes", "fired")];
    assert_eq!(said, expected.map(|(rule, word)| (rule.to_owned(), word)));
    assert!(story.executions().await.is_empty());
}

#[tokio::test]
async fn a_trigger_counts_its_events_and_the_rules_asked_about_them() {
    let story = Story::new(
        r#"
        rule("one", #{ on: "a.b", when: |e| e.n == 1 && e.m == 1, then: |e| () });
        rule("two", #{ on: "a.b", when: |e| e.n == 2, then: |e| () });
        rule("odd", #{ on: "a.b", when: |e| e.n % 2 == 1, then: |e| () });
        "#,
    );
    for n in 0..4 {
        story.event("a.b", json!({ "n": n })).await;
    }
    // Only `odd`, whose condition Rhai calculates, is asked each time, and `two` once. Both fire twice
    // and once; what fires takes the other counts along.
    assert_eq!(story.count("on a.b", "events").await, 4);
    assert_eq!(story.count("on a.b", "asked").await, 5);
    assert_eq!(story.count("site.odd", "fired").await, 2);
    assert_eq!(story.count("site.one", "not_matched").await, 0);
}

#[tokio::test]
async fn a_cool_down_outlives_a_restart_and_ends_to_the_millisecond() {
    let mut story = Story::new(
        r#"
        rule("calm", #{
            on: "a.b",
            per: |e| e.id,
            cooldown: "10m",
            when: |e| true,
            then: |e| run("test.grow", #{ pool: e.id }),
        });
        "#,
    );
    let minutes = |n: u64| Duration::from_secs(n * 60);
    story.event("a.b", json!({ "id": "p1" })).await;
    story.world = story.world.restart().await;
    story.world.manual.advance(minutes(10).checked_sub(Duration::from_millis(1)).unwrap());
    let early = story.event("a.b", json!({ "id": "p1" })).await;
    assert!(matches!(early.decisions[0].verdict, Verdict::Cooling { .. }), "{early:?}");
    let other = story.event("a.b", json!({ "id": "p2" })).await;
    assert_eq!(other.decisions[0].verdict, Verdict::Fired);
    story.world.manual.advance(Duration::from_millis(1));
    let again = story.event("a.b", json!({ "id": "p1" })).await;
    assert_eq!(again.decisions[0].verdict, Verdict::Fired);
    assert_eq!(story.executions().await.len(), 3);
}

#[tokio::test]
async fn a_match_whose_action_cannot_run_is_an_execution_that_failed_and_says_why() {
    let story = Story::new(
        r#"
        rule("wrong", #{
            on: "a.b",
            when: |e| true,
            then: |e| run("test.grow", #{ pool: e.id, percent: e.percent }),
        });
        "#,
    );
    let kept = story.event("a.b", json!({ "id": "p1", "percent": [1] })).await;
    let failed = story.world.reaches(kept.decisions[0].executions[0], Status::Failed).await;
    assert!(failed.reason.as_deref().unwrap().contains("`percent`"), "{:?}", failed.reason);
    assert_eq!(story.world.hands.jobs().len(), 0);
    let metrics = story.world.metrics.text().unwrap();
    assert!(metrics.contains("ifso_executions_ended_total{status=\"failed\"} 1"), "{metrics}");
}

#[tokio::test]
async fn what_a_rule_emits_and_notifies_are_events_with_their_cause() {
    let story = Story::new(
        r#"
        rule("first", #{ on: "a.b", when: |e| true, then: |e| [
            emit("c.d", #{ n: e.n + 1 }),
            notify("ops", "look"),
            set("last", e.n),
        ] });
        rule("second", #{ on: "c.d", when: |e| e.n == 8, then: |e| run("test.grow", #{ pool: "p" }) });
        rule("told", #{ on: "core.notification", when: |e| e.channel == "ops", then: |e| log(e.text) });
        "#,
    );
    story.world.report(vec![report("a.b", json!({ "n": 7 }))]).await;
    let kept = story.newest(3).await;
    let first = kept.last().unwrap();
    for event in &kept[..2] {
        assert!(
            matches!(&event.event.cause, Cause::Rule { event, .. } if *event == first.event.id),
            "{event:?}"
        );
        assert_eq!(event.event.hops, 1);
        assert_eq!(event.decisions[0].verdict, Verdict::Fired, "{event:?}");
    }
    let key = [b"st2kv.system\0".as_slice(), b"last"].concat();
    let value = table::get::<KeyValue>(&story.world.store, key).await.unwrap();
    assert_eq!(value.unwrap().row.value, json!(7));
}

#[tokio::test]
async fn a_rule_that_feeds_itself_is_stopped_and_says_so() {
    let story =
        Story::new(r#"rule("loop", #{ on: "a.b", when: |e| true, then: |e| emit("a.b", #{}) });"#);
    story.world.report(vec![report("a.b", json!({}))]).await;
    let kept = story.newest(usize::from(MAX_HOPS) + 1).await;
    let last = &kept[0].decisions[0].verdict;
    assert_eq!(*last, Verdict::LoopStopped { hops: MAX_HOPS });
}

#[tokio::test]
async fn a_rule_reads_keys_as_they_were_when_its_batch_began() {
    let story = Story::new(
        r#"
        rule("keep", #{ on: "a.set", when: |e| true, then: |e| set("limit", e.limit) });
        rule("use", #{ on: "a.b", when: |e| e.n > key("limit"), then: |e| log("over") });
        "#,
    );
    story.event("a.set", json!({ "limit": 10 })).await;
    for (n, fires) in [(10, false), (11, true)] {
        let kept = story.event("a.b", json!({ "n": n })).await;
        // A rule that says no leaves nothing.
        let fired = kept.decisions.iter().any(|decision| decision.verdict == Verdict::Fired);
        assert_eq!(fired, fires, "{n}");
    }
}

#[tokio::test]
async fn an_ended_execution_is_an_event_where_a_rule_wants_it() {
    let story = Story::new(
        r#"
        rule("grow", #{ on: "a.b", when: |e| true, then: |e| run("test.grow", #{ pool: "p" }) });
        rule("after", #{
            on: "core.st2.generic.actiontrigger",
            when: |e| e.status == "succeeded" && e.action_ref == "test.grow",
            then: |e| set("done", e.execution_id),
        });
        "#,
    );
    story.world.report(vec![report("a.b", json!({}))]).await;
    let kept = story.newest(2).await;
    assert_eq!(kept[0].event.trigger.as_str(), "core.st2.generic.actiontrigger");
    assert_eq!(kept[0].decisions[0].verdict, Verdict::Fired);
}

#[tokio::test]
async fn the_same_story_told_in_one_batch_or_in_many_ends_the_same() {
    let rules = r#"
        rule("calm", #{
            on: "a.b",
            per: |e| e.id,
            cooldown: "1h",
            when: |e| e.n % 2 == 0,
            then: |e| run("test.grow", #{ pool: e.id }),
        });
        "#;
    let reports: Vec<_> =
        (0..300).map(|n| report("a.b", json!({ "id": format!("p{}", n % 7), "n": n }))).collect();
    let mut ends = Vec::new();
    for size in [1, 7, 300] {
        let story = Story::new(rules);
        for batch in reports.chunks(size) {
            story.world.report(batch.to_vec()).await;
        }
        let kept = story.newest(300).await;
        let word = |one: &Decision| ifso::intake::word(&one.verdict);
        let told: Vec<_> =
            kept.iter().rev().map(|one| one.decisions.first().map_or("silent", word)).collect();
        ends.push((told, story.executions().await.len()));
    }
    assert_eq!(ends[0].1, 7);
    assert_eq!(ends[0], ends[1]);
    assert_eq!(ends[0], ends[2]);
}
