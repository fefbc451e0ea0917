//! Workflows while their engine dies, again and again, between any two commits or in the middle of one.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ifso::clock::Manual;
use ifso::executions::Request;
use ifso::model::action::Action;
use ifso::model::execution::{End, Execution, Status};
use ifso::model::id::ExecutionId;
use ifso::model::parameter::{Parameter, Parameters};
use ifso::model::policy::Delivery;
use ifso::runners::{Begin, Ended, Job, Outcome, Runner};
use ifso::store::batch::Batch;
use ifso::store::queue::Ticket;
use ifso::store::redb::Redb;
use ifso::store::table::{self, Rows};
use ifso::store::{Error, Handle, Key, Range, Record, Store};
use serde_json::{Value, json};
use tokio::sync::{Notify, RwLock, watch};
use tokio_util::sync::CancellationToken;

use super::request;
use super::workflows::{ask, noop, workflow};
use crate::world::{Real, World, action, catalog, figure, patient};

/// A store whose engine dies with a commit: that one is written or not, and nobody is ever told.
struct Mortal {
    inner: Handle,
    left: AtomicI64,
    under_way: RwLock<()>,
    written: bool,
    died: Notify,
}

#[async_trait]
impl Store for Mortal {
    async fn get(&self, key: &Key) -> Result<Option<Record>, Error> {
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, Error> {
        self.inner.get_many(keys).await
    }

    async fn scan(&self, range: &Range) -> Result<Vec<(Vec<u8>, Record)>, Error> {
        self.inner.scan(range).await
    }

    async fn commit(&self, batch: Batch) -> Result<u64, Error> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left > 0 {
            let _under_way = self.under_way.read().await;
            return self.inner.commit(batch).await;
        }
        if left == 0 {
            // The dead write no more: what is under way is over before anybody lives again.
            let _all_over = self.under_way.write().await;
            if self.written {
                drop(self.inner.commit(batch).await);
            }
            self.died.notify_one();
        }
        std::future::pending().await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes()
    }
}

/// What happened in the world outside: which attempts began, by what they were to do.
#[derive(Default)]
struct Ledger {
    /// By key: the executions that began for it, in that order, and how often each began.
    began: Mutex<BTreeMap<String, Vec<(ExecutionId, u32)>>>,
}

/// Does what it is told, once for each start, and remembers that beyond the death of its engine.
#[derive(Clone)]
struct Outside {
    ledger: Arc<Ledger>,
}

#[async_trait]
impl Runner for Outside {
    fn name(&self) -> &'static str {
        "outside"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn about(&self) -> &'static str {
        "leaves a line in a ledger"
    }

    fn parameters(&self, _: &str) -> Parameters {
        Vec::new()
    }

    fn survives(&self) -> bool {
        true
    }

    async fn run(&self, job: Job, _stop: CancellationToken) -> Outcome {
        let key = job.parameters["key"].as_str().unwrap().to_owned();
        let fails = job.parameters.get("fails").and_then(Value::as_u64).unwrap_or(0);
        let mut began = self.ledger.began.lock().unwrap();
        let own = began.entry(key).or_default();
        let known = own.iter().position(|(id, _)| *id == job.execution);
        let position = match (job.begin, known) {
            (Begin::Return, None) => return ended(Ended::NeverBegan, 0),
            // What is safe to do again is not remembered: nobody knows how it ended.
            (Begin::Return, Some(_)) if job.action.delivery == Delivery::AtLeastOnce => {
                return ended(Ended::Lost, 0);
            }
            (Begin::Return, Some(at)) => at,
            (Begin::Fresh, Some(at)) => {
                own[at].1 += 1;
                at
            }
            (Begin::Fresh, None) => {
                own.push((job.execution, 1));
                own.len() - 1
            }
        };
        let end = if (position as u64) < fails { End::Failed } else { End::Succeeded };
        ended(Ended::So(end), position)
    }
}

fn ended(ended: Ended, position: usize) -> Outcome {
    Outcome { ended, result: json!({ "try": position }), reason: None }
}

fn outside(name: &str, delivery: Delivery) -> Action {
    let parameters = ["key", "fails"].map(|name| (name.to_owned(), Parameter::default()));
    Action {
        runner: "outside".to_owned(),
        runner_type: "outside".to_owned(),
        parameters: parameters.into(),
        delivery,
        ..action(name)
    }
}

/// Forks, joins, items, a retry, a branch for failure, a question, and a workflow within.
const OUTER: &str = "
version: 1.0
input: [key, list]
vars: [{left: null}, {right: null}, {inner: null}]
output:
  - {left: <% ctx().left %>}
  - {right: <% ctx().right %>}
  - {inner: <% ctx().inner %>}
tasks:
  begin:
    action: core.noop
    next: [{do: [left, right, inner, asks]}]
  asks:
    action: core.ask
    next: [{when: <% succeeded() %>, do: joined}]
  left:
    action: out.once
    input: {key: <% ctx().key %>-left}
    next: [{when: <% succeeded() %>, publish: [{left: <% result() %>}], do: joined}]
  right:
    action: out.again
    input: {key: <% ctx().key %>-right, fails: 1}
    retry: {count: 3}
    next: [{when: <% succeeded() %>, publish: [{right: done}], do: joined}]
  inner:
    action: test.inner
    input: {key: <% ctx().key %>, list: <% ctx().list %>}
    next: [{when: <% succeeded() %>, publish: [{inner: <% result().output %>}], do: joined}]
  joined:
    join: all
    action: out.once
    input: {key: <% ctx().key %>-joined, fails: 1}
    next: [{when: <% failed() %>, do: mend}]
  mend:
    action: out.once
    input: {key: <% ctx().key %>-mend}
";

const INNER: &str = "
version: 1.0
input: [key, list]
vars: [{all: null}]
output: [{all: <% ctx().all %>}]
tasks:
  each:
    with: {items: <% ctx().list %>, concurrency: 2}
    action: out.once
    input: {key: <% ctx().key %>-<% item() %>}
    next: [{when: <% succeeded() %>, publish: [{all: <% result() %>}]}]
";

/// One run of all workflows, through these deaths; gives what became of each, and the ledger.
async fn run(flows: u32, deaths: &[(i64, bool)]) -> (Vec<(Status, Value)>, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::default());
    let runner: Arc<dyn Runner> = Arc::new(Outside { ledger: Arc::clone(&ledger) });
    let inner: Handle = Arc::new(Redb::in_memory().unwrap());
    let manual = Manual::at("2026-03-01T00:00:00Z".parse().unwrap());
    let actions = || {
        let flows = [workflow("test.outer", OUTER), workflow("test.inner", INNER), noop(), ask()];
        let hands = [
            outside("out.once", Delivery::AtMostOnce),
            outside("out.again", Delivery::AtLeastOnce),
        ];
        catalog(flows.into_iter().chain(hands))
    };
    let world = |store: Handle| {
        World::with(
            store,
            actions(),
            manual.clone(),
            Real::from([("outside", Arc::clone(&runner))]),
        )
    };
    let start = world(Arc::clone(&inner));
    let mut ids = Vec::new();
    for n in 0..flows {
        let mut asked: Request = request("test.outer");
        asked.parameters.insert("key".to_owned(), json!(n.to_string()));
        asked.parameters.insert("list".to_owned(), json!(["a", "b", "c"]));
        asked.delay = Some(Duration::from_secs(1));
        ids.push(start.executions.request(asked).await.unwrap().id);
    }
    start.tasks.drain(Duration::from_millis(1)).await;
    manual.advance(Duration::from_secs(1));
    for (left, written) in deaths {
        let mortal = Arc::new(Mortal {
            inner: Arc::clone(&inner),
            left: AtomicI64::new(*left),
            under_way: RwLock::new(()),
            written: *written,
            died: Notify::new(),
        });
        let life = world(Arc::clone(&mortal) as Handle);
        let over = async {
            tokio::select! {
                () = mortal.died.notified() => {}
                _ = all(&life, &ids) => {}
            }
        };
        assert!(patient(over).await.is_some(), "stuck: {}", stuck(&life, &ids).await);
        life.tasks.drain(Duration::from_millis(1)).await;
    }
    let last = world(inner);
    let ends = patient(all(&last, &ids)).await.expect("every workflow ends");
    (ends, ledger)
}

/// Where the workflows stand that are not over, and what waits.
async fn stuck(world: &World, ids: &[ExecutionId]) -> String {
    let mut told = String::new();
    for id in ids {
        let now = world.executions.get(*id).await.unwrap().unwrap();
        if !now.status.is_done() {
            let tasks = world.executions.tasks(&now).await.unwrap().unwrap_or_default();
            let tasks: Vec<_> = tasks.iter().map(|t| format!("{} {}", t.name, t.status)).collect();
            writeln!(told, "{} {} {tasks:?}", now.id, now.status).unwrap();
        }
    }
    for ticket in table::scan::<Ticket>(&world.store, Rows::first(50)).await.unwrap() {
        writeln!(told, "{:?}", ticket.row).unwrap();
    }
    told
}

/// Answers every question that waits, as people would.
async fn answer(world: &World) {
    let rows = Rows::first(1000);
    let waiting = table::find::<Execution>(&world.store, "status", b"pending", rows).await.unwrap();
    for asked in waiting {
        let yes = serde_json::Map::from_iter([("continue".to_owned(), json!(true))]);
        // Somebody else may have been faster, in an earlier life.
        drop(world.executions.answer(asked.row.id, ("ann", &[]), &yes).await);
    }
}

/// What became of all, once all are over.
async fn all(world: &World, ids: &[ExecutionId]) -> Vec<(Status, Value)> {
    let mut ends = Vec::new();
    for id in ids {
        let mut changes = world.store.changes();
        let done: Execution = loop {
            changes.mark_unchanged();
            let now = world.executions.get(*id).await.unwrap().unwrap();
            if now.status.is_done() {
                break now;
            }
            answer(world).await;
            changes.changed().await.unwrap();
        };
        ends.push((done.status, done.result));
    }
    ends
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_workflows_end_as_they_would_have_whatever_dies() {
    const FLOWS: u32 = 200;
    const DEATHS: usize = 100;
    let (calm, once) = run(FLOWS, &[]).await;
    for (status, result) in &calm {
        assert_eq!((*status, &result["output"]["right"]), (Status::Succeeded, &json!("done")));
    }
    // A plain sequence that wanders: the same on every run.
    let mut seed = 0x5eed_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let deaths: Vec<(i64, bool)> =
        (0..DEATHS).map(|_| (i64::try_from(next(40)).unwrap(), next(2) == 1)).collect();
    let (stormy, ledger) = run(FLOWS, &deaths).await;
    assert_eq!(stormy, calm);
    let began = ledger.began.lock().unwrap();
    let calm = once.began.lock().unwrap();
    let keys = |ledger: &BTreeMap<String, Vec<(ExecutionId, u32)>>| -> HashMap<String, usize> {
        ledger.iter().map(|(key, all)| (key.clone(), all.len())).collect()
    };
    assert_eq!(keys(&began), keys(&calm));
    let (mut starts, mut twice) = (0, 0);
    for (key, all) in began.iter() {
        for (_, count) in all {
            starts += count;
            let safe = key.ends_with("-right");
            assert!(safe || *count == 1, "`{key}` began {count} times");
            twice += u32::from(*count > 1);
        }
    }
    figure(&format!(
        "workflows: {FLOWS} through {DEATHS} deaths, {starts} starts, {twice} safe ones repeated, 0 lost, 0 unsafe repeated"
    ));
}
