//! `ifso workflow`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::app;
use crate::cli::Whereabouts;
use crate::cli::check::row;
use crate::cli::client::{Client, segment};
use crate::cli::failure::{self, Failure};
use crate::cli::output::Output;
use crate::cli::restore::config;
use crate::cli::row::safe;
use crate::model::problem::{Place, Severity, nearest};
use crate::model::reference::Reference;
use crate::packs::catalog::Catalog;
use crate::packs::check::{Style, report};
use crate::packs::workflow::look;

#[derive(Debug, Subcommand)]
pub(crate) enum Workflow {
    /// Say what is wrong with a workflow, and where, without running it.
    Inspect(Inspect),
    /// Draw the graph of a workflow that is in force: what leads to what, and when.
    Graph(Graph),
}

/// Which workflow, and how.
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// Its action.
    action: String,
    /// Print SVG.
    #[arg(long)]
    svg: bool,
}

impl Graph {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let path = format!("/api/v1/workflows/{}", segment(&self.action));
        graph(client, output, &path, self.svg).await
    }
}

/// Prints the graph of what has this path.
pub(crate) async fn graph(
    client: &Client,
    output: &mut Output,
    path: &str,
    svg: bool,
) -> Result<(), Failure> {
    let kind = if svg { "svg" } else { "txt" };
    let drawn = client.text(&format!("{path}/graph.{kind}"), &[]).await?;
    output.text(&safe(&drawn))
}

/// One workflow and the home whose actions it may use.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A workflow's file, or the action that it is: `pack.name`.
    #[arg(value_name = "FILE|ACTION")]
    what: String,
    /// The file is written for Mistral.
    #[arg(long)]
    mistral: bool,
    /// Print one JSON array of problems.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(crate) fn run(
        self,
        whereabouts: &Whereabouts,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        let config = config(whereabouts)?;
        let catalog = app::catalog(&config)?;
        let (path, runner) = self.find(&catalog)?;
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::new(format!("`{}` cannot be read: {error}", path.display()))
        })?;
        let shown = path.strip_prefix(&config.home).unwrap_or(&path);
        let problems = look(text.clone(), &Place::file(shown), &runner, &catalog);
        if self.json {
            output.json(&problems.iter().map(row).collect::<Value>())?;
        } else {
            let source = |_: &Path| Some(text.clone());
            let style = if output.has_colours() { Style::Coloured } else { Style::Plain };
            output.line(&report(&problems, source, style))?;
        }
        let wrong = problems.iter().any(|one| one.severity == Severity::Error);
        Ok(if wrong { ExitCode::from(failure::FAILED) } else { ExitCode::SUCCESS })
    }

    /// The workflow's file, and the runner that it is written for.
    fn find(&self, catalog: &Catalog) -> Result<(PathBuf, String), Failure> {
        let path = PathBuf::from(&self.what);
        if path.is_file() {
            let runner = if self.mistral { "mistral-v2" } else { "workflow" };
            return Ok((path, runner.to_owned()));
        }
        let reference: Option<Reference> = self.what.parse().ok();
        let action = reference.and_then(|reference| catalog.actions.get(&reference));
        let Some(action) = action else {
            let message =
                format!("there is no file `{0}`, and no action is called `{0}`", self.what);
            let names: Vec<String> = catalog.actions.keys().map(ToString::to_string).collect();
            return Err(match nearest(&self.what, names.iter().map(String::as_str)) {
                Some(near) => Failure::new(message).help(format!("did you mean `{near}`?")),
                None => Failure::new(message).help("`ifso check` tells which actions are left out"),
            });
        };
        match (&action.entry_point, &action.workflow) {
            (Some(file), Some(_)) => Ok((file.clone(), action.runner_type.clone())),
            _ => Err(Failure::new(format!("action `{}` is no workflow", self.what))
                .help(format!("its runner is `{}`", action.runner_type))),
        }
    }
}
