//! `ifso sensor`.

use clap::{Args, Subcommand};
use reqwest::Method;

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::{Column, Output};
use crate::cli::row::{brief, text, time};

/// Look up and restart sensors.
#[derive(Debug, Subcommand)]
pub(crate) enum Sensor {
    /// List sensors and how they do.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one sensor.
    #[command(visible_alias = "get")]
    Show {
        /// Its reference.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Stop a sensor and start it again.
    Restart {
        /// Its reference.
        name: String,
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
    Column::new("sensor", |row| text(row, "ref")),
    Column::new("kind", |row| text(row, "kind")),
    Column::new("state", |row| text(row, "health.state")).status(),
    Column::new("events", |row| text(row, "health.events")).right(),
    Column::new("lag", |row| text(row, "health.lag")).right(),
    Column::new("last event", |row| time(row, "health.last_event")),
    Column::new("reason", |row| brief(&text(row, "health.reason"), 50)),
];

const FIELDS: &[Column] = &[
    Column::new("sensor", |row| text(row, "ref")),
    Column::new("kind", |row| text(row, "kind")),
    Column::new("about", |row| text(row, "description")),
    Column::new("place", |row| text(row, "place")),
    Column::new("state", |row| text(row, "health.state")),
    Column::new("since", |row| time(row, "health.since")),
    Column::new("reason", |row| text(row, "health.reason")),
    Column::new("events", |row| text(row, "health.events")),
    Column::new("bad inputs", |row| text(row, "health.bad_inputs")),
    Column::new("duplicates", |row| text(row, "health.duplicates")),
    Column::new("tombstones", |row| text(row, "health.tombstones")),
    Column::new("restarts", |row| text(row, "health.restarts")),
    Column::new("lag", |row| text(row, "health.lag")),
    Column::new("last event", |row| time(row, "health.last_event")),
];

impl Sensor {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output).await,
            Self::Show { name, json } => {
                let row = client.get(&format!("/api/v1/sensors/{}", segment(&name)), &[]).await?;
                output.one(json, FIELDS, &row)
            }
            Self::Restart { name } => {
                let path = format!("/api/v1/sensors/{}/restart", segment(&name));
                client.call(Method::POST, &path, &[], None).await?;
                output.note(&format!("{name} starts again; see `ifso sensor show {name}`"))
            }
        }
    }
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let query = Vec::from_iter(self.pack.map(|pack| ("pack", pack)));
        let rows = client.list("/api/v1/sensors", &query, self.limit).await?;
        output.list(self.json, COLUMNS, &rows)
    }
}
