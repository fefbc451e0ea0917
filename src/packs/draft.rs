//! One pack, or the home's own rules and sensors, read from disk; nothing is compiled here.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::model::action::Action;
use crate::model::parameter::Parameters;
use crate::model::problem::{Place, Problem, Severity};
use crate::model::sensor::Definition;
use crate::model::trigger::Trigger;
use crate::packs::catalog::{Catalog, Pack, RuleFile};
use crate::packs::disk::{self, Disk, File};
use crate::packs::load::{CheckSensor, Kinds, Runners};
use crate::packs::manifest::SITE;
use crate::packs::{action, config, manifest, schema, sensor, trigger};
use crate::rules;

const YAML: [&str; 3] = ["yaml", "yml", "json"];

/// Folders of a pack whose contents come with later versions.
const LATER: [(&str, &str); 2] = [("aliases", "ChatOps aliases"), ("policies", "policies")];

/// One pack on its way into the catalog.
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// The folder as seen from the home.
    pub(crate) shown: PathBuf,
    pub(crate) pack: Pack,
    pub(crate) actions: Vec<Action>,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) sensors: Vec<Arc<Definition>>,
    pub(crate) sources: Vec<File>,
    pub(crate) library: rules::Library,
    pub(crate) rules: Vec<(PathBuf, RuleFile)>,
    pub(crate) config: Value,
    /// All texts that were read: the pack's version is their hash.
    pub(crate) hashed: Vec<Arc<str>>,
    pub(crate) problems: Vec<Problem>,
    /// What is wrong with its rules in the last round of compiling.
    pub(crate) rule_problems: Vec<Problem>,
    /// What it was before stays in force.
    pub(crate) failed: bool,
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
            rule_problems: Vec::new(),
            failed: false,
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.shown.join(name)
    }

    /// Reads a pack's folder.
    pub(crate) fn pack(disk: &Disk<'_>, folder: PathBuf, kinds: Kinds<'_>) -> Self {
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
    pub(crate) fn site(disk: &Disk<'_>, kinds: Kinds<'_>, previous: &Catalog) -> Self {
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

    pub(crate) fn source(&self, file: &File) -> rules::Source {
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
}

pub(crate) fn has_error(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.severity == Severity::Error)
}
