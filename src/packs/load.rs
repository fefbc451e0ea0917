//! From folders to a catalog. Each pack is loaded whole or not at all; one that fails keeps what it
//! had in the catalog before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::model::action::Action;
use crate::model::parameter::Parameters;
use crate::model::problem::{Place, Problem, Severity};
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::trigger::Trigger;
use crate::packs::catalog::{Catalog, Pack, RuleFile};
use crate::packs::disk::{self, Disk, File};
use crate::packs::manifest::SITE;
use crate::packs::{action, config, manifest, parameters, schema, sensor, trigger};
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
}

const YAML: [&str; 3] = ["yaml", "yml", "json"];

/// Folders of a pack whose contents come with later versions.
const LATER: [(&str, &str); 2] = [("aliases", "ChatOps aliases"), ("policies", "policies")];

/// Reads the home folder. What fails keeps its state from `previous`; the generation counts on.
///
/// Blocking: reads files and compiles rules.
#[must_use]
pub fn load(home: &Path, kinds: Kinds<'_>, previous: &Catalog) -> Catalog {
    let home = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
    let mut problems = Vec::new();
    let mut drafts = Vec::new();
    let disk = Disk { home: &home };
    for folder in disk.folders(&home.join("packs"), &mut problems) {
        drafts.push(Draft::pack(&disk, folder, kinds));
    }
    unique(&mut drafts);
    drafts.push(Draft::site(&disk, kinds, previous));
    compile(&mut drafts, kinds.runners, previous);
    let mut catalog = Catalog { generation: previous.generation + 1, ..Catalog::default() };
    catalog.problems = problems;
    let mut seen = BTreeSet::new();
    for draft in drafts {
        catalog.problems.extend(draft.problems.iter().cloned());
        if seen.insert(draft.name.clone()) {
            draft.enter(&mut catalog, previous);
        }
    }
    finish(&mut catalog);
    catalog
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

/// One pack on its way into the catalog.
struct Draft {
    name: String,
    folder: PathBuf,
    /// The folder as seen from the home.
    shown: PathBuf,
    pack: Pack,
    actions: Vec<Action>,
    triggers: Vec<Trigger>,
    sensors: Vec<Arc<Definition>>,
    sources: Vec<File>,
    library: rules::Library,
    rules: Vec<(PathBuf, RuleFile)>,
    config: Value,
    /// All texts that were read: the pack's version is their hash.
    hashed: Vec<Arc<str>>,
    problems: Vec<Problem>,
    /// What it was before stays in force.
    failed: bool,
}

impl Draft {
    fn empty(name: String, folder: PathBuf, shown: PathBuf) -> Self {
        let pack = Pack {
            manifest: manifest::site(),
            folder: folder.clone(),
            config_schema: Value::Null,
            version: "".into(),
        };
        Self {
            name,
            folder,
            shown,
            pack,
            actions: Vec::new(),
            triggers: Vec::new(),
            sensors: Vec::new(),
            sources: Vec::new(),
            library: rules::Library::new(),
            rules: Vec::new(),
            config: Value::Null,
            hashed: Vec::new(),
            problems: Vec::new(),
            failed: false,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.shown.join(name)
    }

    /// Reads a pack's folder.
    fn pack(disk: &Disk<'_>, folder: PathBuf, kinds: Kinds<'_>) -> Self {
        let shown = folder.strip_prefix(disk.home).unwrap_or(&folder).to_owned();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut draft = Self::empty(name, folder, shown);
        let Some(file) = disk.file(&draft.folder.join("pack.yaml"), &mut draft.problems) else {
            if draft.problems.is_empty() {
                let place = Place::file(draft.file("pack.yaml"));
                let problem = Problem::error("no_manifest", place, "the folder has no `pack.yaml`");
                draft.problems.push(problem.help("add one, or move the folder out of `packs`"));
            }
            draft.failed = true;
            return draft;
        };
        draft.hash(&file);
        if let Some(node) = file.yaml(&mut draft.problems) {
            draft.pack.manifest = manifest::read(&node, &file.place, &mut draft.problems);
            if !draft.pack.manifest.reference.is_empty() {
                draft.name.clone_from(&draft.pack.manifest.reference);
            }
        }
        draft.read_actions(disk, kinds.runners);
        draft.read_triggers(disk);
        draft.read_sensors(disk, kinds.sensor);
        draft.read_rules(disk);
        draft.read_config(disk);
        draft.note_later(disk);
        draft.failed = has_error(&draft.problems);
        draft
    }

    /// Reads the home's own rules and sensors; every file stands for itself.
    fn site(disk: &Disk<'_>, kinds: Kinds<'_>, previous: &Catalog) -> Self {
        let mut draft = Self::empty(SITE.to_owned(), disk.home.to_owned(), PathBuf::new());
        draft.read_rules(disk);
        let mut problems = Vec::new();
        for file in disk.files(&disk.home.join("sensors"), &YAML, &mut draft.problems) {
            draft.hash(&file);
            draft.read_sensor(&file, kinds.sensor, &mut problems);
            if has_error(&problems) {
                // The new one is out; the one that was there before goes on.
                draft.sensors.retain(|sensor| sensor.place.file != file.place.file);
                let before = previous.sensors.values();
                draft
                    .sensors
                    .extend(before.filter(|held| held.place.file == file.place.file).cloned());
            }
            draft.problems.append(&mut problems);
        }
        draft
    }

    fn hash(&mut self, file: &File) {
        let name = file.place.file.to_string_lossy();
        self.hashed.push(disk::hash([name.as_bytes(), file.text.as_bytes()]));
    }

    fn read_actions(&mut self, disk: &Disk<'_>, runners: &Runners) {
        for file in disk.files(&self.folder.join("actions"), &YAML, &mut self.problems) {
            self.hash(&file);
            let Some(node) = file.yaml(&mut self.problems) else { continue };
            let around = action::Surroundings { pack: &self.name, folder: &self.folder, runners };
            let read = action::read(&file, &node, &around, &mut self.problems);
            let Some(action) = read else { continue };
            self.hashed.push(Arc::clone(&action.version));
            let twice = self.actions.iter().find(|held| held.reference == action.reference);
            if let Some(other) = twice {
                let message = format!(
                    "action `{}` is described in `{}` already",
                    action.reference,
                    other.file.display()
                );
                self.problems.push(Problem::error(
                    "action_twice",
                    node.find("name", &file.place),
                    message,
                ));
            }
            self.actions.push(action);
        }
    }

    fn read_triggers(&mut self, disk: &Disk<'_>) {
        for file in disk.files(&self.folder.join("triggers"), &YAML, &mut self.problems) {
            self.hash(&file);
            let Some(node) = file.yaml(&mut self.problems) else { continue };
            self.triggers.extend(trigger::read(&node, &self.name, &file.place, &mut self.problems));
        }
    }

    fn read_sensors(&mut self, disk: &Disk<'_>, check: CheckSensor<'_>) {
        let mut problems = Vec::new();
        for file in disk.files(&self.folder.join("sensors"), &YAML, &mut problems) {
            self.hash(&file);
            self.read_sensor(&file, check, &mut problems);
        }
        self.problems.append(&mut problems);
    }

    fn read_sensor(&mut self, file: &File, check: CheckSensor<'_>, problems: &mut Vec<Problem>) {
        let Some(node) = file.yaml(problems) else { return };
        let read = sensor::read(file, &node, (&self.name, &self.folder), check, problems);
        self.sensors.extend(read.definition);
        self.triggers.extend(read.triggers);
    }

    fn read_rules(&mut self, disk: &Disk<'_>) {
        let mut problems = Vec::new();
        self.sources = disk.files(&self.folder.join("rules"), &["rhai"], &mut problems);
        for file in disk.files(&self.folder.join("rules"), &YAML, &mut problems) {
            let message = "StackStorm's rules are not run yet";
            let problem = Problem::warning("yaml_rule", file.place.clone(), message);
            problems.push(problem.help("write it as `rules/*.rhai`"));
        }
        let library = disk.files(&self.folder.join("lib"), &["rhai"], &mut problems);
        for file in self.sources.clone().iter().chain(&library) {
            self.hash(file);
        }
        let entry = |file: File| (file.stem().to_owned(), self.source(&file));
        self.library = library.into_iter().map(entry).collect();
        self.problems.append(&mut problems);
    }

    fn source(&self, file: &File) -> rules::Source {
        rules::Source {
            pack: self.name.clone(),
            file: file.place.file.as_ref().clone(),
            text: file.text.clone(),
        }
    }

    fn read_config(&mut self, disk: &Disk<'_>) {
        let mut problems = Vec::new();
        let schema_file = disk.file(&self.folder.join("config.schema.yaml"), &mut problems);
        let schema = schema_file.as_ref().and_then(|file| {
            self.hash(file);
            let node = file.yaml(&mut problems)?;
            Some(schema::parameters(Some(&node), &file.place, &mut problems))
        });
        let path = disk.home.join("configs").join(format!("{}.yaml", self.name));
        let given = disk.file(&path, &mut problems).and_then(|file| {
            self.hash(&file);
            Some((file.yaml(&mut problems)?, file.place))
        });
        let given_node = given.as_ref().map(|(node, place)| (node, place));
        self.config = config::read(schema.as_ref(), given_node, &mut problems);
        let open = |schema: &Parameters| {
            let needed = schema.iter().find(|(_, one)| one.required && one.default.is_none());
            needed.map(|(name, _)| name.clone())
        };
        if let (None, Some(name)) = (&given, schema.as_ref().and_then(open)) {
            let place = Place::file(format!("configs/{}.yaml", self.name));
            let message =
                format!("the file is missing, and pack `{}` requires `{name}`", self.name);
            let problem = Problem::warning("no_config", place, message);
            problems.push(problem.help(format!("make it with the line `{name}: …`")));
        }
        self.pack.config_schema = schema.as_ref().map_or(Value::Null, schema::object);
        self.problems.append(&mut problems);
    }

    fn note_later(&mut self, disk: &Disk<'_>) {
        for (folder, what) in LATER {
            let mut problems = Vec::new();
            if !disk.files(&self.folder.join(folder), &YAML, &mut problems).is_empty() {
                let message = format!("{what} come with a later version");
                self.problems.push(Problem::warning(
                    "later",
                    Place::file(self.file(folder)),
                    message,
                ));
            }
        }
    }

    /// Puts what was read into the catalog, or what was there before.
    fn enter(self, catalog: &mut Catalog, previous: &Catalog) {
        if self.failed {
            return keep(&self.name, catalog, previous);
        }
        let mut pack = self.pack;
        pack.version = disk::hash(self.hashed.iter().map(|hash| hash.as_bytes()));
        let action = |action: Action| (action.reference.clone(), Arc::new(action));
        catalog.actions.extend(self.actions.into_iter().map(action));
        let trigger = |trigger: Trigger| (trigger.reference.clone(), Arc::new(trigger));
        catalog.triggers.extend(self.triggers.into_iter().map(trigger));
        let sensor = |sensor: Arc<Definition>| (sensor.reference.clone(), sensor);
        catalog.sensors.extend(self.sensors.into_iter().map(sensor));
        catalog.rule_files.extend(self.rules);
        Arc::make_mut(&mut catalog.configs).insert(self.name.clone(), Arc::new(self.config));
        catalog.packs.insert(self.name, pack);
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
    let rules = previous.rule_files.iter().filter(|(_, held)| held.pack == pack);
    catalog.rule_files.extend(rules.map(|(file, held)| (file.clone(), held.clone())));
    if let Some(config) = previous.configs.get(pack) {
        Arc::make_mut(&mut catalog.configs).insert(pack.to_owned(), Arc::clone(config));
    }
}

/// Compiles the rules of every pack against the actions and triggers of all. A pack that fails takes
/// its actions away, so the others are compiled again, until nothing more fails.
fn compile(drafts: &mut [Draft], runners: &Runners, previous: &Catalog) {
    loop {
        let known = known(drafts, runners, previous);
        let mut fewer = false;
        for draft in drafts.iter_mut().filter(|draft| !draft.failed) {
            let problems = compile_pack(draft, &known, previous);
            if draft.name != SITE && has_error(&problems) {
                draft.problems.extend(problems);
                draft.failed = true;
                fewer = true;
            } else {
                draft.compiled(problems);
            }
        }
        if !fewer {
            return;
        }
    }
}

impl Draft {
    /// Replaces the problems of the last round of compiling with those of this one.
    fn compiled(&mut self, problems: Vec<Problem>) {
        let rules: BTreeSet<_> = self.sources.iter().map(|file| &file.place.file).collect();
        self.problems.retain(|problem| !rules.contains(&problem.place.file));
        self.problems.extend(problems);
    }
}

fn compile_pack(draft: &mut Draft, known: &rules::Known, previous: &Catalog) -> Vec<Problem> {
    let mut problems = Vec::new();
    draft.rules.clear();
    for file in &draft.sources {
        let path = file.place.file.as_ref();
        match rules::compile(&draft.source(file), &draft.library, known) {
            Ok((compiled, doubts)) => {
                problems.extend(doubts);
                let rules = compiled.into_iter().map(Arc::new).collect();
                let version = disk::hash([file.text.as_bytes()]);
                let held = RuleFile { pack: draft.name.clone(), version, rules };
                draft.rules.push((path.clone(), held));
            }
            Err(found) => {
                problems.extend(found);
                if let (SITE, Some(held)) = (draft.name.as_str(), previous.rule_files.get(path)) {
                    draft.rules.push((path.clone(), held.clone()));
                }
            }
        }
    }
    problems
}

/// What rules may name: of each pack what it will have in the catalog.
fn known(drafts: &[Draft], runners: &Runners, previous: &Catalog) -> rules::Known {
    let mut known = rules::Known::default();
    let mut action = |action: &Action| {
        let none = Parameters::new();
        let runner = runners.get(&action.runner_type).map_or(&none, |runner| &runner.parameters);
        let merged = parameters::merge(runner, &action.parameters);
        known.actions.insert(action.reference.clone(), merged);
    };
    let failed: BTreeSet<_> =
        drafts.iter().filter(|draft| draft.failed).map(|draft| draft.name.as_str()).collect();
    let kept = |reference: &Reference| failed.contains(reference.pack());
    for draft in drafts.iter().filter(|draft| !draft.failed) {
        draft.actions.iter().for_each(&mut action);
    }
    for (_, held) in previous.actions.iter().filter(|(reference, _)| kept(reference)) {
        action(held);
    }
    let fresh = drafts.iter().filter(|draft| !draft.failed).flat_map(|draft| &draft.triggers);
    known.triggers.extend(fresh.map(|trigger| trigger.reference.clone()));
    known.triggers.extend(previous.triggers.keys().filter(|held| kept(held)).cloned());
    known.triggers.sort();
    known.triggers.dedup();
    known
}

fn finish(catalog: &mut Catalog) {
    let rules = catalog.rule_files.values().flat_map(|file| file.rules.iter().cloned());
    catalog.rules = Arc::new(rules::Set::new(rules.collect()));
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

fn has_error(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}
