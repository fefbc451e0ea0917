//! Pausing what runs: real processes under a real supervisor, and an engine that dies at bad moments.

use std::sync::Arc;
use std::time::Duration;

use ifso::clock::Manual;
use ifso::executions::Error;
use ifso::model::action::{Action, Pause};
use ifso::model::execution::{Execution, Status};
use ifso::model::id::ExecutionId;
use ifso::model::parameter::Parameter;
use ifso::model::policy::Retry;
use ifso::store::Handle;
use ifso::store::redb::Redb;
use ifso::store::table::{self, Rows};
use ifso::store::tables::Output;
use serde_json::json;

use super::request;
use crate::runners::desk::{Desk, alive_with, kill, stands, until};
use crate::world::{Real, World, action, catalog};

/// A shell loop that ends once a flag is there; it leaves a line in a file when it begins.
struct Loop {
    desk: Desk,
    mark: String,
}

impl Loop {
    fn new() -> Self {
        let desk = Desk::new();
        let mark = format!("{}-loop", desk.data().display());
        Self { desk, mark }
    }

    fn action(&self) -> Action {
        let (data, mark) = (self.desk.data().display(), &self.mark);
        let line = format!(
            "echo x >> {data}/begun; echo ready; \
             sh -c 'while [ ! -e {data}/flag ]; do sleep 0.01; done' {mark}; echo done"
        );
        let cmd = Parameter { default: Some(json!(line)), ..Parameter::default() };
        Action {
            runner: "shell".to_owned(),
            runner_type: "local-shell-cmd".to_owned(),
            parameters: vec![("cmd".to_owned(), cmd)],
            timeout: Some(Duration::from_mins(1)),
            pause: Pause::Signal,
            ..action("test.loop")
        }
    }

    fn world(&self, this: Action) -> World {
        let store: Handle = Arc::new(Redb::in_memory().unwrap());
        let shell = Arc::clone(self.desk.runners.find("shell").unwrap());
        let manual = Manual::at(ifso::clock::system().now());
        World::with(
            store,
            catalog([this, action("test.other")]),
            manual,
            Real::from([("shell", shell)]),
        )
    }

    /// An engine in which one runs.
    async fn running(&self) -> (World, ExecutionId) {
        let world = self.world(self.action());
        let accepted = world.executions.request(request("test.loop")).await.unwrap();
        world.reaches(accepted.id, Status::Running).await;
        self.loops();
        (world, accepted.id)
    }

    fn loops(&self) {
        let begun = self.desk.data().join("begun");
        until("it loops", || begun.exists() && !alive_with(&self.mark).is_empty());
    }

    fn stands(&self) -> bool {
        let family = alive_with(&self.mark);
        !family.is_empty() && family.into_iter().all(stands)
    }

    /// Lets it end, and asserts that it began once and that its output is there once.
    async fn ends_well(&self, world: &World, id: ExecutionId) -> Execution {
        std::fs::write(self.desk.data().join("flag"), "").unwrap();
        let done = world.reaches(id, Status::Succeeded).await;
        assert_eq!(std::fs::read_to_string(self.desk.data().join("begun")).unwrap(), "x\n");
        let rows = Rows::first(99).under(id.to_bytes().to_vec());
        let output = table::scan::<Output>(&world.store, rows).await.unwrap();
        let text: String = output.iter().map(|held| held.row.text.as_str()).collect();
        assert_eq!(text, "ready\ndone\n");
        done
    }
}

fn moves(execution: &Execution) -> Vec<Status> {
    execution.log.iter().map(|(_, status)| *status).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_stands_still_until_it_is_resumed() {
    let story = Loop::new();
    let (world, id) = story.running().await;
    let pausing = world.executions.pause(id, "ann").await.unwrap();
    assert_eq!(pausing.status, Status::Pausing);
    let paused = world.reaches(id, Status::Paused).await;
    assert_eq!(paused.reason.as_deref(), Some("paused by `ann`"));
    assert!(story.stands());
    let resuming = world.executions.resume(id, "ann").await.unwrap();
    assert_eq!(resuming.status, Status::Resuming);
    world.reaches(id, Status::Running).await;
    until("it goes on", || !story.stands());
    let done = story.ends_well(&world, id).await;
    let words: Vec<_> = moves(&done).iter().map(|status| status.word()).collect();
    let expected = "requested running pausing paused resuming running succeeded";
    assert_eq!(words.join(" "), expected);
    assert_eq!(done.attempt, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_that_does_not_say_so_cannot_be_held_while_it_runs() {
    let story = Loop::new();
    let world = story.world(Action { pause: Pause::Never, ..story.action() });
    let accepted = world.executions.request(request("test.loop")).await.unwrap();
    world.reaches(accepted.id, Status::Running).await;
    let refused = world.executions.pause(accepted.id, "ann").await.unwrap_err();
    assert!(matches!(refused, Error::Unstoppable { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_held_still_when_the_engine_has_died() {
    let story = Loop::new();
    let (world, id) = story.running().await;
    world.executions.pause(id, "ann").await.unwrap();
    world.reaches(id, Status::Paused).await;
    let world = world.restart().await;
    world.reaches(id, Status::Paused).await;
    assert!(story.stands());
    world.executions.resume(id, "ann").await.unwrap();
    world.reaches(id, Status::Running).await;
    let done = story.ends_well(&world, id).await;
    assert_eq!(done.attempt, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_that_was_only_written_is_carried_out_by_the_next_engine() {
    let story = Loop::new();
    let (world, id) = story.running().await;
    // What follows attempts is dead already; the wish is written all the same.
    world.tasks.drain(Duration::from_millis(1)).await;
    world.executions.pause(id, "ann").await.unwrap();
    assert!(!story.stands());
    let world = world.restart().await;
    world.reaches(id, Status::Paused).await;
    assert!(story.stands());
    // So is a resume.
    world.tasks.drain(Duration::from_millis(1)).await;
    world.executions.resume(id, "ann").await.unwrap();
    assert!(story.stands());
    let world = world.restart().await;
    world.reaches(id, Status::Running).await;
    story.ends_well(&world, id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_runs_out_never_makes_a_second_follower() {
    let story = Loop::new();
    let (world, id) = story.running().await;
    world.executions.pause(id, "ann").await.unwrap();
    world.reaches(id, Status::Paused).await;
    for _ in 0..3 {
        world.manual.advance(Duration::from_hours(5));
        // The dispatcher lives and looks at its queue.
        let other = world.executions.request(request("test.other")).await.unwrap();
        world.reaches(other.id, Status::Succeeded).await;
        until("only it runs", || world.executions.running() == 1);
    }
    world.executions.resume(id, "ann").await.unwrap();
    world.reaches(id, Status::Running).await;
    story.ends_well(&world, id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_ends_what_is_held_also_after_a_restart() {
    for restarts in [false, true] {
        let story = Loop::new();
        let (mut world, id) = story.running().await;
        world.executions.pause(id, "ann").await.unwrap();
        world.reaches(id, Status::Paused).await;
        if restarts {
            world = world.restart().await;
        }
        let canceling = world.executions.cancel(id, "bob").await.unwrap();
        assert_eq!(canceling.status, Status::Canceling);
        world.reaches(id, Status::Canceled).await;
        assert_eq!(alive_with(&story.mark), [0; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dies_while_it_is_held_is_tried_again_when_it_is_resumed() {
    let story = Loop::new();
    let retry = Retry {
        on_failure: true,
        on_timeout: false,
        count: 1,
        delay: Duration::from_secs(10),
        backoff: 1.0,
        max_delay: Duration::from_mins(1),
    };
    let world = story.world(Action { retry: Some(retry), ..story.action() });
    let id = world.executions.request(request("test.loop")).await.unwrap().id;
    story.loops();
    world.executions.pause(id, "ann").await.unwrap();
    world.reaches(id, Status::Paused).await;
    // Its first process has no mark of its own, but is the only one left of its line.
    let first = alive_with("echo x >> ").into_iter();
    first.filter(|pid| alive_with(&story.mark).contains(pid)).for_each(kill);
    let mut last = Status::Running;
    let again = async {
        while last != Status::Delayed {
            let known = world.executions.get(id).await.unwrap().unwrap();
            last = moves(&known).iter().rev().nth(1).copied().unwrap_or(last);
            tokio::task::yield_now().await;
        }
    };
    crate::world::patient(again).await.expect("it waits to be tried again");
    world.reaches(id, Status::Paused).await;
    world.executions.resume(id, "ann").await.unwrap();
    until("it loops again", || !alive_with(&story.mark).is_empty() && !story.stands());
    std::fs::write(story.desk.data().join("flag"), "").unwrap();
    let done = world.reaches(id, Status::Succeeded).await;
    assert_eq!(done.attempt, 2);
}
