//! `rules/*.yaml`: rules in StackStorm's form. What they mean is looked up in the room `rules`.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::model::problem::{Place, Problem, Severity};
use crate::model::sensor::Definition;
use crate::packs::disk::{self, File};
use crate::packs::draft::has_error;
use crate::packs::fields::Fields;
use crate::packs::manifest::SITE;
use crate::packs::timer;
use crate::packs::yaml::{Key, Node, Tree};
use crate::rules::criteria::form::{At, Criterion, Form, Pattern};
use crate::rules::{self, Known, Sifted, criteria};

/// Keys that StackStorm's API sends along and that mean nothing in a file.
const UNUSED: [&str; 5] = ["metadata_file", "uid", "id", "ref", "context"];

/// `search` in `search` in …: more levels than this are a mistake.
const DEPTH_LIMIT: usize = 8;

/// A rule's file, read.
pub(crate) struct Read {
    pub(crate) form: Form,
    /// The sensor that its trigger's parameters ask for.
    pub(crate) sensor: Option<Arc<Definition>>,
}

/// Whether a file of a folder `rules` holds a rule in StackStorm's form.
pub(crate) fn is_yaml(file: &File) -> bool {
    file.place.file.extension().is_some_and(|ending| ending != "rhai")
}

/// Compiles the rule of one file.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn sift(
    file: &File,
    source: &rules::Source,
    folder: &Path,
    known: &Known,
) -> Result<Sifted, Vec<Problem>> {
    let mut problems = Vec::new();
    let read = read(file, &source.pack, folder, &mut problems);
    let Some(read) = read.filter(|_| !has_error(&problems)) else { return Err(problems) };
    let name = file.place.file.to_string_lossy();
    let version = disk::hash([name.as_bytes(), file.text.as_bytes()]);
    match criteria::rule(source, &version, &read.form, known) {
        Ok((rule, doubts)) => {
            problems.extend(doubts);
            let left_out = std::collections::BTreeSet::new();
            Ok(Sifted { rules: vec![rule], left_out, problems })
        }
        Err(wrong) => {
            problems.extend(wrong);
            Err(problems)
        }
    }
}

/// Reads one file; nothing where its shape is wrong.
pub(crate) fn read(
    file: &File,
    pack: &str,
    folder: &Path,
    problems: &mut Vec<Problem>,
) -> Option<Read> {
    let place = &file.place;
    let node = file.yaml(problems)?;
    let mut fields = Fields::new(&node, place, "rule", problems);
    let name = fields.required("name");
    let given = fields.text("pack");
    let about = fields.text("description").unwrap_or_default();
    let enabled = fields.flag("enabled");
    let [trigger, action] = ["trigger", "action"].map(|key| fields.node(key));
    let (kind, asked) = (fields.node("type"), fields.node("criteria"));
    let tags = fields.list("tags").iter().map(Node::to_json).collect();
    fields.finish(Severity::Error, &UNUSED);
    let at = |key: &str| node.find(key, place);
    if given.is_some_and(|given| given != pack && pack != SITE) {
        let message = format!("the rule says it is in another pack than `{pack}`");
        let help = format!("remove the line: the file is in pack `{pack}`");
        problems.push(Problem::error("other_pack", at("pack"), message).help(help));
    }
    if enabled.is_none() && node.get("enabled").is_none() {
        let message = "`enabled` is missing, and StackStorm takes that for `false`";
        let problem = Problem::warning("not_enabled", node.place(place), message);
        problems.push(problem.help("add `enabled: true`, or `enabled: false`"));
    }
    let backstop = backstop(kind, place, problems);
    let criteria = asked.map(|node| criteria_of(node, place, 0, problems)).unwrap_or_default();
    let trigger = part(trigger, ("trigger", "type"), &node, place, problems);
    let action = part(action, ("action", "ref"), &node, place, problems);
    let (name, enabled) = (At { what: name, place: at("name") }, enabled.unwrap_or(false));
    let (trigger, settings) = trigger?;
    let (action, parameters) = action?;
    let owner = timer::Owner { pack, folder, rule: &name.what, enabled, place };
    let sensor = settings
        .filter(|settings| !matches!(&settings.tree, Tree::Mapping(all) if all.is_empty()))
        .and_then(|settings| timer::sensor(&trigger, settings, &owner, problems));
    let form = Form {
        name,
        about,
        enabled,
        backstop,
        tags,
        only: sensor.as_ref().map(|sensor| sensor.reference.to_string()),
        trigger,
        criteria,
        criteria_written: asked
            .map_or_else(|| Value::Object(serde_json::Map::default()), Node::to_json),
        action,
        parameters: parameters.map(|node| given_to(node, place)).unwrap_or_default(),
    };
    Some(Read { form, sensor })
}

/// Whether `type` is `backstop`; StackStorm's API writes `{ref: backstop}`.
fn backstop(kind: Option<&Node>, place: &Place, problems: &mut Vec<Problem>) -> bool {
    let Some(kind) = kind else { return false };
    let word = kind.get("ref").unwrap_or(kind);
    match &word.tree {
        Tree::Text(word) if word == "backstop" => return true,
        Tree::Text(word) if word == "standard" => return false,
        _ => {}
    }
    let message = "the type of a rule is `standard` or `backstop`";
    let help = "`backstop` acts on what no other rule matched; leave the line out otherwise";
    problems.push(Problem::error("unknown_type", word.place(place), message).help(help));
    false
}

/// `trigger` or `action`: a name under `key`, and parameters.
fn part<'n>(
    part: Option<&'n Node>,
    (noun, key): (&'static str, &'static str),
    rule: &Node,
    place: &'n Place,
    problems: &mut Vec<Problem>,
) -> Option<(At<String>, Option<&'n Node>)> {
    let Some(part) = part else {
        if matches!(rule.tree, Tree::Mapping(_)) {
            let message = format!("`{noun}` is missing");
            let problem = Problem::error("missing_field", rule.place(place), message);
            problems.push(problem.help(format!("add `{noun}:` with `{key}: pack.name` below it")));
        }
        return None;
    };
    let mut fields = Fields::new(part, place, noun, problems);
    let name = fields.required(key);
    let parameters = fields.node("parameters").or_else(|| fields.node("params"));
    fields.finish(Severity::Error, &["description", "ref", "pack", "name"]);
    let parameters = parameters.filter(|node| {
        let right = matches!(node.tree, Tree::Mapping(_));
        if !right {
            let message = format!("the parameters of `{noun}` are {}, not a mapping", node.kind());
            problems.push(Problem::error("wrong_type", node.place(place), message));
        }
        right
    });
    let at = part.find(key, place);
    (!name.is_empty()).then_some((At { what: name, place: at }, parameters))
}

/// Criteria: a mapping of paths.
fn criteria_of(
    node: &Node,
    place: &Place,
    depth: usize,
    problems: &mut Vec<Problem>,
) -> Vec<Criterion> {
    if !matches!(node.tree, Tree::Mapping(_)) || depth > DEPTH_LIMIT {
        let message = format!("criteria are {}; expected a mapping of paths", node.kind());
        let help = "write `trigger.name:` with `type:` and `pattern:` below it";
        problems.push(Problem::error("wrong_type", node.place(place), message).help(help));
        return Vec::new();
    }
    let each = node.entries().iter();
    each.filter_map(|(key, node)| criterion(key, node, place, depth, problems)).collect()
}

fn criterion(
    key: &Key,
    node: &Node,
    place: &Place,
    depth: usize,
    problems: &mut Vec<Problem>,
) -> Option<Criterion> {
    let mut fields = Fields::new(node, place, "criterion", problems);
    let operator = fields.required("type");
    let condition = fields.text("condition");
    // `null` is a pattern too: `nequals` compares with it.
    let _asked = fields.node("pattern");
    fields.finish(Severity::Error, &[]);
    let at = |key: &str| node.find(key, place);
    let pattern = node.get("pattern").map(|pattern| {
        let what = if operator.eq_ignore_ascii_case("search") {
            Pattern::Criteria(criteria_of(pattern, place, depth + 1, problems))
        } else {
            Pattern::Value(pattern.to_json())
        };
        At { what, place: pattern.place(place) }
    });
    (!operator.is_empty()).then(|| Criterion {
        key: At { what: key.name.clone(), place: key.place(place) },
        operator: At { what: operator, place: at("type") },
        pattern,
        condition: condition.map(|what| At { what, place: at("condition") }),
    })
}

/// The parameters that the action is given.
fn given_to(node: &Node, place: &Place) -> Vec<(At<String>, At<Value>)> {
    let one = |(key, value): &(Key, Node)| {
        let name = At { what: key.name.clone(), place: key.place(place) };
        (name, At { what: value.to_json(), place: value.place(place) })
    };
    node.entries().iter().map(one).collect()
}
