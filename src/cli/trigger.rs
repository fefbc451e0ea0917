//! `ifso trigger`.

use clap::Subcommand;

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::noun::{List, Show};
use crate::cli::output::Output;
use crate::cli::row::{json, text};
use crate::cli::table::Column;

/// Look up the described kinds of events.
#[derive(Debug, Subcommand)]
pub(crate) enum Trigger {
    /// List the described kinds of events.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one trigger.
    #[command(visible_alias = "get")]
    Show(Show),
}

const PATH: &str = "/api/v1/triggertypes";

const COLUMNS: &[Column] = &[
    Column::new("trigger", |row| text(row, "ref")),
    Column::new("about", |row| text(row, "description")).cut(12),
];

const FIELDS: &[Column] = &[
    Column::new("trigger", |row| text(row, "ref")),
    Column::new("about", |row| text(row, "description")),
    Column::new("events", |row| text(row, "counts.events")),
    Column::new("rules asked", |row| text(row, "counts.asked")),
    Column::new("payload", |row| json(row, "payload_schema")),
    Column::new("parameters", |row| json(row, "parameters_schema")),
];

impl Trigger {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output, PATH, COLUMNS).await,
            Self::Show(one) => one.run(client, output, PATH, FIELDS).await.map(drop),
        }
    }
}
