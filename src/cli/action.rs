//! `ifso action`.

use clap::{Args, Subcommand};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::{Column, Output};
use crate::cli::row::{brief, text};

/// Look up actions and their parameters.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List actions.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one action.
    #[command(visible_alias = "get")]
    Show {
        /// Its reference.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What a list takes.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this pack.
    #[arg(long)]
    pack: Option<String>,
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 100)]
    limit: usize,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("action", |row| text(row, "ref")),
    Column::new("runner", |row| text(row, "runner_type")),
    Column::new("enabled", |row| text(row, "enabled")).status(),
    Column::new("about", |row| brief(&text(row, "description"), 60)),
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
            Self::List(list) => list.run(client, output).await,
            Self::Show { name, json } => show(client, output, &name, json).await,
        }
    }
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let query = Vec::from_iter(self.pack.map(|pack| ("pack", pack)));
        let rows = client.list("/api/v1/actions", &query, self.limit).await?;
        output.list(self.json, COLUMNS, &rows)
    }
}

const PARAMETERS: &[Column] = &[
    Column::new("parameter", |row| text(row, "name")),
    Column::new("type", |row| text(row, "type")),
    Column::new("required", |row| text(row, "required")),
    Column::new("default", |row| brief(&text(row, "default"), 30)),
    Column::new("about", |row| brief(&text(row, "description"), 60)),
];

async fn show(client: &Client, output: &mut Output, name: &str, json: bool) -> Result<(), Failure> {
    let row = client.get(&format!("/api/v1/actions/{}", segment(name)), &[]).await?;
    output.one(json, FIELDS, &row)?;
    if json {
        return Ok(());
    }
    let path = format!("/api/v1/actions/views/parameters/{}", segment(name));
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
