//! `ifso check`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::cli::Whereabouts;
use crate::cli::failure::{self, Failure};
use crate::cli::output::Output;
use crate::cli::restore::config;
use crate::model::problem::{Problem, Severity};
use crate::packs::check::{Style, report};

/// Check a home without starting it; fails where something is wrong.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Print one JSON array of problems.
    #[arg(long)]
    json: bool,
    /// Warnings count as errors.
    #[arg(long)]
    strict: bool,
}

impl Check {
    pub(crate) fn run(
        self,
        whereabouts: &Whereabouts,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        let config = config(whereabouts)?;
        for warning in &config.warnings {
            output.note(warning)?;
        }
        // Not an error: a flag of `serve` may consent, and this machine may not be the one it runs on.
        if let Err(error) = config.address() {
            output.note(&format!("{error}: {}", error.help()))?;
        }
        let catalog = app::catalog(&config)?;
        if self.json {
            output.json(&catalog.problems.iter().map(row).collect())?;
        } else {
            let source =
                |file: &std::path::Path| std::fs::read_to_string(config.home.join(file)).ok();
            let style = if output.has_colours() { Style::Coloured } else { Style::Plain };
            output.line(&report(&catalog.problems, source, style))?;
            let found = [
                (catalog.packs.len(), "pack"),
                (catalog.actions.len(), "action"),
                (catalog.rules.len(), "rule"),
                (catalog.sensors.len(), "sensor"),
                (catalog.calendars.len(), "calendar"),
            ];
            let counts: Vec<String> = found
                .iter()
                // Few homes have calendars.
                .filter(|(count, what)| *count > 0 || *what != "calendar")
                .map(|(count, what)| {
                    format!("{count} {what}{}", if *count == 1 { "" } else { "s" })
                })
                .collect();
            output.note(&counts.join(", "))?;
        }
        let wrong = |one: &Problem| self.strict || one.severity == Severity::Error;
        if catalog.problems.iter().any(wrong) {
            return Ok(ExitCode::from(failure::FAILED));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// As the API shows it, with the place in its parts too.
pub(crate) fn row(problem: &Problem) -> Value {
    json!({
        "severity": problem.severity,
        "code": problem.code,
        "place": problem.place.to_string(),
        "file": problem.place.file.as_path(),
        "line": problem.place.line,
        "column": problem.place.column,
        "message": problem.message,
        "help": problem.help,
    })
}
