//! `ifso trigger`.

use clap::{Args, Subcommand};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::{Column, Output};
use crate::cli::row::{brief, json, text};

/// Look up the described kinds of events.
#[derive(Debug, Subcommand)]
pub(crate) enum Trigger {
    /// List the described kinds of events.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one trigger.
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
    Column::new("trigger", |row| text(row, "ref")),
    Column::new("about", |row| brief(&text(row, "description"), 70)),
];

const FIELDS: &[Column] = &[
    Column::new("trigger", |row| text(row, "ref")),
    Column::new("about", |row| text(row, "description")),
    Column::new("payload", |row| json(row, "payload_schema")),
    Column::new("parameters", |row| json(row, "parameters_schema")),
];

impl Trigger {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output).await,
            Self::Show { name, json } => {
                let row =
                    client.get(&format!("/api/v1/triggertypes/{}", segment(&name)), &[]).await?;
                output.one(json, FIELDS, &row)
            }
        }
    }
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let query = Vec::from_iter(self.pack.map(|pack| ("pack", pack)));
        let rows = client.list("/api/v1/triggertypes", &query, self.limit).await?;
        output.list(self.json, COLUMNS, &rows)
    }
}
