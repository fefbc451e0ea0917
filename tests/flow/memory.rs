//! Rule memory through the store: deadlines without events, and a death in the middle of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ifso::clock::Manual;
use ifso::store::batch::Batch;
use ifso::store::redb::Redb;
use ifso::store::{Error, Handle, Key, Range, Record, Store};
use tokio::sync::watch;

use ifso::intake::{Command, Outcome, Submission};
use ifso::model::rule::Verdict;
use ifso::rules::{FELL_DUE, QUARANTINED};
use ifso::store::tables::Remembered;

use super::*;

impl Story {
    /// Dies, and starts again on what is on disk.
    async fn dies(self) -> Self {
        Self { world: self.world.restart().await, ..self }
    }

    async fn remembered(&self) -> Vec<Remembered> {
        let rows = table::scan::<Remembered>(&self.world.store, Rows::first(1000)).await.unwrap();
        rows.into_iter().map(|held| held.row).collect()
    }

    async fn command(&self, command: Command) {
        let commands = vec![command];
        self.world.door.submit(Submission { commands, ..Submission::default() }).await.unwrap();
    }
}

const HOLD: &str = r#"rule("full", #{ on: "pool.full", when: |e| e.used >= 80, per: |e| e.id, hold: "5m",
    recover: |e| emit("pool.fine", #{ pool: e.id }),
    then: |e, m| run("test.grow", #{ pool: e.id }) });"#;

#[tokio::test]
async fn a_hold_survives_a_death_and_fires_at_its_deadline() {
    let story = Story::new(HOLD);
    let first = story.event("pool.full", json!({"id": "p1", "used": 90})).await;
    assert!(matches!(first.decisions[0].verdict, Verdict::Holding { .. }), "{first:?}");
    story.world.manual.advance(Duration::from_mins(2));
    let story = story.dies().await;
    assert_eq!(story.remembered().await.len(), 1);
    story.world.manual.advance(Duration::from_millis(179_999));
    story.event("pool.full", json!({"id": "p2", "used": 1})).await;
    assert_eq!(story.executions().await.len(), 0);
    story.world.manual.advance(Duration::from_millis(1));
    let kept = story.newest(3).await;
    let due = &kept[0];
    assert_eq!(due.event.trigger.as_str(), FELL_DUE);
    assert_eq!(due.event.time, first.event.accepted.plus(Duration::from_mins(5)));
    assert_eq!(verdicts(due), [("site.full", &Verdict::Fired)]);
    assert_eq!(due.decisions[0].events, [first.event.id]);
    let executions = story.executions().await;
    assert_eq!(executions[0].given["pool"], "p1");
    assert_eq!(due.decisions[0].executions, [executions[0].id]);
    story.event("pool.full", json!({"id": "p1", "used": 10})).await;
    let fine = story.newest(5).await;
    assert_eq!(fine[0].event.trigger.as_str(), "pool.fine");
    assert_eq!(story.remembered().await, [], "nothing is left of it");
}

#[tokio::test]
async fn absence_is_noticed_without_a_first_event() {
    let story = Story::new(
        r#"rule("silent", #{ on: "node.alive", per: |e| e.node, expect: ["n1", "n2"], absent: "1m",
            then: |e, m| run("test.grow", #{ pool: m.key }) });"#,
    );
    story.event("node.alive", json!({"node": "n2"})).await;
    assert_eq!(story.remembered().await.len(), 2, "what it expects is on disk");
    story.world.manual.advance(Duration::from_secs(59));
    story.event("node.alive", json!({"node": "n2"})).await;
    story.world.manual.advance(Duration::from_secs(1));
    let kept = story.newest(3).await;
    assert_eq!(kept[0].decisions[0].key.as_deref(), Some("n1"));
    assert_eq!(story.executions().await.len(), 1);
}

#[tokio::test]
async fn a_storm_is_kept_over_a_death_and_a_person_releases_it() {
    let story = Story::new(
        r#"rule("storm", #{ on: "t.x", budget: #{ count: 2, per: "1m" },
            then: |e| run("test.grow", #{ pool: e.id }) });"#,
    );
    for number in 0..5 {
        story.world.report(vec![report("t.x", json!({"id": number.to_string()}))]).await;
    }
    assert_eq!(story.executions().await.len(), 2);
    assert_eq!(story.count("site.storm", "quarantined").await, 3);
    let kept = story.newest(6).await;
    assert!(kept.iter().any(|kept| kept.event.trigger.as_str() == QUARANTINED));
    let story = story.dies().await;
    story.world.manual.advance(Duration::from_mins(10));
    let rule: ifso::model::reference::Reference = "site.storm".parse().unwrap();
    story.command(Command::Release { rule: rule.clone(), discard: false }).await;
    assert_eq!(story.executions().await.len(), 4, "within its budget");
    story.world.manual.advance(Duration::from_mins(1));
    story.newest(8).await;
    let pools: Vec<_> =
        story.executions().await.iter().map(|one| one.given["pool"].clone()).collect();
    assert_eq!(pools, ["0", "1", "2", "3", "4"]);
    for number in 5..9 {
        story.world.report(vec![report("t.x", json!({"id": number.to_string()}))]).await;
    }
    story.command(Command::Release { rule: rule.clone(), discard: true }).await;
    let count = story.executions().await.len();
    story.world.manual.advance(Duration::from_mins(5));
    story.world.report(vec![report("t.x", json!({"id": "9"}))]).await;
    assert_eq!(story.executions().await.len(), count + 1, "what was kept is gone");
}

#[tokio::test]
async fn what_a_person_wants_forgotten_is_forgotten() {
    let story = Story::new(HOLD);
    for id in ["p1", "p2"] {
        story.event("pool.full", json!({"id": id, "used": 90})).await;
    }
    let rule: ifso::model::reference::Reference = "site.full".parse().unwrap();
    story.command(Command::Forget { rule: rule.clone(), key: Some("p1".to_owned()) }).await;
    assert_eq!(story.remembered().await[0].key, "p2");
    story.command(Command::Forget { rule, key: None }).await;
    assert_eq!(story.remembered().await, []);
}

#[tokio::test]
async fn a_break_in_the_batch_that_began_it_counts() {
    let story = Story::new(HOLD);
    let used = |used: i64| report("pool.full", json!({"id": "p1", "used": used}));
    story.world.report(vec![used(90), used(1), used(90)]).await;
    let kept = story.newest(3).await;
    let words: Vec<_> = kept.iter().map(|kept| kept.decisions[0].verdict.word()).collect();
    assert_eq!(words, ["holding", "broken", "holding"]);
}

#[tokio::test]
async fn more_deadlines_than_one_commit_takes_all_come_before_the_next_event() {
    let story = Story::new(&HOLD.replace("run(\"test.grow\", #{ pool: e.id })", "log(e.id)"));
    let full = |number: usize| report("pool.full", json!({"id": format!("p{number}"), "used": 90}));
    for first in (0..5_000).step_by(1_000) {
        story.world.report((first..first + 1_000).map(full).collect()).await;
    }
    story.world.manual.advance(Duration::from_mins(10));
    let fine = report("pool.full", json!({"id": "p4999", "used": 1}));
    let Outcome::Accepted(id) = story.world.report(vec![fine]).await.remove(0) else {
        panic!("it is new")
    };
    let kept = history::find(&story.world.store, id).await.unwrap().unwrap();
    assert_eq!(verdicts(&kept), [("site.full", &Verdict::Recovered)]);
    assert_eq!(story.count("site.full", "fired").await, 5_000);
}

#[tokio::test]
async fn deadlines_fall_due_after_a_start_without_any_event() {
    let story = Story::new(HOLD);
    story.event("pool.full", json!({"id": "p1", "used": 90})).await;
    let manual = story.world.manual.clone();
    let story = story.dies().await;
    manual.advance(Duration::from_mins(5));
    let due = &story.newest(2).await[0];
    assert_eq!(verdicts(due), [("site.full", &Verdict::Fired)]);
}

#[tokio::test]
async fn what_waits_for_a_rate_keeps_to_it_after_an_outage() {
    let story = Story::new(
        r#"rule("queue", #{ on: "t.x", limit: #{ count: 1, per: "1m", over: "queue" },
            then: |e| run("test.grow", #{ pool: e.id }) });"#,
    );
    for number in 0..4 {
        story.world.report(vec![report("t.x", json!({"id": number.to_string()}))]).await;
    }
    let manual = story.world.manual.clone();
    let world = story.world.restart_after(Duration::from_hours(1)).await;
    let story = Story { world, ..story };
    let due = story.newest(5).await.remove(0);
    assert_eq!(story.executions().await.len(), 2, "one, and not all at once");
    assert_eq!(due.event.accepted, ifso::clock::Watch::now(&manual), "now, not when it was due");
    manual.advance(Duration::from_mins(1));
    story.newest(6).await;
    manual.advance(Duration::from_mins(1));
    story.newest(7).await;
    assert_eq!(story.executions().await.len(), 4);
}

/// A store that writes and then says that it could not, as a disk may.
struct Lying {
    store: Handle,
    lies: AtomicBool,
}

#[async_trait]
impl Store for Lying {
    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        self.store.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, Error> {
        self.store.get_many(keys).await
    }

    async fn scan(&self, range: &Range) -> Result<Vec<(Vec<u8>, Record)>, Error> {
        self.store.scan(range).await
    }

    async fn commit(&self, batch: Batch) -> Result<u64, Error> {
        let committed = self.store.commit(batch).await;
        if self.lies.swap(false, Ordering::Relaxed) { Err(Error::Closed) } else { committed }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }
}

#[tokio::test]
async fn memory_is_what_is_on_disk_after_a_commit_that_nobody_knows_of() {
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        "rules/site.rhai",
        &HOLD.replace("run(\"test.grow\", #{ pool: e.id })", "log(e.id)"),
    );
    let store: Handle = Arc::new(Redb::in_memory().unwrap());
    let lying = Arc::new(Lying { store: store.clone(), lies: AtomicBool::new(false) });
    let manual = Manual::at("2026-03-01T00:00:00Z".parse().unwrap());
    let world = World::on(lying.clone(), load(home.path()), manual);
    let used = |used: i64| report("pool.full", json!({"id": "p1", "used": used}));
    // Its own first commits are past.
    world.report(vec![used(1)]).await;
    lying.lies.store(true, Ordering::Relaxed);
    let reports = vec![used(90)];
    let refused = world.door.submit(Submission { reports, ..Submission::default() }).await;
    assert!(refused.is_err(), "its sender is told, though it is on disk");
    world.manual.advance(Duration::from_mins(1));
    let Outcome::Accepted(id) = world.report(vec![used(5)]).await.remove(0) else {
        panic!("it is new")
    };
    let kept = history::find(&store, id).await.unwrap().unwrap();
    assert_eq!(kept.decisions[0].verdict.word(), "broken", "the hold had begun: {kept:?}");
}

#[tokio::test]
async fn what_is_expected_is_expected_again_after_it_was_forgotten() {
    let story = Story::new(
        r#"rule("silent", #{ on: "node.alive", per: |e| e.node, expect: ["n1"], absent: "1m",
            then: |e, m| run("test.grow", #{ pool: m.key }) });"#,
    );
    story.event("node.alive", json!({"node": "n1"})).await;
    let rule = "site.silent".parse().unwrap();
    story.command(Command::Forget { rule, key: Some("n1".to_owned()) }).await;
    assert_eq!(story.remembered().await.len(), 1, "its switch is armed");
    story.world.manual.advance(Duration::from_mins(1));
    story.newest(2).await;
    assert_eq!(story.executions().await.len(), 1);
}
