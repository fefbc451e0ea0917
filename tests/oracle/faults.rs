//! T2 and T7 in small: the disk fails, is full, or the process dies, at a chosen system call, in the
//! first boot too. What was accepted is there afterwards, once.

use std::fs;
use std::time::Duration;

use super::chance::Chance;
use super::engine::{Engine, Site};
use super::judge::{Evidence, Verdict};
use super::ledger::Ledger;
use super::load::{ACCEPTED, UNKNOWN, post_event};

/// Cases in CI; `ORACLE_CASES` asks for more.
const CASES: u64 = 30;
/// Events of one case.
const EVENTS: u32 = 8;
/// How long a start may take under strace on a busy machine.
const START: Duration = Duration::from_mins(1);
/// The system calls with which the store writes, and how many of each a case goes through.
const CALLS: &[(&str, u64)] = &[("pwrite64", 120), ("fdatasync", 30), ("rename", 4)];
/// What happens at the call.
const FAULTS: &[&str] = &["signal=KILL", "error=EIO", "error=ENOSPC"];

#[test]
#[expect(clippy::print_stdout, reason = "the figure is published")]
fn a_failing_call_loses_nothing() {
    let seed = Chance::seed();
    let mut chance = Chance::new(seed);
    let mut accepted = 0;
    for case in 0..super::wanted("ORACLE_CASES", CASES) {
        let (call, most) = CALLS[usize::try_from(case).unwrap() % CALLS.len()];
        let fault = FAULTS[usize::try_from(chance.next() % 3).unwrap()];
        let fault = format!("{fault}:when={}", chance.between(1, most));
        let story = format!("seed {seed}, case {case}: {call} {fault}");
        let folder = tempfile::tempdir().unwrap();
        let site = Site::new(folder.path());
        let ledger = Ledger::open(&folder.path().join("sent"));

        let mut engine = site.start_with(call, &fault);
        report(&site, &mut engine, &ledger);
        engine.end();

        site.end_schedule();
        let engine = site.start();
        engine.must_be_ready(START, &story);
        let (evidence, _) = Evidence::gather(&site, &folder.path().join("sent"));
        let verdict = Verdict::of(&evidence);
        if !verdict.is_good() {
            let kept = folder.keep();
            panic!("{story}, evidence in {}: {verdict:#?}", kept.display());
        }
        accepted += verdict.accepted;
        engine.end();
    }
    let cases = super::wanted("ORACLE_CASES", CASES);
    println!("T2 cases {cases} accepted {accepted} 0 lost 0 duplicate 0 stuck seed {seed}");
}

/// Reports events until all are reported or the engine is gone.
fn report(site: &Site, engine: &mut Engine, ledger: &Ledger) {
    if !engine.ready_within(START) {
        return;
    }
    let key = fs::read_to_string(site.data.join("admin.key")).unwrap_or_default();
    for event in 0..EVENTS {
        if engine.has_ended() {
            return;
        }
        let uid = format!("s{}-{event}", event % 3);
        let word = if post_event(site.address, key.trim(), &uid) { ACCEPTED } else { UNKNOWN };
        ledger.write(&format!("{uid} {word}"));
    }
}
