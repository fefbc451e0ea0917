//! `ifso secret`: the secret keys of the key-value store, and the key that seals them.

use std::io::{self, IsTerminal, Read};

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::row::text;
use crate::cli::table::Column;

/// Bytes of a value that are read: far more than any password or key.
const VALUE_LIMIT_BYTES: u64 = 64 * 1024;

/// Keep secrets: sealed where they are stored, shown on request only.
#[derive(Debug, Subcommand)]
pub(crate) enum Secret {
    /// List secrets, without their values.
    #[command(visible_alias = "ls")]
    List {
        /// Only those whose name begins so.
        #[arg(long, default_value = "")]
        prefix: String,
        /// `system`, `user` or `all`.
        #[arg(long, default_value = "system")]
        scope: String,
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Keep a secret: its value comes from standard input, never from the command line.
    Set {
        /// Its name; packs read it as `{{ st2kv.system.NAME | decrypt_kv }}`.
        name: String,
        /// Forget it after so many seconds.
        #[arg(long, value_name = "SECONDS")]
        ttl: Option<u64>,
        /// `system` or `user`.
        #[arg(long, default_value = "system")]
        scope: String,
    },
    /// Print a secret's value; the audit log says that you did.
    Show {
        /// Its name.
        name: String,
        /// `system` or `user`.
        #[arg(long, default_value = "system")]
        scope: String,
    },
    /// Remove a secret.
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name.
        name: String,
        /// `system` or `user`.
        #[arg(long, default_value = "system")]
        scope: String,
    },
    /// Make a new master key and seal everything with it.
    Rotate,
}

const COLUMNS: &[Column] = &[
    Column::new("secret", |row| text(row, "name")),
    Column::new("scope", |row| text(row, "scope")),
    Column::time("written", "updated"),
    Column::time("expires", "expire_timestamp"),
];

impl Secret {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List { prefix, scope, json } => {
                let query = [("prefix", prefix), ("scope", scope)];
                let mut rows = client.list("/api/v1/keys", &query, usize::MAX).await?;
                rows.retain(|row| row["secret"] == true);
                output.list(json, COLUMNS, &rows)
            }
            Self::Set { name, ttl, scope } => {
                let value = typed(&name, output)?;
                let body = json!({ "value": value, "secret": true, "ttl": ttl, "scope": scope });
                client.call(Method::PUT, &path(&name), &[], Some(&body)).await?;
                output.note(&format!("{name} is kept, sealed"))
            }
            Self::Show { name, scope } => {
                let query = [("scope", scope), ("decrypt", "true".to_owned())];
                let row = client.get(&path(&name), &query).await?;
                if row["encrypted"] == true {
                    return Err(Failure::new(format!("this key may not see `{name}`"))
                        .help("ask an admin, or keep your own with `--scope user`"));
                }
                match &row["value"] {
                    Value::String(text) => output.line(text),
                    other => output.json(other),
                }
            }
            Self::Delete { name, scope } => {
                client.call(Method::DELETE, &path(&name), &[("scope", scope)], None).await?;
                output.note(&format!("{name} is removed"))
            }
            Self::Rotate => rotate(client, output).await,
        }
    }
}

async fn rotate(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let done = client.call(Method::POST, "/api/v1/vault/rotate", &[], None).await?;
    let (resealed, sealed) = (text(&done, "resealed"), text(&done, "sealed"));
    output.line(&format!("{} seals secrets now", text(&done, "master")))?;
    output.note(&format!("{resealed} records were sealed anew, {sealed} for the first time"))?;
    if done["closed"] != 0 {
        output.notice(&format!(
            "{} records stayed closed: their master key is not here",
            text(&done, "closed")
        ))?;
    }
    output.note(&format!(
        "{} stands in a file beside the new one: backups made before need it, nothing else does",
        text(&done, "before")
    ))
}

/// The value as it is typed or piped; one line end at its end is not part of it.
fn typed(name: &str, output: &mut Output) -> Result<String, Failure> {
    let input = io::stdin();
    let broken = |error: &io::Error| Failure::machine("the value cannot be read", error);
    let mut value = String::new();
    if input.is_terminal() {
        output.note(&format!("the value of {name}, then Enter:"))?;
        let _quiet = Quiet::begin();
        input.read_line(&mut value).map_err(|error| broken(&error))?;
    } else {
        let mut piped = input.lock().take(VALUE_LIMIT_BYTES + 1);
        piped.read_to_string(&mut value).map_err(|error| broken(&error))?;
    }
    if value.len() as u64 > VALUE_LIMIT_BYTES {
        return Err(Failure::usage(format!("the value is larger than {VALUE_LIMIT_BYTES} bytes")));
    }
    let value = value.strip_suffix('\n').unwrap_or(&value);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(Failure::usage("there is no value")
            .help(format!("pipe it in: `ifso secret set {name} < FILE`, or type it when asked")));
    }
    Ok(value.to_owned())
}

/// While it lives, the terminal does not show what is typed.
struct Quiet(Option<rustix::termios::Termios>);

impl Quiet {
    fn begin() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let Ok(before) = tcgetattr(io::stdin()) else { return Self(None) };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        let set = tcsetattr(io::stdin(), OptionalActions::Flush, &quiet);
        Self(set.is_ok().then_some(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let now = rustix::termios::OptionalActions::Now;
            // Where the terminal is gone, nobody types any more.
            rustix::termios::tcsetattr(io::stdin(), now, before).unwrap_or_default();
        }
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/keys/{}", segment(name))
}
