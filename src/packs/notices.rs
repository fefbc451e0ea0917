//! `configs/notify.yaml` as the plan of who is told of incidents. What the pack's actions need stands in
//! the same file and is none of ours.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::model::incident::Severity;
use crate::model::notices::{Channel, Damping, Level, Plan, Quiet, Route};
use crate::model::problem::{self, Place, Problem};
use crate::model::reference::Reference;
use crate::packs::catalog::Catalog;
use crate::packs::fields::{Fields, listed, meant};
use crate::packs::yaml::{Node, Tree};
use crate::rules::Known;

/// The pack whose configuration it is.
pub(crate) const PACK: &str = "notify";

/// Entries of each list at most: each is asked of each incident.
const ENTRIES_LIMIT: usize = 200;

/// Parameters that every message has; the rest of an action's must come from the channel.
pub(crate) const GIVEN: [&str; 4] = ["subject", "text", "link", "notice"];

/// Reads the plan. Of what is wrong the rest is taken.
pub(crate) fn read(
    (node, place): (&Node, &Place),
    catalog: &Catalog,
    problems: &mut Vec<Problem>,
) -> Plan {
    if !matches!(node.tree, Tree::Mapping(_)) {
        return Plan::default();
    }
    let mut fields = Fields::new(node, place, "plan", problems);
    let channels = fields.node("channels");
    let routes = fields.list("routes");
    let quiet = fields.node("quiet");
    let flap = fields.node("flap");
    let group_wait = fields.span("group_wait").unwrap_or_default();
    let channels: BTreeMap<String, Channel> = channels
        .map_or(&[][..], Node::entries)
        .iter()
        .filter_map(|(key, node)| {
            Some((key.name.clone(), channel(&key.name, (node, place), catalog, problems)?))
        })
        .collect();
    for (name, channel) in &channels {
        whole((name, channel), (node, place), catalog, problems);
    }
    if routes.len() > ENTRIES_LIMIT {
        let message = format!("there are {} routes; {ENTRIES_LIMIT} is the most", routes.len());
        problems.push(Problem::error("too_many", node.find("routes", place), message));
    }
    let routes: Vec<Route> = routes
        .iter()
        .take(ENTRIES_LIMIT)
        .filter_map(|node| route((node, place), &channels, problems))
        .collect();
    if routes.is_empty() {
        let message = "nobody is told of incidents: there are no `routes`";
        let help =
            "add `routes: [{ levels: [{ channels: [NAME] }] }]` with a channel of `channels`";
        problems.push(Problem::warning("no_routes", place.clone(), message).help(help));
    }
    Plan {
        channels,
        routes,
        quiet: quiet.and_then(|node| calm((node, place), catalog, problems)),
        group_wait,
        flap: flap.map_or_else(Damping::default, |node| damping((node, place), problems)),
    }
}

fn channel(
    name: &str,
    (node, place): (&Node, &Place),
    catalog: &Catalog,
    problems: &mut Vec<Problem>,
) -> Option<Channel> {
    let mut fields = Fields::new(node, place, "channel", problems);
    let wanted = fields.required("action");
    let with = fields.json("with");
    let acks = fields.flag("acks").unwrap_or_default();
    fields.finish(problem::Severity::Error, &[]);
    if wanted.is_empty() {
        return None;
    }
    let at = || node.find("action", place);
    let known = wanted.parse::<Reference>().ok();
    let Some(action) = known.filter(|action| catalog.actions.contains_key(action)) else {
        let names = catalog.actions.keys().map(Reference::as_str);
        let help = meant(&wanted, names).unwrap_or_else(|| {
            "`ifso action list` shows the actions; copy the pack that has it into `packs/`".into()
        });
        let message = format!("channel `{name}` wants action `{wanted}`, which no pack provides");
        problems.push(Problem::error("unknown_action", at(), message).help(help));
        return None;
    };
    let with = match with {
        Value::Null => Map::new(),
        Value::Object(with) => with,
        _ => {
            let message = format!("`with` of channel `{name}` are parameters by name");
            problems.push(Problem::error("wrong_type", node.find("with", place), message));
            return None;
        }
    };
    fits((name, &action, &with), (node, place), catalog, problems);
    Some(Channel { action, with, acks })
}

/// Whether the action takes what the channel gives, and needs nothing else.
fn fits(
    (name, action, with): (&str, &Reference, &Map<String, Value>),
    (node, place): (&Node, &Place),
    catalog: &Catalog,
    problems: &mut Vec<Problem>,
) {
    let Some(accepts) = catalog.accepts.get(action) else { return };
    let names: BTreeSet<&str> = accepts.iter().map(|(name, _)| name.as_str()).collect();
    for given in with.keys().filter(|given| !names.contains(given.as_str())) {
        let message = format!("channel `{name}`: action `{action}` has no parameter `{given}`");
        let help = meant(given, names.iter().copied());
        let mut problem = Problem::error(
            "unknown_parameter",
            node.find(&format!("with.{given}"), place),
            message,
        );
        problem.help = help.or_else(|| Some(format!("`ifso action show {action}` lists them")));
        problems.push(problem);
    }
    for (wanted, parameter) in accepts.iter() {
        let given = with.contains_key(wanted) || GIVEN.contains(&wanted.as_str());
        if parameter.required && parameter.default.is_none() && !given {
            let message = format!("channel `{name}`: action `{action}` requires `{wanted}`");
            let problem = Problem::error("missing_parameter", node.place(place), message);
            problems.push(problem.help(format!("add `with: {{ {wanted}: … }}`")));
        }
    }
}

/// Whether the file has the settings on which a channel's action leans.
fn whole(
    (name, channel): (&str, &Channel),
    (node, place): (&Node, &Place),
    catalog: &Catalog,
    problems: &mut Vec<Problem>,
) {
    let action = &channel.action;
    if action.pack() != PACK {
        return;
    }
    for setting in settings(channel, catalog) {
        let parts: Vec<&str> = setting.split('.').collect();
        if parts.iter().try_fold(node, |node, part| node.get(part)).is_some() {
            continue;
        }
        let message = format!("channel `{name}`: `{action}` needs `{setting}` in this file");
        let at = node.find(&format!("channels.{name}"), place);
        let problem = Problem::error("missing_config", at, message);
        problems.push(problem.help(format!(
            "add `{}: …{}`",
            parts.join(": { "),
            " }".repeat(parts.len() - 1)
        )));
    }
}

/// The settings that an action takes from its pack's configuration where the channel does not say them:
/// those that stand alone in a parameter's default, and a mail server.
fn settings(channel: &Channel, catalog: &Catalog) -> Vec<String> {
    const MAIL: &str = "email";
    let mut settings = Vec::new();
    let runner = catalog.actions.get(&channel.action).map(|action| action.runner.as_str());
    if runner == Some(MAIL) && !channel.with.contains_key("host") {
        settings.push("smtp.host".to_owned());
    }
    for (name, parameter) in
        catalog.accepts.get(&channel.action).into_iter().flat_map(|all| all.iter())
    {
        let default = parameter.default.as_ref().and_then(Value::as_str).unwrap_or_default();
        let inner = default.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        let setting = inner.and_then(|inner| inner.trim().strip_prefix("config_context."));
        settings.extend(setting.filter(|_| !channel.with.contains_key(name)).map(str::to_owned));
    }
    settings
}

fn route(
    (node, place): (&Node, &Place),
    channels: &BTreeMap<String, Channel>,
    problems: &mut Vec<Problem>,
) -> Option<Route> {
    let mut fields = Fields::new(node, place, "route", problems);
    let matches = fields.node("match");
    let levels = fields.list("levels");
    let plain = fields.texts("channels");
    fields.finish(problem::Severity::Error, &[]);
    let mut route = Route::default();
    if let Some(matches) = matches {
        wanted((matches, place), &mut route, problems);
    }
    if levels.is_empty() && plain.is_empty() {
        let message = "the route tells nobody";
        let problem = Problem::error("no_levels", node.place(place), message);
        problems.push(problem.help("add `levels: [{ channels: [NAME] }]`"));
        return None;
    }
    for (number, node) in levels.iter().enumerate() {
        let mut fields = Fields::new(node, place, "level", problems);
        let after = fields.span("after");
        let named = fields.texts("channels");
        fields.finish(problem::Severity::Error, &[]);
        if number > 0 && after.is_none() {
            let message = "a level after the first says how long `after` it";
            let problem = Problem::error("missing_field", node.place(place), message);
            problems.push(problem.help("add `after: 15m`"));
        }
        route.levels.push(Level { after: after.unwrap_or_default(), channels: named });
    }
    if levels.is_empty() {
        route.levels.push(Level { channels: plain, ..Level::default() });
    }
    for level in &mut route.levels {
        level.channels.retain(|name| {
            let known = channels.contains_key(name);
            if !known {
                let message = format!("there is no channel `{name}`");
                let mut problem = Problem::error("unknown_channel", node.place(place), message);
                let names: Vec<&str> = channels.keys().map(String::as_str).collect();
                problem.help = meant(name, names.iter().copied())
                    .or_else(|| Some(format!("`channels` has {}", listed(&names))));
                problems.push(problem);
            }
            known
        });
    }
    Some(route)
}

fn wanted((node, place): (&Node, &Place), route: &mut Route, problems: &mut Vec<Problem>) {
    let mut fields = Fields::new(node, place, "match", problems);
    let severities = fields.texts("severity");
    route.source = fields.texts("source");
    let labels = fields.node("labels");
    fields.finish(problem::Severity::Error, &[]);
    for word in severities {
        match Severity::read(&word) {
            Some(severity) => route.severity.push(severity),
            None => problems.push(unknown_severity(&word, node.find("severity", place))),
        }
    }
    for (key, value) in labels.map_or(&[][..], Node::entries) {
        let like = match value.to_json() {
            Value::String(text) => text,
            other => other.to_string(),
        };
        route.labels.insert(key.name.clone(), like);
    }
}

fn unknown_severity(word: &str, at: Place) -> Problem {
    let known: Vec<&str> = Severity::ALL.iter().map(|severity| severity.word()).collect();
    let message = format!("`{word}` is no severity; expected {}", listed(&known));
    let mut problem = Problem::error("unknown_word", at, message);
    problem.help = meant(word, known);
    problem
}

fn calm(
    (node, place): (&Node, &Place),
    catalog: &Catalog,
    problems: &mut Vec<Problem>,
) -> Option<Quiet> {
    let mut fields = Fields::new(node, place, "quiet hours", problems);
    let name = fields.required("calendar");
    let below = fields.text("below");
    fields.finish(problem::Severity::Error, &[]);
    let below = match below.as_deref() {
        None => Severity::Critical,
        Some(word) => Severity::read(word).unwrap_or_else(|| {
            problems.push(unknown_severity(word, node.find("below", place)));
            Severity::Critical
        }),
    };
    if name.is_empty() {
        return None;
    }
    let known = Known { calendars: catalog.calendars.clone(), ..Known::default() };
    match known.calendar(PACK, &name) {
        Ok((calendar, outside)) => Some(Quiet { calendar, outside, below }),
        Err(wrong) => {
            let at = node.find("calendar", place);
            problems.push(Problem::error("unknown_calendar", at, wrong));
            None
        }
    }
}

fn damping((node, place): (&Node, &Place), problems: &mut Vec<Problem>) -> Damping {
    let usual = Damping::default();
    let mut fields = Fields::new(node, place, "flap", problems);
    let changes = fields.count("changes").map(|count| u16::try_from(count).unwrap_or(u16::MAX));
    let within = fields.span("within").unwrap_or(usual.within);
    let stable = fields.span("stable").unwrap_or(usual.stable);
    fields.finish(problem::Severity::Error, &[]);
    // Each change is remembered.
    let changes = changes.unwrap_or(usual.changes).min(1000);
    Damping { changes, within, stable }
}
