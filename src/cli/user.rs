//! `ifso user`: whoever signs in.

use std::io::{self, BufRead, IsTerminal};

use clap::{Args, Subcommand};
use reqwest::Method;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::noun::Show;
use crate::cli::output::Output;
use crate::cli::row::text;
use crate::cli::table::Column;

/// Look after users: who signs in, and what they may do.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// List users.
    #[command(visible_alias = "ls")]
    List {
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Show one user.
    #[command(visible_alias = "get")]
    Show(Show),
    /// Make a user; the password is asked for, or is the first line of the standard input.
    Create(Create),
    /// Set a user's password, asked for likewise; the user has to sign in again.
    Passwd {
        /// The user's name.
        name: String,
        /// Ask for the old password first: without an admin key, and for oneself only.
        #[arg(long)]
        own: bool,
    },
    /// Change a user's role, or grants: all of them, so give those that stay too.
    Change(Change),
    /// Let nobody call in a user's name any more, with a token or a key.
    Disable {
        /// The user's name.
        name: String,
    },
    /// Let a user who was switched off sign in again.
    Enable {
        /// The user's name.
        name: String,
    },
    /// Remove a user, with the API keys in that name.
    #[command(visible_alias = "rm")]
    Delete {
        /// The user's name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The user's name.
    name: String,
    /// What the user may do: admin, author, operator, viewer, or none [default: viewer; with grants:
    /// none].
    #[arg(long)]
    role: Option<String>,
    /// What the user may do besides, of some things only: `run pack:storage`; may be given often.
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<String>,
    /// Without a password nobody signs in; API keys in that name work.
    #[arg(long)]
    no_password: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Change {
    /// The user's name.
    name: String,
    /// What the user may do from now on.
    #[arg(long)]
    role: Option<String>,
    /// A grant that the user has from now on; may be given often.
    #[arg(long = "grant", value_name = "GRANT", conflicts_with = "no_grants")]
    grants: Vec<String>,
    /// Take all grants away.
    #[arg(long)]
    no_grants: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("name", |row| text(row, "name")),
    Column::new("role", |row| text(row, "role")),
    Column::new("grants", grants).cut(12),
    Column::new("enabled", |row| text(row, "enabled")).status(),
    Column::new("password", |row| text(row, "password")),
    Column::time("seen", "last_seen"),
    Column::time("created", "created"),
];

/// Grants, one beside the other.
pub(crate) fn grants(row: &Value) -> String {
    let all = row["grants"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

impl User {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List { json } => {
                let rows = client.list("/api/v1/users", &[], usize::MAX).await?;
                output.list(json, COLUMNS, &rows)
            }
            Self::Show(show) => show.run(client, output, "/api/v1/users", COLUMNS).await.map(drop),
            Self::Create(create) => create.run(client, output).await,
            Self::Passwd { name, own } => passwd(&name, own, client, output).await,
            Self::Change(change) => {
                let all = (change.no_grants || !change.grants.is_empty()).then_some(&change.grants);
                let body = json!({ "role": change.role, "grants": all });
                put(client, &change.name, &body).await?;
                output.note(&format!("{} is changed", change.name))
            }
            Self::Disable { name } => {
                put(client, &name, &json!({ "enabled": false })).await?;
                output.note(&format!("{name} is switched off; tokens and keys in that name ended"))
            }
            Self::Enable { name } => {
                put(client, &name, &json!({ "enabled": true })).await?;
                output.note(&format!("{name} may sign in again"))
            }
            Self::Delete { name } => {
                client.call(Method::DELETE, &path(&name), &[], None).await?;
                output.note(&format!("{name} is removed"))
            }
        }
    }
}

impl Create {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let password = if self.no_password { None } else { Some(fresh(&self.name, output)?) };
        let body = json!({
            "name": self.name,
            "role": self.role,
            "grants": self.grants,
            "password": password.as_ref().map(|password| password.as_str()),
        });
        let row = client.call(Method::POST, "/api/v1/users", &[], Some(&body)).await?;
        output.note(&format!("{} is made, of role {}", self.name, text(&row, "role")))
    }
}

async fn passwd(
    name: &str,
    own: bool,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let old = if own { Some(typed("old password: ", output)?) } else { None };
    let password = fresh(name, output)?;
    let body = json!({
        "password": password.as_str(),
        "old": old.as_ref().map(|old| old.as_str()),
    });
    let path = format!("{}/password", path(name));
    client.call(Method::PUT, &path, &[], Some(&body)).await?;
    output.note(&format!("the password of {name} is set; every token of that name ended"))
}

async fn put(client: &Client, name: &str, body: &Value) -> Result<Value, Failure> {
    client.call(Method::PUT, &path(name), &[], Some(body)).await
}

fn path(name: &str) -> String {
    format!("/api/v1/users/{}", segment(name))
}

/// A new password: on a terminal it is typed twice.
fn fresh(name: &str, output: &mut Output) -> Result<Zeroizing<String>, Failure> {
    let password = typed(&format!("password of {name}: "), output)?;
    if io::stdin().is_terminal() && *typed("once more: ", output)? != *password {
        return Err(Failure::usage("the two are not the same").help("nothing was changed"));
    }
    Ok(password)
}

/// One line of the standard input; a terminal does not show it.
fn typed(prompt: &str, output: &mut Output) -> Result<Zeroizing<String>, Failure> {
    let quiet = if io::stdin().is_terminal() {
        output.beside(prompt)?;
        Some(Quiet::new()?)
    } else {
        None
    };
    let mut line = Zeroizing::new(String::new());
    let read = io::stdin().lock().read_line(&mut line);
    if quiet.is_some() {
        drop(quiet);
        output.beside("\n")?;
    }
    read.map_err(|error| Failure::machine("the password cannot be read", &error))?;
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    if line.is_empty() {
        return Err(Failure::usage("no password was given")
            .help("type it, or give it as the first line of the standard input"));
    }
    Ok(line)
}

/// A terminal that shows nothing of what is typed, for as long as this lives.
struct Quiet(Termios);

impl Quiet {
    fn new() -> Result<Self, Failure> {
        let failed = |error: rustix::io::Errno| {
            Failure::machine("the terminal cannot be made quiet", &io::Error::from(error))
        };
        let before = tcgetattr(io::stdin()).map_err(failed)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // There is nobody left to tell.
        tcsetattr(io::stdin(), OptionalActions::Now, &self.0).ok();
    }
}
