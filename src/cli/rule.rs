//! `ifso rule`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::backtest::Backtest;
use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::noun::{List, Show};
use crate::cli::output::Output;
use crate::cli::plan::Plan;
use crate::cli::row::{json as pretty, text};
use crate::cli::rule_new::New;
use crate::cli::table::Column;
use crate::cli::trial::Test;
use crate::cli::why::{self, Explain};

/// Look up rules.
#[derive(Debug, Subcommand)]
pub(crate) enum Rule {
    /// List rules and how often they fired.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one rule.
    #[command(visible_alias = "get")]
    Show(Show),
    /// Say why a rule did or did not act on an event.
    Explain(Explain),
    /// Run a rule over kept events, or compare two versions; nothing is done.
    Backtest(Backtest),
    /// Run the tests in `tests/*.yaml` of packs and home; needs no serving Ifso.
    Test(Test),
    /// List what a rule remembers.
    Memory {
        /// Its reference.
        name: String,
        /// At most so many keys.
        #[arg(long, short = 'n', default_value_t = 100)]
        limit: usize,
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Say what the files of the home, as they are now, would do to what rules remember.
    Plan(Plan),
    /// End a rule's quarantine: what was kept fires within its budget.
    Release {
        /// Its reference.
        name: String,
        /// Throw away what was kept.
        #[arg(long)]
        discard: bool,
    },
    /// Make a rule forget what it remembers under one key, or under all.
    Forget {
        /// Its reference.
        name: String,
        /// The key of its memory.
        #[arg(value_name = "KEY")]
        under: Option<String>,
        /// Under all keys.
        #[arg(long, conflicts_with = "under", required_unless_present = "under")]
        all: bool,
    },
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
    Column::new("state", state).status(),
    Column::new("fired", |row| text(row, "counts.fired")).right(),
    Column::new("errors", |row| text(row, "counts.error")).right(),
    Column::time("last fired", "last_fired"),
    Column::new("about", |row| text(row, "description")).cut(12),
];

const FIELDS: &[Column] = &[
    Column::new("rule", |row| text(row, "ref")),
    Column::new("about", |row| text(row, "description")),
    Column::new("on", |row| text(row, "on")),
    Column::new("state", state),
    Column::time("quarantined", "quarantined"),
    Column::new("keeps", |row| text(row, "keeps")),
    Column::new("priority", |row| text(row, "priority")),
    Column::new("place", |row| text(row, "place")),
    Column::new("version", |row| text(row, "version")),
    Column::new("indexed", indexed),
    Column::new("decisions", |row| pretty(row, "counts")),
    Column::time("last fired", "last_fired"),
    Column::new("last error", |row| text(row, "last_error")),
];

/// `on`, `off`, `shadow` or `quarantined`.
fn state(row: &Value) -> String {
    let word = if row["quarantined"].is_string() {
        "quarantined"
    } else if row["enabled"] == false {
        "off"
    } else if row["shadow"] == true {
        "shadow"
    } else {
        "on"
    };
    word.to_owned()
}

const MEMORY: &[Column] = &[
    Column::new("key", |row| text(row, "key")),
    Column::new("remembers", |row| text(row, "remembers")).cut(20),
];

/// The same row, with its memory in words.
fn told(mut row: Value, output: &Output) -> Value {
    row["remembers"] = json!(why::remembered(&row["memory"], output));
    if row["whole"] == true {
        row["key"] = json!("(all keys)");
    }
    row
}

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
            Self::Show(mut one) => {
                one.name = why::whole(&one.name);
                one.run(client, output, PATH, FIELDS).await.map(drop)
            }
            Self::Explain(verb) => verb.run(client, output).await,
            Self::Backtest(verb) => verb.run(client, output).await,
            Self::Test(_) | Self::Plan(_) => unreachable!("they look at the home themselves"),
            Self::Memory { name, limit, json } => {
                let path = format!("{PATH}/{}/memory", segment(&why::whole(&name)));
                let rows = client.list(&path, &[], limit).await?;
                let rows: Vec<Value> = rows.into_iter().map(|row| told(row, output)).collect();
                output.list(json, MEMORY, &rows)
            }
            Self::Release { name, discard } => {
                let path = format!("{PATH}/{}/release", segment(&why::whole(&name)));
                let body = json!({ "discard": discard });
                let done = client.call(Method::POST, &path, &[], Some(&body)).await?;
                let what = if discard { "thrown away" } else { "to fire within its budget" };
                output.note(&format!("released; {} kept firings {what}", done["kept"]))
            }
            Self::Forget { name, under, all: _ } => {
                let path = format!("{PATH}/{}/forget", segment(&why::whole(&name)));
                let body = json!({ "key": under });
                client.call(Method::POST, &path, &[], Some(&body)).await.map(drop)
            }
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
