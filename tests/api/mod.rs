//! The HTTP face, on a real listener in front of a real engine.

mod bodies;
mod events;
mod gate;
pub mod incidents;
pub mod inquiries;
mod page;
mod shapes;
mod workflows;

use std::sync::Arc;

use futures_util::FutureExt;
use ifso::api::inside::Inside;
use ifso::api::{self, RunnerType};
use ifso::audit;
use ifso::auth::{Draft, Keys};
use ifso::clock::Ids;
use ifso::packs::catalog::Catalog;
use ifso::sensors::hooks::Hooks;
use ifso::sensors::supervisor::Registry;
use ifso::telemetry::metrics::Metrics;
use ifso::vault::{Source, Text, Vault};
use ifso::web;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::world::World;

/// An engine with its HTTP face.
pub struct House {
    pub world: World,
    pub url: String,
    pub keys: Keys,
    pub admin: String,
    pub client: reqwest::Client,
}

impl House {
    /// A served engine.
    pub async fn new(catalog: Catalog) -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let world = World::new(catalog);
        let clock = world.manual.clock();
        let ids = Ids::new(clock.clone());
        let keys = Keys::new(world.store.clone(), clock.clone(), ids.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hooks = Hooks::new();
        hooks.known();
        let source = Source::Variable("KEY".to_owned(), Text::new("07".repeat(32)));
        let vault = Vault::open(source, world.store.clone(), clock.now()).await.unwrap();
        let (book, scribe) = audit::open(world.store.clone(), clock.clone());
        world.tasks.spawn(scribe.run(world.tasks.stop().clone()));
        let state = api::State {
            clock,
            ids,
            tasks: world.tasks.clone(),
            metrics: Metrics::new(),
            store: world.store.clone(),
            keys: keys.clone(),
            book,
            vault,
            catalog: world.catalog.clone(),
            door: world.door.clone(),
            executions: world.executions.clone(),
            incidents: world.incidents.clone(),
            hooks,
            sensors: Registry::new(),
            runners: Arc::new(vec![RunnerType {
                name: "hands".to_owned(),
                about: "Does what the test says.".to_owned(),
                parameters: Vec::new(),
            }]),
            backup: Arc::new(|_| async { Ok(7) }.boxed()),
        };
        let stop = world.tasks.stop().clone();
        let inside = Inside::new(api::gate::router(state, stop.clone()));
        let pages = web::Parts {
            clock: world.manual.clock(),
            keys: keys.clone(),
            pace: web::Pace::new(world.manual.clock(), world.metrics.clone()),
            public_url: "https://ifso.example".to_owned(),
        };
        let router = web::router(pages, inside);
        world.tasks.spawn(api::serve(router, world.tasks.clone(), listener, stop));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut house = Self { world, url, keys, admin: String::new(), client };
        house.admin = house.key("admin").await;
        house
    }

    /// A fresh key of this role.
    pub async fn key(&self, role: &str) -> String {
        let draft = Draft {
            user: role.to_owned(),
            role: role.to_owned(),
            grants: Vec::new(),
            expires: None,
            metadata: json!({}),
        };
        self.keys.create(draft).await.unwrap().1.reveal()
    }

    /// A call without a key.
    pub fn bare(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method: Method = method.parse().unwrap();
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A call with the admin's key.
    pub fn call(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.bare(method, path).bearer_auth(&self.admin)
    }

    /// Status and body of a call with the admin's key.
    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let call = self.call(method, path);
        answered(if let Some(body) = body { call.json(&body) } else { call }).await
    }
}

/// Status and body of an answer; null where the body is no JSON.
pub async fn answered(call: reqwest::RequestBuilder) -> (u16, Value) {
    let response = call.send().await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.bytes().await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// Every refusal has the same three fields, and says something.
pub fn is_problem(status: u16, body: &Value) -> bool {
    let said = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty());
    StatusCode::from_u16(status).is_ok_and(|s| !s.is_success())
        && said("faultstring")
        && said("code")
        && body.get("help").is_some()
}
