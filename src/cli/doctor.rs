//! `ifso doctor`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::cli::Whereabouts;
use crate::cli::failure::{self, Failure};
use crate::cli::output::{Column, Output};
use crate::cli::restore::config;
use crate::cli::row::text;

/// Look at every record of a store without serving.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("table", |row| text(row, "table")),
    Column::new("records", |row| text(row, "records")).right(),
];

impl Doctor {
    pub(crate) fn run(
        self,
        whereabouts: &Whereabouts,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        let config = config(whereabouts)?;
        let found = app::doctor(&config)?;
        let rows: Vec<Value> = found
            .records
            .iter()
            .map(|(table, records)| json!({ "table": table, "records": records }))
            .collect();
        if self.json {
            output.json(&json!({
                "records": rows, "damage": found.damage, "size_bytes": found.size_bytes,
            }))?;
        } else {
            output.list(false, COLUMNS, &rows)?;
            output.line(&format!("{} bytes", found.size_bytes))?;
            for line in &found.damage {
                output.notice(line)?;
            }
        }
        if found.damage.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        Err(Failure::new(format!("{} records are damaged", found.damage.len()))
            .help("restore a backup with `ifso restore FILE`")
            .code(failure::STORE))
    }
}
