//! What rules cost: events decided per second on one thread, with 1, 100 and 1,000 rules of which one
//! in a hundred matches. `cargo bench --bench rules`.
//!
//! The rules stand on one trigger, so every rule is asked: no index helps yet. `elsewhere` puts as many
//! rules on other triggers, which must cost nothing.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ifso::model::cause::Cause;
use ifso::model::event::Event;
use ifso::model::id::EventId;
use ifso::model::time::Time;
use ifso::rules::{self, Facts, Known, Library, Memories, Set, Source};
use serde_json::json;

/// Events that one measurement decides.
const EVENTS: u64 = 100;

fn set(count: usize, trigger: &str, matching: bool) -> Set {
    let mut rules = Vec::new();
    for file in 0..count.div_ceil(100) {
        let mut text = String::new();
        for number in file * 100..count.min((file + 1) * 100) {
            let tier = if matching && number % 100 == 0 { "gold" } else { "bronze" };
            writeln!(
                text,
                "rule(\"r{number}\", #{{ on: \"{trigger}\", when: |e| e.used_pct > 85 && e.tier == \"{tier}\", \
                 then: |e| log(e.pool) }});"
            )
            .expect("a String takes any text");
        }
        let file = format!("rules/{file}.rhai").into();
        let source = Source { pack: "site".to_owned(), file, text };
        let (compiled, _) = rules::compile(&source, &Library::new(), &Known::default())
            .expect("the rules are right");
        rules.extend(compiled.into_iter().map(Arc::new));
    }
    Set::new(rules)
}

/// An event of about 600 bytes.
fn event() -> Event {
    let data = json!({
        "id": "evt-000000000001", "source": "srm-prober/ds8900-07", "ts": 1_763_632_800, "severity": "minor",
        "tenant": "tenant-3", "pool": "pool-0042", "array": "array-017", "site": "site-2", "tier": "gold",
        "used_pct": 91.5, "free_gb": 870, "total_gb": 10_240, "iops": 120_000, "latency_ms": 4.25,
        "thin": true, "tags": ["prod", "db", "critical"],
        "labels": {"rack": "r12", "owner": "team-4", "env": "prod", "cost": "c-1001"},
        "metrics": {"read_mbps": 812.5, "write_mbps": 340.25, "queue": 12},
        "message": "Pool utilisation crossed the configured warning threshold; see the runbook",
    });
    Event {
        id: EventId::from_bits(7),
        trigger: "storage.pool".parse().expect("a reference"),
        source: "bench".into(),
        subject: None,
        time: Time::from_millis(0),
        accepted: Time::from_millis(0),
        data: Arc::new(data),
        cause: Cause::Sensor("bench".to_owned()),
        hops: 0,
        trace: None,
        replay: None,
    }
}

fn decide(set: &Set, event: &Event, facts: &Facts) {
    for _ in 0..EVENTS {
        let evaluation = rules::evaluate(set, event, facts);
        let mut memories = Memories::new();
        black_box(rules::decide(set, event, evaluation, &mut memories, facts));
    }
}

fn deciding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
    let (event, facts) = (event(), Facts::default());
    for count in [1, 100, 1_000] {
        let on_it = set(count, "storage.pool", true);
        group.bench_with_input(BenchmarkId::new("asked", count), &on_it, |bencher, set| {
            bencher.iter(|| decide(set, &event, &facts));
        });
    }
    let elsewhere = set(1_000, "storage.other", true);
    group.bench_with_input(BenchmarkId::new("elsewhere", 1_000), &elsewhere, |bencher, set| {
        bencher.iter(|| decide(set, &event, &facts));
    });
    group.finish();
}

fn compiling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    group.throughput(Throughput::Elements(1_000)).sample_size(10);
    group.bench_function("1000", |bencher| bencher.iter(|| set(1_000, "storage.pool", true)));
    group.finish();
}

criterion_group!(benches, deciding, compiling);
criterion_main!(benches);
