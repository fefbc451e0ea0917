//! `ifso token`: API keys.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::{Column, Output};
use crate::cli::row::{text, time};

/// Make and remove API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// List API keys, without their secrets.
    #[command(visible_alias = "ls")]
    List {
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Make an API key and print it, once.
    Create(Create),
    /// Remove an API key; it ends at once.
    #[command(visible_alias = "rm")]
    Delete {
        /// Its id: the part before the dot.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// In whose name it calls [default: yours].
    #[arg(long)]
    user: Option<String>,
    /// What it may do: admin, operator, viewer, or sensor (report events only).
    #[arg(long, default_value = "operator")]
    role: String,
    /// End it after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::new("user", |row| text(row, "user")),
    Column::new("role", |row| text(row, "role")),
    Column::new("enabled", |row| text(row, "enabled")).status(),
    Column::new("created", |row| time(row, "created_at")),
    Column::new("expires", |row| time(row, "expires_at")),
];

impl Token {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List { json } => {
                let rows = client.list("/api/v1/apikeys", &[], usize::MAX).await?;
                output.list(json, COLUMNS, &rows)
            }
            Self::Create(create) => {
                let body = json!({
                    "user": create.user, "role": create.role, "ttl_seconds": create.ttl,
                });
                let row = client.call(Method::POST, "/api/v1/apikeys", &[], Some(&body)).await?;
                if create.json {
                    return output.json(&row);
                }
                output.note("this key is shown once:")?;
                output.line(&text(&row, "key"))
            }
            Self::Delete { id } => {
                let path = format!("/api/v1/apikeys/{}", segment(&id));
                client.call(Method::DELETE, &path, &[], None).await?;
                output.note(&format!("{id} is removed"))
            }
        }
    }
}
