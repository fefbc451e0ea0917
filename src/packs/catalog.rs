//! Everything that people wrote, as one immutable snapshot; a reload swaps the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;

use crate::model::action::Action;
use crate::model::calendar::Calendar;
use crate::model::notices::Plan;
use crate::model::pack::Manifest;
use crate::model::parameter::Parameters;
use crate::model::policy::Policy;
use crate::model::problem::{Problem, Severity};
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::trigger::Trigger;
use crate::rules;

/// One state of the home.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Packs that loaded, by name; `site` is the home's own.
    pub packs: BTreeMap<String, Pack>,
    /// Actions that may be run.
    pub actions: BTreeMap<Reference, Arc<Action>>,
    /// What callers may give to an action: its runner's parameters and its own over them.
    pub accepts: BTreeMap<Reference, Arc<Parameters>>,
    /// Described triggers.
    pub triggers: BTreeMap<Reference, Arc<Trigger>>,
    /// Sensors, disabled ones too.
    pub sensors: BTreeMap<Reference, Arc<Definition>>,
    /// Calendars, by pack and name; `site.NAME` are the home's own.
    pub calendars: BTreeMap<Reference, Arc<Calendar>>,
    /// Policies, disabled ones too.
    pub policies: BTreeMap<Reference, Arc<Policy>>,
    /// The policies that are in force, by the action that they are about, in the order of their names.
    pub governs: Governs,
    /// Who is told of incidents.
    pub notices: Arc<Plan>,
    /// Rules.
    pub rules: Arc<rules::Set>,
    /// Configurations by pack, defaults filled in.
    pub configs: Arc<BTreeMap<String, Arc<Value>>>,
    /// What is wrong, and what is doubtful.
    pub problems: Vec<Problem>,
    /// Counts the snapshots from 1; 0 is the empty one.
    pub generation: u64,
    /// The rules again, by the file that they stand in, as seen from the home.
    pub rule_files: BTreeMap<PathBuf, RuleFile>,
    /// The libraries of all packs.
    pub library: rules::Library,
    /// A hash of all that was read and all that was wrong with it: equal hashes, equal catalogs.
    pub version: Arc<str>,
}

/// Policies by the action that they are about.
pub type Governs = Arc<BTreeMap<Reference, Vec<Arc<Policy>>>>;

impl Catalog {
    /// How many problems keep something from being in force.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|one| one.severity == Severity::Error).count()
    }
}

/// The rules of one file.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// The pack that they belong to.
    pub pack: String,
    /// A hash of all that compiling it depends on: its text, the libraries of all packs, the known
    /// actions.
    pub version: Arc<str>,
    /// Its rules that are right, in their order.
    pub rules: Vec<Arc<rules::Rule>>,
    /// The names of those that are not.
    pub left_out: BTreeSet<String>,
    /// What is wrong with those, and what is doubtful.
    pub problems: Vec<Problem>,
}

/// One pack that loaded.
#[derive(Debug, Clone)]
pub struct Pack {
    /// What `pack.yaml` says.
    pub manifest: Manifest,
    /// Its folder, absolute; `built in/NAME` of one that the program itself holds.
    pub folder: PathBuf,
    /// JSON Schema of its configuration; null where it has none.
    pub config_schema: Value,
    /// A hash of its files.
    pub version: Arc<str>,
    /// What of it was wrong and is not in force: files, and `file: rule`.
    pub left_out: BTreeSet<String>,
}

/// The catalog in force. Whoever works takes one snapshot and keeps it to the end of the work.
pub type Current = Arc<ArcSwap<Catalog>>;
