//! `ifso doctor`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::cli::Whereabouts;
use crate::cli::failure::{self, Failure};
use crate::cli::output::Output;
use crate::cli::restore::config;
use crate::cli::row::text;
use crate::cli::table::Column;

/// Look at every record of a store without serving.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("table", |row| text(row, "name")),
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
        if self.json {
            output.json(&json!(found))?;
        } else {
            let rows: Vec<Value> = found.tables.iter().map(|table| json!(table)).collect();
            output.list(false, COLUMNS, &rows)?;
            output.line(&format!(
                "{} bytes, format {}, commit {}",
                found.file_bytes, found.format, found.revision
            ))?;
            for line in &found.damaged {
                output.notice(line)?;
            }
        }
        if found.is_sound() {
            return Ok(ExitCode::SUCCESS);
        }
        Err(Failure::new(format!("`{}` is damaged", found.path))
            .help("restore a backup with `ifso restore FILE`")
            .code(failure::STORE))
    }
}
