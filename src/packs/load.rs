//! From folders to a catalog. A pack of which something is in force changes whole or not at all: one
//! mistake keeps what there was. Where nothing is in force yet, what is right comes into force and
//! only the file, or the rule, that is wrong is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::action::Action;
use crate::model::parameter::Parameters;
use crate::model::policy::Policy;
use crate::model::problem::{Place, Problem};
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::trigger::Trigger;
use crate::packs::catalog::{Catalog, Pack};
use crate::packs::compile::{accepted, compile, distinct};
use crate::packs::disk::{self, Disk};
use crate::packs::draft::{Draft, has_error};
use crate::packs::workflow::Workflow;
use crate::packs::yaml::Node;
use crate::packs::{notices, policy, strays};
use crate::rules;

/// One runner as actions see it.
#[derive(Debug, Clone)]
pub struct RunnerType {
    /// The short name (`shell`).
    pub name: String,
    /// Parameters that every action of it has.
    pub parameters: Parameters,
}

/// Every runner under its short name and under StackStorm's names.
pub type Runners = BTreeMap<String, RunnerType>;

/// Reads the settings of a sensor as its kind would, without touching the world.
pub type CheckSensor<'a> = &'a (dyn Fn(&Arc<Definition>) -> Vec<Problem> + Send + Sync);

/// What the loader has to be told of rooms that it does not know.
#[derive(Clone, Copy)]
pub struct Kinds<'a> {
    /// The runners.
    pub runners: &'a Runners,
    /// The kinds of sensors.
    pub sensor: CheckSensor<'a>,
    /// The addresses at which a sensor listens for HTTP, as its settings say.
    pub hooks: &'a (dyn Fn(&Arc<Definition>) -> Vec<String> + Send + Sync),
    /// Files of packs that the program itself holds, as `core/pack.yaml`; a pack of the same name in
    /// the home wins.
    pub built_in: &'a [(&'a str, &'a str)],
}

/// Reads the home folder. What fails keeps its state from `previous`; the generation counts on.
///
/// Blocking: reads files and compiles rules.
#[must_use]
pub fn load(home: &Path, kinds: Kinds<'_>, previous: &Catalog) -> Catalog {
    let home = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
    let mut problems = Vec::new();
    let mut drafts = Vec::new();
    let disk = Disk { home: &home, built_in: kinds.built_in };
    for folder in disk.folders(&home.join("packs"), &mut problems) {
        drafts.push(Draft::pack(&disk, folder, kinds));
    }
    unique(&mut drafts);
    for (name, folder) in disk.built_in() {
        if !drafts.iter().any(|draft| draft.name == name) {
            drafts.push(Draft::pack(&disk, folder, kinds));
        }
    }
    problems.extend(strays::configs(&disk, &drafts));
    problems.extend(strays::home(&home));
    drafts.push(Draft::site(&disk, kinds, previous));
    for draft in &mut drafts {
        draft.weigh(previous);
    }
    compile(&mut drafts, kinds.runners, previous);
    let mut catalog = Catalog { generation: previous.generation + 1, ..Catalog::default() };
    catalog.problems = problems;
    let (mut seen, mut named, mut wanted) = (BTreeSet::new(), Vec::new(), Vec::new());
    let mut workflows = Vec::new();
    let mut plan = Told::Nobody;
    for mut draft in drafts {
        catalog.problems.extend(draft.problems.iter().cloned());
        named.append(&mut draft.named);
        // Of a pack that is left out the actions are not there either, which is said already.
        if !draft.failed {
            wanted.append(&mut draft.wanted);
        }
        if seen.insert(draft.name.clone()) {
            let kept = draft.failed;
            if draft.name == notices::PACK {
                plan = if kept { Told::AsBefore } else { Told::new(draft.configured.take()) };
            }
            workflows.extend(draft.workflows.drain(..).filter(|_| !kept));
            draft.enter(&mut catalog, previous);
        }
    }
    catalog.problems.extend(doubtful(&named, &catalog));
    catalog.problems.extend(policy::doubtful(&wanted, &catalog, kinds.runners));
    apart(&mut catalog, kinds);
    accepted_by_all(&mut catalog, kinds.runners);
    plan.enter(&mut catalog, previous);
    finish(&mut catalog, &workflows);
    catalog
}

/// Warnings about triggers of sensors that are nearly described ones.
fn doubtful(named: &[(Reference, Place)], catalog: &Catalog) -> Vec<Problem> {
    let known: Vec<Reference> = catalog.triggers.keys().cloned().collect();
    let doubt = |(trigger, place): &(Reference, Place)| {
        let (message, help) = rules::doubtful(trigger, &known)?;
        Some(Problem::warning("unknown_trigger", place.clone(), message).help(help))
    };
    named.iter().filter_map(doubt).collect()
}

/// Leaves out sensors that would listen where another one, of a name before, does.
fn apart(catalog: &mut Catalog, kinds: Kinds<'_>) {
    let mut taken: BTreeMap<String, Place> = BTreeMap::new();
    let mut twice = Vec::new();
    for (reference, sensor) in catalog.sensors.iter().filter(|(_, sensor)| sensor.enabled) {
        let hooks = (kinds.hooks)(sensor);
        if let Some((hook, other)) = hooks.iter().find_map(|hook| taken.get_key_value(hook)) {
            let message = format!("`{hook}` is the address of the sensor in `{other}` already");
            let problem = Problem::error("hook_twice", sensor.place.clone(), message);
            let help = "give one of the two another `name` (of two that take alerts: \
                        `ingest: false`), or switch it off: `enabled: false`";
            twice.push((reference.clone(), problem.help(help)));
        } else {
            taken.extend(hooks.into_iter().map(|hook| (hook, sensor.place.clone())));
        }
    }
    for (reference, problem) in twice {
        catalog.sensors.remove(&reference);
        catalog.problems.push(problem);
    }
}

impl Draft {
    /// Puts what was read into the catalog, or what was there before.
    fn enter(self, catalog: &mut Catalog, previous: &Catalog) {
        if self.failed {
            return keep(&self.name, catalog, previous);
        }
        let left_out = self.left_out();
        let mut pack = Pack { left_out, ..self.pack };
        pack.version = disk::hash(self.hashed.iter().map(|hash| hash.as_bytes()));
        let action = |action: Action| (action.reference.clone(), Arc::new(action));
        catalog.actions.extend(self.actions.into_iter().map(action));
        let trigger = |trigger: Trigger| (trigger.reference.clone(), Arc::new(trigger));
        catalog.triggers.extend(self.triggers.into_iter().map(trigger));
        let policy = |policy: Policy| (policy.reference.clone(), Arc::new(policy));
        catalog.policies.extend(self.policies.into_iter().map(policy));
        let sensor = |sensor: Arc<Definition>| (sensor.reference.clone(), sensor);
        catalog.sensors.extend(self.sensors.into_iter().map(sensor));
        catalog.calendars.extend(self.calendars);
        catalog.rule_files.extend(self.rules);
        for (name, source) in self.library {
            catalog.library.insert(name, source);
        }
        Arc::make_mut(&mut catalog.configs).insert(self.name.clone(), Arc::new(self.config));
        catalog.packs.insert(self.name, pack);
    }
}

/// The second and later folders of one name fail.
fn unique(drafts: &mut [Draft]) {
    let mut first: BTreeMap<String, PathBuf> = BTreeMap::new();
    for draft in drafts {
        if let Some(other) = first.get(&draft.name) {
            let message = format!(
                "pack `{}` is in `{}` already",
                draft.name,
                other.file_name().unwrap_or_default().to_string_lossy()
            );
            let place = Place::file(draft.file("pack.yaml"));
            draft.problems.push(Problem::error("pack_twice", place, message));
            draft.failed = true;
        } else {
            first.insert(draft.name.clone(), draft.folder.clone());
        }
    }
}

/// Copies what `pack` had in `previous`.
fn keep(pack: &str, catalog: &mut Catalog, previous: &Catalog) {
    let Some(held) = previous.packs.get(pack) else { return };
    catalog.packs.insert(pack.to_owned(), held.clone());
    let of = |reference: &Reference| reference.pack() == pack;
    let actions = previous.actions.iter().filter(|(reference, _)| of(reference));
    catalog.actions.extend(actions.map(|(reference, held)| (reference.clone(), Arc::clone(held))));
    let triggers = previous.triggers.iter().filter(|(reference, _)| of(reference));
    catalog
        .triggers
        .extend(triggers.map(|(reference, held)| (reference.clone(), Arc::clone(held))));
    let sensors = previous.sensors.iter().filter(|(reference, _)| of(reference));
    catalog.sensors.extend(sensors.map(|(reference, held)| (reference.clone(), Arc::clone(held))));
    let calendars = previous.calendars.iter().filter(|(reference, _)| of(reference));
    catalog.calendars.extend(calendars.map(|(name, held)| (name.clone(), Arc::clone(held))));
    let policies = previous.policies.iter().filter(|(reference, _)| of(reference));
    catalog.policies.extend(policies.map(|(name, held)| (name.clone(), Arc::clone(held))));
    let rules = previous.rule_files.iter().filter(|(_, held)| held.pack == pack);
    catalog.rule_files.extend(rules.map(|(file, held)| (file.clone(), held.clone())));
    catalog.library.adopt(&previous.library, pack);
    if let Some(config) = previous.configs.get(pack) {
        Arc::make_mut(&mut catalog.configs).insert(pack.to_owned(), Arc::clone(config));
    }
}

/// Where the plan of who is told of incidents comes from.
enum Told {
    /// There is none.
    Nobody,
    /// The one that was in force.
    AsBefore,
    /// A file.
    Plan(Box<(Node, Place)>),
}

impl Told {
    fn new(file: Option<(Node, Place)>) -> Self {
        file.map_or(Self::Nobody, |file| Self::Plan(Box::new(file)))
    }

    /// A plan that is in force changes whole or not at all.
    fn enter(self, catalog: &mut Catalog, previous: &Catalog) {
        let file = match self {
            Self::Nobody => return,
            Self::AsBefore => {
                catalog.notices = Arc::clone(&previous.notices);
                return;
            }
            Self::Plan(file) => file,
        };
        let mut problems = Vec::new();
        let plan = notices::read((&file.0, &file.1), catalog, &mut problems);
        let held = previous.packs.contains_key(notices::PACK);
        catalog.notices = if held && has_error(&problems) {
            Arc::clone(&previous.notices)
        } else {
            Arc::new(plan)
        };
        catalog.problems.append(&mut problems);
    }
}

fn accepted_by_all(catalog: &mut Catalog, runners: &Runners) {
    let accepts =
        |action: &Arc<Action>| (action.reference.clone(), Arc::new(accepted(action, runners)));
    catalog.accepts = catalog.actions.values().map(accepts).collect();
}

fn finish(catalog: &mut Catalog, workflows: &[Workflow]) {
    let doubts: Vec<_> = workflows.iter().flat_map(|one| one.against(catalog)).collect();
    catalog.problems.extend(doubts);
    catalog.governs = Arc::new(policy::governs(&catalog.policies));
    let all = distinct(catalog);
    catalog.problems.extend(rules::loops(&all));
    catalog.rules = Arc::new(rules::Set::new(all));
    catalog.problems.sort_by(|a, b| {
        let key = |problem: &Problem| {
            (Arc::clone(&problem.place.file), problem.place.line, problem.place.column)
        };
        key(a).cmp(&key(b))
    });
    let packs =
        catalog.packs.iter().flat_map(|(name, pack)| [name.as_bytes(), pack.version.as_bytes()]);
    let problems: Vec<String> = catalog.problems.iter().map(ToString::to_string).collect();
    let hashes = packs.chain(problems.iter().map(String::as_bytes));
    catalog.version = disk::hash(hashes);
}
