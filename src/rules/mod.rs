//! The first brain, pure: given an event, what do the rules want? No I/O, no clock, no async.
//!
//! Two steps, so that the stage between them can fetch what is remembered: `evaluate` asks `when` and
//! `per` of every rule on the event's trigger; `decide` weighs the answers against memory and asks
//! `then`. The order of events is the order of decisions.

pub mod pattern;
pub mod effects;
pub mod declare;
mod sites;
mod run;
mod library;
mod check;
mod wanted;
pub mod payload;
mod lint;
mod closure;
mod field;
mod hash;
mod condition;
mod cover;
mod analyse;
mod intervals;
mod words;
mod index;
pub mod indexing;
mod snapshot;
pub mod criteria;
mod lend;
pub mod read;
pub mod rule;
mod slim;
pub mod compile;
pub mod set;
pub mod evaluate;
mod tumbling;
pub mod temporal;
mod meaning;
mod read_temporal;
pub mod memory;
pub mod window;
mod turn;
mod shapes;
mod timers;
mod ends;
pub mod reload;
mod calendar;
pub mod decide;
pub mod simulation;
pub mod explain;
pub mod backtest;
pub mod definitions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::model::calendar::Calendar;
use crate::model::parameter::Parameters;
use crate::model::problem::Place;
use crate::model::reference::Reference;
use crate::model::time::Time;

pub use crate::rules::compile::{Sifted, compile, sift};
pub use crate::rules::decide::decide;
pub use crate::rules::ends::ended;
pub use crate::rules::evaluate::{Evaluation, evaluate};
pub use crate::rules::indexing::Indexing;
pub use crate::rules::library::Library;
pub use crate::rules::lint::loops::warnings as loops;
pub use crate::rules::memory::Memories;
pub use crate::rules::payload::Schemas;
pub use crate::rules::rule::Rule;
pub use crate::rules::set::Set;
pub use crate::rules::simulation::Simulation;
pub use crate::rules::timers::{FELL_DUE, fall_due, release};
pub use crate::rules::turn::QUARANTINED;
pub(crate) use crate::rules::wanted::doubtful;

/// One rule file to compile.
#[derive(Debug, Clone)]
pub struct Source {
    /// The pack (`site` for the home's own).
    pub pack: String,
    /// The file, as seen from the home.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
}

/// What effects may name: the actions and triggers of all packs.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Actions with their own and their runner's parameters.
    pub actions: BTreeMap<Reference, Parameters>,
    /// Described triggers.
    pub triggers: Vec<Reference>,
    /// What their payloads look like.
    pub schemas: Schemas,
    /// Calendars of all packs; `site.NAME` are the home's own.
    pub calendars: BTreeMap<Reference, Arc<Calendar>>,
    /// Channels of `configs/notify.yaml`; none where there is no such file.
    pub channels: BTreeSet<String>,
    /// Actions that stand in a pack and cannot be run.
    pub absent: BTreeMap<Reference, Absent>,
    /// Packs of which nothing new is in force.
    pub failed: BTreeMap<String, Absent>,
}

/// Why something that was written is not in force.
#[derive(Debug, Clone)]
pub struct Absent {
    /// Why: `its file has errors`.
    pub why: String,
    /// What is to be repaired.
    pub place: Place,
}

/// What rules may ask about the world, as data: the same for every event of a batch.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The time: `now()`.
    pub now: Time,
    /// The clock on the wall, where deadlines may be worked off later than they fell due.
    pub wall: Option<Time>,
    /// Configurations by pack: `config("key")` reads that of the rule's own pack.
    pub configs: Arc<BTreeMap<String, Arc<Value>>>,
    /// The key-value store's system scope: `key("name")`.
    pub keys: Arc<BTreeMap<String, Value>>,
}
