//! `ifso token`: API keys.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::app;
use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::restore::config;
use crate::cli::row::{text, time};
use crate::cli::table::Column;
use crate::cli::{Whereabouts, runtime, user};

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
    /// What it may do: admin, author, operator, viewer, sensor (report events only), or none
    /// [default: operator; with grants: none].
    #[arg(long)]
    role: Option<String>,
    /// What it may do besides, of some things only: `run pack:storage`; may be given often.
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// End it after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// Write a new admin key to `admin.key` in the data folder, with nobody's leave but the
    /// folder's; works only while no Ifso serves it.
    #[arg(long, conflicts_with_all = ["user", "role", "grants", "ttl", "json"])]
    offline: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::new("user", |row| text(row, "user")),
    Column::new("role", |row| text(row, "role")),
    Column::new("grants", user::grants).cut(12),
    Column::new("enabled", |row| text(row, "enabled")).status(),
    Column::time("used", "last_used"),
    Column::time("expires", "expires_at"),
    Column::time("created", "created_at"),
];

impl Token {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List { json } => {
                let mut rows = client.list("/api/v1/apikeys", &[], usize::MAX).await?;
                if !json {
                    for row in &mut rows {
                        tell_expired(row, output);
                    }
                }
                output.list(json, COLUMNS, &rows)
            }
            Self::Create(create) => {
                let body = json!({
                    "user": create.user,
                    "role": create.role,
                    "grants": create.grants,
                    "ttl_seconds": create.ttl,
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

/// A key whose time is over does not work, enabled or not.
fn tell_expired(row: &mut Value, output: &Output) {
    if time(row, "expires_at").is_some_and(|end| output.here().is_past(end)) {
        row["enabled"] = json!("expired");
    }
}

impl Create {
    /// Whether the data folder itself is to give the key.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    /// Makes an admin key for whoever has the data folder: nothing else is asked for.
    pub(crate) fn recover(
        whereabouts: &Whereabouts,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        let config = config(whereabouts)?;
        let file = runtime()?.block_on(app::recover_key(&config))?;
        output.line(&format!("wrote a new admin key to {}", file.display()))?;
        output.note("it works once `ifso serve` runs; older keys work as before")?;
        Ok(ExitCode::SUCCESS)
    }
}
