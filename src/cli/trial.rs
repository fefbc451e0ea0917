//! `ifso rule test`: the tests that packs and home have for their rules.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::cli::Whereabouts;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::restore::config;
use crate::packs::check::{Style as Shown, report};
use crate::packs::trial::{self, Failed, Line, Trial};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Run the tests in `tests/*.yaml` of packs and home; needs no serving Ifso.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Only tests whose name or file holds this.
    only: Option<String>,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

impl Test {
    pub(crate) fn run(
        self,
        whereabouts: &Whereabouts,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        let config = config(whereabouts)?;
        let catalog = app::catalog(&config)?;
        let trials = match trial::read(&config.home, &catalog) {
            Ok(trials) => trials,
            Err(problems) => {
                let source =
                    |file: &std::path::Path| std::fs::read_to_string(config.home.join(file)).ok();
                let style = if output.has_colours() { Shown::Coloured } else { Shown::Plain };
                output.line(&report(&problems, source, style))?;
                return Ok(ExitCode::FAILURE);
            }
        };
        let wanted = |trial: &Trial| {
            self.only.as_deref().is_none_or(|only| {
                trial.name.contains(only) || trial.place.to_string().contains(only)
            })
        };
        let run: Vec<(&Trial, Vec<Failed>)> = trials
            .iter()
            .filter(|trial| wanted(trial))
            .map(|trial| (trial, trial::run(trial, &catalog)))
            .collect();
        if let (Some(only), true) = (&self.only, run.is_empty()) {
            return Err(Failure::new(format!("no test's name or file holds `{only}`"))
                .help(format!("there are {} tests; `ifso rule test` runs all", trials.len())));
        }
        let failed = run.iter().filter(|(_, failed)| !failed.is_empty()).count();
        if self.json {
            let rows: Vec<Value> = run.iter().map(|(trial, failed)| row(trial, failed)).collect();
            output.json(&Value::Array(rows))?;
        } else {
            for (trial, failed) in &run {
                tell(trial, failed, output)?;
            }
            let errors = catalog.errors();
            if errors > 0 {
                output.note(&format!("the home has {errors} errors; see `ifso check`"))?;
            }
            output.line(&format!("{} tests, {failed} failed", run.len()))?;
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn tell(trial: &Trial, failed: &[Failed], output: &mut Output) -> Result<(), Failure> {
    if failed.is_empty() {
        return output.line(&format!("{GOOD}ok{GOOD:#}      {}", trial.name));
    }
    output.line(&format!("{BAD}failed{BAD:#}  {}", trial.name))?;
    for one in failed {
        output.line(&format!(
            "        {} at {}, - expected, + happened",
            one.place,
            seconds(one.at)
        ))?;
        for line in &one.lines {
            let line = match line {
                Line::Same(text) => format!("          {text}"),
                Line::Missing(text) => format!("        {BAD}- {text}{BAD:#}"),
                Line::Surplus(text) => format!("        {GOOD}+ {text}{GOOD:#}"),
            };
            output.line(&line)?;
        }
    }
    Ok(())
}

fn seconds(at: std::time::Duration) -> String {
    format!("{}s", at.as_secs_f64())
}

fn row(trial: &Trial, failed: &[Failed]) -> Value {
    let failed: Vec<Value> = failed
        .iter()
        .map(|one| {
            let lines: Vec<String> = one
                .lines
                .iter()
                .map(|line| match line {
                    Line::Same(text) => format!("  {text}"),
                    Line::Missing(text) => format!("- {text}"),
                    Line::Surplus(text) => format!("+ {text}"),
                })
                .collect();
            json!({ "place": one.place.to_string(), "lines": lines })
        })
        .collect();
    let place = trial.place.to_string();
    json!({ "test": trial.name, "place": place, "ok": failed.is_empty(), "failed": failed })
}
