//! `ifso action`.

use clap::Subcommand;
use serde_json::Value;

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::noun::{List, Show};
use crate::cli::output::Output;
use crate::cli::row::{safe, text};
use crate::cli::table::Column;

/// Look up actions and their parameters.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List actions.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one action.
    #[command(visible_alias = "get")]
    Show(Show),
}

const PATH: &str = "/api/v1/actions";

const COLUMNS: &[Column] = &[
    Column::new("action", |row| text(row, "ref")),
    Column::new("runner", |row| text(row, "runner_type")),
    Column::new("enabled", |row| text(row, "enabled")).status(),
    Column::new("about", |row| text(row, "description")).cut(12),
];

const FIELDS: &[Column] = &[
    Column::new("action", |row| text(row, "ref")),
    Column::new("about", |row| text(row, "description")),
    Column::new("runner", |row| text(row, "runner_type")),
    Column::new("enabled", |row| text(row, "enabled")),
    Column::new("starts", |row| text(row, "entry_point")),
    Column::new("delivery", |row| text(row, "delivery")),
    Column::new("place", |row| text(row, "metadata_file")),
    Column::new("version", |row| text(row, "version")),
];

impl Action {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output, PATH, COLUMNS).await,
            Self::Show(one) => show(client, output, &one).await,
        }
    }
}

const PARAMETERS: &[Column] = &[
    Column::new("parameter", |row| text(row, "name")),
    Column::new("type", |row| text(row, "type")),
    Column::new("required", |row| text(row, "required")),
    Column::new("secret", |row| text(row, "secret")).optional(),
    Column::new("default", |row| text(row, "default")).cut(12),
    Column::new("values", values).optional().cut(24),
    Column::new("about", |row| text(row, "description")).cut(12),
];

/// The values that a parameter may have, where it says them: `a, b, 3`.
fn values(row: &Value) -> String {
    let values = row["enum"].as_array().into_iter().flatten().map(|value| match value {
        Value::String(text) => safe(text),
        other => other.to_string(),
    });
    values.collect::<Vec<_>>().join(", ")
}

async fn show(client: &Client, output: &mut Output, one: &Show) -> Result<(), Failure> {
    one.run(client, output, PATH, FIELDS).await?;
    if one.json {
        return Ok(());
    }
    let path = format!("{PATH}/views/parameters/{}", segment(&one.name));
    let all = client.get(&path, &[]).await?;
    let mut rows = Vec::new();
    for (name, parameter) in all["parameters"].as_object().into_iter().flatten() {
        let mut row = parameter.clone();
        row["name"] = name.as_str().into();
        rows.push(row);
    }
    if rows.is_empty() {
        return Ok(());
    }
    // What must be given comes first.
    rows.sort_by_key(|row| row["required"] != true);
    output.line("")?;
    output.list(false, PARAMETERS, &rows)
}
