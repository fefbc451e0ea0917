//! The HTTP face: one table of routes (`routes`), from which the router, the check of rights and the
//! OpenAPI page are made. Handlers stand with their routes, one file per noun.
//!
//! A call passes, in this order: size limit, key and right, body, what it is about, handler. Nothing here decides what
//! the product does; handlers ask rooms and give their answers a shape.

pub mod problem;
pub mod route;
pub mod call;
pub mod gate;
pub mod inside;
mod object;
pub mod paging;
pub mod openapi;
pub mod server;
pub mod cloudevents;
pub mod audit;

mod actions;
mod alerts;
mod apikeys;
mod backups;
mod deadletters;
mod events;
mod executions;
mod filter;
mod form;
mod health;
mod handover;
mod incidents;
mod inquiries;
mod keys;
mod links;
mod packs;
mod rules;
mod why;
mod backtests;
mod policies;
mod replay;
mod runners;
mod schedules;
mod sensors;
mod shape;
mod steering;
mod tokens;
mod users;
mod stream;
mod growth;
mod tree;
mod graph;
mod traces;
mod vault;
mod triggers;
mod webhooks;
mod workflows;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::audit::Book;
use crate::auth;
use crate::clock::{Clock, Ids};
use crate::executions::Executions;
use crate::incidents::Incidents;
use crate::intake::Door;
use crate::model::parameter::Parameters;
use crate::packs::catalog;
use crate::sensors::hooks::Hooks;
use crate::sensors::supervisor::Registry;
use crate::store;
use crate::tasks::Tasks;
use crate::telemetry::metrics::Metrics;
use crate::vault::Vault;

pub use server::serve;

/// Everything that handlers ask.
#[derive(Clone)]
pub struct State {
    /// The time.
    pub clock: Clock,
    /// Ids.
    pub ids: Ids,
    /// For connections.
    pub tasks: Tasks,
    /// What is counted.
    pub metrics: Metrics,
    /// What is remembered; read only, but for the key-value store.
    pub store: store::Handle,
    /// Who may call.
    pub keys: auth::Keys,
    /// Who changed what.
    pub book: Book,
    /// The master key.
    pub vault: Vault,
    /// What people wrote.
    pub catalog: catalog::Current,
    /// The way in for events.
    pub door: Door,
    /// The way in for requests to run.
    pub executions: Executions,
    /// Incidents.
    pub incidents: Incidents,
    /// Webhooks and Alertmanager's paths.
    pub hooks: Hooks,
    /// Sensors and how they do.
    pub sensors: Registry,
    /// The runners there are: `app` copies them from the room that has them.
    pub runners: Arc<Vec<RunnerType>>,
    /// Writes a backup to a file that does not exist yet.
    pub backup: Backup,
}

/// A runner as clients see it.
#[derive(Debug, Clone)]
pub struct RunnerType {
    /// The name that actions write (`local-shell-cmd`, `shell`).
    pub name: String,
    /// One sentence for people.
    pub about: String,
    /// Parameters that every action of it has.
    pub parameters: Parameters,
}

/// Writes a backup of the whole store to a file; gives its size in bytes.
pub type Backup =
    Arc<dyn Fn(PathBuf) -> BoxFuture<'static, Result<u64, store::Error>> + Send + Sync>;

/// The routes, noun by noun, in the order of the OpenAPI page.
const NOUNS: &[&[route::Route]] = &[
    events::ROUTES,
    triggers::ROUTES,
    sensors::ROUTES,
    schedules::ROUTES,
    rules::ROUTES,
    why::ROUTES,
    backtests::ROUTES,
    packs::ROUTES,
    policies::ROUTES,
    actions::ROUTES,
    workflows::ROUTES,
    runners::ROUTES,
    executions::ROUTES,
    steering::ROUTES,
    inquiries::ROUTES,
    links::ROUTES,
    incidents::ROUTES,
    handover::ROUTES,
    tree::ROUTES,
    graph::ROUTES,
    traces::ROUTES,
    stream::ROUTES,
    keys::ROUTES,
    deadletters::ROUTES,
    webhooks::ROUTES,
    alerts::ROUTES,
    apikeys::ROUTES,
    users::ROUTES,
    tokens::ROUTES,
    backups::ROUTES,
    vault::ROUTES,
    audit::ROUTES,
    health::ROUTES,
];

/// Every route there is.
pub fn routes() -> impl Iterator<Item = &'static route::Route> {
    NOUNS.iter().flat_map(|noun| noun.iter())
}
