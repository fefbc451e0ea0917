//! What a durable commit costs, beside what the disk itself costs in the same run.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ifso::store::batch::Batch;
use ifso::store::redb::{Redb, Settings};
use ifso::store::{Handle, Key};
use tokio::runtime::{Builder, Runtime};

const RECORD_BYTES: usize = 300;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn batch(from: u64, records: u64) -> Batch {
    let mut batch = Batch::new();
    for number in from..from + records {
        let bytes = number.to_be_bytes().to_vec();
        batch.put(Key { table: "executions", bytes }, vec![7; RECORD_BYTES]);
    }
    batch
}

/// The machine's own figure: append 4 KiB, then fdatasync.
fn disk(criterion: &mut Criterion, home: &Path) {
    let mut file = File::create(home.join("raw")).expect("a file");
    criterion.bench_function("disk/append 4 KiB and fdatasync", |bencher| {
        bencher.iter(|| {
            file.write_all(&[7; 4096]).expect("room");
            file.sync_data().expect("a disk");
        });
    });
}

fn commits(criterion: &mut Criterion, home: &Path) {
    let runtime = runtime();
    let path = home.join("store.redb");
    let store: Handle = Arc::new(Redb::open(&path, Settings::default()).expect("a store"));
    let mut next = 0;

    let mut group = criterion.benchmark_group("records per commit");
    for records in [1, 64, 1024] {
        group.throughput(Throughput::Elements(records));
        group.bench_function(BenchmarkId::from_parameter(records), |bencher| {
            bencher.iter(|| {
                let batch = batch(next, records);
                next += records;
                runtime.block_on(store.commit(batch)).expect("a commit");
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("committers of one record");
    for committers in [1, 16, 64] {
        group.throughput(Throughput::Elements(committers));
        group.bench_function(BenchmarkId::from_parameter(committers), |bencher| {
            // Each committer commits again as soon as it has its answer.
            bencher.iter_custom(|rounds| {
                let begun = Instant::now();
                let work = (0..committers).map(|_| {
                    let from = next;
                    next += rounds;
                    let store = store.clone();
                    async move {
                        for number in from..from + rounds {
                            store.commit(batch(number, 1)).await.expect("a commit");
                        }
                    }
                });
                runtime.block_on(futures_util::future::join_all(work));
                begun.elapsed()
            });
        });
    }
    group.finish();

    let mut number = 0;
    criterion.bench_function("get one record", |bencher| {
        bencher.iter(|| {
            number = (number + 7919) % next;
            let bytes = number.to_be_bytes().to_vec();
            let key = Key { table: "executions", bytes };
            runtime.block_on(store.get(&key)).expect("a look").expect("a record")
        });
    });
}

fn all(criterion: &mut Criterion) {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    disk(criterion, home.path());
    commits(criterion, home.path());
}

criterion_group! {
    name = store;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(4));
    targets = all
}
criterion_main!(store);
