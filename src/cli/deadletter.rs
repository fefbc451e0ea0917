//! `ifso deadletter`.

use clap::{Args, Subcommand};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::{Column, Output};
use crate::cli::row::{brief, text, time};

/// Look up inputs that could not become events.
#[derive(Debug, Subcommand)]
pub(crate) enum Deadletter {
    /// List inputs that could not become events, newest first.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one deadletter.
    #[command(visible_alias = "get")]
    Show {
        /// Its id.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
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

const COLUMNS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::new("at", |row| time(row, "at")),
    Column::new("sensor", |row| text(row, "sensor")),
    Column::new("from", |row| text(row, "from")),
    Column::new("reason", |row| brief(&text(row, "reason"), 60)),
];

const FIELDS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::new("at", |row| time(row, "at")),
    Column::new("sensor", |row| text(row, "sensor")),
    Column::new("from", |row| text(row, "from")),
    Column::new("reason", |row| text(row, "reason")),
    Column::new("content", |row| text(row, "content")),
];

impl Deadletter {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output).await,
            Self::Show { id, json } => {
                let row = client.get(&format!("/api/v1/deadletters/{}", segment(&id)), &[]).await?;
                output.one(json, FIELDS, &row)
            }
        }
    }
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let query = Vec::from_iter(self.sensor.map(|sensor| ("sensor", sensor)));
        let rows = client.list("/api/v1/deadletters", &query, self.limit).await?;
        output.list(self.json, COLUMNS, &rows)
    }
}
