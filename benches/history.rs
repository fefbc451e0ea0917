//! How fast kept events are read back, alone and under a backtest.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::Instant;

use ifso::intake::history;
use ifso::model::cause::Cause;
use ifso::model::event::Event;
use ifso::model::id::EventId;
use ifso::model::time::Time;
use ifso::rules::backtest::Backtest;
use ifso::rules::{self, Facts, Known, Library, Set, Source};
use ifso::store::Handle;
use ifso::store::batch::Batch;
use ifso::store::redb::{Redb, Settings};
use ifso::store::tables::Block;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

const EVENTS: u64 = 1_000_000;
const BLOCK: u64 = 256;
const ROUNDS: usize = 5;
const BEGIN_MS: u64 = 1_760_000_000_000;

const PLAIN: &str = r#"rule("r", #{ on: "storage.pool", when: |e| e.used_pct > 99 && e.tier == "gold", then: |e| log("x") });"#;
const MEMORY: &str = r#"rule("r", #{ on: "storage.pool", when: |e| e.used_pct > 90, until: |e| e.used_pct < 60,
    per: |e| e.pool, hold: "5s", then: |e| log("x"), recover: |e| log("y") });"#;

/// An event of about 560 bytes of JSON.
fn event(number: u64) -> Event {
    let time = Time::from_millis(i64::try_from(BEGIN_MS + number).expect("a time"));
    let tier = match number % 3 {
        0 => "gold",
        1 => "silver",
        _ => "bronze",
    };
    let tenth = |number: u64| f64::from(u32::try_from(number).unwrap_or(0)) / 10.0;
    let data = json!({
        "pool": format!("pool-{:04}", number % 1_000), "tier": tier,
        "used_pct": tenth(number * 7_919 % 1_000), "free_gb": number % 10_240, "total_gb": 10_240,
        "iops": number * 31 % 200_000, "latency_ms": tenth(number % 500), "thin": number.is_multiple_of(2),
        "array": format!("array-{:03}", number % 200), "site": "site-1", "tags": ["prod", "db", "critical"],
        "labels": { "rack": "r12", "owner": "team-3", "env": "prod", "cost": "c-1001" },
        "metrics": { "read_mbps": 120.5, "write_mbps": 80.25, "queue": number % 64 },
        "message": "Pool utilisation crossed the configured warning threshold; see the runbook for details about growing the pool",
    });
    Event {
        id: EventId::from_bits(u128::from(BEGIN_MS + number) << 80 | u128::from(number)),
        trigger: "storage.pool".parse().expect("a trigger"),
        source: "prober".into(),
        subject: None,
        time,
        accepted: time,
        data: Arc::new(data),
        cause: Cause::Sensor("prober".to_owned()),
        hops: 0,
        trace: None,
        replay: None,
    }
}

fn fill(runtime: &Runtime, store: &Handle) {
    for first in (0..EVENTS).step_by(usize::try_from(BLOCK * 16).expect("small")) {
        let mut batch = Batch::new();
        for block in (first..first + BLOCK * 16).step_by(usize::try_from(BLOCK).expect("small")) {
            let events = (block..block + BLOCK).map(event).collect();
            let none = (Vec::new(), Vec::new(), Vec::new());
            let (decisions, refused, rules) = none;
            let version = "1".into();
            history::keep(&mut batch, &Block { events, decisions, refused, rules, version }, false);
        }
        runtime.block_on(store.commit(batch)).expect("a commit");
    }
}

fn set(text: &str) -> Arc<Set> {
    let source =
        Source { pack: "site".to_owned(), file: "rules/r.rhai".into(), text: text.to_owned() };
    let compiled = rules::compile(&source, &Library::new(), &Known::default());
    let rules = compiled.expect("a right rule").0;
    Arc::new(Set::new(rules.into_iter().map(Arc::new).collect()))
}

fn whole() -> (Time, Time) {
    let at = |number: u64| Time::from_millis(i64::try_from(BEGIN_MS + number).expect("a time"));
    (at(0), at(2 * EVENTS))
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn row(name: &str, mut round: impl FnMut() -> u64) {
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            let events = round();
            events as f64 / begun.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!("| {name} | {:.0}/s |", rates[ROUNDS / 2]);
}

fn main() {
    let runtime =
        Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("store.redb");
    let store: Handle = Arc::new(Redb::open(&path, Settings::default()).expect("a store"));
    fill(&runtime, &store);
    println!("| {EVENTS} kept events, one rule | median of {ROUNDS} |\n|---|---|");
    row("read", || {
        let read = history::forward(
            &store,
            whole(),
            |_| true,
            0u64,
            |count, _| {
                *count += 1;
                true
            },
        );
        runtime.block_on(read).expect("a reading").0
    });
    for (name, text) in
        [("backtest, `when` only", PLAIN), ("backtest, hysteresis and hold, 1,000 keys", MEMORY)]
    {
        let set = set(text);
        row(name, || {
            let (since, until) = whole();
            let name = "site.r".parse().expect("a name");
            let test = Backtest::new(Arc::clone(&set), name, Facts::default(), since, until);
            let hear = |test: &mut Backtest, event: &Event| {
                test.hear(event);
                true
            };
            let read = history::forward(&store, (since, until), |_| true, test, hear);
            let (test, reading) = runtime.block_on(read).expect("a reading");
            assert!(!test.finish().verdicts.is_empty(), "it decided something");
            reading.events
        });
    }
}
