//! T2 and T7: every call to the disk fails once, in turn. Nothing of a failed batch is acknowledged and
//! lost, nothing is there by half, and the store works again by itself.

use std::time::{Duration, Instant};

use ifso::store::batch::Batch;
use ifso::store::redb::{Redb, Settings};
use ifso::store::{Error, Store};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::disk::{Disk, Fault, Kind};
use super::load::Load;
use crate::world::figure;

const ROUNDS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);

fn settings() -> Settings {
    Settings { first_pause: Duration::from_micros(100), ..Settings::default() }
}

/// Works through the load while the disk fails; gives how many calls failed visibly.
async fn run(disk: &Disk, fault: Option<Fault>) -> Result<u64, String> {
    let (mut load, mut failures) = (Load::new(StdRng::seed_from_u64(7)), 0);
    if let Some(fault) = fault {
        disk.fail(fault);
    }
    let store = open(disk, &mut failures)?;
    for _ in 0..ROUNDS {
        match load.round(&store).await {
            Ok(()) => {}
            Err(Error::Full { .. } | Error::Io { .. }) => {
                failures += 1;
                recovered(&store).await?;
                load.check(&store).await?;
            }
            Err(error) => return Err(format!("a commit: {error:?}")),
        }
    }
    load.check(&store).await?;
    drop(store);
    // Whatever was acknowledged after the failure stands on what is on the disk, not in a cache.
    disk.reboot();
    let store = open(disk, &mut failures)?;
    load.check(&store).await?;
    Ok(failures)
}

/// Opens the store, again and again while the disk fails.
fn open(disk: &Disk, failures: &mut u64) -> Result<Redb, String> {
    let begun = Instant::now();
    loop {
        match Redb::open_at(disk.clone(), settings()) {
            Ok(store) => return Ok(store),
            Err(Error::Full { .. } | Error::Io { .. }) if begun.elapsed() < PATIENCE => {
                *failures += 1;
            }
            Err(error) => return Err(format!("it does not open: {error:?}")),
        }
    }
}

/// Waits until the store takes commits again, which it does by itself.
async fn recovered(store: &Redb) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let mut batch = Batch::new();
        batch.put(ifso::store::Key { table: "counts", bytes: vec![0] }, vec![1]);
        match store.commit(batch).await {
            Ok(_) => return Ok(()),
            Err(Error::Full { .. } | Error::Io { .. }) if begun.elapsed() < PATIENCE => {
                tokio::task::yield_now().await;
            }
            Err(error) => return Err(format!("it does not recover: {error:?}")),
        }
    }
}

#[test]
fn every_call_to_the_disk_may_fail_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let whole = Disk::new(1);
    assert_eq!(runtime.block_on(run(&whole, None)), Ok(0));
    let calls = whole.calls();
    let (mut cases, mut failures, mut wrong) = (0, 0, Vec::new());
    for kind in [Kind::Broken, Kind::Full] {
        // One call, and a while.
        for count in [1, 9] {
            for from in 1..=calls {
                let fault = Fault { from, count, kind };
                match runtime.block_on(run(&Disk::new(from), Some(fault))) {
                    Ok(seen) => failures += seen,
                    Err(what) => wrong.push(format!("{fault:?}: {what}")),
                }
                cases += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(failures > calls, "the faults were not felt: {failures}");
    figure(&format!(
        "T2/T7 all {calls} of {calls} calls x 2 faults x 2 lengths: {cases} cases, {failures} refusals, 0 lost 0 half"
    ));
}

#[tokio::test]
async fn a_store_that_comes_back_without_what_it_acknowledged_ends_for_good() {
    for (gone, says) in [(true, "it is gone"), (false, "and came back at 0")] {
        let disk = Disk::new(3);
        drop(Redb::open_at(disk.clone(), settings()).unwrap());
        let empty = disk.image();
        let store = Redb::open_at(disk.clone(), settings()).unwrap();
        let mut load = Load::new(StdRng::seed_from_u64(3));
        load.round(&store).await.unwrap();
        disk.replace(if gone { None } else { empty });
        disk.fail(Fault { from: disk.calls() + 1, count: 1, kind: Kind::Broken });
        assert!(matches!(load.round(&store).await, Err(Error::Io { .. })));
        let why = tokio::time::timeout(PATIENCE, store.fatal()).await.unwrap();
        assert!(why.to_string().contains(says), "{why}");
        assert!(!why.is_passing() && store.failing().is_some());
        let refused = load.round(&store).await.unwrap_err();
        assert_eq!(refused.to_string(), why.to_string());
        // Nothing was made in its place: the next start would take that for the store.
        assert!(!gone || disk.image().is_none());
    }
}

#[tokio::test]
async fn commits_that_wait_share_one_sync() {
    let disk = Disk::new(4);
    let store = Redb::open_at(disk.clone(), settings()).unwrap();
    let before = disk.syncs();
    let commits = (0..500u32).map(|number| {
        let mut batch = Batch::new();
        let bytes = number.to_be_bytes().to_vec();
        batch.put(ifso::store::Key { table: "meta", bytes }, vec![1]);
        store.commit(batch)
    });
    let answers = futures_util::future::join_all(commits).await;
    assert!(answers.iter().all(Result::is_ok));
    let syncs = disk.syncs() - before;
    assert!((1..=100).contains(&syncs), "{syncs} syncs for 500 commits");
}
