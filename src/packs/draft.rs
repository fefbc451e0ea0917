//! One pack, or the home's own rules and sensors, read from disk; nothing is compiled here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::model::action::Action;
use crate::model::calendar::Calendar;
use crate::model::parameter::Parameters;
use crate::model::policy::Policy;
use crate::model::problem::{Place, Problem, Severity};
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::trigger::Trigger;
use crate::packs::catalog::{Catalog, Pack, RuleFile};
use crate::packs::disk::{self, Disk, File};
use crate::packs::load::{CheckSensor, Kinds, Runners};
use crate::packs::manifest::SITE;
use crate::packs::workflow::{self, Workflow};
use crate::packs::yaml::Node;
use crate::packs::{
    action, calendar, config, manifest, policy, rule, schema, sensor, timer, trigger,
};
use crate::rules;

const YAML: [&str; 3] = ["yaml", "yml", "json"];
const RULES: [&str; 4] = ["rhai", "yaml", "yml", "json"];

/// Folders of a pack whose contents come with later versions.
const LATER: [(&str, &str); 1] = [("aliases", "ChatOps aliases")];

/// One pack on its way into the catalog.
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// The folder as seen from the home.
    pub(crate) shown: PathBuf,
    pub(crate) pack: Pack,
    pub(crate) actions: Vec<Action>,
    /// The workflows of its actions.
    pub(crate) workflows: Vec<Workflow>,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) sensors: Vec<Arc<Definition>>,
    pub(crate) calendars: Vec<(Reference, Arc<Calendar>)>,
    pub(crate) policies: Vec<Policy>,
    /// What its policies name.
    pub(crate) wanted: Vec<policy::Wanted>,
    pub(crate) sources: Vec<File>,
    /// Its libraries by name.
    pub(crate) library: Vec<(String, rules::Source)>,
    pub(crate) rules: Vec<(PathBuf, RuleFile)>,
    pub(crate) config: Value,
    /// The file of it, where there is one.
    pub(crate) configured: Option<(Node, Place)>,
    /// All texts that were read: the pack's version is their hash.
    pub(crate) hashed: Vec<Arc<str>>,
    pub(crate) problems: Vec<Problem>,
    /// What is wrong with its rules in the last round of compiling.
    pub(crate) rule_problems: Vec<Problem>,
    /// Files of rules that cannot be used then, and `file: rule`.
    pub(crate) rules_out: BTreeSet<String>,
    /// Actions that it describes and that cannot be run.
    pub(crate) absent: BTreeMap<Reference, rules::Absent>,
    /// Triggers that its sensors name.
    pub(crate) named: Vec<(Reference, Place)>,
    /// Nothing of it comes into force; what it was before stays.
    pub(crate) failed: bool,
}

impl Draft {
    fn empty(name: String, folder: PathBuf, shown: PathBuf) -> Self {
        let pack = Pack {
            manifest: manifest::site(),
            folder: folder.clone(),
            config_schema: Value::Null,
            version: "".into(),
            left_out: BTreeSet::new(),
        };
        Self {
            name,
            folder,
            shown,
            pack,
            actions: Vec::new(),
            workflows: Vec::new(),
            triggers: Vec::new(),
            sensors: Vec::new(),
            calendars: Vec::new(),
            policies: Vec::new(),
            wanted: Vec::new(),
            sources: Vec::new(),
            library: Vec::new(),
            rules: Vec::new(),
            config: Value::Null,
            configured: None,
            hashed: Vec::new(),
            problems: Vec::new(),
            rule_problems: Vec::new(),
            rules_out: BTreeSet::new(),
            absent: BTreeMap::new(),
            named: Vec::new(),
            failed: false,
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.shown.join(name)
    }

    /// Reads a pack's folder. Without a right `pack.yaml` and configuration nothing of it can be
    /// used; of the rest each file stands for itself.
    pub(crate) fn pack(disk: &Disk<'_>, folder: PathBuf, kinds: Kinds<'_>) -> Self {
        let shown = folder.strip_prefix(disk.home).unwrap_or(&folder).to_owned();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut draft = Self::empty(name, folder, shown);
        let Some(file) = disk.file(&draft.folder.join("pack.yaml"), &mut draft.problems) else {
            if !has_error(&draft.problems) {
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
        draft.read_config(disk);
        draft.failed = has_error(&draft.problems);
        draft.read_actions(disk, kinds.runners);
        draft.read_triggers(disk);
        draft.read_sensors(disk, kinds.sensor);
        draft.read_calendars(disk, None);
        draft.read_policies(disk);
        draft.read_rules(disk);
        draft.read_timers(kinds.sensor, None);
        draft.note_later(disk);
        draft
    }

    /// What of it cannot be used: files, and `file: rule`.
    pub(crate) fn left_out(&self) -> BTreeSet<String> {
        let errors = self.problems.iter().filter(|one| one.severity == Severity::Error);
        let files = errors.map(|problem| problem.place.file.display().to_string());
        files.chain(self.rules_out.iter().cloned()).collect()
    }

    /// Keeps the pack as it was where something of it is wrong now that was in force.
    pub(crate) fn weigh(&mut self, previous: &Catalog) {
        let held = previous.packs.get(&self.name).filter(|_| self.name != SITE);
        self.failed |= held.is_some_and(|held| !self.left_out().is_subset(&held.left_out));
    }

    /// Takes the problems of one file; says whether what it describes can be used.
    fn judge(&mut self, mut problems: Vec<Problem>) -> bool {
        let right = !has_error(&problems);
        self.problems.append(&mut problems);
        right
    }

    /// Remembers that the action `name` cannot be run, and where that is said.
    fn lacks(&mut self, name: &str, problems: &[Problem]) {
        let wrong = problems.iter().find(|one| one.severity == Severity::Error);
        let why = wrong.map_or("its runner comes with a later version", |_| "its file has errors");
        let place = wrong.or(problems.first()).map(|one| one.place.clone());
        if let (Ok(reference), Some(place)) = (Reference::new(&self.name, name), place) {
            self.absent.insert(reference, rules::Absent { why: why.to_owned(), place });
        }
    }

    /// Reads the home's own rules and sensors; every file stands for itself.
    pub(crate) fn site(disk: &Disk<'_>, kinds: Kinds<'_>, previous: &Catalog) -> Self {
        let mut draft = Self::empty(SITE.to_owned(), disk.home.to_owned(), PathBuf::new());
        draft.read_calendars(disk, Some(previous));
        draft.read_rules(disk);
        draft.read_timers(kinds.sensor, Some(previous));
        draft.problems.extend(disk.strays(&disk.home.join("sensors"), &YAML));
        let mut problems = Vec::new();
        for file in disk.files(&disk.home.join("sensors"), &YAML, &mut draft.problems) {
            draft.hash(&file);
            draft.read_sensor(&file, kinds.sensor, &mut problems);
            if has_error(&problems) {
                // The one that was there before goes on.
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
        let folder = self.folder.join("actions");
        let mut unread = disk.strays(&folder, &YAML);
        // What lies there is read with the actions that start from it.
        unread.retain(|problem| !problem.place.file.ends_with("actions/workflows"));
        let files = disk.files(&folder, &YAML, &mut unread);
        for problem in &unread {
            let stem = problem.place.file.file_stem().and_then(|stem| stem.to_str());
            if problem.severity == Severity::Error {
                self.lacks(stem.unwrap_or_default(), std::slice::from_ref(problem));
            }
        }
        self.problems.append(&mut unread);
        for file in files {
            self.hash(&file);
            self.read_action(disk, &file, runners);
        }
    }

    fn read_action(&mut self, disk: &Disk<'_>, file: &File, runners: &Runners) {
        let mut problems = Vec::new();
        let node = file.yaml(&mut problems);
        let name = node.as_ref().and_then(|node| node.get("name")).map(Node::to_json);
        let around = action::Surroundings { pack: &self.name, folder: &self.folder, runners };
        let read = node.and_then(|node| {
            let mut action = action::read(file, &node, &around, &mut problems)?;
            let workflow = workflow::of(&mut action, disk, &mut problems);
            let twice = self.actions.iter().find(|held| held.reference == action.reference);
            if let Some(other) = twice {
                let (action, other) = (&action.reference, other.file.display());
                let message = format!("action `{action}` is described in `{other}` already");
                let place = node.find("name", &file.place);
                let problem = Problem::error("action_twice", place, message);
                problems.push(problem.help("give one of the two another name"));
            }
            Some((action, workflow))
        });
        match read {
            Some((action, workflow)) if !has_error(&problems) => {
                self.workflows.extend(workflow);
                self.hashed.push(Arc::clone(&action.version));
                self.actions.push(action);
            }
            _ => {
                let name = name.as_ref().and_then(Value::as_str).unwrap_or(file.stem());
                self.lacks(name, &problems);
            }
        }
        self.problems.append(&mut problems);
    }

    /// The YAML files of one of its folders; what else lies there is told.
    fn yaml_files(&mut self, disk: &Disk<'_>, folder: &str) -> Vec<File> {
        let folder = self.folder.join(folder);
        self.problems.extend(disk.strays(&folder, &YAML));
        let files = disk.files(&folder, &YAML, &mut self.problems);
        for file in &files {
            self.hash(file);
        }
        files
    }

    fn read_triggers(&mut self, disk: &Disk<'_>) {
        for file in self.yaml_files(disk, "triggers") {
            let mut problems = Vec::new();
            let read = file
                .yaml(&mut problems)
                .and_then(|node| trigger::read(&node, &self.name, &file.place, &mut problems));
            if self.judge(problems) {
                self.triggers.extend(read);
            }
        }
    }

    fn read_sensors(&mut self, disk: &Disk<'_>, check: CheckSensor<'_>) {
        for file in self.yaml_files(disk, "sensors") {
            let mut problems = Vec::new();
            self.read_sensor(&file, check, &mut problems);
            self.problems.append(&mut problems);
        }
    }

    fn read_sensor(&mut self, file: &File, check: CheckSensor<'_>, problems: &mut Vec<Problem>) {
        let Some(node) = file.yaml(problems) else { return };
        let read = sensor::read(file, &node, (&self.name, &self.folder), check, problems);
        if !has_error(problems) {
            self.sensors.extend(read.definition);
            self.triggers.extend(read.triggers);
            self.named.extend(read.named);
        }
    }

    /// Reads its calendars; where one cannot be read, the one that it was in `previous` goes on.
    fn read_calendars(&mut self, disk: &Disk<'_>, previous: Option<&Catalog>) {
        for file in self.yaml_files(disk, "calendars") {
            let mut problems = Vec::new();
            let read = file
                .yaml(&mut problems)
                .and_then(|node| calendar::read(&file, &node, &self.name, &mut problems));
            self.problems.append(&mut problems);
            if let Some((reference, calendar)) = read {
                self.calendars.push((reference, Arc::new(calendar)));
            } else {
                let held = previous.into_iter().flat_map(|held| &held.calendars);
                let held = held.filter(|(_, held)| held.place.file == file.place.file);
                self.calendars.extend(held.map(|(name, held)| (name.clone(), Arc::clone(held))));
            }
        }
    }

    fn read_policies(&mut self, disk: &Disk<'_>) {
        for file in self.yaml_files(disk, "policies") {
            let mut problems = Vec::new();
            let read = file
                .yaml(&mut problems)
                .and_then(|node| policy::read(&file, &node, &self.name, &mut problems));
            if let Some((policy, _)) = &read
                && let Some(other) = self.policies.iter().find(|o| o.reference == policy.reference)
            {
                let (name, other) = (&policy.reference, other.file.display());
                let message = format!("policy `{name}` is described in `{other}` already");
                let problem = Problem::error("policy_twice", file.place.clone(), message);
                problems.push(problem.help("give one of the two another name"));
            }
            if self.judge(problems)
                && let Some((policy, wanted)) = read
            {
                self.policies.push(policy);
                self.wanted.push(wanted);
            }
        }
    }

    fn read_rules(&mut self, disk: &Disk<'_>) {
        let folder = self.folder.join("rules");
        let mut problems = disk.strays(&folder, &RULES);
        self.sources = disk.files(&folder, &RULES, &mut problems);
        let library = disk.files(&self.folder.join("lib"), &["rhai"], &mut problems);
        for file in self.sources.clone().iter().chain(&library) {
            self.hash(file);
        }
        let entry = |file: File| (file.stem().to_owned(), self.source(&file));
        self.library = library.into_iter().map(entry).collect();
        self.problems.append(&mut problems);
    }

    /// The sensors that the triggers of rules in YAML ask for. Where such a rule cannot be read, the
    /// one that it had in `previous` goes on.
    fn read_timers(&mut self, check: CheckSensor<'_>, previous: Option<&Catalog>) {
        let sources = self.sources.iter().filter(|file| rule::is_yaml(file));
        let mut sensors = Vec::new();
        for file in sources {
            // What is wrong with the rule is told when it is compiled.
            let mut problems = Vec::new();
            let read = rule::read(file, &self.name, &self.folder, &mut problems);
            match read {
                Some(rule::Read { sensor: Some(sensor), .. }) if !has_error(&problems) => {
                    let wrong = check(&sensor);
                    if !has_error(&wrong) {
                        timer::add(&mut sensors, Arc::clone(&sensor));
                    }
                    let at = |problem| Problem { place: sensor.place.clone(), ..problem };
                    self.problems.extend(wrong.into_iter().map(at));
                }
                Some(_) if !has_error(&problems) => {}
                _ => {
                    let held = previous.into_iter().flat_map(|held| held.sensors.values());
                    let held = held.filter(|held| held.place.file == file.place.file);
                    sensors.extend(held.cloned());
                }
            }
        }
        self.sensors.extend(sensors);
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
        self.configured = given;
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
