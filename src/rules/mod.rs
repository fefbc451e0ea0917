//! The first brain, pure: given an event, what do the rules want? No I/O, no clock, no async.
//!
//! Two steps, so that the stage between them can fetch what is remembered: `evaluate` asks `when` and
//! `per` of every rule on the event's trigger; `decide` weighs the answers against memory and asks
//! `then`. The order of events is the order of decisions.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::model::event::Event;
use crate::model::parameter::Parameters;
use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::model::rule::{Decision, Memory};
use crate::model::time::Time;

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

/// A pack's `lib/*.rhai` by name without the ending: what `import "name"` finds.
pub type Library = BTreeMap<String, Source>;

/// What effects may name: the actions and triggers of all packs.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Actions with their own and their runner's parameters.
    pub actions: BTreeMap<Reference, Parameters>,
    /// Described triggers.
    pub triggers: Vec<Reference>,
}

/// What rules may ask about the world, as data: the same for every event of a batch.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The time: `now()`.
    pub now: Time,
    /// Configurations by pack: `config("key")` reads that of the rule's own pack.
    pub configs: Arc<BTreeMap<String, Arc<Value>>>,
    /// The key-value store's system scope: `key("name")`.
    pub keys: Arc<BTreeMap<String, Value>>,
}

/// One compiled rule.
#[derive(Debug)]
pub struct Rule {}

/// All rules in force.
#[derive(Debug, Default)]
pub struct Set {}

/// Compiles one file into its rules.
///
/// # Errors
/// Every problem found, each with line and column; nothing of the file is used then. Warnings come
/// back beside the rules.
pub fn compile(
    source: &Source,
    library: &Library,
    known: &Known,
) -> Result<(Vec<Rule>, Vec<Problem>), Vec<Problem>> {
    let _ = (source, library, known);
    Err(Vec::new())
}

impl Set {
    /// All of these, in the order of their priority.
    #[must_use]
    pub fn new(rules: Vec<Arc<Rule>>) -> Self {
        let _ = rules;
        Self {}
    }

    /// Whether any enabled rule wants events of this trigger.
    #[must_use]
    pub fn is_subscribed(&self, trigger: &Reference) -> bool {
        let _ = trigger;
        false
    }
}

/// What the rules on one event's trigger said, before memory is asked.
#[derive(Debug, Default)]
pub struct Evaluation {}

impl Evaluation {
    /// The memories that `decide` will want: rule and key.
    #[must_use]
    pub fn wants(&self) -> Vec<(Reference, String)> {
        Vec::new()
    }

    /// The rules that said no.
    #[must_use]
    pub fn refused(&self) -> Vec<Reference> {
        Vec::new()
    }
}

/// Memories by rule and key: what was fetched, and after `decide` what is to be written.
pub type Memories = HashMap<(Reference, String), Memory>;

/// Asks `when` and `per` of every enabled rule on the event's trigger.
#[must_use]
pub fn evaluate(set: &Set, event: &Event, facts: &Facts) -> Evaluation {
    let _ = (set, event, facts);
    Evaluation::default()
}

/// Weighs the answers against memory, asks `then`, and changes memory. One decision per rule that was
/// evaluated, `NotMatched` left out.
#[must_use]
pub fn decide(
    set: &Set,
    event: &Event,
    evaluation: Evaluation,
    memories: &mut Memories,
    facts: &Facts,
) -> Vec<Decision> {
    let _ = (set, event, evaluation, memories, facts);
    Vec::new()
}
