//! Sensors on a real door: what they see becomes events, once.

mod contract;
mod files;
mod hooks;
mod monitoring;
mod kafka;
mod kafka_decode;
mod polls;
mod processes;
mod reference;
mod schedules;
mod supervisor;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ifso::clock::Ids;
use ifso::intake::history::{self, Filter};
use ifso::model::event::Event;
use ifso::model::problem::Place;
use ifso::model::reference::Reference;
use ifso::model::sensor::{Definition, Health, HealthState};
use ifso::packs::catalog::Catalog;
use ifso::packs::yaml;
use ifso::sensors::hooks::{Answer, BODY_LIMIT_BYTES, Delivery, Hooks};
use ifso::sensors::supervisor::{Registry, Supervisor};
use ifso::tasks::Tasks;
use serde_json::Value;
use tokio::sync::watch;

use crate::world::{World, patient};

/// A sensor file of the pack `site`, read.
pub fn definition(name: &str, file: &str) -> Arc<Definition> {
    in_folder(name, file, PathBuf::from("/nonexistent"))
}

/// As `definition`, with the pack's folder.
pub fn in_folder(name: &str, file: &str, folder: PathBuf) -> Arc<Definition> {
    let place = Place::file(format!("sensors/{name}.yaml"));
    let settings = yaml::parse(file, &place).unwrap().to_json();
    Arc::new(Definition {
        reference: Reference::new("site", name).unwrap(),
        kind: settings["kind"].as_str().unwrap_or_default().to_owned(),
        enabled: settings.get("enabled").is_none_or(|enabled| enabled == true),
        description: String::new(),
        settings,
        folder,
        place,
    })
}

/// Sensors on an engine.
pub struct Station {
    pub world: World,
    pub hooks: Hooks,
    pub registry: Registry,
    generation: watch::Sender<u64>,
}

impl Station {
    /// The sensors of these files, on an empty store.
    pub fn new(definitions: impl IntoIterator<Item = Arc<Definition>>) -> Self {
        Self::on(World::new(catalog(definitions, Value::Null)))
    }

    /// The sensors of a world's catalog.
    pub fn on(world: World) -> Self {
        let (generation, changes) = watch::channel(1);
        let (hooks, registry) = (Hooks::new(), Registry::new());
        let clock = world.manual.clock();
        let supervisor = Supervisor {
            catalog: world.catalog.clone(),
            changes,
            door: world.door.clone(),
            clock: clock.clone(),
            ids: Ids::new(clock),
            tasks: world.tasks.clone(),
            hooks: hooks.clone(),
            registry: registry.clone(),
            client: client(),
            metrics: world.metrics.clone(),
        };
        world.tasks.spawn(supervisor.run(world.tasks.stop().clone()));
        Self { world, hooks, registry, generation }
    }

    /// Lets the clock go on by itself, for what happens outside.
    pub fn live(self) -> Self {
        let (manual, stop) = (self.world.manual.clone(), self.world.tasks.stop().clone());
        self.world.tasks.spawn(async move {
            let beat = Duration::from_millis(10);
            let mut beats = tokio::time::interval(beat);
            while !stop.is_cancelled() {
                beats.tick().await;
                manual.advance(beat);
            }
        });
        self
    }

    /// Puts other files in force.
    pub fn reload(&self, catalog: Catalog) {
        self.world.catalog.store(Arc::new(catalog));
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// Stops everything at once and starts it on the same store, as after a crash.
    pub async fn restart(self) -> Self {
        Self::on(self.world.restart().await)
    }

    /// What is known of a sensor of `site`.
    pub fn health(&self, name: &str) -> Option<Health> {
        let reference = Reference::new("site", name).unwrap();
        self.registry.get(&reference).map(|status| status.health)
    }

    /// The health of a sensor once it is as wanted.
    pub async fn until(&self, name: &str, wanted: impl Fn(&Health) -> bool) -> Health {
        let mut last = None;
        let seen = eventually(|| {
            last = self.health(name);
            last.clone().filter(&wanted)
        });
        let seen = seen.await;
        seen.unwrap_or_else(|| panic!("`{name}` never became so; last seen: {last:?}"))
    }

    /// Waits until a sensor runs.
    pub async fn running(&self, name: &str) -> Health {
        self.until(name, |health| health.state == HealthState::Running).await
    }

    /// Waits until it is known which sensors there are.
    pub async fn settled(&self) {
        let known = |hooks: &Hooks| hooks.limit_bytes("nobody") == BODY_LIMIT_BYTES;
        eventually(|| known(&self.hooks).then_some(())).await.unwrap();
    }

    /// Every event so far, oldest first.
    pub async fn events(&self) -> Vec<Event> {
        let filter = Filter { limit: 10_000, ..Filter::default() };
        let kept = history::list(&self.world.store, &filter).await.unwrap();
        let mut events: Vec<_> = kept.into_iter().map(|kept| kept.event).collect();
        events.sort_by_key(|event| event.id);
        events
    }

    /// The events once there are so many.
    pub async fn events_become(&self, count: usize) -> Vec<Event> {
        let mut changes = self.world.store.changes();
        let mut last = Vec::new();
        let reached = async {
            loop {
                changes.mark_unchanged();
                last = self.events().await;
                if last.len() >= count {
                    return;
                }
                changes.changed().await.unwrap();
            }
        };
        let in_time = patient(reached).await.is_some();
        assert!(in_time && last.len() == count, "wanted {count} events, saw {last:#?}");
        last
    }

    /// Posts JSON to a webhook with these headers.
    pub async fn post(&self, name: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.hooks.deliver(name, delivery(headers, body)).await
    }
}

/// A catalog with these sensors; `config` is the configuration of `site`.
pub fn catalog(definitions: impl IntoIterator<Item = Arc<Definition>>, config: Value) -> Catalog {
    let sensors = definitions.into_iter().map(|one| (one.reference.clone(), one)).collect();
    let configs = Arc::new([("site".to_owned(), Arc::new(config))].into());
    Catalog { sensors, configs, generation: 1, ..Catalog::default() }
}

/// The shared client as the app builds it.
pub fn client() -> reqwest::Client {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build().unwrap()
}

/// A delivery with these headers.
pub fn delivery(headers: &[(&str, &str)], body: &str) -> Delivery {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    Delivery { headers, query: None, body: body.to_owned().into(), authenticated: None }
}

/// What `look` finds, as soon as it finds something.
pub async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let mut glances = tokio::time::interval(Duration::from_millis(5));
    let found = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            glances.tick().await;
        }
    };
    patient(found).await
}

/// Serves a router on a free port until the test ends; gives `host:port`.
pub async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // Its own, uncounted: it stands for somebody else's server and ends with the test's runtime.
    drop(Tasks::new().spawn(async move { axum::serve(listener, router).await }));
    address
}
