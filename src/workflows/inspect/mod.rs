//! What is wrong with a workflow before it runs, in the words and at the paths that Orquesta reports.
//!
//! `syntax` knows the keys and their types, `semantics` the graph, `expressions` whether each can be
//! parsed, `context` whether every variable is set where it is asked for, `contents` whether the
//! actions are there. `doubts` tells what runs but is hardly meant. Nothing is evaluated here.

mod circles;
mod contents;
mod context;
mod doubts;
mod expressions;
mod language;
mod outline;
mod paths;
mod report;
mod schema;
mod semantics;
mod shown;
mod words;

use serde_json::Value;

pub use contents::{Actions, Input};
pub use doubts::doubts;
pub use expressions::strangers;
pub use report::{Category, Fault, Report};

use outline::Outline;

/// What is known around a workflow.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    /// Variables that are set before the first task, such as `st2`.
    pub variables: &'a [&'a str],
    /// The actions that there are; without them no task's action is looked up.
    pub actions: Option<&'a dyn Actions>,
}

/// Says what is wrong with the workflow `definition`, the YAML as JSON.
#[must_use]
pub fn inspect(definition: &Value, known: Known<'_>) -> Report {
    let outline = Outline::read(definition);
    let mut report = Report::default();
    report.add(Category::Syntax, language::check(definition));
    report.add(Category::Semantics, semantics::check(&outline));
    report.add(Category::Expressions, expressions::check(&outline));
    report.add(Category::Context, context::check(&outline, known.variables));
    if let Some(actions) = known.actions {
        report.add(Category::Contents, contents::check(&outline, actions));
    }
    report
}
