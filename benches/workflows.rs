//! What workflows cost: a step that does nothing, a step of a runner, many items, many that sleep, and
//! expressions. The engine is in this process, its store on this disk, every commit synced.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ifso::clock::{self, Ids};
use ifso::executions::{self, Executions, Request, Token};
use ifso::model::action::{Action, Pinned};
use ifso::model::cause::Cause;
use ifso::model::execution::{Execution, Selector, Status, Wish};
use ifso::model::time::Time;
use ifso::packs::catalog::{Catalog, Current};
use ifso::runners::supervisor::{self, Supervisor};
use ifso::runners::{Runner, Runners, Tools};
use ifso::store::Handle;
use ifso::store::redb::{Redb, Settings};
use ifso::store::table::{self, Rows};
use ifso::tasks::Tasks;
use ifso::telemetry::metrics::Metrics;
use ifso::workflows::Context;
use ifso::workflows::expression::{self, Scope, Seen, World};
use serde_json::{Map, Value, json};
use tokio::runtime::Builder;

const ROUNDS: usize = 5;

/// An engine on a folder.
struct Engine {
    executions: Executions,
    store: Handle,
    tasks: Tasks,
}

impl Engine {
    fn on(folder: &Path, actions: impl IntoIterator<Item = Action>) -> Self {
        let path = folder.join("store.redb");
        let store: Handle = Arc::new(Redb::open(&path, Settings::default()).expect("a store"));
        let clock = clock::system();
        let tasks = Tasks::new();
        let actions = actions.into_iter().map(|a| (a.reference.clone(), Arc::new(a))).collect();
        let catalog = Catalog { actions, generation: 1, ..Catalog::default() };
        let catalog: Current = Arc::new(ArcSwap::from_pointee(catalog));
        let program = std::env::current_exe().expect("a program");
        let held = supervisor::Settings { program, folder: folder.join("supervisor") };
        let runners = Runners::new(&Tools::new(Supervisor::new(held)));
        let runners: HashMap<&'static str, Arc<dyn Runner>> =
            runners.iter().map(|runner| (runner.name(), Arc::clone(runner))).collect();
        let (executions, dispatcher, conductor) = executions::open(executions::Parts {
            store: store.clone(),
            catalog,
            ids: Ids::new(clock.clone()),
            clock,
            tasks: tasks.clone(),
            runners,
            tokens: Arc::new(|_, _| Token { text: String::new(), end: Box::new(|| {}) }),
            metrics: Metrics::new(),
            settings: executions::Settings {
                concurrency: 64,
                timeout: Duration::from_mins(1),
                data: folder.to_owned(),
                api_url: String::new(),
                public_url: String::new(),
            },
        });
        tasks.spawn(dispatcher.run(tasks.stop().clone()));
        tasks.spawn(conductor.run(tasks.stop().clone()));
        Self { executions, store, tasks }
    }

    async fn ask(&self, action: &str) -> Execution {
        let request = Request {
            action: action.parse().expect("a name"),
            parameters: Map::new(),
            user: "bench".to_owned(),
            cause: Cause::User("bench".to_owned()),
            timeout: None,
            delay: None,
            context: Map::new(),
            once: None,
        };
        self.executions.request(request).await.expect("an execution")
    }

    /// Asks for so many at once.
    async fn ask_all(&self, action: &str, count: usize) -> Vec<Execution> {
        futures_util::future::join_all((0..count).map(|_| self.ask(action))).await
    }

    /// Waits until all stand so.
    async fn reach(&self, all: &[Execution], is: impl Fn(Status) -> bool) {
        let mut changes = self.store.changes();
        for execution in all {
            loop {
                changes.mark_unchanged();
                let now = self.executions.get(execution.id).await.expect("a look");
                if is(now.expect("an execution").status) {
                    break;
                }
                changes.changed().await.expect("a store");
            }
        }
    }

    async fn close(self) {
        self.tasks.drain(Duration::from_secs(5)).await;
    }
}

fn action(name: &str, runner: &str) -> Action {
    Action {
        enabled: true,
        runner: runner.to_owned(),
        runner_type: runner.to_owned(),
        ..Action::missing(name.parse().expect("a name"))
    }
}

fn workflow(name: &str, definition: Value) -> Action {
    let pinned = Pinned { hash: name.into(), definition: Arc::new(definition) };
    Action { workflow: Some(pinned), ..action(name, "workflow") }
}

/// So many tasks, one after another.
fn chain(name: &str, tasks: usize, each: &str) -> Action {
    let task = |n: usize| {
        let next = json!([{ "when": "<% succeeded() %>", "do": format!("t{}", n + 1) }]);
        let last = json!({ "action": each });
        let other = json!({ "action": each, "next": next });
        (format!("t{n}"), if n + 1 == tasks { last } else { other })
    };
    let tasks: Map<String, Value> = (0..tasks).map(task).collect();
    workflow(name, json!({ "version": 1.0, "tasks": tasks }))
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// Resident memory of this process, in MB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
    kib / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
async fn steps(engine: &Engine) {
    println!("\n| workflow of `noop` | at once | steps/s | per step |\n|---|---|---|---|");
    for (tasks, flows) in [(3, 1000), (10, 300), (30, 100), (100, 30), (300, 10), (1000, 3)] {
        let name = format!("bench.chain{tasks}");
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let all = engine.ask_all(&name, flows).await;
            engine.reach(&all, Status::is_done).await;
            rates.push((tasks * flows) as f64 / begun.elapsed().as_secs_f64());
        }
        let rate = median(rates);
        println!("| {tasks} tasks | {flows} | {rate:.0} | {:.1} µs |", 1e6 / rate);
    }
    for (name, count) in [("core.noop", 3000_usize), ("core.say", 3000)] {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let all = engine.ask_all(name, count).await;
            engine.reach(&all, Status::is_done).await;
            rates.push(count as f64 / begun.elapsed().as_secs_f64());
        }
        println!("| bare executions of `{name}` | {count} | {:.0} | – |", median(rates));
    }
}

async fn latency(engine: &Engine) {
    println!("\n| one at a time | time |\n|---|---|");
    let mut alone = Vec::new();
    for _ in 0..100 {
        let begun = Instant::now();
        let one = engine.ask("core.say").await;
        engine.reach(&[one], Status::is_done).await;
        alone.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let mut within = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        let one = engine.ask("bench.said").await;
        engine.reach(&[one], Status::is_done).await;
        within.push(begun.elapsed().as_secs_f64() * 1e3 / 30.0);
    }
    println!(
        "| an execution of a runner that takes no time, asked for and over | {:.2} ms |",
        median(alone)
    );
    println!("| one step of a workflow of 30 of them | {:.2} ms |", median(within));
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let all = engine.ask_all("bench.said", 100).await;
        engine.reach(&all, Status::is_done).await;
        rates.push(3000.0 / begun.elapsed().as_secs_f64());
    }
    println!("| 100 such workflows at once | {:.0} steps/s |", median(rates));
    let all = engine.ask_all("bench.sleep", 1000).await;
    engine.reach(&all, |status| status == Status::Running).await;
    let sleeping = Selector { action: Some("bench.sleep".to_owned()), ..Selector::default() };
    let mut spans = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        engine.executions.steer_all(&sleeping, Wish::Pause, "bench").await.expect("a pause");
        let said = begun.elapsed().as_secs_f64() * 1e3;
        engine.reach(&all, |status| status == Status::Paused).await;
        spans.push((said, begun.elapsed().as_secs_f64() * 1e3));
        engine.executions.steer_all(&sleeping, Wish::Resume, "bench").await.expect("a resume");
        engine.reach(&all, |status| status == Status::Running).await;
    }
    let said = median(spans.iter().map(|(said, _)| *said).collect());
    let paused = median(spans.iter().map(|(_, paused)| *paused).collect());
    println!("| 1,000 running workflows: nothing new starts | {said:.0} ms |");
    println!("| 1,000 running workflows: all `paused` | {paused:.0} ms |");
    engine.executions.steer_all(&sleeping, Wish::Cancel, "bench").await.expect("a cancel");
    engine.reach(&all, Status::is_done).await;
}

async fn items(engine: &Engine) {
    println!("\n| 10,000 items, 100 at once | |\n|---|---|");
    let before = resident();
    let mut spans = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let one = engine.ask("bench.items").await;
        engine.reach(&[one], Status::is_done).await;
        spans.push(begun.elapsed().as_secs_f64());
    }
    println!("| time | {:.2} s |", median(spans));
    println!("| memory grew by (five rounds) | {:.0} MB |", resident() - before);
}

#[expect(clippy::cast_precision_loss, reason = "sizes")]
async fn sleepers(folder: &Path) {
    const COUNT: usize = 1_000_000;
    let sleep = json!({
        "version": 1.0, "tasks": { "wait": { "action": "core.noop", "delay": 864_000 } },
    });
    let actions = [action("core.noop", "noop"), workflow("bench.sleep", sleep)];
    let engine = Engine::on(folder, actions);
    let before = resident();
    let begun = Instant::now();
    for _ in 0..COUNT / 1000 {
        let all = engine.ask_all("bench.sleep", 1000).await;
        engine.reach(&all, |status| status == Status::Running).await;
    }
    println!("\n| 1,000,000 workflows that sleep (one round) | |\n|---|---|");
    println!("| begun | {:.0}/s |", COUNT as f64 / begun.elapsed().as_secs_f64());
    println!("| memory grew by | {:.0} MB |", resident() - before);
    let size = std::fs::metadata(folder.join("store.redb")).map_or(0, |file| file.len());
    println!("| file | {:.2} GB |", size as f64 / 1e9);
    engine.close().await;
}

struct Nothing;

impl World for Nothing {
    fn task_status(&self, _name: &str, _route: Option<u32>) -> Option<String> {
        None
    }

    fn task(&self, _name: &str, _route: Option<u32>) -> Option<Value> {
        None
    }

    fn key(&self, _name: &str, _decrypt: bool) -> Result<Option<Value>, String> {
        Ok(None)
    }

    fn now(&self) -> Time {
        Time::from_millis(0)
    }
}

fn expressions() {
    let pools: Vec<Value> =
        (0..100).map(|n| json!({ "name": format!("p{n}"), "used": n })).collect();
    let context: Context = [("pool", json!({ "id": "p1", "used": 81.5 })), ("pools", json!(pools))]
        .map(|(name, value)| (name.into(), Arc::new(value)))
        .into();
    let result = json!({ "status_code": 200, "body": { "id": "v1", "status": "available" } });
    let task = Seen { name: "make", route: 0, status: "succeeded", result: &result };
    let scope = Scope { context: &context, task: Some(task), item: None, world: &Nothing };
    println!("\n| expression | evaluations/s |\n|---|---|");
    for text in [
        "<% succeeded() and result().body.status = 'available' %>",
        "{{ succeeded() and result().body.status == 'available' }}",
        "${ succeeded() && result().body.status == \"available\" }",
        "volume <% result().body.id %> of <% ctx().pool.id %>",
        "volume {{ result().body.id }} of {{ ctx().pool.id }}",
        "volume ${ result().body.id } of ${ ctx.pool.id }",
        "<% ctx().pools.where($.used > 90).select($.name) %>",
    ] {
        let value = json!(text);
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let mut count = 0.0;
            while begun.elapsed() < Duration::from_millis(300) {
                expression::evaluate(&value, &scope).expect("a value");
                count += 1.0;
            }
            rates.push(count / begun.elapsed().as_secs_f64());
        }
        let mut shown = String::new();
        write!(shown, "`{text}`").expect("memory");
        println!("| {shown} | {:.0} |", median(rates));
    }
}

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|one| one == part);
    let runtime =
        Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    if wants("expressions") {
        expressions();
    }
    let home = tempfile::tempdir().expect("a folder");
    let list: Vec<u32> = (0..10_000).collect();
    let items_of = json!({
        "version": 1.0, "vars": [{ "list": list }],
        "tasks": { "each": {
            "action": "core.noop", "with": { "items": "<% ctx(list) %>", "concurrency": 100 },
        } },
    });
    let sleep = json!({
        "version": 1.0, "tasks": { "wait": { "action": "core.noop", "delay": 864_000 } },
    });
    let chains = [3, 10, 30, 100, 300, 1000]
        .map(|tasks| chain(&format!("bench.chain{tasks}"), tasks, "core.noop"));
    let others = [
        action("core.noop", "noop"),
        action("core.say", "announce"),
        chain("bench.said", 30, "core.say"),
        workflow("bench.items", items_of),
        workflow("bench.sleep", sleep),
    ];
    runtime.block_on(async {
        let engine = Engine::on(home.path(), chains.into_iter().chain(others));
        if wants("steps") {
            steps(&engine).await;
        }
        if wants("latency") {
            latency(&engine).await;
        }
        if wants("items") {
            items(&engine).await;
        }
        let rows = table::scan::<Execution>(&engine.store, Rows::last(1)).await;
        assert!(rows.is_ok(), "the store reads back");
        engine.close().await;
        if wants("sleepers") {
            let home = tempfile::tempdir().expect("a folder");
            sleepers(home.path()).await;
        }
    });
}
