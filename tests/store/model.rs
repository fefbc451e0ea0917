//! Properties: any history of a store is that of a map, and any bytes are read without harm.

use std::collections::BTreeMap;
use std::sync::Arc;

use ifso::model::execution::Status;
use ifso::model::id::ExecutionId;
use ifso::store::batch::{Batch, Expectation};
use ifso::store::redb::{Memory, Redb, Settings};
use ifso::store::{Error, Handle, Key, Order, Range, table};
use proptest::collection::vec;
use proptest::prelude::*;

use super::decode::read_as_everything;
use super::keeping::execution;

/// One step of a history. Keys are few, so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<(u8, Option<u8>)>, Vec<(u8, Expect)>),
    Scan { prefix: Option<u8>, after: Option<u8>, down: bool, limit: usize },
    Reopen,
}

#[derive(Debug, Clone)]
enum Expect {
    Absent,
    AsItIs,
    AtNever,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..9u8;
    let expect = prop_oneof![
        3 => Just(Expect::AsItIs),
        1 => Just(Expect::Absent),
        1 => Just(Expect::AtNever)
    ];
    let writes = vec((key.clone(), any::<Option<u8>>()), 0..5);
    let expectations = vec((key.clone(), expect), 0..2);
    prop_oneof![
        6 => (writes, expectations).prop_map(|(writes, expect)| Step::Commit(writes, expect)),
        3 => (proptest::option::of(0..3u8), proptest::option::of(key), any::<bool>(), 0..6usize)
            .prop_map(|(prefix, after, down, limit)| Step::Scan { prefix, after, down, limit }),
        1 => Just(Step::Reopen),
    ]
}

/// Keys `[n / 3, n % 3]`, so that three share a prefix.
fn bytes(number: u8) -> Vec<u8> {
    vec![number / 3, number % 3]
}

fn key(number: u8) -> Key {
    Key { table: "keys", bytes: bytes(number) }
}

type Map = BTreeMap<Vec<u8>, (u64, u8)>;

async fn commit(
    store: &Handle,
    map: &mut Map,
    writes: &[(u8, Option<u8>)],
    expectations: &[(u8, Expect)],
) {
    let mut batch = Batch::new();
    for (number, expect) in expectations {
        let now = map.get(&bytes(*number)).map(|(revision, _)| *revision);
        let expect = match expect {
            Expect::Absent => Expectation::Absent,
            Expect::AsItIs => now.map_or(Expectation::Absent, Expectation::At),
            Expect::AtNever => Expectation::At(u64::MAX),
        };
        batch.expect(key(*number), expect);
    }
    for (number, value) in writes {
        match value {
            Some(value) => batch.put(key(*number), vec![*value]),
            None => batch.remove(key(*number)),
        }
    }
    let holds = batch.expectations.iter().all(|(key, expect)| {
        let now = map.get(&key.bytes).map(|(revision, _)| *revision);
        *expect == now.map_or(Expectation::Absent, Expectation::At)
    });
    let writes = batch.writes.clone();
    match store.commit(batch).await {
        Ok(revision) => {
            assert!(holds, "a conflict was not seen");
            for (key, content) in writes {
                match content {
                    Some(content) => map.insert(key.bytes, (revision, content[0])),
                    None => map.remove(&key.bytes),
                };
            }
        }
        Err(Error::Conflict { .. }) => assert!(!holds, "a conflict was seen where none is"),
        Err(error) => panic!("{error}"),
    }
}

async fn scan(store: &Handle, map: &Map, range: &Range) {
    let found = store.scan(range).await.unwrap();
    let found: Vec<_> =
        found.into_iter().map(|(key, row)| (key, (row.revision, row.bytes[0]))).collect();
    let beyond = |key: &Vec<u8>| match (&range.after, range.order) {
        (None, _) => true,
        (Some(after), Order::Up) => key > after,
        (Some(after), Order::Down) => key < after,
    };
    let mut expected: Vec<_> = map
        .iter()
        .filter(|(key, _)| key.starts_with(&range.prefix) && beyond(key))
        .map(|(key, row)| (key.clone(), *row))
        .collect();
    if range.order == Order::Down {
        expected.reverse();
    }
    expected.truncate(range.limit);
    assert_eq!(found, expected, "{range:?}");
}

async fn live(steps: Vec<Step>) {
    let memory = Memory::default();
    let open =
        || -> Handle { Arc::new(Redb::open_at(memory.clone(), Settings::default()).unwrap()) };
    let (mut store, mut map) = (open(), Map::new());
    for step in steps {
        match step {
            Step::Commit(writes, expect) => commit(&store, &mut map, &writes, &expect).await,
            Step::Scan { prefix, after, down, limit } => {
                let order = if down { Order::Down } else { Order::Up };
                let (prefix, after) =
                    (prefix.map_or_else(Vec::new, |prefix| vec![prefix]), after.map(bytes));
                scan(&store, &map, &Range { table: "keys", prefix, after, order, limit }).await;
            }
            Step::Reopen => {
                drop(store);
                store = open();
            }
        }
    }
    let (prefix, after, order) = (Vec::new(), None, Order::Up);
    scan(&store, &map, &Range { table: "keys", prefix, after, order, limit: 100 }).await;
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_history_is_that_of_a_map(steps in vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(live(steps));
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in vec(any::<u8>(), 0..400)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn a_row_with_a_few_other_bytes_is_read_without_harm(
        changes in vec((any::<u16>(), any::<u8>()), 1..6),
        cut in any::<u16>(),
    ) {
        let row = execution(ExecutionId::from_bits(1), Status::Running);
        let mut bytes = [[0; 16].as_slice(), &table::encode(&row)].concat();
        for (at, byte) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len().min(usize::from(cut)));
        read_as_everything(&bytes);
    }
}
