//! Whether the actions of the tasks are there, and take what they are given.

use serde_json::{Map, Value};

use crate::workflows::expression;
use crate::workflows::inspect::outline::{Outline, called};
use crate::workflows::inspect::paths::Paths;
use crate::workflows::inspect::report::Fault;
use crate::workflows::inspect::schema::NAME;
use crate::workflows::inspect::words::{meant, meant_or_listed};

/// One parameter of an action as a task sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Whether a task must give it: it is required and has no default.
    pub needed: bool,
    /// Whether no task may give it.
    pub immutable: bool,
}

/// The actions that there are.
pub trait Actions {
    /// The parameters of the action `reference`, its runner's too; nothing where there is no such
    /// action.
    fn parameters(&self, reference: &str) -> Option<Vec<Input>>;

    /// The name of the action that is most like `reference`, for helps.
    fn nearest(&self, reference: &str) -> Option<String>;
}

/// What is wrong with the actions that the tasks name.
pub(super) fn check(outline: &Outline<'_>, actions: &dyn Actions) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, task) in &outline.tasks {
        let paths = Paths::task(name);
        if let Some(action) = &task.action {
            ask(action, &task.input, (&paths, actions), &mut faults);
        }
        for key in ["compensate", "resume_when"] {
            ask_call(task.get(key), (&paths.key(key), actions), &mut faults);
        }
    }
    let probe = (&Paths::root("resume_when"), actions);
    ask_call(outline.get("resume_when"), probe, &mut faults);
    faults
}

/// Asks for an action within a key of ours: a text, or an object with `action`.
fn ask_call(call: &Value, at: (&Paths, &dyn Actions), faults: &mut Vec<Fault>) {
    let Some(text) = call.as_str().or_else(|| call["action"].as_str()) else { return };
    let (action, inline) = called(text);
    let input = if call.is_string() || !inline.is_empty() {
        Value::Object(inline)
    } else {
        call["input"].clone()
    };
    ask(&action, &input, at, faults);
}

fn ask(
    action: &str,
    input: &Value,
    (paths, actions): (&Paths, &dyn Actions),
    faults: &mut Vec<Fault>,
) {
    if action.is_empty() || expression::has_expression(action) {
        return;
    }
    let at = paths.key("action");
    let wrong = |message: String| Fault::new(message, &at.spec, &at.schema);
    if !action.contains('.') {
        let message = format!("The action reference \"{action}\" is not formatted correctly.");
        faults.push(wrong(message).help("name the pack and the action: `pack.name`"));
        return;
    }
    let Some(parameters) = actions.parameters(action) else {
        let mut fault =
            wrong(format!("The action \"{action}\" is not registered in the database."));
        fault.help = Some(match actions.nearest(action) {
            _ if action.contains(char::is_whitespace) => {
                "parameters behind an action are written `name=\"text\"`, `name=1` or \
                 `name=<% … %>`"
                    .to_owned()
            }
            Some(near) => format!("did you mean `{near}`?"),
            None => "install the pack that provides it, or correct the name".to_owned(),
        });
        faults.push(fault);
        return;
    };
    let none = Map::new();
    let given = match input {
        Value::Null => &none,
        Value::Object(given) => given,
        _ => return, // An expression gives them when the task begins.
    };
    faults.extend(compare(action, given, &parameters, &paths.key("input")));
}

fn compare(
    action: &str,
    given: &Map<String, Value>,
    parameters: &[Input],
    paths: &Paths,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let names = parameters.iter().map(|one| one.name.as_str());
    let mut sorted: Vec<&Input> = parameters.iter().collect();
    sorted.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    for input in sorted.iter().filter(|one| one.needed && !given.contains_key(&one.name)) {
        let message = format!("Action \"{action}\" is missing required input \"{}\".", input.name);
        let mut fault = Fault::new(message, &paths.spec, &paths.schema);
        let slip = given.keys().filter(|key| !names.clone().any(|name| name == *key));
        fault.help = meant(&input.name, slip.map(String::as_str)).map_or_else(
            || Some(format!("add `{}` to the task's `input`", input.name)),
            |_| Some(format!("one of the inputs may be meant for it: write `{}`", input.name)),
        );
        faults.push(fault);
    }
    for key in given.keys() {
        let spec = format!("{}.{key}", paths.spec);
        let schema = format!("{}.patternProperties.{NAME}", paths.schema);
        match parameters.iter().find(|one| one.name == *key) {
            None => {
                let message = format!("Action \"{action}\" has unexpected input \"{key}\".");
                let mut fault = Fault::new(message, &spec, &schema);
                fault.help = meant_or_listed(key, "its parameters are", names.clone());
                faults.push(fault);
            }
            Some(input) if input.immutable => {
                let message = format!("Action \"{action}\" does not let input \"{key}\" be set.");
                faults.push(
                    Fault::new(message, &spec, &schema).help("leave it out: the action sets it"),
                );
            }
            Some(_) => {}
        }
    }
    faults
}
