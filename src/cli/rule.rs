//! `ifso rule`.

use clap::{Args, Subcommand};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::{Column, Output};
use crate::cli::row::{brief, json, text, time};

/// Look up rules.
#[derive(Debug, Subcommand)]
pub(crate) enum Rule {
    /// List rules and how often they fired.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one rule.
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
    Column::new("rule", |row| text(row, "ref")),
    Column::new("on", |row| text(row, "on")),
    Column::new("enabled", |row| text(row, "enabled")).status(),
    Column::new("fired", |row| text(row, "counts.fired")).right(),
    Column::new("last fired", |row| time(row, "last_fired")),
    Column::new("about", |row| brief(&text(row, "description"), 60)),
];

const FIELDS: &[Column] = &[
    Column::new("rule", |row| text(row, "ref")),
    Column::new("about", |row| text(row, "description")),
    Column::new("on", |row| text(row, "on")),
    Column::new("enabled", |row| text(row, "enabled")),
    Column::new("shadow", |row| text(row, "shadow")),
    Column::new("priority", |row| text(row, "priority")),
    Column::new("place", |row| text(row, "place")),
    Column::new("version", |row| text(row, "version")),
    Column::new("decisions", |row| json(row, "counts")),
    Column::new("last fired", |row| time(row, "last_fired")),
    Column::new("last error", |row| text(row, "last_error")),
];

impl Rule {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output).await,
            Self::Show { name, json } => {
                let row = client.get(&format!("/api/v1/rules/{}", segment(&name)), &[]).await?;
                output.one(json, FIELDS, &row)
            }
        }
    }
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let query = Vec::from_iter(self.pack.map(|pack| ("pack", pack)));
        let rows = client.list("/api/v1/rules", &query, self.limit).await?;
        output.list(self.json, COLUMNS, &rows)
    }
}
