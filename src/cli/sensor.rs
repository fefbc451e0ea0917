//! `ifso sensor`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::Value;

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::noun::{List, Show};
use crate::cli::output::Output;
use crate::cli::row::text;
use crate::cli::table::Column;

/// Look up and restart sensors.
#[derive(Debug, Subcommand)]
pub(crate) enum Sensor {
    /// List sensors and how they do.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one sensor.
    #[command(visible_alias = "get")]
    Show(Show),
    /// Stop a sensor and start it again.
    Restart {
        /// Its reference.
        name: String,
    },
}

const PATH: &str = "/api/v1/sensors";

const COLUMNS: &[Column] = &[
    Column::new("sensor", |row| text(row, "ref")),
    Column::new("kind", |row| text(row, "kind")),
    Column::new("state", |row| text(row, "health.state")).status(),
    Column::new("events", |row| text(row, "health.events")).right(),
    Column::new("reason", |row| text(row, "health.reason")).optional().cut(20),
    Column::new("listens at", first_path).optional(),
    Column::time("last event", "health.last_event"),
    Column::new("lag", |row| text(row, "health.lag")).right().optional(),
];

const FIELDS: &[Column] = &[
    Column::new("sensor", |row| text(row, "ref")),
    Column::new("kind", |row| text(row, "kind")),
    Column::new("about", |row| text(row, "description")),
    Column::new("place", |row| text(row, "place")),
    Column::new("listens at", |row| text(row, "paths").replace(", ", "\n")),
    Column::new("state", |row| text(row, "health.state")),
    Column::time("since", "health.since"),
    Column::new("reason", |row| text(row, "health.reason")),
    Column::new("events", |row| text(row, "health.events")),
    Column::new("bad inputs", |row| text(row, "health.bad_inputs")),
    Column::new("duplicates", |row| text(row, "health.duplicates")),
    Column::new("tombstones", |row| text(row, "health.tombstones")),
    Column::new("restarts", |row| text(row, "health.restarts")),
    Column::new("lag", |row| text(row, "health.lag")),
    Column::time("last event", "health.last_event"),
];

impl Sensor {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output, PATH, COLUMNS).await,
            Self::Show(one) => one.run(client, output, PATH, FIELDS).await.map(drop),
            Self::Restart { name } => {
                let path = format!("{PATH}/{}/restart", segment(&name));
                client.call(Method::POST, &path, &[], None).await?;
                output.note(&format!("{name} starts again; see `ifso sensor show {name}`"))
            }
        }
    }
}

/// Where others reach it; `show` has every path.
fn first_path(row: &Value) -> String {
    row["paths"][0].as_str().unwrap_or_default().to_owned()
}
