//! `ifso key`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::row::text;
use crate::cli::table::Column;

/// Read and write the key-value store.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// List keys.
    #[command(visible_alias = "ls")]
    List(List),
    /// Print one key's value.
    Get {
        /// Its name.
        name: String,
        /// `system` or `user`.
        #[arg(long, default_value = "system")]
        scope: String,
        /// Show a secret value.
        #[arg(long)]
        decrypt: bool,
        /// Print the whole record as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write one key.
    Set(Set),
    /// Remove one key.
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name.
        name: String,
        /// `system` or `user`.
        #[arg(long, default_value = "system")]
        scope: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only keys whose name begins so.
    #[arg(long, default_value = "")]
    prefix: String,
    /// `system`, `user` or `all`.
    #[arg(long, default_value = "system")]
    scope: String,
    /// Show secret values.
    #[arg(long)]
    decrypt: bool,
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 100)]
    limit: usize,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Its name.
    name: String,
    /// Its value: a text.
    value: String,
    /// Read the value as JSON.
    #[arg(long)]
    convert: bool,
    /// Show the value only to those who ask for it by right.
    #[arg(long)]
    secret: bool,
    /// Forget it after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u64>,
    /// `system` or `user`.
    #[arg(long, default_value = "system")]
    scope: String,
}

const COLUMNS: &[Column] = &[
    Column::new("key", |row| text(row, "name")),
    Column::new("value", |row| text(row, "value")).cut(12),
    Column::new("secret", |row| text(row, "secret")),
    Column::new("scope", |row| text(row, "scope")),
    Column::time("expires", "expire_timestamp"),
];

impl Key {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => {
                let query = [
                    ("prefix", list.prefix),
                    ("scope", list.scope),
                    ("decrypt", list.decrypt.to_string()),
                ];
                let rows = client.list("/api/v1/keys", &query, list.limit).await?;
                output.list(list.json, COLUMNS, &rows)
            }
            Self::Get { name, scope, decrypt, json } => {
                let query = [("scope", scope), ("decrypt", decrypt.to_string())];
                let row = client.get(&path(&name), &query).await?;
                if json {
                    return output.json(&row);
                }
                match &row["value"] {
                    Value::String(text) => output.line(text),
                    other => output.json(other),
                }
            }
            Self::Set(set) => set.run(client, output).await,
            Self::Delete { name, scope } => {
                client.call(Method::DELETE, &path(&name), &[("scope", scope)], None).await?;
                output.note(&format!("{name} is removed"))
            }
        }
    }
}

impl Set {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let value = if self.convert {
            serde_json::from_str(&self.value).map_err(|error| {
                Failure::usage(format!("the value is not JSON: {error}"))
                    .help("leave `--convert` away to write it as text")
            })?
        } else {
            Value::String(self.value)
        };
        let body = json!({
            "value": value, "secret": self.secret, "ttl": self.ttl, "scope": self.scope,
        });
        client.call(Method::PUT, &path(&self.name), &[], Some(&body)).await?;
        output.note(&format!("{} is written", self.name))
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/keys/{}", segment(name))
}
