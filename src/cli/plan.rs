//! `ifso rule plan`: what the files, as they are now, would do to what rules remember.

use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::cli::Whereabouts;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::restore::config;
use crate::cli::row::text;
use crate::cli::table::Column;
use crate::model::memory::Memory;
use crate::rules::Memories;
use crate::rules::memory::WHOLE;
use crate::rules::reload::{self, Change, Moment};

/// Memories that are looked at.
const LIMIT: usize = 1_000_000;

/// Say what the files of the home would do to what rules remember, before they are in force.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("rule", |row| text(row, "rule")),
    Column::new("memory", |row| text(row, "fate")).status(),
    Column::new("keys", |row| text(row, "keys")).right(),
    Column::new("why", |row| text(row, "why")).cut(20),
];

impl Plan {
    pub(crate) async fn compare(
        &self,
        whereabouts: &Whereabouts,
        client: &Client,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let catalog = app::catalog(&config(whereabouts)?)?;
        let rows = client.list("/api/v1/memories", &[], LIMIT).await?;
        let memories = Memories::of(rows.iter().filter_map(read));
        let plan = reload::plan(&catalog.rules, &memories, Moment::Reload);
        let errors = catalog.errors();
        let row = |change: &Change| match catalog.rules.get(&change.rule) {
            // What is wrong stays as it was, and so does what it remembers.
            None if errors > 0 => json!({
                "rule": change.rule, "keys": change.keys, "fate": "kept",
                "why": "its file has errors, or it is gone: say so with a right file",
            }),
            _ => json!(change),
        };
        let rows: Vec<Value> = plan.iter().map(row).collect();
        output.list(self.json, COLUMNS, &rows)?;
        if errors > 0 {
            output.note(&format!(
                "the home has {errors} errors (`ifso check`): what is wrong stays as it was"
            ))?;
        }
        Ok(())
    }
}

fn read(row: &Value) -> Option<(crate::model::reference::Reference, String, Memory)> {
    let rule = text(row, "rule").parse().ok()?;
    let memory = serde_json::from_value(row["memory"].clone()).ok()?;
    let key = if row["whole"] == true { WHOLE.to_owned() } else { text(row, "key") };
    Some((rule, key, memory))
}
