//! `actions/workflows/*.yaml`: the file that an action with a workflow starts from.
//!
//! What is wrong with it is told in two rounds: by itself when it is read, and against the actions of
//! all packs once those are known.

use std::sync::Arc;

use aws_lc_rs::digest;
use serde_json::Value;

use crate::model::action::{Action, Pinned};
use crate::model::parameter::Parameters;
use crate::model::problem::{Place, Problem, Severity};
use crate::model::reference::Reference;
use crate::packs::catalog::Catalog;
use crate::packs::disk::{Disk, File};
use crate::packs::yaml::{self, Node};
use crate::store::table;
use crate::workflows::inspect::{self, Category, Fault, Input, Known, Report};
use crate::workflows::mistral;

/// The runner's name, and StackStorm's names for it.
const RUNNERS: [&str; 4] = ["workflow", "orquesta", "orchestra", "mistral-v2"];

/// What is set before the first task.
const GIVEN: [&str; 1] = ["st2"];

/// Whether an action of this runner starts from a workflow.
pub(crate) fn runs(runner_type: &str) -> bool {
    RUNNERS.contains(&runner_type)
}

/// A workflow as it was read, with what it takes to tell where something stands in it.
#[derive(Debug, Clone)]
pub(crate) struct Workflow {
    /// In Orquesta's form.
    definition: Arc<Value>,
    node: Node,
    place: Place,
    /// The file as it was written, where it is Mistral's.
    written: Option<Value>,
}

/// Gives `action` its workflow, and tells what is wrong with that; nothing where it has none.
pub(crate) fn of(
    action: &mut Action,
    disk: &Disk<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Workflow> {
    let entry_point = action.entry_point.as_ref().filter(|_| runs(&action.runner_type))?;
    let file = disk.file(entry_point, problems)?;
    let workflow = read(&file, &action.runner_type, problems)?;
    problems.extend(workflow.alone());
    problems.extend(workflow.unset(&action.reference, &action.parameters));
    action.workflow = Some(workflow.pinned());
    Some(workflow)
}

/// Reads the workflow in `file`; nothing where it is not readable at all.
fn read(file: &File, runner_type: &str, problems: &mut Vec<Problem>) -> Option<Workflow> {
    let node = file.yaml(problems)?;
    let written = node.to_json();
    let place = file.place.clone();
    let second = written.get("version").is_some_and(is_second);
    if runner_type != "mistral-v2" && !(runner_type == "workflow" && second) {
        return Some(Workflow { definition: Arc::new(written), node, place, written: None });
    }
    match mistral::load(&written, mistral::MAIN) {
        Ok(turned) => {
            let definition = Arc::new(turned);
            Some(Workflow { definition, node, place, written: Some(written) })
        }
        Err(faults) => {
            let problem = |fault: &Fault| {
                let at = node.find(&fault.spec_path, &place);
                let problem = Problem::error("mistral", at, fragment(&fault.message));
                Problem { help: fault.help.clone(), ..problem }
            };
            problems.extend(faults.iter().map(problem));
            None
        }
    }
}

/// What is wrong with the workflow `text` of the file at `place`, in places of that file. Its actions
/// are looked for in `catalog`.
#[must_use]
pub fn look(text: String, place: &Place, runner_type: &str, catalog: &Catalog) -> Vec<Problem> {
    let file = File { place: place.clone(), text };
    let mut problems = Vec::new();
    if let Some(workflow) = read(&file, runner_type, &mut problems) {
        problems.extend(workflow.alone());
        problems.extend(workflow.against(catalog));
    }
    problems
}

/// What StackStorm's inspection says of the workflow `text`: one object for each fault.
///
/// # Errors
/// Where the text is no YAML.
pub fn list(text: &str, catalog: &Catalog) -> Result<Vec<Value>, Problem> {
    let written = yaml::parse(text, &Place::file("workflow"))?.to_json();
    let known = Known { variables: &GIVEN, actions: Some(&Actions(catalog)) };
    if !written.get("version").is_some_and(is_second) {
        return Ok(inspect::inspect(&written, known).to_list());
    }
    Ok(match mistral::load(&written, mistral::MAIN) {
        Ok(turned) => inspect::inspect(&turned, known).to_list(),
        Err(faults) => faults.iter().map(|fault| fault.to_object(Category::Syntax)).collect(),
    })
}

/// `'2.0'` or 2.0: the language is Mistral's.
fn is_second(version: &Value) -> bool {
    version.as_str().is_some_and(|text| text.starts_with('2')) || version.as_f64() == Some(2.0)
}

impl Workflow {
    /// The definition and its name.
    fn pinned(&self) -> Pinned {
        let text = self.definition.to_string();
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        Pinned { hash: table::hex(hash.as_ref()).into(), definition: Arc::clone(&self.definition) }
    }

    /// What is wrong with it, whatever else there is.
    fn alone(&self) -> Vec<Problem> {
        let report = inspect::inspect(&self.definition, Known { variables: &GIVEN, actions: None });
        let mut problems = self.problems(&report);
        let doubts = inspect::doubts(&self.definition);
        problems.extend(doubts.iter().map(|doubt| self.doubt("never_runs", doubt)));
        let strangers = inspect::strangers(&self.definition);
        problems.extend(strangers.iter().map(|doubt| self.doubt("unknown_function", doubt)));
        problems
    }

    fn doubt(&self, code: &'static str, doubt: &Fault) -> Problem {
        let problem = Problem::warning(code, self.at(&doubt.spec_path), said(doubt));
        Problem { help: doubt.help.clone(), ..problem }
    }

    /// Inputs that nothing sets: no default, and no parameter of the action.
    fn unset(&self, action: &Reference, parameters: &Parameters) -> Vec<Problem> {
        let inputs = self.definition.get("input").and_then(Value::as_array);
        let inputs = inputs.into_iter().flatten().enumerate();
        let problem = |(index, input): (usize, &Value)| {
            let name = input.as_str()?;
            if parameters.iter().any(|(known, _)| known == name) {
                return None;
            }
            let message = format!(
                "input `{name}` has no default and is no parameter of action `{action}`: it is null"
            );
            let at = self.at(&format!("input[{index}]"));
            let help = format!(
                "add `{name}` to the action's `parameters`, or give it a default: `- {name}: value`"
            );
            Some(Problem::warning("unset_input", at, message).help(help))
        };
        inputs.filter_map(problem).collect()
    }

    /// What is doubtful about it against the actions of `catalog`.
    pub(crate) fn against(&self, catalog: &Catalog) -> Vec<Problem> {
        let all = inspect::inspect(
            &self.definition,
            Known { variables: &GIVEN, actions: Some(&Actions(catalog)) },
        );
        let mut problems = self.problems(&all);
        problems.retain(|problem| problem.code == code(Category::Contents));
        problems
    }

    fn problems(&self, report: &Report) -> Vec<Problem> {
        let problem = |(category, fault): (Category, &Fault)| {
            let at = match &fault.key {
                Some(key) => self.at(format!("{}.{key}", fault.spec_path).trim_start_matches('.')),
                None => self.at(&fault.spec_path),
            };
            let problem = Problem::error(code(category), at, said(fault));
            let severity = match category {
                // The pack that has the action may come later.
                Category::Contents => Severity::Warning,
                // In what Mistral wrote, some variables are known only when it runs.
                Category::Context if self.written.is_some() => Severity::Warning,
                // What is missing is `()` in Rhai.
                Category::Context if fault.language == Some("rhai") && !is_private(fault) => {
                    Severity::Warning
                }
                _ => Severity::Error,
            };
            Problem { severity, help: fault.help.clone(), ..problem }
        };
        let mut problems: Vec<Problem> = report.faults().map(problem).collect();
        problems.dedup();
        problems
    }

    /// Where the part of the definition at `path` stands in the file.
    fn at(&self, path: &str) -> Place {
        let path = match &self.written {
            Some(written) => mistral::origin(written, mistral::MAIN, path),
            None => path.to_owned(),
        };
        // Parameters may stand behind the action.
        let parameters = path.split_once(".input");
        let parameters =
            parameters.filter(|(_, rest)| rest.is_empty() || rest.starts_with(['.', '[']));
        if let Some((task, _)) = parameters {
            let task_at = self.node.find(task, &self.place);
            if self.node.find(&format!("{task}.input"), &self.place) == task_at {
                return self.node.find(&format!("{task}.action"), &self.place);
            }
        }
        self.node.find(&path, &self.place)
    }
}

/// Whether the variable may be asked for by nobody, set or not.
fn is_private(fault: &Fault) -> bool {
    fault.message.contains("private variable")
}

/// The stable word for machines.
const fn code(category: Category) -> &'static str {
    match category {
        Category::Syntax => "workflow_syntax",
        Category::Semantics => "workflow_semantics",
        Category::Expressions => "workflow_expression",
        Category::Context => "workflow_variable",
        Category::Contents => "workflow_action",
    }
}

/// A fault as people are told: Orquesta's sentence as a fragment, with the expression beside it.
fn said(fault: &Fault) -> String {
    if let Some(key) = &fault.key {
        return format!("`{key}` is not known here");
    }
    let message = fragment(&fault.message);
    match &fault.expression {
        Some(expression) => format!("{message}, in `{expression}`"),
        None => message,
    }
}

/// A sentence of Orquesta's as a fragment with the thing in backticks.
fn fragment(message: &str) -> String {
    let message = message.trim_end_matches('.');
    let form = [" is not valid under any of the given schemas", " does not match '"];
    let form = form.iter().find_map(|end| message.find(end));
    if let Some(end) = form {
        return format!("`{}` has the wrong form", message[..end].trim_matches(['\'', '"']));
    }
    let message = match message.split_once(" is a required property") {
        Some((key, "")) => format!("`{}` is missing", key.trim_matches('\'')),
        _ => message.replace(['"', '\''], "`"),
    };
    let mut letters = message.chars();
    match letters.next() {
        // A second capital is a name's.
        Some(first) if !letters.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => message,
    }
}

/// The actions of a catalog, as workflows see them.
pub(crate) struct Actions<'a>(pub(crate) &'a Catalog);

impl inspect::Actions for Actions<'_> {
    fn parameters(&self, reference: &str) -> Option<Vec<Input>> {
        let reference: Reference = reference.parse().ok()?;
        let accepted = match self.0.accepts.get(&reference) {
            Some(accepted) => accepted.as_ref(),
            None => &self.0.actions.get(&reference)?.parameters,
        };
        let input = |(name, parameter): &(String, crate::model::parameter::Parameter)| Input {
            name: name.clone(),
            needed: parameter.required && parameter.default.is_none(),
            immutable: parameter.immutable,
        };
        Some(accepted.iter().map(input).collect())
    }

    fn nearest(&self, reference: &str) -> Option<String> {
        let names: Vec<String> = self.0.actions.keys().map(ToString::to_string).collect();
        let names = names.iter().map(String::as_str);
        crate::model::problem::nearest(reference, names).map(str::to_owned)
    }
}
