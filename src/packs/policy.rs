//! `policies/*.yaml`, in StackStorm's form.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::policy::{Excess, Policy, Repeat, Retry, Rule};
use crate::model::problem::{Place, Problem, Severity};
use crate::model::reference::Reference;
use crate::packs::action::named;
use crate::packs::catalog::Catalog;
use crate::packs::compile::accepted;
use crate::packs::disk::File;
use crate::packs::fields::{Fields, meant};
use crate::packs::load::Runners;
use crate::packs::yaml::{Node, Tree};

/// Starts that one policy's rate counts at most: each is remembered.
const LONGEST_RATE: u32 = 10_000;

/// What becomes of an execution that is one too many.
const EXCESS: [(&str, Excess); 2] = [("delay", Excess::Delay), ("cancel", Excess::Cancel)];

/// What a policy names outside its file.
pub(crate) struct Wanted {
    /// The action, and where it is named.
    action: (Reference, Place),
    /// Parameters of it.
    attributes: Vec<(String, Place)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Concurrency,
    Attributes,
    Retry,
    Rate,
}

/// Every kind, under its name in files.
const KINDS: [(&str, Kind); 4] = [
    ("action.concurrency", Kind::Concurrency),
    ("action.concurrency.attr", Kind::Attributes),
    ("action.retry", Kind::Retry),
    ("action.rate", Kind::Rate),
];

/// Reads one policy of `pack`.
pub(crate) fn read(
    file: &File,
    node: &Node,
    pack: &str,
    problems: &mut Vec<Problem>,
) -> Option<(Policy, Wanted)> {
    let place = &file.place;
    let mut fields = Fields::new(node, place, "policy", problems);
    let name = fields.required("name");
    let given = fields.text("pack");
    let description = fields.text("description").unwrap_or_default();
    let enabled = fields.flag("enabled").unwrap_or(true);
    let resource = fields.required("resource_ref");
    let policy_type = fields.required("policy_type");
    let kind = if policy_type.is_empty() { None } else { fields.word("policy_type", &KINDS) };
    let parameters = fields.node("parameters");
    fields.finish(Severity::Error, &["metadata_file", "uid", "id", "ref", "resource_type"]);
    if let Some(given) = given.filter(|given| given != pack) {
        let message = format!("the policy says it is in pack `{given}`");
        let problem = Problem::error("other_pack", node.find("pack", place), message)
            .help(format!("remove the line: the file is in pack `{pack}`"));
        problems.push(problem);
    }
    let at = node.get("resource_ref").unwrap_or(node).place(place);
    let resource: Option<Reference> = resource.parse().ok().or_else(|| {
        if !resource.is_empty() {
            let message = format!("`resource_ref` is `{resource}`; expected `pack.action`");
            problems.push(Problem::error("wrong_type", at.clone(), message));
        }
        None
    });
    let reference = named(pack, &name, node, place, problems);
    let empty = Node { tree: Tree::Mapping(Vec::new()), ..node.clone() };
    let (rule, attributes) = rule(kind?, parameters.unwrap_or(&empty), place, problems)?;
    let policy = Policy {
        reference: reference?,
        description,
        enabled,
        resource: resource?,
        policy_type,
        rule,
        parameters: parameters.map(Node::to_json).unwrap_or_default(),
        file: place.file.as_ref().clone(),
    };
    let wanted = Wanted { action: (policy.resource.clone(), at), attributes };
    Some((policy, wanted))
}

fn rule(
    kind: Kind,
    node: &Node,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<(Rule, Vec<(String, Place)>)> {
    let mut fields = Fields::new(node, place, "policy's parameters", problems);
    let mut named = Vec::new();
    let rule = match kind {
        Kind::Retry => retry(&mut fields).map(Rule::Retry),
        Kind::Rate => {
            let limit = many(&mut fields, "limit", LONGEST_RATE);
            fields.required("per");
            let per = fields.span("per").filter(|per| !per.is_zero());
            let excess = fields.word("action", &EXCESS).unwrap_or(Excess::Delay);
            limit.zip(per).map(|(limit, per)| Rule::Rate { limit, per, excess })
        }
        Kind::Concurrency | Kind::Attributes => {
            let threshold = many(&mut fields, "threshold", u32::MAX);
            let excess = fields.word("action", &EXCESS).unwrap_or(Excess::Delay);
            let mut attributes = Vec::new();
            if matches!(kind, Kind::Attributes) {
                let nodes = fields.list("attributes");
                attributes = fields.texts("attributes");
                let places = nodes.iter().map(|node| node.place(place));
                named = attributes.iter().cloned().zip(places).collect();
                if nodes.is_empty() {
                    let help = "add `attributes: [host]`: executions with the same values of these \
                                parameters count together";
                    fields.error("missing_field", node, "`attributes` is missing".to_owned(), help);
                }
            }
            threshold.map(|threshold| Rule::Concurrency { threshold, attributes, excess })
        }
    };
    fields.finish(Severity::Error, &[]);
    Some((rule?, named))
}

/// A number from 1 that has to be there.
fn many(fields: &mut Fields<'_, '_>, name: &'static str, most: u32) -> Option<u32> {
    if fields.required(name).is_empty() {
        return None;
    }
    let node = fields.node(name)?;
    let count = fields.count(name)?;
    if (1..=most).contains(&count) {
        return Some(count);
    }
    let to = if most == u32::MAX { String::new() } else { format!(" to {most}") };
    fields.wrong(name, node, &format!("a whole number from 1{to}"))
}

/// StackStorm's fields with its defaults, and ours.
fn retry(fields: &mut Fields<'_, '_>) -> Option<Repeat> {
    let on = fields.word("retry_on", &[("failure", (true, false)), ("timeout", (false, true))]);
    if fields.node("retry_on").is_none() {
        fields.required("retry_on");
    }
    let (on_failure, on_timeout) = on?;
    let mut retry = Retry {
        on_failure,
        on_timeout,
        count: fields.count("max_retry_count").unwrap_or(2),
        delay: fields.span("delay").unwrap_or_default(),
        backoff: 1.0,
        max_delay: fields.span("max_delay").unwrap_or(Duration::from_hours(1)),
    };
    if let Some(node) = fields.node("backoff") {
        match &node.tree {
            Tree::Text(word) if word == "exponential" => retry.backoff = 2.0,
            Tree::Number(number) if number.as_f64().is_some_and(|by| by >= 1.0) => {
                retry.backoff = number.as_f64().unwrap_or(1.0);
            }
            _ => drop(fields.wrong::<()>("backoff", node, "a number from 1, or `exponential`")),
        }
    }
    let mut jitter = 0.0;
    if let Some(node) = fields.node("jitter") {
        match &node.tree {
            Tree::Number(n) if n.as_f64().is_some_and(|part| (0.0..=1.0).contains(&part)) => {
                jitter = n.as_f64().unwrap_or(0.0);
            }
            _ => drop(fields.wrong::<()>("jitter", node, "a number from 0 to 1")),
        }
    }
    Some(Repeat { retry, jitter })
}

/// The policies in force by their action, in the order of their names.
pub(crate) fn governs(
    all: &BTreeMap<Reference, Arc<Policy>>,
) -> BTreeMap<Reference, Vec<Arc<Policy>>> {
    let mut governs: BTreeMap<Reference, Vec<Arc<Policy>>> = BTreeMap::new();
    for policy in all.values().filter(|policy| policy.enabled) {
        governs.entry(policy.resource.clone()).or_default().push(Arc::clone(policy));
    }
    governs
}

/// Warnings about policies of actions, or of parameters, that there are not.
pub(crate) fn doubtful(wanted: &[Wanted], catalog: &Catalog, runners: &Runners) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Wanted { action: (reference, at), attributes } in wanted {
        let Some(action) = catalog.actions.get(reference) else {
            let message = format!("no pack provides action `{reference}`: the policy does nothing");
            let mut problem = Problem::warning("unknown_action", at.clone(), message);
            let names = catalog.actions.keys().map(Reference::as_str);
            problem.help = meant(reference.as_str(), names);
            problems.push(problem);
            continue;
        };
        let known = accepted(action, runners);
        for (name, at) in attributes {
            if known.iter().any(|(known, _)| known == name) {
                continue;
            }
            let message = format!("action `{reference}` has no parameter `{name}`");
            let mut problem = Problem::warning("unknown_parameter", at.clone(), message);
            problem.help = meant(name, known.iter().map(|(known, _)| known.as_str()));
            problems.push(problem);
        }
    }
    problems
}
