//! What a store that has grown costs: memory with a million executions in it, and the next start.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::figure::{count, median, row};
use crate::program::Program;
use crate::{ROUNDS, event};

const EXECUTIONS: usize = 1_000_000;
/// What one event of `bench.many` asks for.
const FOR_EACH_EVENT: usize = 100;
/// Events in one request.
const EVENTS: usize = 50;

/// Runs a million executions that do nothing, then starts on the store that they left.
pub(crate) fn million(sync: f64) {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(folder.path());
    let running = program.start();
    let mut connection = running.connect();
    let begun = Instant::now();
    for request in 0..EXECUTIONS / FOR_EACH_EVENT / EVENTS {
        let uid = |n| format!("many-{request}-{n}");
        let batch: Vec<Value> = (0..EVENTS).map(|n| event("bench.many", &uid(n))).collect();
        connection.post_events(&batch);
    }
    let asked = begun.elapsed().as_secs_f64();
    let queued = running.resident_mb();
    let ended = "ifso_executions_ended_total{status=\"succeeded\"}";
    let left = count(EXECUTIONS) - connection.metric(ended);
    while connection.metric(ended) < count(EXECUTIONS) {
        std::thread::sleep(Duration::from_millis(200));
    }
    let done = begun.elapsed().as_secs_f64();
    let own = format!("write + fdatasync {sync:.2} ms");
    let rate = format!(
        "{:.0}/s accepted, {:.0}/s ended",
        count(EXECUTIONS) / asked,
        count(EXECUTIONS) / done
    );
    row("1,000,000 executions of `noop`, asked for by 10,000 events", &rate, &own);
    row(&format!("memory with {left:.0} executions queued"), &format!("{queued:.0} MB"), "");
    row("memory with 1,000,000 executions stored", &format!("{:.0} MB", running.resident_mb()), "");
    running.stop();
    let gigabytes = program.store_bytes() / 1e9;
    let mut times = [0.0; ROUNDS];
    let mut memory = [0.0; ROUNDS];
    for round in 0..ROUNDS {
        let begun = Instant::now();
        let running = program.start();
        times[round] = begun.elapsed().as_secs_f64() * 1e3;
        std::thread::sleep(Duration::from_secs(2));
        memory[round] = running.resident_mb();
        running.stop();
    }
    let what = format!("start with a store of {gigabytes:.1} GB to `ready`");
    let result = format!("{:.0} ms, then {:.0} MB", median(&mut times), median(&mut memory));
    row(&what, &result, "");
}
