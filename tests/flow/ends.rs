//! Rules that wait for what they started, through the store.

use std::time::Duration;

use ifso::store::tables::Remembered;

use super::*;

impl Story {
    /// Waits until what the rules remember is so.
    async fn remembers(&self, so: impl Fn(&[Remembered]) -> bool) {
        let mut changes = self.world.store.changes();
        let settled = async {
            loop {
                changes.mark_unchanged();
                let rows = table::scan::<Remembered>(&self.world.store, Rows::first(100)).await;
                let rows: Vec<_> = rows.unwrap().into_iter().map(|held| held.row).collect();
                if so(&rows) {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        patient(settled).await.expect("rules hear of ends");
    }

    async fn verdict(&self, data: Value) -> Verdict {
        let kept = self.event("pool.full", data).await;
        kept.decisions.first().map_or(Verdict::NotMatched, |one| one.verdict.clone())
    }
}

fn exclusive(run: &str) -> Story {
    Story::new(&format!(
        "rule(\"grow\", #{{ on: \"pool.full\", per: |e| e.id, exclusive: true, then: |e| {run} }});"
    ))
}

fn full() -> Value {
    json!({ "id": "p1" })
}

#[tokio::test]
async fn an_exclusive_rule_waits_for_its_execution_and_names_it() {
    let story = exclusive("run(\"test.grow\", #{ pool: e.id })");
    story.world.hands.hold();
    assert_eq!(story.verdict(full()).await, Verdict::Fired);
    let made = story.executions().await[0].id;
    let Verdict::Busy { execution, .. } = story.verdict(full()).await else { panic!("not busy") };
    assert_eq!(execution, Some(made));
    story.world.hands.began().await;
    story.world.hands.go_on();
    story.world.reaches(made, Status::Succeeded).await;
    story.remembers(<[_]>::is_empty).await;
    assert_eq!(story.verdict(full()).await, Verdict::Fired);
}

#[tokio::test]
async fn what_cannot_be_started_is_over_at_once() {
    // `pool` has to be a text.
    let story = exclusive("run(\"test.grow\", #{ pool: e.number })");
    assert_eq!(story.verdict(json!({ "id": "p1", "number": 5 })).await, Verdict::Fired);
    assert_eq!(story.executions().await[0].status, Status::Failed);
    story.remembers(<[_]>::is_empty).await;
    assert_eq!(story.verdict(full()).await, Verdict::Fired);
}

#[tokio::test]
async fn what_is_canceled_before_it_begins_is_over() {
    let story = exclusive("run(\"test.grow\", #{ pool: e.id }, #{ delay: \"1h\" })");
    assert_eq!(story.verdict(full()).await, Verdict::Fired);
    let made = story.executions().await[0].id;
    assert!(matches!(story.verdict(full()).await, Verdict::Busy { .. }));
    story.world.executions.cancel(made, "ann").await.unwrap();
    story.world.reaches(made, Status::Canceled).await;
    story.remembers(<[_]>::is_empty).await;
    assert_eq!(story.verdict(full()).await, Verdict::Fired);
}

#[tokio::test]
async fn a_cool_down_counts_from_the_end_of_the_execution() {
    let story = Story::new(
        "rule(\"grow\", #{ on: \"pool.full\", per: |e| e.id, exclusive: true,
            cooldown: #{ span: \"10s\", after: |x| x.status == \"succeeded\" && x.result.attempt == 1 },
            then: |e| run(\"test.grow\", #{ pool: e.id }) });",
    );
    story.world.hands.hold();
    assert_eq!(story.verdict(full()).await, Verdict::Fired);
    let made = story.executions().await[0].id;
    story.world.hands.began().await;
    story.world.manual.advance(Duration::from_mins(1));
    story.world.hands.go_on();
    let done = story.world.reaches(made, Status::Succeeded).await;
    story.remembers(|rows| rows.iter().any(|row| row.memory.fired.is_some())).await;
    let story = Story { world: story.world.restart().await, ..story };
    story.world.manual.advance(Duration::from_millis(9_999));
    let until = done.ended.unwrap().plus(Duration::from_secs(10));
    assert_eq!(story.verdict(full()).await, Verdict::Cooling { until });
    story.world.manual.advance(Duration::from_millis(1));
    assert_eq!(story.verdict(full()).await, Verdict::Fired);
}
