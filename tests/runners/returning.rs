//! A running action survives its engine; what nobody can know is said.

use std::time::Duration;

use ifso::model::execution::End;
use ifso::runners::{Ended, Stream};
use tokio_util::sync::CancellationToken;

use super::desk::{Attempt, Desk, alive_with, is_alive, until};

/// Starts it and lets the engine die, that is: the future is dropped, once it said `ready`.
async fn abandon(attempt: Attempt) {
    let dead = CancellationToken::new();
    let dies = dead.clone();
    let run = attempt.watched(CancellationToken::new(), move |piece| {
        if piece.text.contains("ready") {
            dies.cancel();
        }
    });
    tokio::select! {
        came = run => panic!("it ended before the engine died: {:?}", came.outcome),
        () = dead.cancelled() => {}
    }
}

#[tokio::test]
async fn an_action_that_runs_on_is_found_with_all_its_output() {
    let desk = Desk::new();
    let line = "echo ready; while [ ! -e \"$FLAG\" ]; do sleep 0.02; done; echo done; exit 5";
    let flag = desk.data().join("flag");
    let attempt = desk.cmd(line).given("env", serde_json::json!({ "FLAG": flag }));
    abandon(attempt.clone()).await;
    let back = attempt.returned(&desk);
    let release = async { std::fs::write(&flag, "").unwrap() };
    let (came, ()) = tokio::join!(back.run(), release);
    assert_eq!(came.end(), End::Failed);
    assert_eq!(came.outcome.result["return_code"], 5);
    assert_eq!(came.said(Stream::Stdout), "ready\ndone\n");
}

#[tokio::test]
async fn an_action_that_ended_meanwhile_is_found_even_by_a_new_supervisor() {
    let desk = Desk::new();
    let attempt = desk.cmd("echo ready; head -c 300000 /dev/zero | tr '\\0' y; exit 3");
    abandon(attempt.clone()).await;
    let exit = desk.data().join(format!("supervisor/spool/{}-1/exit.json", attempt.execution));
    until("it ended", || exit.exists());
    for again in ["first", "second"] {
        desk.kill_supervisor();
        let came = attempt.clone().returned(&desk).run().await;
        assert_eq!(came.outcome.result["return_code"], 3, "{again}: {:?}", came.reason());
        assert_eq!(came.said(Stream::Stdout).len(), "ready\n".len() + 300_000, "{again}");
    }
}

#[tokio::test]
async fn the_time_out_survives_the_engine() {
    let desk = Desk::new();
    let mark = "100777.7";
    let attempt = desk.cmd(&format!("echo ready; sleep {mark}")).within(Duration::from_secs(1));
    abandon(attempt.clone()).await;
    until("the supervisor ends it", || alive_with(mark).is_empty());
    assert_eq!(attempt.returned(&desk).run().await.end(), End::TimedOut);
}

#[tokio::test]
async fn a_returned_action_can_be_cancelled() {
    let desk = Desk::new();
    let attempt = desk.cmd("echo ready; sleep 100");
    abandon(attempt.clone()).await;
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(attempt.returned(&desk).run_until(stop).await.end(), End::Canceled);
}

#[tokio::test]
async fn an_attempt_that_never_began_is_told_from_a_lost_one() {
    let desk = Desk::new();
    let came = desk.cmd("true").returned(&desk).run().await;
    assert_eq!(came.outcome.ended, Ended::NeverBegan);

    let mark = "100888.8";
    let attempt = desk.cmd(&format!("(setsid sleep {mark} &); echo ready; sleep {mark}"));
    abandon(attempt.clone()).await;
    until("both sleep", || alive_with(mark).len() >= 2);
    desk.kill_supervisor();
    let came = attempt.clone().returned(&desk).run().await;
    assert_eq!(came.outcome.ended, Ended::Lost, "{:?}", came.outcome);
    assert_eq!(alive_with(mark), [0; 0], "nothing runs without an owner");
    let came = attempt.returned(&desk).run().await;
    assert_eq!(came.outcome.ended, Ended::Lost, "asked again");
}

#[tokio::test]
async fn a_supervisor_that_dies_under_a_living_engine_loses_only_what_ran() {
    let desk = Desk::new();
    let (sender, mut ready) = tokio::sync::mpsc::channel(1);
    let attempt = desk.cmd("echo ready; sleep 100");
    let run = attempt.watched(CancellationToken::new(), move |_| {
        // A second piece finds the channel full, which is as good.
        sender.try_send(()).unwrap_or_default();
    });
    let killer = async {
        ready.recv().await;
        desk.kill_supervisor()
    };
    let (came, _) = tokio::join!(run, killer);
    assert_eq!(came.outcome.ended, Ended::Lost, "{:?}", came.outcome);
    desk.cmd("true").run().await.succeeded();
}

#[tokio::test]
async fn an_attempt_from_before_the_boot_is_lost() {
    let desk = Desk::new();
    let folder = desk.data().join("supervisor");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("boot"), "another boot\n").unwrap();
    let came = desk.cmd("true").returned(&desk).run().await;
    assert_eq!(came.outcome.ended, Ended::Lost);
}

#[tokio::test]
async fn the_same_attempt_is_never_started_twice() {
    let desk = Desk::new();
    let file = desk.data().join("effects");
    let line = "echo x >> \"$F\"; echo ready; sleep 0.2";
    let attempt = desk.cmd(line).given("env", serde_json::json!({ "F": file }));
    let (one, two) = tokio::join!(attempt.clone().run(), attempt.clone().run());
    assert_eq!((one.end(), two.end()), (End::Succeeded, End::Succeeded));
    assert_eq!(attempt.run().await.end(), End::Succeeded);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "x\n");
}

#[tokio::test]
async fn one_supervisor_serves_a_folder_however_many_start() {
    let desk = Desk::new();
    let first = (0..8).map(|_| {
        let mut attempt = desk.cmd("true");
        attempt.runners = desk.reopened();
        attempt.run()
    });
    for came in futures_util::future::join_all(first).await {
        came.succeeded();
    }
    let pid = desk.supervisor_pid().unwrap();
    assert!(is_alive(pid));
}
