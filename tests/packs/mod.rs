//! Packs through the front door: folders in, a catalog out.

mod calendars;
mod cold;
mod conformance;
mod lints;
mod load;
mod report;
mod strays;
mod watch;
mod workflows;
mod yaml_rules;

use std::path::Path;
use std::sync::Arc;

use ifso::model::parameter::{Parameter, Parameters};
use ifso::model::problem::Problem;
use ifso::model::sensor::Definition;
use ifso::packs::catalog::Catalog;
use ifso::packs::{Kinds, RunnerType, Runners};

/// A home folder that ends with the test.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> &Self {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn remove(&self, file: &str) -> &Self {
        let path = self.path().join(file);
        if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
            .unwrap();
        self
    }

    /// A pack called `name` that loads.
    pub(crate) fn pack(&self, name: &str) -> &Self {
        let text = format!("name: {name}\ndescription: x\nversion: 1.0.0\nauthor: me\n");
        self.write(&format!("packs/{name}/pack.yaml"), &text)
    }

    pub(crate) fn load(&self) -> Catalog {
        self.reload(&Catalog::default())
    }

    pub(crate) fn reload(&self, previous: &Catalog) -> Catalog {
        ifso::packs::load(self.path(), kinds(&runners()), previous)
    }
}

/// A shell that wants `cmd`, and runners that want nothing.
pub(crate) fn runners() -> Runners {
    let text =
        |required| Parameter { types: vec!["string".into()], required, ..Parameter::default() };
    let mut runners = Runners::new();
    let mut add = |name: &str, aliases: &[&str], parameters: Parameters| {
        for alias in aliases.iter().chain([&name]) {
            let runner = RunnerType { name: name.into(), parameters: parameters.clone() };
            runners.insert((*alias).into(), runner);
        }
    };
    let shell = vec![("cmd".into(), text(false)), ("cwd".into(), text(false))];
    add("shell", &["local-shell-cmd", "local-shell-script"], shell);
    for (name, aliases) in [
        ("python", ["python-script"].as_slice()),
        ("http", &["http-request"]),
        ("noop", &[]),
        ("announce", &["announcement"]),
        ("email", &[]),
        ("kafka", &[]),
        ("migrate", &[]),
        ("ssh", &["remote-shell-cmd", "remote-shell-script"]),
        ("rhai", &[]),
        ("workflow", &["orquesta", "orchestra", "mistral-v2"]),
    ] {
        add(name, aliases, Parameters::new());
    }
    let open = |names: &[&str]| {
        names.iter().map(|name| ((*name).into(), Parameter::default())).collect::<Parameters>()
    };
    add("emit", &[], open(&["trigger", "payload"]));
    let asks = ["message", "schema", "route", "users", "roles", "ttl", "escalate"];
    add("inquiry", &["inquirer"], open(&asks));
    runners
}

/// Knows the kind `interval`, which has `every`, `trigger` and nothing else.
pub(crate) fn sensor(definition: &Arc<Definition>) -> Vec<Problem> {
    let place = || definition.place.clone();
    if definition.kind != "interval" {
        let message = format!("there is no sensor kind `{}`", definition.kind);
        return vec![Problem::error("unknown_kind", place(), message)];
    }
    let settings = definition.settings.as_object().unwrap();
    let unknown = settings.keys().filter(|key| !["every", "trigger"].contains(&key.as_str()));
    unknown
        .map(|key| Problem::error("sensor_settings", place(), format!("unknown field `{key}`")))
        .collect()
}

/// What the loader is told here: sensors called `hook…` listen, and no pack is built in.
pub(crate) fn kinds(runners: &Runners) -> Kinds<'_> {
    Kinds { runners, sensor: &sensor, hooks: &hooks, built_in: &[] }
}

fn hooks(definition: &Arc<Definition>) -> Vec<String> {
    let name = definition.reference.name();
    if name.starts_with("hook") { vec!["/hook".to_owned()] } else { Vec::new() }
}

/// The problems, one a line.
pub(crate) fn told(catalog: &Catalog) -> Vec<String> {
    catalog.problems.iter().map(ToString::to_string).collect()
}
