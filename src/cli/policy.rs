//! `ifso policy`.

use clap::Subcommand;

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::noun::{List, Show};
use crate::cli::output::Output;
use crate::cli::row::{json, text};
use crate::cli::table::Column;

/// Look up policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// List policies.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one policy.
    #[command(visible_alias = "get")]
    Show(Show),
}

const PATH: &str = "/api/v1/policies";

const COLUMNS: &[Column] = &[
    Column::new("policy", |row| text(row, "ref")),
    Column::new("action", |row| text(row, "resource_ref")),
    Column::new("kind", |row| text(row, "policy_type")),
    Column::new("enabled", |row| text(row, "enabled")),
    Column::new("parameters", |row| text(row, "parameters")).cut(12),
];

const FIELDS: &[Column] = &[
    Column::new("policy", |row| text(row, "ref")),
    Column::new("about", |row| text(row, "description")),
    Column::new("action", |row| text(row, "resource_ref")),
    Column::new("kind", |row| text(row, "policy_type")),
    Column::new("enabled", |row| text(row, "enabled")),
    Column::new("parameters", |row| json(row, "parameters")),
    Column::new("file", |row| text(row, "metadata_file")),
];

impl Policy {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output, PATH, COLUMNS).await,
            Self::Show(one) => one.run(client, output, PATH, FIELDS).await.map(drop),
        }
    }
}
