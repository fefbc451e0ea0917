//! Actions started per second through the supervisor, beside what the machine itself starts; and what
//! one supervisor for all costs beside one for each.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use ifso::clock::{self, Ids};
use ifso::runners::supervisor::protocol::{AttemptId, Limits, Program, Reply};
use ifso::runners::supervisor::{Heard, Settings, Supervisor};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ifso");
const ROUNDS: usize = 5;
const STARTS: usize = 1_000;
const STARTS_OF_ALL_ROUNDS: u32 = 5_000;
const RUNNING: usize = 1_000;

fn main() {
    println!("| what | result (median of {ROUNDS}) |");
    println!("|---|---|");
    for threads in [1, 2] {
        let rate = median(|| bare("/bin/true", &[], threads, STARTS));
        row(&format!("the machine: /bin/true with captured output, {threads} at a time"), &rate);
    }
    row(
        "one supervisor each: our own binary, started and ended",
        &median(|| bare(PROGRAM, &["--version"], 2, STARTS / 10)),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(supervised());
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

fn median(mut measure: impl FnMut() -> f64) -> String {
    let mut rates: Vec<_> = (0..ROUNDS).map(|_| measure()).collect();
    rates.sort_by(f64::total_cmp);
    format!("{:.0}/s", rates[ROUNDS / 2])
}

fn per_second(count: usize, span: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / span.as_secs_f64()
}

fn bare(program: &str, arguments: &[&str], threads: usize, starts: usize) -> f64 {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..starts / threads {
                    let mut command = Command::new(program);
                    command.args(arguments).env_clear().stdin(Stdio::null());
                    assert!(command.output().unwrap().status.success());
                }
            });
        }
    });
    per_second(starts, begun.elapsed())
}

fn program(file: &str, arguments: &[&str]) -> Program {
    Program {
        file: file.to_owned(),
        arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
        environment: BTreeMap::new(),
        folder: None,
        input: None,
        files: BTreeMap::new(),
        answer: None,
        timeout_ms: 600_000,
        grace_ms: 100,
        limits: Limits::default(),
    }
}

async fn run(supervisor: &Supervisor, id: AttemptId, program: Program) {
    let mut talk = supervisor.start(id, program).await.unwrap();
    loop {
        match talk.hear().await.unwrap() {
            Heard::Reply(Reply::Ended(exit)) => {
                assert_eq!(exit.code, 0);
                break;
            }
            Heard::Reply(Reply::Known { .. } | Reply::Output { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    supervisor.release(id).await.unwrap();
}

async fn supervised() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("supervisor");
    let supervisor = Supervisor::new(Settings { program: PROGRAM.into(), folder: place.clone() });
    let ids = Ids::new(clock::system());
    let fresh = || AttemptId { execution: ids.execution(), attempt: 1 };
    run(&supervisor, fresh(), program("/bin/true", &[])).await;
    let pid = pid_of(place.canonicalize().unwrap().to_str().unwrap());
    row("supervisor, idle", &memory(pid));
    for at_once in [1, 64] {
        let mut rates = Vec::new();
        let before = processor_seconds(pid);
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            stream::iter(0..STARTS)
                .for_each_concurrent(at_once, |_| {
                    run(&supervisor, fresh(), program("/bin/true", &[]))
                })
                .await;
            rates.push(per_second(STARTS, begun.elapsed()));
        }
        rates.sort_by(f64::total_cmp);
        let what = format!("supervisor: /bin/true to its outcome and release, {at_once} at a time");
        row(&what, &format!("{:.0}/s", rates[ROUNDS / 2]));
        let used = (processor_seconds(pid) - before) * 1e3 / f64::from(STARTS_OF_ALL_ROUNDS);
        row("of which the supervisor's own processor time", &format!("{used:.2} ms for each"));
    }
    row("supervisor, after those", &memory(pid));
    let running: Vec<_> = (0..RUNNING).map(|_| fresh()).collect();
    let mut talks = Vec::new();
    for id in &running {
        let mut talk = supervisor.start(*id, program("/bin/sleep", &["600"])).await.unwrap();
        talk.hear().await.unwrap();
        talks.push(talk);
    }
    row(&format!("supervisor, with {RUNNING} running"), &memory(pid));
    let begun = Instant::now();
    for id in &running {
        supervisor.cancel(*id).await.unwrap();
    }
    for talk in &mut talks {
        while !matches!(talk.hear().await.unwrap(), Heard::Reply(Reply::Ended(_)) | Heard::Silence)
        {
        }
    }
    row(&format!("{RUNNING} cancelled"), &format!("{:.1} s", begun.elapsed().as_secs_f64()));
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// The supervisor of `folder`.
fn pid_of(folder: &str) -> i32 {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let ours = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(folder)
    };
    pids.find(ours).unwrap()
}

/// Processor time that a process has used; the kernel counts in hundredths.
fn processor_seconds(pid: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
    fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// What is its own, and what is resident at all.
fn memory(pid: i32) -> String {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let kib = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap()
    };
    let own = kib("Private_Dirty:") + kib("Private_Clean:");
    format!("{:.1} MiB private, {:.1} MiB resident", own / 1024.0, kib("Rss:") / 1024.0)
}
