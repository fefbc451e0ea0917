//! `ifso doctor`: looks at everything that Ifso rests on, with or without one that serves, and says
//! what to do next. It changes nothing.

mod finding;
mod files;
mod machine;
mod serving;
mod reach;

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::cli::Whereabouts;
use crate::cli::doctor::finding::{Finding, State};
use crate::cli::failure::{self, Failure};
use crate::cli::output::Output;
use crate::cli::restore::config;
use crate::cli::row::text;
use crate::cli::table::Column;
use crate::config::Config;
use crate::model::problem::{Problem, Severity};
use crate::packs::catalog::Catalog;

/// Look at home, store, disk, clock, packs and what sensors and actions reach, and say what to do.
/// Fails where something is wrong (1), or the store is damaged (75).
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON, with every table of the store.
    #[arg(long)]
    json: bool,
    /// Connect to nobody: neither brokers nor services.
    #[arg(long)]
    offline: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("part", |row| text(row, "part")),
    Column::new("state", |row| text(row, "state")).status(),
    Column::new("what", |row| text(row, "what")),
];

impl Doctor {
    pub(crate) fn run(
        self,
        whereabouts: &Whereabouts,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        let config = config(whereabouts)?;
        let mut found = settings(&config);
        let (mut store, report) = serving::store(&config);
        found.extend(files::look(&config));
        let runtime = super::runtime()?;
        let served = runtime.block_on(serving::server(whereabouts, &config, store.state))?;
        // Whoever has the store serves it, and does well.
        if store.state == State::Look && served.iter().all(|one| one.state != State::Wrong) {
            store.state = State::Ok;
        }
        found.push(store);
        found.extend(served);
        found.push(machine::disk(&config.data));
        found.extend(machine::limits());
        let catalog = app::catalog(&config)?;
        found.push(packs(&catalog));
        let reached =
            if self.offline { Vec::new() } else { runtime.block_on(reach::look(&catalog)) };
        found.push(machine::clock(&reached));
        found.extend(reached.into_iter().map(|one| one.finding));
        let worst = found.iter().map(|one| one.state).max().unwrap_or(State::Ok);
        if self.json {
            output.json(&json!({ "state": worst, "findings": found, "store": report }))?;
        } else {
            tell(&found, output)?;
        }
        let damaged = found.iter().any(|one| one.part == "store" && one.state == State::Wrong);
        Ok(match worst {
            State::Wrong if damaged => ExitCode::from(failure::STORE),
            State::Wrong => ExitCode::from(failure::FAILED),
            State::Ok | State::Look => ExitCode::SUCCESS,
        })
    }
}

/// The table, and below it the next steps.
fn tell(found: &[Finding], output: &mut Output) -> Result<(), Failure> {
    let rows: Vec<Value> = found.iter().map(|one| json!(one)).collect();
    output.list(false, COLUMNS, &rows)?;
    for one in found {
        if let Some(next) = &one.next {
            output.notice(&format!("{}: {next}", one.part))?;
        }
    }
    Ok(())
}

fn settings(config: &Config) -> Vec<Finding> {
    let name = config.home.display();
    let mut found = vec![match config.address() {
        Ok((_, None)) => Finding::ok("home", format!("`{name}`")),
        Ok((address, Some(warning))) => Finding::look("home", format!("`{address}`: {warning}"))
            .next("put a proxy that encrypts in front of it"),
        Err(error) => Finding::wrong("home", error.to_string()).next(error.help()),
    }];
    found.extend(config.warnings.iter().map(|warning| {
        Finding::look("settings", warning.clone()).next("correct or unset the variable")
    }));
    found
}

fn packs(catalog: &Catalog) -> Finding {
    let count = |severity| {
        let of = |one: &&Problem| one.severity == severity;
        catalog.problems.iter().filter(of).count()
    };
    match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => Finding::ok(
            "packs",
            format!(
                "packs: {}, rules: {}, sensors: {}",
                catalog.packs.len(),
                catalog.rules.len(),
                catalog.sensors.len()
            ),
        ),
        (0, warnings) => {
            Finding::look("packs", format!("{warnings} warnings")).next("`ifso check` shows them")
        }
        (errors, _) => {
            Finding::wrong("packs", format!("{errors} errors keep something from being in force"))
                .next("`ifso check` names them, with file, line and column")
        }
    }
}
