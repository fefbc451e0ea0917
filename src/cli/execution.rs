//! `ifso execution`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::follow::{self, Wait};
use crate::cli::noun::Show;
use crate::cli::output::Output;
use crate::cli::row::{json as pretty, safe, text};
use crate::cli::run;
use crate::cli::table::Column;

/// Look up, follow, repeat and cancel executions.
#[derive(Debug, Subcommand)]
pub(crate) enum Execution {
    /// List executions, newest first.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one execution.
    #[command(visible_alias = "get")]
    Show(Show),
    /// Print what an execution writes, until it ends; fails unless it succeeds.
    Tail {
        /// Its id, or `last`.
        #[arg(default_value = "last")]
        id: String,
    },
    /// Print what an execution has written.
    Output {
        /// Its id, or `last`.
        id: String,
        /// Only `stdout` or `stderr`.
        #[arg(long, value_name = "STREAM")]
        only: Option<String>,
    },
    /// Run the same action again with the same parameters, and wait for its result.
    Rerun(Rerun),
    /// Stop executions.
    Cancel {
        /// Their ids.
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Rerun {
    /// The execution's id, or `last`.
    id: String,
    /// Parameters that are given anew, as in `ifso run`.
    parameters: Vec<String>,
    /// Begin so many milliseconds later.
    #[arg(long, value_name = "MILLISECONDS")]
    delay: Option<u64>,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those in this status; several parted by commas.
    #[arg(long)]
    status: Option<String>,
    /// Only those of this action.
    #[arg(long)]
    action: Option<String>,
    /// Only those that this rule wanted.
    #[arg(long)]
    rule: Option<String>,
    /// Only those that this event led to.
    #[arg(long)]
    event: Option<String>,
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

const PATH: &str = "/api/v1/executions";

const COLUMNS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::new("action", |row| text(row, "action.ref")),
    Column::new("status", |row| text(row, "status")).status(),
    Column::time("started", "start_timestamp"),
    Column::new("took", took).right(),
    Column::new("by", by),
];

const FIELDS: &[Column] = &[
    Column::new("execution", |row| text(row, "id")),
    Column::new("action", |row| text(row, "action.ref")),
    Column::new("status", |row| text(row, "status")),
    Column::new("reason", |row| text(row, "reason")),
    Column::new("by", by),
    Column::new("event", |row| text(row, "trigger_instance.id")),
    Column::time("accepted", "start_timestamp"),
    Column::time("ended", "end_timestamp"),
    Column::new("took", took),
    Column::new("attempt", |row| text(row, "attempt")),
    Column::new("parameters", |row| pretty(row, "parameters")),
    Column::new("result", |row| pretty(row, "result")),
];

/// `0.32 s`.
fn took(row: &Value) -> String {
    row["elapsed_seconds"].as_f64().map(|seconds| format!("{seconds:.2} s")).unwrap_or_default()
}

/// The rule, else the user.
fn by(row: &Value) -> String {
    let rule = text(row, "rule.ref");
    if rule.is_empty() { text(row, "user") } else { rule }
}

impl Execution {
    pub(crate) async fn run(
        self,
        client: &Client,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        match self {
            Self::List(list) => list.run(client, output).await?,
            Self::Show(one) => drop(one.run(client, output, PATH, FIELDS).await?),
            Self::Tail { id } => {
                let row = client.get(&path(&id), &[]).await?;
                return follow::tail(client, output, &text(&row, "id")).await;
            }
            Self::Output { id, only } => {
                let query = Vec::from_iter(only.map(|only| ("output_type", only)));
                let written = client.text(&format!("{}/output", path(&id)), &query).await?;
                output.text(&safe(&written))?;
            }
            Self::Rerun(rerun) => return rerun.run(client, output).await,
            Self::Cancel { ids } => {
                for id in ids {
                    let row = client.call(Method::DELETE, &path(&id), &[], None).await?;
                    output.line(&format!("{} {}", text(&row, "id"), text(&row, "status")))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Rerun {
    async fn run(self, client: &Client, output: &mut Output) -> Result<ExitCode, Failure> {
        let old = client.get(&path(&self.id), &[]).await?;
        let action = text(&old, "action.ref");
        let parameters = run::parameters(client, &action, &self.parameters).await?;
        let body = json!({ "parameters": parameters, "delay": self.delay });
        let path = format!("{}/re_run", path(&text(&old, "id")));
        let row = client.call(Method::POST, &path, &[], Some(&body)).await?;
        self.wait.until_done(client, output, row).await
    }
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let query: Vec<_> = [
            ("status", self.status),
            ("action", self.action),
            ("rule", self.rule),
            ("trigger_instance", self.event),
            // The result can be large, and a table does not show it.
            ("exclude_attributes", (!self.json).then(|| "result".to_owned())),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
        .collect();
        let rows = client.list(PATH, &query, self.limit).await?;
        output.list(self.json, COLUMNS, &rows)
    }
}

/// The path of an execution.
pub(crate) fn path(id: &str) -> String {
    format!("{PATH}/{}", segment(id))
}
