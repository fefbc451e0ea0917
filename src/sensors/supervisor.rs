//! Starts, watches, restarts and stops the sensors of the catalog, each in a task of its own: none can
//! hurt another. A sensor that fails comes back after a growing pause; one whose file changed is
//! replaced; the others do not notice.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use rand::RngExt;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Ids};
use crate::intake::Door;
use crate::model::problem::{Problem, nearest};
use crate::model::reference::Reference;
use crate::model::sensor::{Definition, Health, HealthState};
use crate::packs::catalog::Current;
use crate::sensors::books::Books;
use crate::sensors::hooks::{Awaited, Hooks};
use crate::sensors::{Context, Error, KINDS, Reporter, Sensor, kind, secret};
use crate::tasks::Tasks;
use crate::telemetry::metrics::Metrics;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A sensor that ran so long is well: its next failure counts as the first.
const HEALTHY: Duration = Duration::from_mins(1);
/// How long a sensor may take to end before it is cut off.
const GRACE: Duration = Duration::from_secs(5);

/// One sensor and how it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Its file, read.
    pub definition: Arc<Definition>,
    /// How it does.
    pub health: Health,
}

#[derive(Clone)]
struct Entry {
    definition: Arc<Definition>,
    reporter: Reporter,
    again: Arc<Notify>,
}

/// How every sensor of the catalog does. Cheap to clone; clones see the same sensors.
#[derive(Clone, Default)]
pub struct Registry {
    entries: Arc<RwLock<BTreeMap<Reference, Entry>>>,
}

impl Registry {
    /// No sensors yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every sensor, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Status> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().map(Entry::status).collect()
    }

    /// One sensor.
    #[must_use]
    pub fn get(&self, reference: &Reference) -> Option<Status> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(reference).map(Entry::status)
    }

    /// Starts a sensor anew: at once where it waits or stopped. Says whether there is such a sensor.
    #[must_use]
    pub fn restart(&self, reference: &Reference) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(reference).map(|entry| entry.again.notify_one()).is_some()
    }

    fn put(&self, definition: &Arc<Definition>, reporter: &Reporter, again: &Arc<Notify>) {
        let (definition, reporter) = (Arc::clone(definition), reporter.clone());
        let entry = Entry { definition, reporter, again: Arc::clone(again) };
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.insert(entry.definition.reference.clone(), entry);
    }

    fn remove(&self, reference: &Reference) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.remove(reference);
    }
}

impl Entry {
    fn status(&self) -> Status {
        Status { definition: Arc::clone(&self.definition), health: self.reporter.health() }
    }
}

/// Reads a sensor's settings without starting it: what `packs::Kinds` asks when a home is loaded.
#[must_use]
pub fn check(definition: &Arc<Definition>) -> Vec<Problem> {
    match (build(definition), kind(&definition.kind)) {
        (Err(problems), _) => problems,
        (Ok(_), None) => Vec::new(),
        (Ok(_), Some(kind)) => {
            let secrets = secret::missing(&definition.settings, &definition.folder);
            let place = &definition.place;
            let doubt = |path: PathBuf| {
                let message = format!("the secret file `{}` is not there", path.display());
                Problem::warning("no_secret", place.clone(), message).help("make it, or correct it")
            };
            secrets.into_iter().map(doubt).chain(kind.doubts(definition)).collect()
        }
    }
}

/// The addresses at which a sensor listens: `/api/v1/webhooks/deploy`.
#[must_use]
pub fn opened(definition: &Arc<Definition>) -> Vec<String> {
    kind(&definition.kind).map_or_else(Vec::new, |kind| kind.hooks(definition))
}

/// Builds the sensor that `definition` describes.
///
/// # Errors
/// Everything that is wrong with it.
pub fn build(definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>> {
    if let Some(kind) = kind(&definition.kind) {
        kind.build(definition)
    } else {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.name()).collect();
        let help = match nearest(&definition.kind, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("kinds are: {}", names.join(", ")),
        };
        let message = format!("`{}` is no kind of sensor", definition.kind);
        let problem = Problem::error("unknown_kind", definition.place.clone(), message);
        Err(vec![problem.help(help)])
    }
}

/// What the sensors of one process need.
pub struct Supervisor {
    /// What is to run.
    pub catalog: Current,
    /// Changes when the catalog has a new generation.
    pub changes: watch::Receiver<u64>,
    /// Where reports go.
    pub door: Door,
    /// The time.
    pub clock: Clock,
    /// Ids, for dead letters.
    pub ids: Ids,
    /// Where the sensors' tasks are counted.
    pub tasks: Tasks,
    /// Where sensors listen for HTTP.
    pub hooks: Hooks,
    /// Where their health is seen.
    pub registry: Registry,
    /// The shared HTTP client.
    pub client: reqwest::Client,
    /// What is counted.
    pub metrics: Metrics,
}

/// One sensor's task.
struct Running {
    definition: Arc<Definition>,
    config: Arc<Value>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    #[expect(dead_code, reason = "held, not read: while it is there, callers are to come again")]
    awaited: Awaited,
}

impl Supervisor {
    /// Runs the sensors of the catalog, and those of every later generation, until `stop`; then ends
    /// them all.
    ///
    /// Not cancel-safe: dropped, it leaves its sensors running.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut running = BTreeMap::new();
        loop {
            self.changes.mark_unchanged();
            self.follow(&mut running);
            self.hooks.known();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // Nobody reloads any more: what runs goes on.
                changed = self.changes.changed() => if changed.is_err() {
                    stop.cancelled().await;
                    break;
                },
            }
        }
        self.hooks.stopping();
        for one in running.values() {
            one.stop.cancel();
        }
        for (_, one) in running {
            finish(one).await;
        }
    }

    /// Ends what is gone or changed and starts what is new or changed.
    fn follow(&self, running: &mut BTreeMap<Reference, Running>) {
        let catalog = self.catalog.load_full();
        let gone: Vec<_> =
            running.keys().filter(|name| !catalog.sensors.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(old) = running.remove(&name) {
                old.stop.cancel();
                self.registry.remove(&name);
                self.tasks.spawn(finish(old));
            }
        }
        for (name, definition) in &catalog.sensors {
            let config = catalog.configs.get(name.pack()).cloned().unwrap_or_default();
            let same = running
                .get(name)
                .is_some_and(|old| old.definition == *definition && old.config == config);
            if !same {
                let old = running.remove(name);
                running.insert(name.clone(), self.start(definition, config, old));
            }
        }
    }

    /// Starts one sensor as soon as the one that it replaces has ended.
    fn start(
        &self,
        definition: &Arc<Definition>,
        config: Arc<Value>,
        old: Option<Running>,
    ) -> Running {
        let reference = &definition.reference;
        let health = Reporter::new(Arc::clone(&self.clock));
        let again = Arc::new(Notify::new());
        self.registry.put(definition, &health, &again);
        let context = Context {
            door: self.door.clone(),
            clock: Arc::clone(&self.clock),
            ids: self.ids.clone(),
            books: Books::new(reference, health.clone(), self.metrics.clone(), self.clock.clone()),
            health,
            tasks: self.tasks.clone(),
            hooks: self.hooks.clone(),
            client: self.client.clone(),
            config: Arc::clone(&config),
        };
        let stop = CancellationToken::new();
        let task = self.tasks.spawn({
            let (definition, stop) = (Arc::clone(definition), stop.clone());
            async move {
                if let Some(old) = old {
                    old.stop.cancel();
                    finish(old).await;
                }
                watch_over(&definition, &context, &stop, &again).await;
            }
        });
        let awaited = self.hooks.awaits(hooks(definition), reference);
        Running { definition: Arc::clone(definition), config, stop, task, awaited }
    }
}

/// The hooks that a sensor will have open: none where it is switched off or cannot be built.
fn hooks(definition: &Arc<Definition>) -> Vec<String> {
    let built = definition.enabled.then(|| build(definition).ok()).flatten();
    built.map(|sensor| sensor.hooks()).unwrap_or_default()
}

/// Waits for a stopped sensor's end; cuts it off where it takes too long.
async fn finish(mut old: Running) {
    if tokio::time::timeout(GRACE, &mut old.task).await.is_err() {
        old.task.abort();
        let sensor = &old.definition.reference;
        tracing::warn!(%sensor, "a sensor did not end in time and was cut off");
    }
}

/// One life after the other, until `stop`: the next begins when somebody asks for it.
async fn watch_over(
    definition: &Arc<Definition>,
    context: &Context,
    stop: &CancellationToken,
    again: &Notify,
) {
    while !stop.is_cancelled() {
        let end = stop.child_token();
        let mut life = std::pin::pin!(live(definition, context.clone(), end.clone()));
        tokio::select! {
            biased;
            () = again.notified() => {
                end.cancel();
                life.await;
                continue;
            }
            () = &mut life => {}
        }
        // It ended by itself: it is switched off, done, or waits for a person.
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = again.notified() => {}
        }
    }
}

/// One sensor's life: run, fail, pause, run again.
async fn live(definition: &Arc<Definition>, context: Context, stop: CancellationToken) {
    let sensor = &definition.reference;
    if !definition.enabled {
        set(&context.health, HealthState::Disabled, Some("switched off in its file".to_owned()));
        return;
    }
    let built = match build(definition) {
        Ok(built) => built,
        Err(problems) => {
            let reason = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            tracing::error!(%sensor, %reason, "a sensor cannot start");
            return set(&context.health, HealthState::Stopped, Some(reason));
        }
    };
    keep_running(sensor, &*built, context, stop).await;
}

async fn keep_running(
    sensor: &Reference,
    built: &dyn Sensor,
    context: Context,
    stop: CancellationToken,
) {
    let mut failures = 0;
    loop {
        let began = context.clock.now();
        let run = AssertUnwindSafe(built.run(context.clone(), stop.clone())).catch_unwind().await;
        if stop.is_cancelled() {
            return;
        }
        let reason = match run {
            Ok(Ok(())) => {
                return set(&context.health, HealthState::Stopped, ended(&context.health));
            }
            Ok(Err(Error::Stop { what })) => {
                tracing::error!(%sensor, reason = %what, "a sensor stopped until somebody acts");
                return set(&context.health, HealthState::Stopped, Some(what));
            }
            Ok(Err(error)) => chain(&error),
            Err(panic) => format!("it panicked: {}; this is a bug", words(panic.as_ref())),
        };
        if context.clock.now().since(began) >= HEALTHY {
            failures = 0;
        }
        failures += 1;
        tracing::warn!(%sensor, %reason, failures, "a sensor failed and will be tried again");
        context.health.update(|health| {
            health.restarts += 1;
            // Nobody looks at the source now.
            health.lag = None;
        });
        context.health.waiting(reason);
        let again = context.clock.now().plus(pause(failures, rand::rng().random()));
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = context.clock.sleep_until(again) => {}
        }
    }
}

/// How long to wait after so many failures in a row, from 1; `chance` (0 to 1) takes off up to half,
/// so that sensors of one broken source do not come back all at once.
fn pause(failures: u32, chance: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST_PAUSE).mul_f64(1.0 - chance / 2.0)
}

fn set(health: &Reporter, state: HealthState, reason: Option<String>) {
    health.update(|health| {
        health.state = state;
        health.reason = reason;
    });
}

/// A sensor that ended by itself has usually said why.
fn ended(health: &Reporter) -> Option<String> {
    health.health().reason.or_else(|| Some("it has nothing more to do".to_owned()))
}

/// An error with its sources, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::clock::Manual;
    use crate::intake;
    use crate::model::time::Time;
    use crate::store::redb::Redb;

    struct Panicking;

    #[async_trait]
    impl Sensor for Panicking {
        async fn run(&self, _: Context, _: CancellationToken) -> Result<(), Error> {
            panic!("out of luck")
        }
    }

    fn client() -> reqwest::Client {
        // Another test may have done it already.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        reqwest::Client::builder().build().unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_said_and_stays_with_its_sensor() {
        let clock = Manual::at(Time::from_millis(0)).clock();
        let ids = Ids::new(Arc::clone(&clock));
        let store = Arc::new(Redb::in_memory().unwrap());
        let catalog = Current::default();
        let (door, _stage) = intake::open(intake::Parts {
            store,
            catalog,
            clock: Arc::clone(&clock),
            ids: ids.clone(),
            metrics: Metrics::new(),
        });
        let health = Reporter::new(Arc::clone(&clock));
        let (sensor, stop) = ("site.x".parse().unwrap(), CancellationToken::new());
        let context = Context {
            door,
            clock: Arc::clone(&clock),
            ids,
            books: Books::new(&sensor, health.clone(), Metrics::new(), clock),
            health: health.clone(),
            tasks: Tasks::new(),
            hooks: Hooks::new(),
            client: client(),
            config: Arc::default(),
        };
        let kept = keep_running(&sensor, &Panicking, context, stop.clone());
        let looked = async {
            while health.health().restarts == 0 {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        tokio::join!(kept, looked);
        let reason = health.health().reason.unwrap();
        assert_eq!(reason, "it panicked: out of luck; this is a bug");
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_vary_by_half() {
        assert_eq!(pause(1, 0.0), Duration::from_millis(500));
        assert_eq!(pause(1, 1.0), Duration::from_millis(250));
        assert_eq!(pause(4, 0.0), Duration::from_secs(4));
        assert_eq!(pause(400, 0.0), Duration::from_mins(1));
    }
}
