//! T1, the crash loop: mixed load while the engine is killed again and again, in its first boot and in
//! its recovery too. Then: nothing lost, nothing twice, nothing stuck.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::engine::Site;
use super::judge::{Evidence, Verdict};
use super::load::Load;

/// Kills in CI; `ORACLE_KILLS` asks for more.
const KILLS: u64 = 150;
/// First boots that are killed.
const FIRST_BOOTS: u64 = 12;
/// How long a start may take on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(30);

#[test]
#[expect(clippy::print_stdout, reason = "the figure is published")]
fn kills_lose_nothing_and_repeat_nothing() {
    let seed = Chance::seed();
    let mut chance = Chance::new(seed);
    let kills = super::wanted("ORACLE_KILLS", KILLS);
    let folder = tempfile::tempdir().unwrap();
    let first_boots = first_boots(folder.path(), &mut chance);

    let site = Site::new(folder.path());
    let sent = folder.path().join("sent");
    let key = Arc::new(Mutex::new(String::new()));
    let load = Load::start(site.address, &key, &sent, &mut chance);
    let begun = Instant::now();
    for kill in 0..kills {
        let engine = site.start();
        // Every third is killed while it starts, the others after they were ready.
        if kill % 3 != 0 {
            engine.must_be_ready(START, &format!("seed {seed}, kill {kill}"));
            *key.lock().unwrap() = site.key();
        }
        // Nothing is waited for: a kill at any moment is what is tried.
        std::thread::sleep(chance.millis(5, 800));
        engine.kill();
    }
    let killing = begun.elapsed().as_secs();

    site.end_schedule();
    let engine = site.start();
    engine.must_be_ready(START, &format!("seed {seed}, the last start"));
    load.stop();
    let (evidence, waited) = Evidence::gather(&site, &sent);
    let verdict = Verdict::of(&evidence);
    println!(
        "T1 kills {} in {killing} s (first boots {first_boots}) {verdict} quiet after {} ms seed {seed}",
        kills + first_boots,
        waited.as_millis()
    );
    if !verdict.is_good() {
        let kept = folder.keep();
        panic!("seed {seed}, evidence in {}: {verdict:#?}", kept.display());
    }
    assert!(verdict.accepted as u64 > kills, "too little was accepted to show anything");
    assert_eq!(engine.stop(Duration::from_secs(20)), Some(0), "SIGTERM ends it well");
}

/// Kills first boots at random points; whatever they leave must start afterwards.
fn first_boots(folder: &Path, chance: &mut Chance) -> u64 {
    for boot in 0..FIRST_BOOTS {
        let folder = folder.join(format!("boot-{boot}"));
        fs::create_dir(&folder).unwrap();
        let site = Site::new(&folder);
        let engine = site.start();
        let wait = chance.millis(5, 400);
        // As above: the moment is the test.
        std::thread::sleep(wait);
        engine.kill();
        let engine = site.start();
        engine.must_be_ready(START, &format!("after a first boot killed at {wait:?}"));
        assert!(site.get("/api/v1/executions").is_array(), "the key of the first boot works");
        engine.kill();
    }
    FIRST_BOOTS * 2
}
