//! T1, the crash loop: mixed load while the engine is killed again and again, in its first boot and in
//! its recovery too. Then: nothing lost, nothing twice, nothing stuck.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::engine::Site;
use super::judge::{Claim, Evidence, Verdict};
use super::ledger;
use super::load::Load;

/// Kills in CI; `IFSO_KILLS` asks for more.
const KILLS: u64 = 150;
/// First boots that are killed.
const FIRST_BOOTS: u64 = 12;
/// How long a start may take on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(30);
/// How long what was accepted may take to be over.
const QUIET: Duration = Duration::from_mins(1);

#[test]
#[expect(clippy::print_stdout, reason = "the figure is published")]
fn kills_lose_nothing_and_repeat_nothing() {
    let seed = Chance::seed();
    let mut chance = Chance::new(seed);
    let kills = wanted_kills();
    let folder = tempfile::tempdir().unwrap();
    let first_boots = first_boots(folder.path(), &mut chance);

    let site = Site::new(folder.path());
    let (sent, effects) = (folder.path().join("sent"), site.home.join("effects"));
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
        std::thread::sleep(chance.millis(5, 800));
        engine.kill();
    }
    let killing = begun.elapsed().as_secs();

    let engine = site.start();
    engine.must_be_ready(START, &format!("seed {seed}, the last start"));
    load.stop();
    let (claims, waited) = settled(&site);
    let evidence = Evidence {
        sent: ledger::lines(&sent)
            .into_iter()
            .map(|line| (line[0].clone(), line[1].clone()))
            .collect(),
        effects: ledger::effects(&effects),
        claims,
    };
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

#[expect(clippy::disallowed_methods, reason = "the oracle stands outside")]
fn wanted_kills() -> u64 {
    std::env::var("IFSO_KILLS").map_or(KILLS, |text| text.parse().expect("a whole number"))
}

/// Kills first boots at random points; whatever they leave must start afterwards.
fn first_boots(folder: &Path, chance: &mut Chance) -> u64 {
    for boot in 0..FIRST_BOOTS {
        let folder = folder.join(format!("boot-{boot}"));
        fs::create_dir(&folder).unwrap();
        let site = Site::new(&folder);
        let engine = site.start();
        let wait = chance.millis(5, 400);
        std::thread::sleep(wait);
        engine.kill();
        let engine = site.start();
        engine.must_be_ready(START, &format!("after a first boot killed at {wait:?}"));
        assert!(site.get("/api/v1/executions").is_array(), "the key of the first boot works");
        engine.kill();
    }
    FIRST_BOOTS * 2
}

/// Waits until every execution is over, at most `QUIET`; gives them and the time that it took.
fn settled(site: &Site) -> (Vec<Claim>, Duration) {
    let begun = Instant::now();
    loop {
        let claims = claims(site);
        if begun.elapsed() > QUIET || claims.iter().all(Claim::is_done) {
            return (claims, begun.elapsed());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// All executions, page by page.
fn claims(site: &Site) -> Vec<Claim> {
    const PAGE: usize = 100;
    let mut claims = Vec::new();
    for page in 0.. {
        let found = site.get(&format!("/api/v1/executions?limit={PAGE}&offset={}", page * PAGE));
        let found = found.as_array().expect("a list is an array");
        claims.extend(found.iter().map(Claim::read));
        if found.len() < PAGE {
            break;
        }
    }
    claims
}
