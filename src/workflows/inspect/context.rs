//! Whether every variable is set where it is asked for: the graph is walked from its start, and each
//! task sees what the tasks before it published on the way.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::rc::Rc;

use serde_json::Value;

use crate::workflows::expression;
use crate::workflows::inspect::expressions::OURS;
use crate::workflows::inspect::outline::{Outline, Task, Transition, one_by_one};
use crate::workflows::inspect::paths::Paths;
use crate::workflows::inspect::report::Fault;
use crate::workflows::inspect::words::meant;

/// How many visits to tasks the walk may take: a task is visited once for each set of variables that
/// arrives. Where it ends early, fewer faults are found.
const VISIT_LIMIT: usize = 20_000;

/// Names of variables.
type Names = BTreeSet<String>;

/// The variables that are asked for where they are not set; `given` are set before the start.
pub(super) fn check(outline: &Outline<'_>, given: &[&str]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut names: Names = given.iter().map(|&name| name.to_owned()).collect();
    for key in ["input", "vars"] {
        one_after_another(outline.get(key), &Paths::root(key), &mut names, &mut faults);
    }
    ask(outline.get("timeout"), &Paths::root("timeout"), &names, &mut faults);
    let mut walk = Walk::new(outline, names);
    walk.run();
    let Walk { mut names, faults: of_tasks, .. } = walk;
    faults.extend(of_tasks);
    one_after_another(outline.get("output"), &Paths::root("output"), &mut names, &mut faults);
    faults
}

/// Asks for the variables of `value`, and tells which are not in `names`.
fn ask(value: &Value, paths: &Paths, names: &Names, faults: &mut Vec<Fault>) {
    for variable in expression::variables(value) {
        let name = &variable.name;
        let private = format!(
            "Variable \"{name}\" that is prefixed with double underscores is considered a private \
             variable and cannot be referenced."
        );
        let unset = format!("Variable \"{name}\" is referenced before assignment.");
        let near = || meant(name, names.iter().map(String::as_str));
        for (wrong, message, help) in [
            (name.starts_with("__"), private, None),
            (!names.contains(name), unset, near().or_else(|| Some(not_set(name)))),
        ] {
            if wrong {
                let fault = Fault::new(message, &paths.spec, &paths.schema);
                let language = Some(variable.dialect.name());
                let expression = Some(variable.expression.clone());
                faults.push(Fault { language, expression, help, ..fault });
            }
        }
    }
}

fn not_set(name: &str) -> String {
    format!("set `{name}` in `input` or `vars`, or publish it on every way that leads here")
}

/// Asks a part of a task as Orquesta does: `name=value` within a text is read as parameters.
fn ask_part(value: &Value, paths: &Paths, names: &Names, faults: &mut Vec<Fault>) {
    let inline = value.as_str().map(one_by_one);
    match inline.as_ref().and_then(Value::as_array).filter(|list| !list.is_empty()) {
        Some(list) => {
            for (index, entry) in list.iter().enumerate() {
                ask(entry, &paths.entry(index), names, faults);
            }
        }
        None => match value {
            Value::Array(list) => {
                for (index, entry) in list.iter().enumerate() {
                    ask(entry, &paths.entry(index), names, faults);
                }
            }
            value => ask(value, paths, names, faults),
        },
    }
}

/// Asks a list whose entries set variables, each of which the entries behind it see.
fn one_after_another(value: &Value, paths: &Paths, names: &mut Names, faults: &mut Vec<Fault>) {
    if let Value::Array(entries) = value {
        for (index, entry) in entries.iter().enumerate() {
            ask(entry, &paths.entry(index), names, faults);
            set(entry, names);
        }
    } else {
        ask(value, paths, names, faults);
        set(value, names);
    }
}

fn set(entry: &Value, names: &mut Names) {
    match entry {
        Value::String(name) => drop(names.insert(name.clone())),
        Value::Object(entries) => names.extend(entries.keys().cloned()),
        _ => {}
    }
}

/// The walk through the graph.
struct Walk<'a, 'o> {
    outline: &'o Outline<'a>,
    /// Tasks to visit with the variables that are set there; a join takes what has `gathered`.
    waiting: VecDeque<(&'a str, Option<Rc<Names>>)>,
    /// The tasks that were visited.
    visited: HashSet<&'a str>,
    /// The variables with which a task was last sent on its way.
    last: BTreeMap<&'a str, Rc<Names>>,
    /// What has come to each join so far.
    gathered: BTreeMap<&'a str, Names>,
    /// The visits that were made: one of the same kind again finds the same.
    made: HashSet<(&'a str, Rc<Names>)>,
    /// All variables that any visited task sees.
    names: Names,
    faults: Vec<Fault>,
}

impl<'a, 'o> Walk<'a, 'o> {
    fn new(outline: &'o Outline<'a>, names: Names) -> Self {
        let shared = Rc::new(names.clone());
        let starts = outline.starts().into_iter();
        Self {
            outline,
            waiting: starts.map(|name| (name, Some(Rc::clone(&shared)))).collect(),
            visited: HashSet::new(),
            last: BTreeMap::new(),
            gathered: BTreeMap::new(),
            made: HashSet::new(),
            names,
            faults: Vec::new(),
        }
    }

    fn run(&mut self) {
        let mut visits = 0;
        while let Some((name, sent)) = self.waiting.pop_front() {
            self.visited.insert(name);
            let gathered = || Rc::new(self.gathered.get(name).cloned().unwrap_or_default());
            let names = sent.filter(|names| !names.is_empty()).unwrap_or_else(gathered);
            if self.made.insert((name, Rc::clone(&names))) {
                visits += 1;
                self.visit(name, &names);
            }
            if visits == VISIT_LIMIT {
                return;
            }
        }
    }

    fn visit(&mut self, name: &'a str, names: &Rc<Names>) {
        self.names.extend(names.iter().cloned());
        let outline = self.outline;
        let Some(task) = outline.task(name) else { return };
        let paths = Paths::task(name);
        ask_task(task, &paths, names, &mut self.faults);
        for (index, transition) in task.next.iter().enumerate() {
            let mut names = Names::clone(names);
            ask_transition(transition, &paths.transition(index), &mut names, &mut self.faults);
            let names = Rc::new(names);
            for to in &transition.to {
                self.send(to, &names);
            }
        }
    }

    fn send(&mut self, to: &'a str, names: &Rc<Names>) {
        if self.visited.contains(to) || !self.outline.knows(to) {
            return;
        }
        if self.outline.task(to).is_some_and(|task| task.waits) {
            self.gathered.entry(to).or_default().extend(names.iter().cloned());
            self.waiting.push_back((to, None));
        } else if self.last.get(to) != Some(names) {
            self.last.insert(to, Rc::clone(names));
            self.waiting.push_back((to, Some(Rc::clone(names))));
        }
    }
}

fn ask_task(task: &Task<'_>, paths: &Paths, names: &Names, faults: &mut Vec<Fault>) {
    ask_part(task.get("delay"), &paths.key("delay"), names, faults);
    for key in ["items", "concurrency"] {
        ask_part(&task.with[key], &paths.key("with").key(key), names, faults);
    }
    if let Some(action) = &task.action {
        ask_part(&Value::from(action.as_ref()), &paths.key("action"), names, faults);
    }
    ask_part(&task.input, &paths.key("input"), names, faults);
    for key in OURS {
        ask(task.get(key), &paths.key(key), names, faults);
    }
}

fn ask_transition(
    transition: &Transition<'_>,
    paths: &Paths,
    names: &mut Names,
    faults: &mut Vec<Fault>,
) {
    ask_part(transition.when, &paths.key("when"), names, faults);
    one_after_another(&transition.publish, &paths.key("publish"), names, faults);
    ask_part(transition.written, &paths.key("do"), names, faults);
}
