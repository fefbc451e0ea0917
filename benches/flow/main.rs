//! How fast an event goes through: the real program, real HTTP, a real disk. Prints the rows of
//! `benches/README.md`: medians of five, beside what the machine itself can do in the same run.
//! `cargo bench --bench flow -- start kafka` measures only those two parts.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "../../tests/parts/kafka.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests share it, and ask more of a broker")]
mod broker;
mod figure;
mod full;
mod kafka;
mod machine;
mod program;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use figure::{median, percentile, row};
use program::{Program, Running};

/// Rounds of which the median counts.
const ROUNDS: usize = 5;

fn main() {
    // Cargo adds `--bench`; whatever else is given names the parts that are wanted.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|name| name != "--bench").collect();
    println!("| what | result | the machine's own figure |");
    println!("|---|---|---|");
    let spawn = machine::spawns_per_second();
    let sync = machine::sync_ms();
    let parts: [(&str, &dyn Fn()); 8] = [
        ("start", &start_up),
        ("idle", &idle_memory),
        ("one", &|| one_at_a_time(sync)),
        ("many", &|| many_at_once(sync)),
        ("first", &|| first_instruction(spawn)),
        ("actions", &actions),
        ("kafka", &kafka::records),
        ("full", &|| full::million(sync)),
    ];
    for (name, measure) in parts {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            measure();
        }
    }
}

/// From the start of the process to the line `ready`, with 1,000 rules.
fn start_up() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(folder.path());
    for file in 0..20 {
        let rule = |n| {
            format!(
                "rule(\"r-{file}-{n}\", #{{ on: \"bench.other\", \
                 when: |e| e.pool == \"p{n}\" && e.used_pct > {n}, then: |e| log(\"x\") }});"
            )
        };
        let rules: Vec<String> = (0..50).map(rule).collect();
        fs::write(program.home.join(format!("rules/many-{file}.rhai")), rules.join("\n")).unwrap();
    }
    program.start().stop(); // the first start makes the store
    let mut times = [0.0; ROUNDS];
    for time in &mut times {
        let begun = Instant::now();
        let running = program.start();
        *time = begun.elapsed().as_secs_f64() * 1e3;
        running.stop();
    }
    row("start with 1,000 rules to `ready`", &format!("{:.0} ms", median(&mut times)), "");
}

/// Resident memory of the engine, three seconds after its start.
fn idle_memory() {
    let folder = tempfile::tempdir().unwrap();
    let running = Program::new(folder.path()).start();
    std::thread::sleep(Duration::from_secs(3));
    row("memory, idle", &format!("{:.1} MB", running.resident_mb()), "");
    running.stop();
}

/// One caller, one event at a time: what a single event pays.
fn one_at_a_time(sync: f64) {
    let folder = tempfile::tempdir().unwrap();
    let running = Program::new(folder.path()).start();
    let mut connection = running.connect();
    let mut middle = [0.0; ROUNDS];
    let mut slow = [0.0; ROUNDS];
    for round in 0..ROUNDS {
        let mut times: Vec<f64> = (0..400)
            .map(|n| {
                let begun = Instant::now();
                connection.post_event(&event("bench.quiet", &format!("one-{round}-{n}")));
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        (middle[round], slow[round]) = (percentile(&mut times, 50), percentile(&mut times, 99));
    }
    let result = format!("p50 {:.2} ms, p99 {:.2} ms", median(&mut middle), median(&mut slow));
    row(
        "HTTP event → durable answer, one caller",
        &result,
        &format!("write + fdatasync {sync:.2} ms"),
    );
    running.stop();
}

/// Thirty-two callers for three seconds: how many events share an fsync.
fn many_at_once(sync: f64) {
    const CALLERS: usize = 32;
    const SPAN: Duration = Duration::from_secs(3);
    let folder = tempfile::tempdir().unwrap();
    let running = Program::new(folder.path()).start();
    let (mut rates, mut middle, mut slow) = ([0.0; ROUNDS], [0.0; ROUNDS], [0.0; ROUNDS]);
    for round in 0..ROUNDS {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let mut connection = running.connect();
                std::thread::spawn(move || {
                    let (mut times, end) = (Vec::new(), Instant::now() + SPAN);
                    while Instant::now() < end {
                        let begun = Instant::now();
                        let uid = format!("many-{round}-{caller}-{}", times.len());
                        connection.post_event(&event("bench.quiet", &uid));
                        times.push(begun.elapsed().as_secs_f64() * 1e3);
                    }
                    times
                })
            })
            .collect();
        let mut times: Vec<f64> = callers.into_iter().flat_map(|c| c.join().unwrap()).collect();
        rates[round] = figure::count(times.len()) / SPAN.as_secs_f64();
        (middle[round], slow[round]) = (percentile(&mut times, 50), percentile(&mut times, 99));
    }
    let result = format!(
        "{:.0}/s, p50 {:.1} ms, p99 {:.1} ms",
        median(&mut rates),
        median(&mut middle),
        median(&mut slow)
    );
    let own = format!("{:.0} single fdatasync/s", 1e3 / sync);
    row("HTTP event → durable answer, 32 callers", &result, &own);
    running.stop();
}

/// From before the POST to the first line of the shell script that the rule asked for.
fn first_instruction(spawn: f64) {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new(folder.path());
    let running = program.start();
    let mut connection = running.connect();
    let (mut middle, mut slow) = ([0.0; ROUNDS], [0.0; ROUNDS]);
    for round in 0..ROUNDS {
        let mut times: Vec<f64> = (0..50)
            .map(|n| {
                let uid = format!("first-{round}-{n}");
                let begun = machine::wall_ms();
                connection.post_event(&event("bench.stamp", &uid));
                program.stamp(&uid) - begun
            })
            .collect();
        (middle[round], slow[round]) = (percentile(&mut times, 50), percentile(&mut times, 99));
    }
    let result = format!("p50 {:.1} ms, p99 {:.1} ms", median(&mut middle), median(&mut slow));
    let own = format!("starting /bin/true {:.2} ms", 1e3 / spawn);
    row("HTTP event → action's first instruction", &result, &own);
    running.stop();
}

/// A thousand events in one request, each runs `/bin/true`, durable, its output captured.
fn actions() {
    const EVENTS: usize = 1000;
    let folder = tempfile::tempdir().unwrap();
    let running = Program::new(folder.path()).start();
    let mut connection = running.connect();
    let mut rates = [0.0; ROUNDS];
    for (round, rate) in rates.iter_mut().enumerate() {
        let batch: Vec<Value> =
            (0..EVENTS).map(|n| event("bench.true", &format!("all-{round}-{n}"))).collect();
        let begun = Instant::now();
        connection.post_events(&batch);
        Running::wait_for_succeeded(&mut connection, (round + 1) * EVENTS);
        *rate = figure::count(EVENTS) / begun.elapsed().as_secs_f64();
    }
    let shells = machine::shells_per_second();
    let own = format!("`sh -c 'exec /bin/true'` {shells:.0}/s, two at a time");
    row("actions run (shell, /bin/true)", &format!("{:.0}/s", median(&mut rates)), &own);
    running.stop();
}

fn event(trigger: &str, uid: &str) -> Value {
    json!({
        "specversion": "1.0",
        "type": trigger,
        "source": "bench",
        "id": uid,
        "data": { "uid": uid, "pool": "gold-7", "used_pct": 81.5, "host": "array-3.example" },
    })
}
