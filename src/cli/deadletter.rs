//! `ifso deadletter`.

use clap::{Args, Subcommand};

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::noun::Show;
use crate::cli::output::Output;
use crate::cli::row::text;
use crate::cli::table::Column;

/// Look up inputs that could not become events.
#[derive(Debug, Subcommand)]
pub(crate) enum Deadletter {
    /// List inputs that could not become events, newest first.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one deadletter.
    #[command(visible_alias = "get")]
    Show(Show),
}

/// What a list takes.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that this sensor read.
    #[arg(long)]
    sensor: Option<String>,
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 100)]
    limit: usize,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

const PATH: &str = "/api/v1/deadletters";

const COLUMNS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::time("at", "at"),
    Column::new("reason", |row| text(row, "reason")).cut(16),
    Column::new("sensor", |row| text(row, "sensor")),
    Column::new("from", |row| text(row, "from")),
];

const FIELDS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::time("at", "at"),
    Column::new("sensor", |row| text(row, "sensor")),
    Column::new("from", |row| text(row, "from")),
    Column::new("reason", |row| text(row, "reason")),
    Column::new("content", |row| text(row, "content")),
];

impl Deadletter {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output).await,
            Self::Show(one) => one.run(client, output, PATH, FIELDS).await.map(drop),
        }
    }
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let query = Vec::from_iter(self.sensor.map(|sensor| ("sensor", sensor)));
        let rows = client.list(PATH, &query, self.limit).await?;
        output.list(self.json, COLUMNS, &rows)
    }
}
