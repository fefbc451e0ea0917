//! A small real engine for tests: an embedded store in memory, a clock that tests move, the real
//! stages. Catalogs are built from data or loaded from files.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use ifso::clock::{Ids, Manual};
use ifso::executions::{self, Executions};
use ifso::incidents::{self, Incidents};
use ifso::intake::{self, Door, Outcome as Taken, Submission};
use ifso::model::action::Action;
use ifso::model::event::Report;
use ifso::model::execution::{End, Execution, Status};
use ifso::model::id::ExecutionId;
use ifso::model::parameter::Parameters;
use ifso::model::time::Time;
use ifso::packs::catalog::{Catalog, Current};
use ifso::runners::{Begin, Ended, Job, Outcome, Piece, Runner, Stream};
use ifso::store::Handle;
use ifso::store::redb::Redb;
use ifso::tasks::Tasks;
use ifso::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Waiting for a real thing takes at most so long before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An engine, or what survives of one.
pub struct World {
    pub store: Handle,
    pub manual: Manual,
    pub catalog: Current,
    pub tasks: Tasks,
    pub door: Door,
    pub executions: Executions,
    pub incidents: Incidents,
    pub hands: Hands,
    pub metrics: Metrics,
    /// Tokens of actions that are good now.
    pub tokens: Arc<AtomicUsize>,
    runners: Real,
}

/// Runners of the product beside the test's own hands, by short name.
pub type Real = HashMap<&'static str, Arc<dyn Runner>>;

impl World {
    /// A new engine on an empty store.
    pub fn new(catalog: Catalog) -> Self {
        let store: Handle = Arc::new(Redb::in_memory().unwrap());
        Self::on(store, catalog, Manual::at("2026-03-01T00:00:00Z".parse().unwrap()))
    }

    /// A new engine on a store that is there already: what a restart is.
    pub fn on(store: Handle, catalog: Catalog, manual: Manual) -> Self {
        Self::with(store, catalog, manual, Real::new())
    }

    /// The same with runners that do something.
    pub fn with(store: Handle, catalog: Catalog, manual: Manual, runners: Real) -> Self {
        let clock = manual.clock();
        let ids = Ids::new(clock.clone());
        let catalog: Current = Arc::new(ArcSwap::from_pointee(catalog));
        let tasks = Tasks::new();
        let metrics = Metrics::new();
        let (door, stage) = intake::open(intake::Parts {
            store: store.clone(),
            catalog: catalog.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            metrics: metrics.clone(),
        });
        let hands = Hands::default();
        let tokens = Arc::new(AtomicUsize::new(0));
        let runner: Arc<dyn Runner> = Arc::new(hands.clone());
        let (executions, dispatcher, conductor) = executions::open(executions::Parts {
            store: store.clone(),
            catalog: catalog.clone(),
            clock,
            ids: ids.clone(),
            tasks: tasks.clone(),
            runners: [("shell", Arc::clone(&runner)), ("hands", runner)]
                .into_iter()
                .chain(ifso::runners::own().into_iter().map(|own| (own.name(), own)))
                .chain(runners.clone())
                .collect(),
            tokens: counted(&tokens),
            metrics: metrics.clone(),
            settings: executions::Settings {
                concurrency: 4,
                timeout: Duration::from_mins(1),
                data: "/nonexistent".into(),
                api_url: "http://127.0.0.1:1".to_owned(),
                public_url: "https://ifso.example".to_owned(),
            },
        });
        let (incidents, keeper) = incidents::open(incidents::Parts {
            store: store.clone(),
            catalog: catalog.clone(),
            clock: manual.clock(),
            ids: ids.clone(),
            executions: executions.clone(),
            public_url: "https://ifso.example".to_owned(),
        });
        tasks.spawn(keeper.run(tasks.stop().clone()));
        tasks.spawn(stage.run(tasks.stop().clone()));
        tasks.spawn(dispatcher.run(tasks.stop().clone()));
        tasks.spawn(conductor.run(tasks.stop().clone()));
        Self {
            store,
            manual,
            catalog,
            tasks,
            door,
            executions,
            incidents,
            hands,
            metrics,
            tokens,
            runners,
        }
    }

    /// Stops this engine at once and starts another one on its store, as after a crash.
    pub async fn restart(self) -> Self {
        let catalog = (*self.catalog.load_full()).clone();
        self.tasks.drain(Duration::from_millis(1)).await;
        Self::with(self.store, catalog, self.manual, self.runners)
    }

    /// The same, with so much time between the two.
    pub async fn restart_after(self, span: Duration) -> Self {
        let catalog = (*self.catalog.load_full()).clone();
        self.tasks.drain(Duration::from_millis(1)).await;
        self.manual.advance(span);
        Self::with(self.store, catalog, self.manual, self.runners)
    }

    /// Reports events and gives what became of them.
    pub async fn report(&self, reports: Vec<Report>) -> Vec<Taken> {
        self.door.submit(Submission { reports, ..Submission::default() }).await.unwrap()
    }

    /// The execution, once it stands at `status`.
    pub async fn reaches(&self, id: ExecutionId, status: Status) -> Execution {
        let mut changes = self.store.changes();
        let mut last = None;
        let reached = async {
            loop {
                changes.mark_unchanged();
                last = self.executions.get(id).await.unwrap();
                if let Some(execution) = last.as_ref().filter(|e| e.status == status) {
                    return execution.clone();
                }
                changes.changed().await.unwrap();
            }
        };
        match patient(reached).await {
            Some(execution) => execution,
            None => panic!("{id} never was {status}; last seen: {last:?}"),
        }
    }
}

/// Tokens, of which those that are good are counted.
fn counted(good: &Arc<AtomicUsize>) -> executions::Tokens {
    let good = Arc::clone(good);
    Arc::new(move |_, _| {
        good.fetch_add(1, Ordering::Relaxed);
        let good = Arc::clone(&good);
        let end = Box::new(move || {
            good.fetch_sub(1, Ordering::Relaxed);
        });
        executions::Token { text: "token".to_owned(), end }
    })
}

/// What a future gives, unless it takes longer than anybody waits.
pub async fn patient<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, future).await.ok()
}

/// A report as a sensor called `test` would make it.
pub fn report(trigger: &str, data: Value) -> Report {
    Report::new(trigger.parse().unwrap(), "test", data)
}

/// A catalog with actions of the runner `hands`.
pub fn catalog(actions: impl IntoIterator<Item = Action>) -> Catalog {
    let actions = actions.into_iter().map(|a| (a.reference.clone(), Arc::new(a))).collect();
    Catalog { actions, generation: 1, ..Catalog::default() }
}

/// An action of the runner `hands`.
pub fn action(name: &str) -> Action {
    Action {
        enabled: true,
        runner: "hands".to_owned(),
        runner_type: "hands".to_owned(),
        ..Action::missing(name.parse().unwrap())
    }
}

/// A runner whose attempts end when the test says so, and which remembers what it was handed.
#[derive(Clone, Default)]
pub struct Hands {
    state: Arc<Mutex<State>>,
    began: Arc<Notify>,
    released: Arc<Notify>,
}

#[derive(Default)]
struct State {
    jobs: Vec<(ExecutionId, u32, Begin)>,
    script: Vec<(Ended, Vec<Piece>)>,
    hold: bool,
    active: usize,
    most: usize,
}

impl Hands {
    /// The next attempts end so, in this order; after them all end well.
    pub fn will(&self, ends: impl IntoIterator<Item = Ended>) {
        self.state.lock().unwrap().script.extend(ends.into_iter().map(|end| (end, Vec::new())));
    }

    /// The next attempt prints this and ends well.
    pub fn will_print(&self, lines: &[&str]) {
        let pieces =
            lines.iter().map(|line| Piece { stream: Stream::Stdout, text: (*line).to_owned() });
        let entry = (Ended::So(End::Succeeded), pieces.collect());
        self.state.lock().unwrap().script.push(entry);
    }

    /// The next attempt prints this to stdout and ends so.
    pub fn will_print_and(&self, text: &str, end: Ended) {
        let piece = Piece { stream: Stream::Stdout, text: text.to_owned() };
        self.state.lock().unwrap().script.push((end, vec![piece]));
    }

    /// Attempts do not end until they are stopped.
    pub fn hold(&self) {
        self.state.lock().unwrap().hold = true;
    }

    /// Attempts end by themselves again, those under way too.
    pub fn go_on(&self) {
        self.state.lock().unwrap().hold = false;
        self.released.notify_waiters();
    }

    /// Waits until an attempt has begun.
    pub async fn began(&self) {
        patient(self.began.notified()).await.expect("an attempt begins");
    }

    /// How many attempts were under way at once at most.
    pub fn most_at_once(&self) -> usize {
        self.state.lock().unwrap().most
    }

    /// What was handed over so far.
    pub fn jobs(&self) -> Vec<(ExecutionId, u32, Begin)> {
        self.state.lock().unwrap().jobs.clone()
    }
}

#[async_trait]
impl Runner for Hands {
    fn name(&self) -> &'static str {
        "hands"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn about(&self) -> &'static str {
        "does what the test says"
    }

    fn parameters(&self, _: &str) -> Parameters {
        Vec::new()
    }

    fn survives(&self) -> bool {
        true
    }

    async fn run(&self, job: Job, stop: CancellationToken) -> Outcome {
        let (hold, entry) = {
            let mut state = self.state.lock().unwrap();
            state.jobs.push((job.execution, job.attempt, job.begin));
            state.active += 1;
            state.most = state.most.max(state.active);
            let scripted = !state.script.is_empty();
            (state.hold, scripted.then(|| state.script.remove(0)))
        };
        self.began.notify_one();
        let (mut ended, pieces) = entry.unwrap_or((Ended::So(End::Succeeded), Vec::new()));
        for piece in pieces {
            job.output.send(piece).await.unwrap();
        }
        if hold {
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            let still = self.state.lock().unwrap().hold;
            tokio::select! {
                () = stop.cancelled() => ended = Ended::So(End::Canceled),
                () = released, if still => {}
                () = std::future::ready(()), if !still => {}
            }
        }
        self.state.lock().unwrap().active -= 1;
        Outcome { ended, result: json!({ "attempt": job.attempt }), reason: None }
    }
}

/// A time on the day on which these tests play.
pub fn at(text: &str) -> Time {
    format!("2026-03-01T{text}Z").parse().unwrap()
}

/// Prints a figure even where the test that found it passes.
pub fn figure(words: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{words}").unwrap();
}
