//! `actions/*.yaml`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::model::action::{Action, Pause};
use crate::model::parameter::Parameters;
use crate::model::policy::{Delivery, Retry};
use crate::model::problem::{Place, Problem, Severity};
use crate::model::reference::Reference;
use crate::packs::disk::{self, File};
use crate::packs::fields::{Fields, listed, meant};
use crate::packs::load::Runners;
use crate::packs::yaml::{Node, Tree};
use crate::packs::{parameters, schema, workflow};

/// StackStorm's runners that come with later versions.
const LATER: [&str; 4] = ["action-chain", "winrm-cmd", "winrm-ps-cmd", "winrm-ps-script"];

/// Keys that API clients send along and that mean nothing in a file.
const UNUSED: [&str; 4] = ["metadata_file", "uid", "id", "ref"];

/// The runners that can hold what runs.
const HOLDING: [&str; 2] = ["shell", "python"];

/// What an action file is read against.
pub(crate) struct Surroundings<'a> {
    /// The pack's name.
    pub(crate) pack: &'a str,
    /// The pack's folder, absolute.
    pub(crate) folder: &'a Path,
    /// The runners that there are.
    pub(crate) runners: &'a Runners,
}

/// Reads one action; nothing where its runner comes with a later version, which is a warning.
pub(crate) fn read(
    file: &File,
    node: &Node,
    around: &Surroundings<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Action> {
    let place = &file.place;
    let mut fields = Fields::new(node, place, "action", problems);
    let name = fields.required("name");
    let pack = fields.text("pack");
    let runner_type = fields.required("runner_type");
    let enabled = fields.flag("enabled").unwrap_or(true);
    let description = fields.text("description").unwrap_or_default();
    let entry = fields.text("entry_point").filter(|entry| !entry.is_empty());
    let parameters_node = fields.node("parameters");
    let output_schema = fields.json("output_schema");
    let tags = fields.list("tags").iter().map(Node::to_json).collect();
    let notify = fields.json("notify");
    let delivery = fields.word(
        "delivery",
        &[
            ("at_most_once", Delivery::AtMostOnce),
            ("at_least_once", Delivery::AtLeastOnce),
            ("idempotent", Delivery::Idempotent),
        ],
    );
    let timeout = fields.span("timeout");
    let retry_node = fields.node("retry");
    let pause = fields.word("pause", &[("signal", Pause::Signal)]);
    fields.finish(Severity::Error, &UNUSED);

    let own = schema::parameters(parameters_node, place, problems);
    positions(&own, parameters_node.unwrap_or(node), place, problems);
    if pack.as_ref().is_some_and(|pack| pack != around.pack) {
        let message = format!("the action says it is in pack `{}`", pack.unwrap_or_default());
        let at = node.find("pack", place);
        let problem = Problem::error("other_pack", at, message)
            .help(format!("remove the line: the file is in pack `{}`", around.pack));
        problems.push(problem);
    }
    let reference = named(around.pack, &name, node, place, problems);
    let known = around.runners.get(&runner_type);
    if known.is_none() && !runner_type.is_empty() {
        let problem = unknown_runner(&runner_type, node, place, around.runners);
        let later = problem.severity == Severity::Warning;
        problems.push(problem);
        if later {
            return None;
        }
    }
    let known = known?;
    parameters::overrides(&known.parameters, &own, |name, message| {
        let at = parameters_node.unwrap_or(node).find(name, place);
        problems.push(Problem::error("runner_parameter", at, message));
    });
    let entry_point =
        entry_point(entry, &runner_type, node, &mut Entry { place, around, problems });
    Some(Action {
        reference: reference?,
        description,
        enabled,
        runner: known.name.clone(),
        runner_type,
        version: version(file, entry_point.as_deref()),
        entry_point,
        folder: around.folder.to_owned(),
        parameters: own,
        output_schema: Arc::new(output_schema),
        delivery: delivery.unwrap_or_default(),
        timeout,
        retry: retry_node.map(|node| retry(node, place, problems)),
        pause: held(pause, &known.name, node, place, problems),
        tags,
        notify,
        workflow: None,
        file: file.place.file.as_ref().clone(),
    })
}

/// The reference to `name`, or a problem that says why it cannot be one.
pub(crate) fn named(
    pack: &str,
    name: &str,
    node: &Node,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<Reference> {
    if name.is_empty() {
        return None; // Reported as missing already.
    }
    let at = node.find("name", place);
    Reference::new(pack, name)
        .map_err(|_| {
            let message = format!("`{name}` cannot be a name; expected letters, digits, `_`, `-`");
            problems.push(Problem::error("bad_name", at, message));
        })
        .ok()
}

/// What the action says of being held, where its runner can.
fn held(
    given: Option<Pause>,
    runner: &str,
    node: &Node,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Pause {
    if given.is_some() && !HOLDING.contains(&runner) {
        let help = if runner == "workflow" {
            "remove the line: a workflow can always be paused"
        } else {
            "remove the line: such an action runs to its end, and is paused only while it waits"
        };
        let runners = listed(&HOLDING);
        let message = format!("runner `{runner}` cannot hold what runs; `pause` is for {runners}");
        let at = node.find("pause", place);
        problems.push(Problem::error("cannot_pause", at, message).help(help));
    }
    given.unwrap_or_default()
}

fn unknown_runner(given: &str, node: &Node, place: &Place, runners: &Runners) -> Problem {
    let at = node.get("runner_type").unwrap_or(node).place(place);
    if LATER.contains(&given) {
        let message =
            format!("the action is left out: runner `{given}` comes with a later version");
        return Problem::warning("later_runner", at, message);
    }
    let mut problem = Problem::error("unknown_runner", at, format!("there is no runner `{given}`"));
    let names = unique(runners.values().map(|runner| runner.name.as_str()).collect());
    problem.help = meant(given, runners.keys().map(String::as_str)).or_else(|| {
        let theirs = runners.keys().map(String::as_str).filter(|name| !names.contains(name));
        let theirs: Vec<&str> = theirs.collect();
        let (names, theirs) = (listed(&names), listed(&theirs));
        Some(format!("the runners are {names}; of StackStorm's names {theirs} are known"))
    });
    problem
}

fn unique(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names.dedup();
    names
}

fn positions(own: &Parameters, node: &Node, place: &Place, problems: &mut Vec<Problem>) {
    for (index, (name, parameter)) in own.iter().enumerate() {
        let Some(position) = parameter.position else { continue };
        let taken = own[..index].iter().find(|(_, other)| other.position == Some(position));
        if let Some((other, _)) = taken {
            let message = format!("`{name}` and `{other}` both have position {position}");
            let at = node.find(&format!("{name}.position"), place);
            problems.push(
                Problem::error("position_taken", at, message)
                    .help("give every parameter its own position"),
            );
        }
    }
}

fn retry(node: &Node, place: &Place, problems: &mut Vec<Problem>) -> Retry {
    let mut fields = Fields::new(node, place, "retry", problems);
    let on = fields.list("on");
    let mut read = Retry {
        on_failure: on.is_empty(),
        on_timeout: on.is_empty(),
        count: fields.count("count").unwrap_or(3),
        delay: fields.span("delay").unwrap_or(Duration::from_secs(1)),
        backoff: 1.0,
        max_delay: fields.span("max_delay").unwrap_or(Duration::from_hours(1)),
    };
    if let Some(backoff) = fields.node("backoff") {
        match &backoff.tree {
            Tree::Number(number) if number.as_f64().is_some_and(|by| by >= 1.0) => {
                read.backoff = number.as_f64().unwrap_or(1.0);
            }
            _ => drop(fields.wrong::<()>("backoff", backoff, "a number from 1")),
        }
    }
    for node in on {
        match &node.tree {
            Tree::Text(word) if word == "failure" => read.on_failure = true,
            Tree::Text(word) if word == "timeout" => read.on_timeout = true,
            _ => drop(fields.wrong::<()>("on", node, "`failure` or `timeout`")),
        }
    }
    fields.finish(Severity::Error, &[]);
    read
}

struct Entry<'a, 'p> {
    place: &'a Place,
    around: &'a Surroundings<'a>,
    problems: &'p mut Vec<Problem>,
}

/// The absolute path of the file that the runner starts from.
fn entry_point(
    entry: Option<String>,
    runner_type: &str,
    node: &Node,
    context: &mut Entry<'_, '_>,
) -> Option<PathBuf> {
    let needed = matches!(runner_type, "python" | "rhai")
        || runner_type.ends_with("-script")
        || workflow::runs(runner_type);
    let at = node.find("entry_point", context.place);
    let Some(entry) = entry else {
        if needed {
            let message = format!("runner `{runner_type}` needs an `entry_point`");
            let problem = Problem::error("missing_field", at, message)
                .help("add `entry_point: file`, as seen from the folder of the action's file");
            context.problems.push(problem);
        }
        return None;
    };
    let inside = Path::new(&entry).components().all(|part| matches!(part, Component::Normal(_)));
    let path = context.around.folder.join("actions").join(&entry);
    let mut say = |code: &str, message: String, help: &str| {
        context.problems.push(Problem::error(code, at.clone(), message).help(help));
    };
    if !inside {
        let message = format!("`{entry}` points out of the pack's `actions` folder");
        say("outside_pack", message, "move the file into the pack");
    } else if let Ok(found) = path.metadata().and_then(|found| {
        if found.is_file() { Ok(found) } else { Err(std::io::ErrorKind::NotFound.into()) }
    }) {
        // The shell runner starts the file itself; Python and Rhai are handed theirs.
        let started = matches!(runner_type, "shell" | "local-shell-script" | "local-shell-cmd");
        if started && found.permissions().mode() & 0o111 == 0 {
            let help = format!("make it executable: chmod +x {}", path.display());
            say("not_executable", format!("`actions/{entry}` may not be executed"), &help);
        }
        return Some(path);
    } else if needed {
        let message = format!("there is no file `actions/{entry}` in the pack");
        say("no_entry_point", message, "correct `entry_point`, or add the file");
    }
    None
}

fn version(file: &File, entry_point: Option<&Path>) -> Arc<str> {
    let script = entry_point.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    disk::hash([file.text.as_bytes(), &script])
}
