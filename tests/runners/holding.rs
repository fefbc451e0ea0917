//! What runs is held and let go: all of it, and its time with it.

use std::sync::Arc;
use std::time::Duration;

use ifso::model::execution::End;
use ifso::runners::{Brake, Stream};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::desk::{Attempt, Came, Desk, alive_with, kill, stands, until};
use crate::world::patient;

/// A hand on the brake of one attempt.
struct Lever {
    wanted: watch::Sender<bool>,
    stands: watch::Receiver<Option<bool>>,
}

impl Lever {
    fn of(attempt: &mut Attempt) -> Self {
        let (wanted, want) = watch::channel(false);
        let (stand, stands) = watch::channel(None);
        attempt.brake = Brake { wanted: want, stands: Arc::new(stand) };
        Self { wanted, stands }
    }

    async fn pull(&mut self, hold: bool) {
        self.wanted.send_replace(hold);
        let so = self.stands.wait_for(|stands| *stands == Some(hold));
        patient(so).await.expect("it is held or let go").unwrap();
    }
}

/// Runs it, and does `meanwhile` once it said `ready`.
async fn during(attempt: Attempt, meanwhile: impl Future<Output = ()>) -> Came {
    during_until(attempt, CancellationToken::new(), meanwhile).await
}

async fn during_until(
    attempt: Attempt,
    stop: CancellationToken,
    meanwhile: impl Future<Output = ()>,
) -> Came {
    let (sender, mut ready) = mpsc::channel(1);
    let run = attempt.watched(stop, move |_| sender.try_send(()).unwrap_or_default());
    let story = async {
        ready.recv().await;
        meanwhile.await;
    };
    tokio::join!(run, story).0
}

#[tokio::test]
async fn all_its_processes_stand_still_also_those_that_hid() {
    let desk = Desk::new();
    let data = desk.data().display().to_string();
    // Its children come and go all the time, and one made itself a session of its own.
    let body =
        |name| format!("echo $$ > {data}/{name}; while [ ! -e {data}/flag ]; do sleep 0.01; done");
    let hidden = desk.script("hides", &format!("#!/bin/sh\n{}\n", body("hidden")));
    let line = format!("(setsid {} &); echo ready; {}", hidden.display(), body("seen"));
    let mut attempt = desk.cmd(&line);
    let mut lever = Lever::of(&mut attempt);
    let pid = |name: &str| {
        let text = std::fs::read_to_string(format!("{data}/{name}")).unwrap_or_default();
        text.trim().parse::<i32>().ok()
    };
    let came = during(attempt, async {
        until("both loop", || pid("seen").and(pid("hidden")).is_some());
        let both = [pid("seen").unwrap(), pid("hidden").unwrap()];
        for _ in 0..3 {
            lever.pull(true).await;
            assert!(both.into_iter().all(stands));
            lever.pull(false).await;
            until("they go on", || !both.into_iter().any(stands));
        }
        std::fs::write(format!("{data}/flag"), "").unwrap();
    })
    .await;
    assert_eq!(came.end(), End::Succeeded, "{:?}", came.outcome);
}

#[tokio::test]
async fn its_time_stands_still_while_it_does() {
    let desk = Desk::new();
    let limit = Duration::from_secs(2);
    let flag = desk.data().join("flag");
    let line = "echo ready; while [ ! -e \"$FLAG\" ]; do sleep 0.01; done; echo done";
    let mut attempt = desk.cmd(line).given("env", serde_json::json!({ "FLAG": flag }));
    attempt = attempt.within(limit);
    let mut lever = Lever::of(&mut attempt);
    let came = during(attempt, async {
        lever.pull(true).await;
        // The same time is up for one that is not held.
        assert_eq!(desk.cmd("sleep 100").within(limit).run().await.end(), End::TimedOut);
        std::fs::write(&flag, "").unwrap();
        lever.pull(false).await;
    })
    .await;
    assert_eq!((came.end(), came.said(Stream::Stdout).as_str()), (End::Succeeded, "ready\ndone\n"));
}

#[tokio::test]
async fn its_time_goes_on_where_it_stood() {
    let desk = Desk::new();
    let mut attempt = desk.cmd("echo ready; sleep 100").within(Duration::from_secs(1));
    let mut lever = Lever::of(&mut attempt);
    let came = during(attempt, async {
        lever.pull(true).await;
        lever.pull(false).await;
    })
    .await;
    assert_eq!(came.end(), End::TimedOut);
}

#[tokio::test]
async fn a_cancel_reaches_one_that_is_held() {
    let desk = Desk::new();
    let line = "trap 'echo goodbye; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let mut attempt = desk.cmd(line);
    let mut lever = Lever::of(&mut attempt);
    let stop = CancellationToken::new();
    let came = during_until(attempt, stop.clone(), async {
        lever.pull(true).await;
        stop.cancel();
    })
    .await;
    assert_eq!(came.end(), End::Canceled);
    assert_eq!(came.said(Stream::Stdout), "ready\ngoodbye\n");
}

#[tokio::test]
async fn one_that_dies_while_it_is_held_has_ended() {
    let desk = Desk::new();
    let mark = format!("{}-held", desk.data().display());
    let mut attempt = desk.cmd(&format!("echo ready; exec sh -c 'sleep 100; :' {mark}"));
    let mut lever = Lever::of(&mut attempt);
    let came = during(attempt, async {
        lever.pull(true).await;
        alive_with(&mark).into_iter().for_each(kill);
    })
    .await;
    assert_eq!(came.end(), End::Failed);
    assert_eq!(came.outcome.result["return_code"], -9);
}

#[tokio::test]
async fn a_new_engine_finds_it_held_and_lets_it_go() {
    let desk = Desk::new();
    let mark = format!("{}-kept", desk.data().display());
    let mut attempt = desk.cmd(&format!("echo ready; sh -c 'sleep 0.01; :' {mark}; echo done"));
    let mut lever = Lever::of(&mut attempt);
    let again = attempt.clone();
    {
        // The engine dies while it is held: the future is dropped.
        let (sender, mut ready) = mpsc::channel(1);
        let see = move |_: &_| sender.try_send(()).unwrap_or_default();
        let run = attempt.watched(CancellationToken::new(), see);
        let held = async {
            ready.recv().await;
            lever.pull(true).await;
        };
        tokio::select! {
            came = run => panic!("it ended: {:?}", came.outcome),
            () = held => {}
        }
    }
    let mut back = again.returned(&desk);
    let mut lever = Lever::of(&mut back);
    lever.wanted.send_replace(true);
    let came = during(back, async {
        let so = lever.stands.wait_for(|stands| *stands == Some(true));
        patient(so).await.expect("it is held still").unwrap();
        lever.pull(false).await;
    })
    .await;
    assert_eq!((came.end(), came.said(Stream::Stdout).as_str()), (End::Succeeded, "ready\ndone\n"));
}
