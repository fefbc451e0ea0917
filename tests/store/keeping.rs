//! Forgetting in time: retention.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ifso::clock::{Ids, Manual};
use ifso::model::action::Action;
use ifso::model::cause::Cause;
use ifso::model::execution::{Execution, Status};
use ifso::model::id::{EventId, ExecutionId};
use ifso::model::key::KeyValue;
use ifso::model::time::Time;
use ifso::store::batch::Batch;
use ifso::store::redb::Redb;
use ifso::store::retention::{Settings, sweep};
use ifso::store::table::{self, Row, Rows};
use ifso::store::tables::{DeadLetter, Output, Progress, Seen};
use ifso::store::{Handle, Key, Order, Range};
use serde_json::{Map, Value, json};

const DAY: Duration = Duration::from_hours(24);

/// An execution that was accepted at the time of `ids` and stands at `status`.
pub(super) fn execution(id: ExecutionId, status: Status) -> Execution {
    let created = Time::from_millis(id.minted_millis());
    Execution {
        id,
        action: Arc::new(action()),
        secret: false,
        given: Map::new(),
        cause: Cause::User("ada".to_owned()),
        hops: 0,
        parent: None,
        part: None,
        user: "ada".to_owned(),
        status,
        attempt: 1,
        begun: false,
        turn: None,
        holds: BTreeMap::new(),
        timeout_ms: None,
        created,
        started: Some(created),
        ended: status.is_done().then_some(created),
        result: Value::Null,
        reason: None,
        log: Vec::new(),
        context: Map::new(),
        links: Vec::new(),
    }
}

fn action() -> Action {
    Action {
        reference: "core.noop".parse().unwrap(),
        description: String::new(),
        enabled: true,
        runner: "noop".to_owned(),
        runner_type: "noop".to_owned(),
        entry_point: None,
        folder: "packs/core".into(),
        parameters: ifso::model::parameter::Parameters::default(),
        output_schema: Arc::new(Value::Null),
        delivery: ifso::model::policy::Delivery::AtMostOnce,
        timeout: None,
        retry: None,
        pause: ifso::model::action::Pause::Never,
        tags: Vec::new(),
        notify: Value::Null,
        version: "1".into(),
        workflow: None,
        file: "packs/core/actions/noop.yaml".into(),
    }
}

#[test]
fn whatever_a_rule_decides_is_read_as_it_was_written() {
    use ifso::model::rule::Verdict;
    for verdict in [
        Verdict::Fired,
        Verdict::Cooling { until: Time::from_millis(7) },
        Verdict::LoopStopped { hops: 17 },
        Verdict::Error { message: "no".to_owned(), line: Some(3), column: None },
    ] {
        let packed = rmp_serde::to_vec_named(&verdict).unwrap();
        assert_eq!(rmp_serde::from_slice::<Verdict>(&packed).unwrap(), verdict);
    }
}

async fn put<R: Row>(store: &Handle, row: &R) {
    let mut batch = Batch::new();
    table::create(&mut batch, row);
    store.commit(batch).await.unwrap();
}

async fn rows(store: &Handle, table: &'static str) -> usize {
    let range =
        Range { table, prefix: Vec::new(), after: None, order: Order::Up, limit: usize::MAX };
    store.scan(&range).await.unwrap().len()
}

fn output(execution: ExecutionId, number: u32) -> Output {
    let text = "line\n".to_owned();
    let (attempt, stream, at) = (1, "stdout".to_owned(), Time::from_millis(0));
    Output { execution, number, attempt, stream, at, text }
}

fn progress(execution: ExecutionId) -> Progress {
    let at = Time::from_millis(0);
    Progress { execution, attempt: 1, progress: 0.5, message: None, at }
}

#[tokio::test]
async fn a_sweep_forgets_what_is_old_and_over_and_nothing_else() {
    let store: Handle = Arc::new(Redb::in_memory().unwrap());
    let manual = Manual::at(Time::from_millis(1_700_000_000_000));
    let ids = Ids::new(manual.clock());
    let mut old_running = Vec::new();
    // 40 days of life: each day ten executions, one of which never ends.
    for day in 0..40 {
        for number in 0..10 {
            let id = ids.execution();
            let status = if number == 0 { Status::Running } else { Status::Succeeded };
            put(&store, &execution(id, status)).await;
            put(&store, &output(id, 0)).await;
            put(&store, &output(id, 1)).await;
            put(&store, &progress(id)).await;
            if number == 0 && day < 10 {
                old_running.push(id);
            }
        }
        let at = manual.clock().now();
        let id = ids.record();
        put(&store, &Seen { once: format!("once {day}"), event: ids.event(), at }).await;
        put(
            &store,
            &DeadLetter {
                id,
                sensor: "s".to_owned(),
                from: "f".to_owned(),
                reason: "r".to_owned(),
                content: "c".to_owned(),
                at,
            },
        )
        .await;
        let mut batch = Batch::new();
        batch.put(Key { table: "blocks", bytes: ids.event().to_bytes().to_vec() }, vec![1]);
        store.commit(batch).await.unwrap();
        put(
            &store,
            &KeyValue {
                name: format!("key {day}"),
                scope: "st2kv.system".to_owned(),
                value: json!(1),
                secret: false,
                updated: at,
                expires: (day % 2 == 0).then(|| at.plus(Duration::from_hours(1))),
            },
        )
        .await;
        manual.advance(DAY);
    }
    let now = manual.clock().now();
    let counts = sweep(&store, now, &Settings::default()).await.unwrap();
    // What was made on day 0 is 40 days old, on day 39 one day; what is exactly as old as the limit stays.
    let expected = [
        ("blocks", 33),
        ("dead_letters", 10),
        ("executions", 90),
        ("keys", 20),
        ("outputs", 180),
        ("progress", 90),
        ("seen", 39),
    ];
    assert_eq!(counts.forgotten, BTreeMap::from(expected));
    assert_eq!(rows(&store, "executions").await, 310);
    assert_eq!(rows(&store, "executions_index").await, 620, "status and action of each");
    assert_eq!(rows(&store, "outputs").await, 620);
    for id in old_running {
        assert!(table::get::<Execution>(&store, id.to_bytes().to_vec()).await.unwrap().is_some());
    }
    let again = sweep(&store, now, &Settings::default()).await.unwrap();
    assert_eq!(again.forgotten, BTreeMap::new());
}

#[tokio::test]
async fn output_may_go_before_its_execution_and_goes_when_it_is_gone() {
    let store: Handle = Arc::new(Redb::in_memory().unwrap());
    let manual = Manual::at(Time::from_millis(1_700_000_000_000));
    let ids = Ids::new(manual.clock());
    let [done, running, orphan] = [ids.execution(), ids.execution(), ids.execution()];
    put(&store, &execution(done, Status::Failed)).await;
    put(&store, &execution(running, Status::Running)).await;
    for id in [done, running, orphan] {
        // More than one step of the sweep.
        let mut batch = Batch::new();
        for number in 0..600 {
            table::create(&mut batch, &output(id, number));
        }
        store.commit(batch).await.unwrap();
    }
    let keep = BTreeMap::from([("outputs".to_owned(), DAY)]);
    let now = manual.clock().now().plus(2 * DAY);
    let counts = sweep(&store, now, &Settings { keep, ..Settings::default() }).await.unwrap();
    assert_eq!(counts.forgotten, BTreeMap::from([("outputs", 1200)]));
    let left = table::scan::<Output>(&store, Rows::first(1)).await.unwrap();
    assert_eq!(left[0].row.execution, running);
    assert_eq!(rows(&store, "executions").await, 2);
}

#[tokio::test]
async fn of_kept_events_the_oldest_beyond_a_size_go() {
    let store: Handle = Arc::new(Redb::in_memory().unwrap());
    let now: Time = "2026-03-01T00:00:00Z".parse().unwrap();
    let mut batch = Batch::new();
    for number in 0..1_000u128 {
        let ms = u128::try_from(now.millis()).unwrap() - 1_000 + number;
        let bytes = EventId::from_bits(ms << 80).to_bytes().to_vec();
        batch.put(Key { table: "blocks", bytes }, vec![7; 84]);
    }
    store.commit(batch).await.unwrap();
    let settings = Settings { events_bytes: Some(30_000), ..Settings::default() };
    let counts = sweep(&store, now, &settings).await.unwrap();
    assert_eq!(counts.forgotten["blocks"], 700, "each has 100 bytes with its key");
    let again = sweep(&store, now, &settings).await.unwrap();
    assert!(again.forgotten.is_empty(), "{again:?}");
}
