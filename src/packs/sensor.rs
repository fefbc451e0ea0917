//! `sensors/*.yaml`: Ifso's have a `kind`, StackStorm's a `class_name`.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::model::problem::{Place, Problem};
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::trigger::Trigger;
use crate::packs::disk::File;
use crate::packs::fields::Fields;
use crate::packs::load::CheckSensor;
use crate::packs::yaml::{Node, Tree};
use crate::packs::{stackstorm, trigger};

/// What one sensor file holds.
pub(crate) struct Sensor {
    /// The sensor, where Ifso can run it.
    pub(crate) definition: Option<Arc<Definition>>,
    /// The triggers that the file describes.
    pub(crate) triggers: Vec<Trigger>,
    /// The triggers that it names as those of its events.
    pub(crate) named: Vec<(Reference, Place)>,
}

/// Reads one sensor file of `pack`. `check` reads the settings as the sensor's kind would.
pub(crate) fn read(
    file: &File,
    node: &Node,
    (pack, folder): (&str, &Path),
    check: CheckSensor<'_>,
    problems: &mut Vec<Problem>,
) -> Sensor {
    let place = &file.place;
    if node.get("class_name").is_some() {
        return in_python(node, pack, place, problems);
    }
    let mut fields = Fields::new(node, place, "sensor", problems);
    let kind = fields.required("kind");
    let enabled = fields.flag("enabled").unwrap_or(true);
    let description = fields.text("description").unwrap_or_default();
    let name = file.stem();
    let Ok(reference) = Reference::new(pack, name) else {
        let message = format!("`{name}` cannot name a sensor; expected letters, digits, `_`, `-`");
        problems.push(Problem::error("bad_name", place.clone(), message).help("rename the file"));
        return Sensor { definition: None, triggers: Vec::new(), named: Vec::new() };
    };
    let mut settings = node.to_json();
    if let Value::Object(settings) = &mut settings {
        settings.retain(|key, _| !matches!(key.as_str(), "kind" | "enabled" | "description"));
    }
    let definition = Arc::new(Definition {
        reference,
        kind,
        enabled,
        description,
        settings,
        folder: folder.to_owned(),
        place: place.clone(),
    });
    if !definition.kind.is_empty() {
        let found = check(&definition);
        problems.extend(found.into_iter().map(|problem| nearer(problem, node, place)));
    }
    let mut named = Vec::new();
    collect(node, place, &mut named);
    Sensor { definition: Some(definition), triggers: Vec::new(), named }
}

/// Collects what stands under `trigger`, however deep.
fn collect(node: &Node, place: &Place, named: &mut Vec<(Reference, Place)>) {
    if let Tree::List(items) = &node.tree {
        for item in items {
            collect(item, place, named);
        }
    }
    for (key, value) in node.entries() {
        match &value.tree {
            Tree::Text(text) if key.name == "trigger" => {
                named.extend(text.parse().ok().map(|reference| (reference, value.place(place))));
            }
            _ => collect(value, place, named),
        }
    }
}

/// The problem at the place of the setting that its message names first (`` `topics[0].name`: … ``),
/// or whose unknown field it names.
fn nearer(mut problem: Problem, node: &Node, place: &Place) -> Problem {
    if problem.place.line.is_some() {
        return problem;
    }
    let mut names = problem.message.split('`').skip(1).step_by(2);
    let first = names.next().unwrap_or_default();
    problem.place = if problem.code == "unknown_kind" {
        node.get("kind").unwrap_or(node).place(place)
    } else {
        node.find(first, place)
    };
    problem
}

/// A sensor of StackStorm's, of which only the triggers are taken.
fn in_python(node: &Node, pack: &str, place: &Place, problems: &mut Vec<Problem>) -> Sensor {
    let types = match node.get("trigger_types").map(|types| &types.tree) {
        Some(Tree::List(types)) => types.as_slice(),
        _ => &[],
    };
    let read = |node| trigger::read(node, pack, place, problems);
    let triggers: Vec<Trigger> = types.iter().filter_map(read).collect();
    problems.push(stackstorm::sensor(node, place, triggers.first()));
    Sensor { definition: None, triggers, named: Vec::new() }
}
