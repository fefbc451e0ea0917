//! What every backend has to do: one list, run over each of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ifso::model::id::RecordId;
use ifso::model::time::Time;
use ifso::store::batch::{Batch, Expectation};
use ifso::store::redb::{Redb, Settings};
use ifso::store::table::{self, Row, Rows};
use ifso::store::tables::Work;
use ifso::store::{Error, Handle, Key, Order, Range, queue};
use serde::{Deserialize, Serialize};

/// Runs the whole list on a backend; `$open` gives an empty store.
macro_rules! contract {
    ($backend:ident, $open:expr, [$($case:ident),* $(,)?]) => {
        mod $backend {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (_home, store): (_, Handle) = $open;
                    super::$case(&store).await;
                }
            )*
        }
    };
}

macro_rules! contracts {
    ($cases:tt) => {
        contract!(in_memory, ((), Arc::new(Redb::in_memory().unwrap())), $cases);
        contract!(
            in_a_file,
            {
                let home = tempfile::tempdir().unwrap();
                let path = home.path().join("store.redb");
                (home, Arc::new(Redb::open(&path, Settings::default()).unwrap()))
            },
            $cases
        );
    };
}

contracts!([
    what_was_written_is_read,
    get_many_answers_in_the_order_asked,
    scans_keep_order_prefix_after_and_limit,
    a_conflict_writes_nothing,
    an_expectation_alone_holds_or_conflicts,
    revisions_only_grow,
    removing_leaves_nothing,
    commits_at_once_are_in_the_order_of_their_revisions,
    concurrent_increments_lose_nothing,
    changes_wake_whoever_waits,
    large_values_come_back_whole,
    a_row_is_found_by_its_index_until_it_changes,
    index_values_that_begin_alike_stay_apart,
    replacing_under_another_key_moves_the_row,
    tickets_come_in_order_of_their_time,
    a_ticket_is_taken_once,
    a_lease_that_ran_out_gives_the_ticket_back,
    a_ticket_that_is_done_is_gone,
]);

fn key(bytes: impl Into<Vec<u8>>) -> Key {
    Key { table: "meta", bytes: bytes.into() }
}

async fn put(store: &Handle, bytes: &[u8], content: &[u8]) -> u64 {
    let mut batch = Batch::new();
    batch.put(key(bytes), content.to_vec());
    store.commit(batch).await.unwrap()
}

async fn what_was_written_is_read(store: &Handle) {
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
    let revision = put(store, b"a", b"one").await;
    let record = store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!((record.revision, record.bytes.as_slice()), (revision, b"one".as_slice()));
    let second = put(store, b"a", b"").await;
    let record = store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!((record.revision, record.bytes.as_slice()), (second, b"".as_slice()));
}

async fn get_many_answers_in_the_order_asked(store: &Handle) {
    put(store, b"a", b"1").await;
    put(store, b"c", b"3").await;
    let found = store.get_many(&[key("c"), key("b"), key("a"), key("c")]).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|record| record.map(|record| record.bytes)).collect();
    assert_eq!(found, [Some(b"3".to_vec()), None, Some(b"1".to_vec()), Some(b"3".to_vec())]);
    let many: Vec<Key> = (0..500u16).map(|n| key(n.to_be_bytes())).collect();
    assert_eq!(store.get_many(&many).await.unwrap().len(), 500);
}

async fn scans_keep_order_prefix_after_and_limit(store: &Handle) {
    let mut batch = Batch::new();
    let all: BTreeSet<Vec<u8>> = [
        &b"a"[..],
        b"ab",
        b"ab\0",
        b"abc",
        b"ab\xff",
        b"ab\xff\xff",
        b"ac",
        b"b",
        b"\xff",
        b"\xff\xff",
    ]
    .into_iter()
    .map(<[u8]>::to_vec)
    .collect();
    for bytes in &all {
        batch.put(key(bytes.clone()), bytes.clone());
        // The same keys elsewhere: a scan stays in its table.
        batch.put(Key { table: "positions", bytes: bytes.clone() }, Vec::new());
    }
    store.commit(batch).await.unwrap();
    let nothing: Vec<u8> = Vec::new();
    let mut spots: Vec<Vec<u8>> = all.iter().cloned().collect();
    spots.extend([nothing, b"aa".to_vec(), b"abb".to_vec(), b"zz".to_vec(), vec![255; 3]]);
    for prefix in &spots {
        for after in spots.iter().cloned().map(Some).chain([None]) {
            for (order, limit) in [
                (Order::Up, 100),
                (Order::Down, 100),
                (Order::Up, 2),
                (Order::Down, 2),
                (Order::Up, 0),
            ] {
                let mut expected: Vec<Vec<u8>> =
                    all.iter().filter(|bytes| bytes.starts_with(prefix)).cloned().collect();
                if order == Order::Down {
                    expected.reverse();
                }
                expected.retain(|bytes| match (&after, order) {
                    (None, _) => true,
                    (Some(after), Order::Up) => bytes > after,
                    (Some(after), Order::Down) => bytes < after,
                });
                expected.truncate(limit);
                let range = Range {
                    table: "meta",
                    prefix: prefix.clone(),
                    after: after.clone(),
                    order,
                    limit,
                };
                let found = store.scan(&range).await.unwrap();
                let found: Vec<Vec<u8>> = found.into_iter().map(|(bytes, _)| bytes).collect();
                assert_eq!(found, expected, "{range:?}");
            }
        }
    }
}

async fn a_conflict_writes_nothing(store: &Handle) {
    let first = put(store, b"a", b"1").await;
    for wrong in [Expectation::Absent, Expectation::At(first + 1), Expectation::At(0)] {
        let mut batch = Batch::new();
        batch.put(key("new"), b"x".to_vec());
        batch.put(key("a"), b"2".to_vec());
        batch.expect(key("a"), wrong);
        let refused = store.commit(batch).await;
        assert!(
            matches!(&refused, Err(Error::Conflict { table: "meta", key }) if key == "61"),
            "{refused:?}"
        );
    }
    assert_eq!(store.get(&key("a")).await.unwrap().unwrap().revision, first);
    assert_eq!(store.get(&key("new")).await.unwrap(), None);
    let mut batch = Batch::new();
    batch.put(key("a"), b"2".to_vec());
    batch.expect(key("a"), Expectation::At(first));
    batch.expect(key("new"), Expectation::Absent);
    assert!(store.commit(batch).await.unwrap() > first);
}

async fn an_expectation_alone_holds_or_conflicts(store: &Handle) {
    let revision = put(store, b"a", b"1").await;
    let mut batch = Batch::new();
    batch.expect(key("a"), Expectation::At(revision));
    store.commit(batch).await.unwrap();
    let mut batch = Batch::new();
    batch.expect(key("absent"), Expectation::At(revision));
    assert!(matches!(store.commit(batch).await, Err(Error::Conflict { .. })));
}

async fn revisions_only_grow(store: &Handle) {
    let mut last = 0;
    for round in 0..20u8 {
        let mut batch = Batch::new();
        if round % 3 == 0 {
            batch.remove(key("a"));
        } else {
            batch.put(key("a"), vec![round]);
        }
        let revision = store.commit(batch).await.unwrap();
        assert!(revision > last, "{revision} after {last}");
        last = revision;
    }
}

async fn removing_leaves_nothing(store: &Handle) {
    put(store, b"a", b"1").await;
    let mut batch = Batch::new();
    batch.remove(key("a"));
    batch.remove(key("never there"));
    store.commit(batch).await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
    let mut batch = Batch::new();
    batch.expect(key("a"), Expectation::Absent);
    batch.put(key("a"), b"2".to_vec());
    store.commit(batch).await.unwrap();
}

async fn commits_at_once_are_in_the_order_of_their_revisions(store: &Handle) {
    let commits = (0..200u8).map(|number| async move {
        let mut batch = Batch::new();
        batch.put(key("same"), vec![number]);
        batch.put(key([number]), vec![number]);
        (store.commit(batch).await.unwrap(), number)
    });
    let mut written = futures_util::future::join_all(commits).await;
    written.sort_unstable();
    assert!(written.windows(2).all(|pair| pair[0].0 < pair[1].0), "a revision was given twice");
    let (revision, number) = written[written.len() - 1];
    let same = store.get(&key("same")).await.unwrap().unwrap();
    assert_eq!((same.revision, same.bytes), (revision, vec![number]));
    for (revision, number) in written {
        assert_eq!(store.get(&key([number])).await.unwrap().unwrap().revision, revision);
    }
}

async fn concurrent_increments_lose_nothing(store: &Handle) {
    const ADDERS: u64 = 8;
    const EACH: u64 = 25;
    let add = |store: Handle| async move {
        for _ in 0..EACH {
            loop {
                let found = store.get(&key("sum")).await.unwrap();
                let sum = found.as_ref().map_or(0, |record| {
                    u64::from_be_bytes(record.bytes.as_slice().try_into().unwrap())
                });
                let expected =
                    found.map_or(Expectation::Absent, |record| Expectation::At(record.revision));
                let mut batch = Batch::new();
                batch.expect(key("sum"), expected);
                batch.put(key("sum"), (sum + 1).to_be_bytes().to_vec());
                match store.commit(batch).await {
                    Ok(_) => break,
                    Err(Error::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    futures_util::future::join_all((0..ADDERS).map(|_| add(store.clone()))).await;
    let sum = store.get(&key("sum")).await.unwrap().unwrap();
    assert_eq!(sum.bytes, (ADDERS * EACH).to_be_bytes());
}

async fn changes_wake_whoever_waits(store: &Handle) {
    let mut changes = store.changes();
    changes.borrow_and_update();
    let wait = async {
        tokio::time::timeout(Duration::from_secs(10), changes.changed()).await.unwrap().unwrap();
        *changes.borrow_and_update()
    };
    let (seen, written) = tokio::join!(wait, put(store, b"a", b"1"));
    assert_eq!(seen, written);
    // Whoever has the answer finds the commit there.
    for round in 0..50 {
        let written = put(store, b"a", &[round]).await;
        assert!(*changes.borrow_and_update() >= written);
    }
}

async fn large_values_come_back_whole(store: &Handle) {
    let large: Vec<u8> = (0..1u32 << 20).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    put(store, b"large", &large).await;
    assert_eq!(store.get(&key("large")).await.unwrap().unwrap().bytes, large);
    assert_eq!(
        put(store, b"large", b"small").await,
        store.get(&key("large")).await.unwrap().unwrap().revision
    );
}

/// A row with two index entries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pool {
    name: String,
    state: String,
}

impl Row for Pool {
    const TABLE: &'static str = "executions";
    const INDEX: &'static str = "executions_index";

    fn key(&self) -> Vec<u8> {
        self.name.clone().into_bytes()
    }

    fn entries(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![("state", self.state.clone().into_bytes()), ("name", self.key())]
    }
}

fn pool(name: &str, state: &str) -> Pool {
    Pool { name: name.to_owned(), state: state.to_owned() }
}

async fn names(store: &Handle, state: &str, rows: Rows) -> Vec<String> {
    let found = table::find::<Pool>(store, "state", state.as_bytes(), rows).await.unwrap();
    found.into_iter().map(|held| held.row.name).collect()
}

async fn a_row_is_found_by_its_index_until_it_changes(store: &Handle) {
    let mut batch = Batch::new();
    for name in ["p1", "p2", "p3", "q1"] {
        table::create(&mut batch, &pool(name, "full"));
    }
    store.commit(batch).await.unwrap();
    assert_eq!(names(store, "full", Rows::first(10)).await, ["p1", "p2", "p3", "q1"]);
    assert_eq!(names(store, "full", Rows::last(2)).await, ["q1", "p3"]);
    assert_eq!(names(store, "full", Rows::first(10).under("p")).await, ["p1", "p2", "p3"]);
    let beyond = Rows::first(1).after(Some(b"p1".to_vec()));
    assert_eq!(names(store, "full", beyond).await, ["p2"]);

    let held = table::get::<Pool>(store, b"p2".to_vec()).await.unwrap().unwrap();
    let mut batch = Batch::new();
    table::replace(&mut batch, &held, &pool("p2", "empty"));
    store.commit(batch.clone()).await.unwrap();
    assert_eq!(names(store, "full", Rows::first(10)).await, ["p1", "p3", "q1"]);
    assert_eq!(names(store, "empty", Rows::first(10)).await, ["p2"]);
    assert!(matches!(store.commit(batch).await, Err(Error::Conflict { .. })));

    let held = table::get::<Pool>(store, b"p1".to_vec()).await.unwrap().unwrap();
    let mut batch = Batch::new();
    table::remove(&mut batch, &held);
    store.commit(batch).await.unwrap();
    assert_eq!(names(store, "full", Rows::first(10)).await, ["p3", "q1"]);

    let mut batch = Batch::new();
    table::create(&mut batch, &pool("p3", "full"));
    assert!(matches!(store.commit(batch).await, Err(Error::Conflict { .. })));
}

async fn index_values_that_begin_alike_stay_apart(store: &Handle) {
    let mut batch = Batch::new();
    table::create(&mut batch, &pool("b", "a"));
    table::create(&mut batch, &pool("c", "ab"));
    table::create(&mut batch, &pool("d", ""));
    store.commit(batch).await.unwrap();
    assert_eq!(names(store, "a", Rows::first(10)).await, ["b"]);
    assert_eq!(names(store, "ab", Rows::first(10)).await, ["c"]);
    assert_eq!(names(store, "", Rows::first(10)).await, ["d"]);
}

async fn replacing_under_another_key_moves_the_row(store: &Handle) {
    let mut batch = Batch::new();
    table::create(&mut batch, &pool("old", "full"));
    store.commit(batch).await.unwrap();
    let held = table::get::<Pool>(store, b"old".to_vec()).await.unwrap().unwrap();
    let mut batch = Batch::new();
    table::replace(&mut batch, &held, &pool("new", "full"));
    store.commit(batch).await.unwrap();
    assert_eq!(names(store, "full", Rows::first(10)).await, ["new"]);
    let all = table::scan::<Pool>(store, Rows::first(10)).await.unwrap();
    assert_eq!(all.len(), 1);
}

const QUEUE: &str = "q";

fn at(millis: i64) -> Time {
    Time::from_millis(millis)
}

fn id(number: u128) -> RecordId {
    RecordId::from_bits(number)
}

async fn push(store: &Handle, queue: &str, due: i64, number: u128) {
    let mut batch = Batch::new();
    let work = Work::Dispatch(ifso::model::id::ExecutionId::from_bits(number));
    queue::push(&mut batch, queue, at(due), id(number), work);
    store.commit(batch).await.unwrap();
}

async fn due(store: &Handle, now: i64) -> Vec<u128> {
    let found = queue::due(store, QUEUE, at(now), 10).await.unwrap();
    found.iter().map(|held| u128::from_be_bytes(held.row.id.to_bytes())).collect()
}

async fn tickets_come_in_order_of_their_time(store: &Handle) {
    assert_eq!(queue::next_due(store, QUEUE).await.unwrap(), None);
    for (due, number) in [(30, 1), (10, 2), (-5, 3), (20, 4), (10, 1)] {
        push(store, QUEUE, due, number).await;
    }
    // Queues whose names begin alike are apart.
    push(store, "qq", 0, 9).await;
    assert_eq!(due(store, 20).await, [3, 1, 2, 4]);
    assert_eq!(due(store, -6).await, [0u128; 0]);
    assert_eq!(queue::next_due(store, QUEUE).await.unwrap(), Some(at(-5)));
}

async fn a_ticket_is_taken_once(store: &Handle) {
    push(store, QUEUE, 10, 1).await;
    let seen = queue::due(store, QUEUE, at(10), 10).await.unwrap().remove(0);
    let takers = (0..8).map(|taker| {
        let (store, seen) = (store.clone(), seen.clone());
        async move {
            let mut batch = Batch::new();
            let taken = queue::take(&mut batch, &seen, &format!("worker {taker}"), at(100 + taker));
            store.commit(batch).await.map(|_| taken)
        }
    });
    let taken = futures_util::future::join_all(takers).await;
    let won: Vec<_> = taken.iter().filter_map(|taken| taken.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{taken:?}");
    let left = table::scan::<queue::Ticket>(store, Rows::first(10)).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(&left[0].row, won[0]);
}

async fn a_lease_that_ran_out_gives_the_ticket_back(store: &Handle) {
    push(store, QUEUE, 10, 1).await;
    let seen = queue::due(store, QUEUE, at(10), 1).await.unwrap().remove(0);
    let mut batch = Batch::new();
    let row = queue::take(&mut batch, &seen, "first", at(100));
    let revision = store.commit(batch).await.unwrap();
    let first = table::Held { row, revision };
    assert_eq!(due(store, 99).await, [0u128; 0]);
    assert_eq!(due(store, 100).await, [1]);
    let again = queue::due(store, QUEUE, at(100), 1).await.unwrap().remove(0);
    let mut batch = Batch::new();
    queue::take(&mut batch, &again, "second", at(200));
    store.commit(batch).await.unwrap();
    // The first comes late: its work is not counted.
    let mut batch = Batch::new();
    queue::done(&mut batch, &first);
    assert!(matches!(store.commit(batch).await, Err(Error::Conflict { .. })));
}

async fn a_ticket_that_is_done_is_gone(store: &Handle) {
    push(store, QUEUE, 10, 1).await;
    let seen = queue::due(store, QUEUE, at(10), 1).await.unwrap().remove(0);
    let mut batch = Batch::new();
    // A lease that ends at the very time the ticket was due keeps its key.
    let row = queue::take(&mut batch, &seen, "me", at(10));
    let revision = store.commit(batch).await.unwrap();
    let mut batch = Batch::new();
    let row = queue::postpone(&mut batch, &table::Held { row, revision }, at(50), None);
    let revision = store.commit(batch).await.unwrap();
    assert_eq!((row.due, row.owner.as_deref()), (at(50), None));
    let mut batch = Batch::new();
    queue::done(&mut batch, &table::Held { row, revision });
    store.commit(batch).await.unwrap();
    assert_eq!(queue::next_due(store, QUEUE).await.unwrap(), None);
}
