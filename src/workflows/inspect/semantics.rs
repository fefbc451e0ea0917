//! The graph that the tasks make: names that mean something else, ways that lead nowhere, joins at
//! which nobody could say what is to be waited for.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;

use crate::workflows::inspect::circles::circles;
use crate::workflows::inspect::outline::{Outline, RESERVED, holds};
use crate::workflows::inspect::report::Fault;
use crate::workflows::inspect::schema::{NAME, is_name};
use crate::workflows::inspect::words::{meant, meant_or_listed};

/// How many steps the search for joins that cannot be reached may take. A graph of a thousand tasks
/// takes a few thousand; where it ends early, fewer faults are found.
const WALK_LIMIT: usize = 200_000;

/// What is wrong with the graph.
pub(super) fn check(outline: &Outline<'_>) -> Vec<Fault> {
    let mut faults = reserved(outline);
    faults.extend(no_start(outline));
    faults.extend(undefined(outline));
    faults.extend(unreachable_joins(outline));
    faults.extend(nothing_to_do(outline));
    faults
}

/// The path of a task in Orquesta's schema.
pub(super) fn task_schema() -> String {
    format!("properties.tasks.patternProperties.{NAME}")
}

fn reserved(outline: &Outline<'_>) -> Vec<Fault> {
    let bad = |name: &&&str| RESERVED.contains(*name) || !is_name(name);
    let fault = |name: &&str| {
        let path = format!("tasks.{name}");
        if is_name(name) {
            let message = format!("The task name \"{name}\" is reserved with special function.");
            return Fault::new(message, &path, &task_schema()).help("give the task another name");
        }
        // Orquesta breaks off here without a report.
        let message = format!("The task name \"{name}\" is not letters, digits and underscores.");
        Fault::new(message, &path, &task_schema()).help(match meant_name(name) {
            Some(better) => format!("call it `{better}`"),
            None => "give the task another name".to_owned(),
        })
    };
    outline.tasks.keys().filter(bad).map(fault).collect()
}

fn meant_name(name: &str) -> Option<String> {
    let better: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    better.chars().any(char::is_alphanumeric).then_some(better)
}

fn no_start(outline: &Outline<'_>) -> Option<Fault> {
    let message = "Unable to identify any tasks to start the workflow. If the workflow has a loop, \
                   please add a task that serves as an entry point (or lead) into the loop.";
    let none = !outline.tasks.is_empty() && outline.starts().is_empty();
    none.then(|| Fault::new(message, "tasks", "properties.tasks"))
}

fn undefined(outline: &Outline<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut waiting = VecDeque::from(outline.starts());
    let mut queued: BTreeSet<&str> = waiting.iter().copied().collect();
    while let Some(name) = waiting.pop_front() {
        let next = outline.task(name).map(|task| task.next.as_slice()).unwrap_or_default();
        for (index, transition) in next.iter().enumerate() {
            for to in &transition.to {
                if !outline.knows(to) {
                    let message = format!("The task \"{to}\" is not defined.");
                    let path = format!("tasks.{name}.next[{index}].do");
                    let schema = format!("{}.properties.next.items.properties.do", task_schema());
                    let mut fault = Fault::new(message, &path, &schema);
                    let names = outline.tasks.keys().copied();
                    fault.help = meant(to, names.clone().chain(RESERVED))
                        .or_else(|| meant_or_listed(to, "the tasks are", names));
                    faults.push(fault);
                } else if !RESERVED.contains(to) && queued.insert(to) {
                    waiting.push_back(to);
                }
            }
        }
    }
    faults
}

fn nothing_to_do(outline: &Outline<'_>) -> Vec<Fault> {
    // An action that is no text is a matter of syntax.
    let idle =
        outline.tasks.iter().filter(|(_, task)| !task.with.is_null() && !holds(task.get("action")));
    let message = "The action property is required for with items task.";
    let fault = |name: &str| {
        Fault::new(message, &format!("tasks.{name}"), &task_schema())
            .help("add `action`, which runs once for each item")
    };
    idle.map(|(name, _)| fault(name)).collect()
}

type Splits<'a> = Rc<BTreeSet<&'a str>>;

/// What the ways to one task have in common.
#[derive(Default)]
struct Reached<'a> {
    /// The tasks at which its ways split, on any of them.
    splits: BTreeSet<&'a str>,
    /// The tasks before it.
    before: BTreeSet<&'a str>,
}

fn unreachable_joins(outline: &Outline<'_>) -> Vec<Fault> {
    let reached = reach(outline);
    let joins = |name: &str| outline.task(name).is_some_and(|task| task.joins);
    let apart = |name: &str, held: &Reached<'_>| {
        let other = |before: &&str| reached[before].splits != held.splits;
        joins(name) && held.before.iter().any(other)
    };
    let message = |name: &str| {
        format!(
            "The join task \"{name}\" is unreachable. A join task is determined to be unreachable if \
             there are nested forks from multi-referenced tasks that join on the said task. This is \
             ambiguous to the workflow engine because it does not know at which level should the \
             join occurs."
        )
    };
    let faults = reached.iter().filter(|(name, held)| apart(name, held));
    faults
        .map(|(name, _)| Fault::new(message(name), &format!("tasks.{name}"), &task_schema()))
        .collect()
}

/// Walks all ways from the start. A way goes on behind a task as long as it brings splits that no
/// way before it brought there.
fn reach<'a>(outline: &Outline<'a>) -> BTreeMap<&'a str, Reached<'a>> {
    let circles = circles(&outline.follows);
    let joins = |name: &str| outline.task(name).is_some_and(|task| task.joins);
    let splits_at =
        |name: &str| !joins(name) && outline.ways.get(name).is_some_and(|ways| *ways > 1);
    let mut reached: BTreeMap<&str, Reached<'_>> = BTreeMap::new();
    let mut brought: HashMap<(&str, &str), BTreeSet<&str>> = HashMap::new();
    let none: Splits<'a> = Rc::default();
    let mut waiting: VecDeque<(Option<&str>, &str, Splits<'a>)> =
        outline.starts().into_iter().map(|name| (None, name, Rc::clone(&none))).collect();
    let mut steps = 0;
    while let Some((before, name, mut splits)) = waiting.pop_front() {
        steps += 1;
        let Some((name, _)) = outline.tasks.get_key_value(name) else { continue };
        if steps > WALK_LIMIT {
            break;
        }
        if splits_at(name) && !circles.contains(name) {
            Rc::make_mut(&mut splits).insert(name);
        }
        let held = reached.entry(name).or_default();
        held.splits.extend(splits.iter());
        held.before.extend(before);
        for next in outline.after(name) {
            if reached.contains_key(next) && circles.contains(next) {
                continue;
            }
            let known = brought.entry((name, next));
            let first = matches!(known, Entry::Vacant(_));
            let known = known.or_default();
            if first || !splits.is_subset(known) {
                known.extend(splits.iter());
                waiting.push_back((Some(name), next, Rc::clone(&splits)));
            }
        }
    }
    reached
}
