//! `ifso pack`.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::noun::Show;
use crate::cli::output::Output;
use crate::cli::row::{json, text};
use crate::cli::table::Column;
use crate::packs::BUILT_IN;

/// Look up packs.
#[derive(Debug, Subcommand)]
pub(crate) enum Pack {
    /// List packs.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one pack.
    #[command(visible_alias = "get")]
    Show(Show),
}

/// What a list takes.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 100)]
    limit: usize,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

const PATH: &str = "/api/v1/packs";

const COLUMNS: &[Column] = &[
    Column::new("pack", |row| text(row, "ref")),
    Column::new("version", |row| text(row, "version")),
    Column::new("from", |row| from(row).to_owned()),
    Column::new("problems", |row| row["problems"].as_array().map_or(0, Vec::len).to_string())
        .right(),
    Column::new("about", |row| text(row, "description")).cut(12),
];

const FIELDS: &[Column] = &[
    Column::new("pack", |row| text(row, "ref")),
    Column::new("name", |row| text(row, "name")),
    Column::new("about", |row| text(row, "description")),
    Column::new("version", |row| text(row, "version")),
    Column::new("author", |row| text(row, "author")),
    Column::new("folder", |row| text(row, "path")),
    Column::new("actions", |row| text(row, "contents.actions")),
    Column::new("triggers", |row| text(row, "contents.triggers")),
    Column::new("sensors", |row| text(row, "contents.sensors")),
    Column::new("problems", |row| json(row, "problems")),
];

/// A pack stands in the home, or comes with the program.
fn from(row: &Value) -> &'static str {
    if text(row, "path").starts_with(BUILT_IN) { BUILT_IN } else { "home" }
}

impl Pack {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output).await,
            Self::Show(one) => one.run(client, output, PATH, FIELDS).await.map(drop),
        }
    }
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let rows = client.list(PATH, &[], self.limit).await?;
        output.list(self.json, COLUMNS, &rows)
    }
}
