//! What rules cost: events decided per second on one thread, by how many rules there are and of which
//! kind; what a rule costs to load, to keep and to change. `cargo bench --bench rules`.
//!
//! All rules stand on one trigger, so nothing but the index over their conditions keeps them apart, and
//! one rule matches each event however many there are. Each row is the median of five rounds. `found` is
//! `evaluate` alone; `decided` is with `decide`, where Rhai makes the effects of the rule that matched.

#![expect(clippy::print_stdout, reason = "the figures are published")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ifso::model::cause::Cause;
use ifso::model::event::Event;
use ifso::model::id::EventId;
use ifso::model::time::Time;
use ifso::rules::{self, Facts, Known, Library, Memories, Rule, Set, Source};
use serde_json::{Value, json};

/// Different events of one measurement.
const EVENTS: usize = 2_000;
/// Events that were just read when they are decided, as in a batch.
const BATCH: usize = 64;
/// How long one round asks at least.
const ROUND: Duration = Duration::from_millis(200);
/// Rules of one file.
const FILE: usize = 100;

const KINDS: &[(&str, Condition)] = &[
    ("equality", equality),
    ("range", range),
    ("regex", regex),
    ("mixed", mixed),
    ("mixed, 5 % opaque", opaque),
];

/// The condition of rule `number` of `count`, such that one of all matches an event.
type Condition = fn(usize, usize) -> String;

fn equality(number: usize, _: usize) -> String {
    format!("e.pool == \"pool-{number:06}\" && e.severity != \"debug\"")
}

#[expect(clippy::cast_precision_loss, reason = "fewer than a million rules")]
fn range(number: usize, count: usize) -> String {
    let end = |number: usize| 100.0 * number as f64 / count as f64;
    format!("e.used_pct >= {:?} && e.used_pct < {:?}", end(number), end(number + 1))
}

fn regex(number: usize, _: usize) -> String {
    format!("e.message.matches(\"^Pool (pool-{number:06}) (is|was) [0-9]+ % full\")")
}

fn mixed(number: usize, count: usize) -> String {
    match number % 6 {
        0 => equality(number, count),
        1 => regex(number, count),
        2 => {
            format!("e.used_pct >= 0 && e.pool == \"pool-{number:06}\" && e.labels.env == \"prod\"")
        }
        3 => format!(
            "e.pool in [\"pool-{number:06}\", \"none\"] && (e.iops > 10 || e.latency_ms > 45.0)"
        ),
        4 => format!("e.path.starts_with(\"/dev/pool-{number:06}/\") && e.thin"),
        _ => format!("\"pool-{number:06}\" in e.tags && e.metrics.queue < 64"),
    }
}

fn opaque(number: usize, count: usize) -> String {
    if number.is_multiple_of(20) {
        format!("e.pool == \"pool-{number:06}\" && own(e)")
    } else {
        mixed(number, count)
    }
}

fn sources(count: usize, condition: Condition) -> Vec<Source> {
    let text = |file: usize| {
        let mut text = "fn own(e) { e.iops % 2 >= 0 }\n".to_owned();
        for number in file * FILE..count.min((file + 1) * FILE) {
            writeln!(
                text,
                "rule(\"r{number}\", #{{ on: \"storage.pool\", when: |e| {}, per: |e| e.pool, \
                 cooldown: \"30m\", then: |e| log(e.pool) }});",
                condition(number, count)
            )
            .expect("a String takes any text");
        }
        text
    };
    (0..count.div_ceil(FILE))
        .map(|file| Source {
            pack: "site".to_owned(),
            file: format!("rules/{file}.rhai").into(),
            text: text(file),
        })
        .collect()
}

fn compiled(sources: &[Source]) -> Vec<Arc<Rule>> {
    let one = |source| rules::compile(source, &Library::new(), &Known::default());
    let rules = sources.iter().flat_map(|source| one(source).expect("the rules are right").0);
    rules.map(Arc::new).collect()
}

/// An event of about 600 bytes; `at` of `count` says which rule matches it.
#[expect(clippy::cast_precision_loss, reason = "fewer than a million rules")]
fn data(at: usize, count: usize) -> Value {
    let pool = format!("pool-{at:06}");
    json!({
        "id": "evt-000000000001", "source": "srm-prober/ds8900-07", "ts": 1_763_632_800, "severity": "minor",
        "tenant": "tenant-3", "pool": pool, "array": "array-017", "site": "site-2", "tier": "gold",
        "used_pct": 100.0 * (at as f64 + 0.5) / count as f64, "free_gb": 870, "total_gb": 10_240,
        "iops": 120_000, "latency_ms": 4.25, "thin": true, "tags": ["prod", "db", pool],
        "path": format!("/dev/{pool}/0"),
        "labels": {"rack": "r12", "owner": "team-4", "env": "prod", "cost": "c-1001"},
        "metrics": {"read_mbps": 812.5, "write_mbps": 340.25, "queue": 12},
        "message": format!("Pool {pool} is 91 % full and crossed the configured warning threshold"),
    })
}

fn event(data: Value) -> Event {
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

/// Events as they come in, over all rules, in no order. Of ten, `few` match a rule.
fn texts(count: usize, few: usize) -> Vec<String> {
    let one = |number: usize| {
        let matches = number % 10 < few;
        data(if matches { number * 7_919 % count } else { count + number }, count).to_string()
    };
    (0..EVENTS).map(one).collect()
}

fn read(text: &str) -> Event {
    event(serde_json::from_str(text).expect("JSON"))
}

/// The median of five rounds, in events per second, reading them not counted.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(texts: &[String], mut one: impl FnMut(&Event)) -> f64 {
    let mut rates: Vec<f64> = (0..5)
        .map(|_| {
            let (mut spent, mut done) = (Duration::ZERO, 0usize);
            for texts in texts.chunks(BATCH).cycle() {
                let events: Vec<Event> = texts.iter().map(|text| read(text)).collect();
                let begin = Instant::now();
                events.iter().for_each(&mut one);
                spent += begin.elapsed();
                done += events.len();
                if spent > ROUND {
                    break;
                }
            }
            done as f64 / spent.as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[2]
}

fn median(mut one: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let begin = Instant::now();
            one();
            begin.elapsed()
        })
        .collect();
    times.sort();
    times[2]
}

/// Bytes of memory that this process has.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0) * 1024
}

/// Measured first, while nothing that was given back can be used again.
fn keeping() {
    let texts = sources(10_000, mixed);
    let before = memory();
    let rules = compiled(&texts);
    let read = memory();
    let set = Set::new(rules);
    let after = memory();
    println!(
        "| memory of a rule among 10,000 | {} bytes, {} of them the index |",
        (after - before) / 10_000,
        (after - read) / 10_000
    );
    black_box(set);
}

fn loading() {
    let texts = sources(10_000, mixed);
    let mut rules = Vec::new();
    let all = median(|| rules = compiled(&texts));
    println!("| loading 10,000 rules, 100 a file | {:.2} s |", all.as_secs_f64());
    let set = median(|| drop(black_box(Set::new(rules.clone()))));
    println!("| a set of 10,000 rules | {:.1} ms |", set.as_secs_f64() * 1e3);
    let one = median(|| {
        let changed = compiled(&texts[..1]);
        let mut rules = rules.clone();
        rules.splice(..changed.len(), changed);
        drop(black_box(Set::new(rules)));
    });
    println!(
        "| one file of 100 read again and the set of 10,000 | {:.1} ms |",
        one.as_secs_f64() * 1e3
    );
}

#[expect(clippy::cast_precision_loss, reason = "a mean")]
fn deciding(name: &str, condition: Condition, count: usize) {
    let set = Set::new(compiled(&sources(count, condition)));
    let (all, some, facts) = (texts(count, 10), texts(count, 1), Facts::default());
    let (mut matches, mut asked) = (0, 0);
    for text in &all {
        let evaluation = rules::evaluate(&set, &read(text), &facts);
        asked += evaluation.examined();
        matches += evaluation.matches();
    }
    let each = |number: usize| number as f64 / all.len() as f64;
    let (matches, asked) = (each(matches), each(asked));
    let decide = |event: &Event| {
        let evaluation = rules::evaluate(&set, event, &facts);
        black_box(rules::decide(&set, event, evaluation, &mut Memories::new(), &facts));
    };
    let found = rate(&all, |event| drop(black_box(rules::evaluate(&set, event, &facts))));
    let (decided, rare) = (rate(&all, decide), rate(&some, decide));
    // Asking each of many rules about thousands of events takes minutes.
    let plain = if count > 1_000 {
        "–".to_owned()
    } else {
        let set = set.without_index();
        let few = &all[..BATCH];
        let asked = rate(few, |event| drop(black_box(rules::evaluate(&set, event, &facts))));
        format!("{asked:.0}/s")
    };
    println!(
        "| {name} | {count} | {matches:.2} | {asked:.2} | {plain} | {found:.0}/s | {decided:.0}/s | {rare:.0}/s |"
    );
}

fn parsing() {
    let texts: Vec<String> = (0..EVENTS).map(|at| data(at, EVENTS).to_string()).collect();
    let all = median(|| {
        for text in &texts {
            black_box(serde_json::from_str::<Value>(text).expect("JSON"));
        }
    });
    let each = all.as_secs_f64() * 1e6 / 2_000.0;
    println!("| JSON of {} bytes alone | {each:.2} µs |", texts[0].len());
}

/// How much 100,000 rules cost where as many match as with 100: the same hundred, or one of all. Then
/// the rules' own code comes from memory that nobody used for a while.
fn flatness() {
    let facts = Facts::default();
    for (what, among) in [("the same 100 rules match", 100), ("one of all matches", 100_000)] {
        let [few, many] = [100, 100_000].map(|count| {
            let set = Set::new(compiled(&sources(count, equality)));
            let texts: Vec<String> = (0..EVENTS)
                .map(|number| data(number * 7_919 % among.min(count), count).to_string())
                .collect();
            let found = rate(&texts, |event| drop(black_box(rules::evaluate(&set, event, &facts))));
            let decided = rate(&texts, |event| {
                let evaluation = rules::evaluate(&set, event, &facts);
                black_box(rules::decide(&set, event, evaluation, &mut Memories::new(), &facts));
            });
            [found, decided]
        });
        println!(
            "| 100,000 rules against 100, {what} | found {:.2} ×, decided {:.2} × |",
            few[0] / many[0],
            few[1] / many[1]
        );
    }
}

fn main() {
    keeping();
    loading();
    parsing();
    flatness();
    println!(
        "| rules | how many | matches an event | asked | without index | found | decided | decided, 1 of 10 events matches |"
    );
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for (name, condition) in
        KINDS.iter().filter(|(name, _)| name.contains(&wanted) || wanted == "--bench")
    {
        for count in [1, 10, 100, 1_000, 10_000, 100_000] {
            deciding(name, *condition, count);
        }
    }
}
