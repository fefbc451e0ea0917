//! How attempts end, and that nothing of them stays: reliability.md, T14.

use std::time::{Duration, Instant};

use ifso::model::execution::End;
use ifso::runners::{Ended, Stream};
use tokio_util::sync::CancellationToken;

use super::desk::{Attempt, Came, Desk, alive_with, until};
use crate::parts::disk::SmallDisk;
use crate::world::figure;

/// A number of seconds that nobody else sleeps: it marks the processes of one test.
fn unusual() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}.{}", 100_000 + NEXT.fetch_add(1, Ordering::Relaxed), std::process::id())
}

/// Runs it, and stops it once it says `ready`.
async fn stopped_when_ready(attempt: Attempt) -> Came {
    let stop = CancellationToken::new();
    let when = stop.clone();
    attempt
        .watched(stop, move |piece| {
            if piece.text.contains("ready") {
                when.cancel();
            }
        })
        .await
}

#[tokio::test]
async fn a_time_out_ends_it_with_the_code_of_a_kill() {
    let desk = Desk::new();
    let mark = unusual();
    let start = Instant::now();
    let line = format!("echo begun; sleep {mark}");
    let came = desk.cmd(&line).within(Duration::from_millis(300)).run().await;
    assert_eq!(came.end(), End::TimedOut);
    assert_eq!(came.outcome.result["return_code"], -9);
    assert_eq!(came.outcome.result["stdout"], "begun");
    assert!(came.reason().contains("longer than 300ms"), "{}", came.reason());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(alive_with(&mark), [0; 0]);
}

#[tokio::test]
async fn the_parameter_timeout_counts_in_seconds() {
    let desk = Desk::new();
    let came = desk.cmd("sleep 60").given("timeout", 0.2).run().await;
    assert_eq!(came.end(), End::TimedOut);
}

#[tokio::test]
async fn a_cancel_ends_it_politely_first() {
    let desk = Desk::new();
    let line = "trap 'echo goodbye; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let came = stopped_when_ready(desk.cmd(line)).await;
    assert_eq!(came.end(), End::Canceled);
    assert_eq!(came.said(Stream::Stdout), "ready\ngoodbye\n");
}

#[tokio::test]
async fn one_that_ignores_the_polite_signal_is_killed() {
    let desk = Desk::new();
    let mark = unusual();
    let line = format!("trap '' TERM; echo ready; sleep {mark}; sleep {mark}");
    let came = stopped_when_ready(desk.cmd(&line)).await;
    assert_eq!(came.end(), End::Canceled);
    assert_eq!(alive_with(&mark), [0; 0]);
}

#[tokio::test]
async fn what_a_finished_action_left_running_is_killed() {
    let desk = Desk::new();
    let mark = unusual();
    let line = format!("sleep {mark} & sleep {mark} & exit 0");
    let came = desk.cmd(&line).run().await;
    assert_eq!(came.end(), End::Succeeded);
    assert_eq!(alive_with(&mark), [0; 0]);
}

#[tokio::test]
async fn a_child_in_its_own_session_and_with_no_environment_is_killed() {
    let desk = Desk::new();
    let mark = unusual();
    // The double fork of a daemon: the parent is gone, the session is new, nothing is inherited.
    let detach = format!("(setsid env -i /bin/sh -c 'trap \"\" TERM HUP; sleep {mark}; :' &)");
    let quiet = format!("{detach} >/dev/null 2>&1 </dev/null");
    let came = desk.cmd(&format!("{quiet}; {quiet}; {detach}; echo started")).run().await;
    assert_eq!(came.end(), End::Succeeded);
    assert_eq!(alive_with(&mark), [0; 0], "after a normal end");

    let came = stopped_when_ready(desk.cmd(&format!("{quiet}; echo ready; sleep {mark}"))).await;
    assert_eq!(came.end(), End::Canceled);
    assert_eq!(alive_with(&mark), [0; 0], "after a cancel");

    let line = format!("{detach}; sleep {mark}");
    let came = desk.cmd(&line).within(Duration::from_millis(300)).run().await;
    assert_eq!(came.end(), End::TimedOut);
    assert_eq!(alive_with(&mark), [0; 0], "after a time-out");
}

#[tokio::test]
async fn the_children_of_another_attempt_are_left_alone() {
    let desk = Desk::new();
    let mark = unusual();
    let stop = CancellationToken::new();
    let line = format!("(setsid sleep {mark} &); echo ready; sleep {mark}");
    let (sender, mut ready) = tokio::sync::mpsc::channel(8);
    let long = desk.cmd(&line);
    let other = desk.cmd("(sleep 50 &); true");
    let watched = long.watched(stop.clone(), move |_| {
        // A second piece finds the channel full, which is as good.
        sender.try_send(()).unwrap_or_default();
    });
    let meanwhile = async {
        ready.recv().await;
        assert_eq!(other.run().await.end(), End::Succeeded);
        until("both sleep", || alive_with(&mark).len() >= 2);
        stop.cancel();
    };
    let (came, ()) = tokio::join!(watched, meanwhile);
    assert_eq!(came.end(), End::Canceled);
    assert_eq!(alive_with(&mark), [0; 0]);
}

#[tokio::test]
async fn a_closed_standard_output_is_no_end() {
    let desk = Desk::new();
    let came = desk.cmd("exec >&- 2>&-; sleep 0.2; exit 7").run().await;
    assert_eq!(came.outcome.result["return_code"], 7);
}

#[tokio::test]
async fn a_gibibyte_of_output_is_bounded_and_blocks_nobody() {
    let desk = Desk::new();
    desk.cmd("true").run().await.succeeded();
    let pid = desk.supervisor_pid().unwrap();
    let before = peak_kib(pid);
    let line = "echo first; head -c 1073741824 /dev/zero | tr '\\0' x; echo; echo last";
    let came = desk.cmd(line).run().await;
    let stdout = came.said(Stream::Stdout);
    let result = came.succeeded();
    assert_eq!(result["stdout"], stdout.trim_end());
    assert!(stdout.starts_with("first\nxxxx") && stdout.ends_with("\nlast\n"));
    assert!(stdout.contains("bytes are not kept"), "{} bytes", stdout.len());
    assert!(stdout.len() < (1 << 20) + 100, "{} bytes", stdout.len());
    let grown = peak_kib(pid) - before;
    assert!(grown < 16 << 10, "the supervisor grew by {grown} KiB");
}

fn peak_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_fork_bomb_is_ended_at_its_limit() {
    let desk = Desk::with(|tools| tools.limits.processes = 100);
    let mark = unusual();
    let line = format!("bomb() {{ sleep {mark} & bomb & }}; bomb; sleep {mark}");
    let came = desk.cmd(&line).run().await;
    assert_eq!(came.end(), End::Failed, "{:?}", came.outcome);
    assert!(came.reason().contains("more than 100 processes"), "{}", came.reason());
    assert_eq!(alive_with(&mark), [0; 0]);
}

#[tokio::test]
async fn memory_files_and_cores_are_limited() {
    let desk = Desk::with(|tools| {
        tools.limits.memory_bytes = 64 << 20;
        tools.limits.file_bytes = 1 << 20;
    });
    let line = "head -c 200000000 /dev/zero | tail -c 190000000 | wc -c; ulimit -c; ulimit -n";
    let came = desk.cmd(line).run().await;
    let stdout = came.said(Stream::Stdout);
    assert_eq!(stdout.lines().skip(1).collect::<Vec<_>>(), ["0", "1024"], "{stdout}");
    assert!(!stdout.starts_with("190000000"), "200 MB fitted into 64");
    let came = desk.cmd("head -c 5000000 /dev/zero > big; stat -c %s big").run().await;
    assert_eq!(came.said(Stream::Stdout), "1048576\n", "{:?}", came.outcome);
    // Whoever means to write large files says so.
    let line = "ulimit -S -f unlimited; head -c 5000000 /dev/zero > big; stat -c %s big";
    let came = desk.cmd(line).run().await;
    assert_eq!(came.said(Stream::Stdout), "5000000\n", "{:?}", came.outcome);
}

#[tokio::test]
async fn nothing_is_left_after_many_attempts() {
    let desk = Desk::new();
    desk.cmd("true").run().await.succeeded();
    let pid = desk.supervisor_pid().unwrap();
    let open = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let before = open();
    let mark = unusual();
    for _ in 0..20 {
        let ten = (0..10).map(|_| {
            let attempt = desk.cmd(&format!("echo x > file; (sleep {mark} &); echo hello"));
            let (runners, execution) = (attempt.runners.clone(), attempt.execution);
            async move {
                attempt.run().await.succeeded();
                runners.find("shell").unwrap().release(execution, 1).await;
            }
        });
        futures_util::future::join_all(ten).await;
    }
    let spool = desk.data().join("supervisor/spool");
    assert_eq!(std::fs::read_dir(spool).unwrap().count(), 1, "only the first was not released");
    until("no descriptor leaked", || open() <= before);
    assert_eq!(alive_with(&mark), [0; 0]);
    let zombies = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    assert_eq!(zombies.trim(), "", "children of the supervisor");
}

#[tokio::test]
async fn an_attempt_that_finds_no_room_on_the_disk_has_not_begun_and_may_later() {
    let desk = Desk::new();
    let spool = desk.data().join("supervisor");
    std::fs::create_dir(&spool).unwrap();
    let Some(small) = SmallDisk::over(&spool, "1m") else {
        figure("SKIPPED: an attempt on a full disk: mounting a tmpfs needs root");
        return;
    };
    desk.cmd("true").run().await.succeeded();
    let attempt = desk.cmd("cat \"$IFSO_PARAMETERS\"").given("text", "x".repeat(8192));
    let ballast = small.fill();
    let came = attempt.clone().run().await;
    assert_eq!(came.outcome.ended, Ended::NeverBegan, "{:?}", came.outcome);
    assert!(came.reason().contains("No space left"), "{}", came.reason());
    std::fs::remove_file(ballast).unwrap();
    attempt.run().await.succeeded();
    desk.kill_supervisor();
}
