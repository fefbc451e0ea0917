//! T4: the power goes at any write, in recovery too. What was acknowledged is there, and nothing is
//! there by half.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ifso::store::redb::{Redb, Settings};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::disk::Disk;
use super::load::Load;
use crate::world::figure;

const SEEDS: u64 = 1500;
const CUTS_PER_SEED: usize = 4;

#[derive(Default)]
struct Tally {
    cuts: AtomicU64,
    in_creation: AtomicU64,
    in_recovery: AtomicU64,
    acknowledged: AtomicU64,
}

#[test]
fn a_power_cut_loses_nothing_acknowledged_and_leaves_nothing_half() {
    let (tally, next, begun) = (Tally::default(), AtomicU64::new(0), Instant::now());
    let failed = std::thread::scope(|scope| {
        let work = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= SEEDS {
                    return None;
                }
                if let Err(what) = runtime.block_on(run(&Disk::new(seed), seed, &tally)) {
                    return Some(format!("seed {seed}: {what}"));
                }
            }
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(failed.is_empty(), "{failed:#?}");
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    figure(&format!(
        "T4 seeds {SEEDS} crashes {} in creation {} in recovery {} acknowledged {} 0 lost 0 half ({:.1} s)",
        count(&tally.cuts),
        count(&tally.in_creation),
        count(&tally.in_recovery),
        count(&tally.acknowledged),
        begun.elapsed().as_secs_f64(),
    ));
}

/// The control: a test that cannot fail shows nothing.
#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = (0..20).filter(|seed| {
        runtime.block_on(run(&Disk::lying(*seed), *seed, &Tally::default())).is_err()
    });
    let found = found.count();
    assert!(found >= 15, "only {found} of 20 seeds");
}

async fn run(disk: &Disk, seed: u64, tally: &Tally) -> Result<(), String> {
    let mut random = StdRng::seed_from_u64(seed ^ 0x5eed);
    let mut load = Load::new(StdRng::seed_from_u64(!seed));
    let mut made = false;
    for _ in 0..CUTS_PER_SEED {
        // Often enough the power goes again while the store is made or opened.
        if random.random_range(0..2) == 0 {
            disk.cut_after(random.random_range(1..16));
        }
        let store = open(disk, tally, made)?;
        made = true;
        load.check(&store).await?;
        let log = random.random_range(0..9);
        disk.cut_after(random.random_range(1..=1 << log));
        while load.round(&store).await.is_ok() {}
        if !disk.is_off() {
            return Err(format!("a commit failed with the power on: {:?}", store.failing()));
        }
        drop(store);
        disk.reboot();
        tally.cuts.fetch_add(1, Ordering::Relaxed);
    }
    let store = open(disk, tally, true)?;
    load.check(&store).await?;
    load.round(&store).await.map_err(|error| error.to_string())?;
    drop(store);
    let store = open(disk, tally, true)?;
    tally.acknowledged.fetch_add(load.acknowledged, Ordering::Relaxed);
    load.check(&store).await
}

/// Opens the store, again and again while the power goes.
fn open(disk: &Disk, tally: &Tally, made: bool) -> Result<Redb, String> {
    // Every other seed takes the way of a large file, which is not checked whole.
    let check_limit_bytes = if disk.seed().is_multiple_of(2) { u64::MAX } else { 0 };
    let settings =
        || Settings { first_pause: Duration::ZERO, check_limit_bytes, ..Settings::default() };
    loop {
        match Redb::open_at(disk.clone(), settings()) {
            Ok(store) if !disk.is_off() => return Ok(store),
            Err(error) if !disk.is_off() => return Err(format!("it does not open: {error}")),
            opened => drop(opened),
        }
        disk.reboot();
        tally.cuts.fetch_add(1, Ordering::Relaxed);
        let counter = if made { &tally.in_recovery } else { &tally.in_creation };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
