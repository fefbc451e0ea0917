//! `ifso rule`.

use clap::Subcommand;
use serde_json::Value;

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::noun::{List, Show};
use crate::cli::output::Output;
use crate::cli::row::{json, text};
use crate::cli::rule_new::New;
use crate::cli::table::Column;

/// Look up rules.
#[derive(Debug, Subcommand)]
pub(crate) enum Rule {
    /// List rules and how often they fired.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one rule.
    #[command(visible_alias = "get")]
    Show(Show),
    /// Begin a rule on a trigger: prints it, with the fields that events of the trigger have.
    New(New),
    /// Say how a rule is switched on.
    #[command(hide = true)]
    Enable {
        /// Its reference.
        name: String,
    },
    /// Say how a rule is switched off.
    #[command(hide = true)]
    Disable {
        /// Its reference.
        name: String,
    },
}

const PATH: &str = "/api/v1/rules";

const COLUMNS: &[Column] = &[
    Column::new("rule", |row| text(row, "ref")),
    Column::new("on", |row| text(row, "on")),
    Column::new("enabled", |row| text(row, "enabled")).status(),
    Column::new("fired", |row| text(row, "counts.fired")).right(),
    Column::new("errors", |row| text(row, "counts.error")).right(),
    Column::time("last fired", "last_fired"),
    Column::new("about", |row| text(row, "description")).cut(12),
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
    Column::new("indexed", indexed),
    Column::new("decisions", |row| json(row, "counts")),
    Column::time("last fired", "last_fired"),
    Column::new("last error", |row| text(row, "last_error")),
];

/// How much of the condition the index knows, and one line for each part that Rhai is asked about.
fn indexed(row: &Value) -> String {
    let parts = row["index"]["parts"].as_array().into_iter().flatten();
    let asked = parts.filter(|part| part["by"] == "rhai").map(|part| {
        let [line, column, text, why] =
            ["line", "column", "text", "why"].map(|key| text(part, key));
        format!("{line}:{column} `{text}` {why}")
    });
    std::iter::once(text(row, "index.degree")).chain(asked).collect::<Vec<_>>().join("\n")
}

impl Rule {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output, PATH, COLUMNS).await,
            Self::Show(one) => one.run(client, output, PATH, FIELDS).await.map(drop),
            Self::Enable { name } => Err(switch(client, &name, "remove").await?),
            Self::Disable { name } => Err(switch(client, &name, "write").await?),
            Self::New(_) => unreachable!("it asks for itself"),
        }
    }
}

/// Rules are what their files say: nobody switches them from afar, but one can say where.
async fn switch(client: &Client, name: &str, what: &str) -> Result<Failure, Failure> {
    let row = client.get(&format!("{PATH}/{}", segment(name)), &[]).await?;
    let (name, place) = (text(&row, "ref"), text(&row, "place"));
    Ok(Failure::usage(format!("rule `{name}` is switched on and off in its file")).help(format!(
        "{what} `enabled: false` at {place}; what is saved is in force within a second"
    )))
}
