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
use crate::cli::table::Column;
use crate::cli::{run, tree, watch, workflow};

/// Look up, follow, repeat and cancel executions.
#[derive(Debug, Subcommand)]
pub(crate) enum Execution {
    /// List executions, newest first.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one execution; a workflow with the tree of its tasks, and what can be done next.
    #[command(visible_alias = "get")]
    Show(Show),
    /// Print what an execution writes, until it ends; of a workflow, the tree of its tasks. Fails unless
    /// it succeeds.
    Tail {
        /// Its id, or `last`.
        #[arg(default_value = "last")]
        id: String,
        /// Of a workflow, print what its tasks write too.
        #[arg(long)]
        output: bool,
    },
    /// Draw the graph of a workflow with where its tasks stand.
    Graph {
        /// Its id, or `last`.
        #[arg(default_value = "last")]
        id: String,
        /// Print SVG.
        #[arg(long)]
        svg: bool,
    },
    /// Print what an execution has written.
    Output {
        /// Its id, or `last`.
        id: String,
        /// Only `stdout` or `stderr`.
        #[arg(long, value_name = "STREAM")]
        only: Option<String>,
    },
    /// Run the same action again with the same parameters, and wait for its result; or some tasks of a
    /// workflow that is over.
    Rerun(Rerun),
    /// Stop executions, and all that is part of them.
    Cancel(Steer),
    /// Hold executions: nothing new starts, what runs ends or is held where it can be.
    Pause(Steer),
    /// Let executions go on where they were held.
    Resume(Steer),
    /// Do the failed task of a paused workflow again, and go on.
    Retry {
        #[command(flatten)]
        task: Task,
        /// Parameters of the task that are given anew: `name=value`.
        parameters: Vec<String>,
    },
    /// Go on with a paused workflow as if its failed task had succeeded.
    Skip {
        #[command(flatten)]
        task: Task,
        /// The result that the task shall have, as JSON.
        #[arg(long, value_name = "JSON")]
        result: Option<String>,
    },
    /// Give a paused workflow up: undo what can be undone, and fail.
    Abort {
        /// Its id, or `last`.
        id: String,
    },
}

/// Which executions.
#[derive(Debug, Args)]
pub(crate) struct Steer {
    /// Their ids, or `last`.
    #[arg(required_unless_present = "action")]
    ids: Vec<String>,
    /// Every execution of this action; `*` stands for any letters.
    #[arg(long, conflicts_with = "ids")]
    action: Option<String>,
}

/// Which task of a workflow.
#[derive(Debug, Args)]
pub(crate) struct Task {
    /// The workflow's execution, or `last`.
    id: String,
    /// The task, where several failed.
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Rerun {
    /// The execution's id, or `last`.
    id: String,
    /// Parameters that are given anew, as in `ifso run`.
    parameters: Vec<String>,
    /// Run these tasks of a workflow again, and what follows from them; the others keep their results.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    tasks: Vec<String>,
    /// Run all tasks of a workflow again that failed.
    #[arg(long, conflicts_with = "tasks")]
    failed: bool,
    /// Of these tasks, run only the items again that failed.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', requires = "tasks")]
    no_reset: Vec<String>,
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
    /// Also those that are tasks of a workflow.
    #[arg(long, short = 'a')]
    all: bool,
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
    Column::new("progress", |row| tree::bar(&row["progress"]).unwrap_or_default()),
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
            Self::Show(one) => watch::show(&one, client, output, FIELDS).await?,
            Self::Tail { id, output: with_output } => {
                let row = client.get(&path(&id), &[]).await?;
                if watch::is_workflow(&row) {
                    return watch::tail(client, output, &text(&row, "id"), with_output).await;
                }
                return follow::tail(client, output, &text(&row, "id")).await;
            }
            Self::Graph { id, svg } => workflow::graph(client, output, &path(&id), svg).await?,
            Self::Output { id, only } => {
                let query = Vec::from_iter(only.map(|only| ("output_type", only)));
                let written = client.text(&format!("{}/output", path(&id)), &query).await?;
                output.text(&safe(&written))?;
            }
            Self::Rerun(rerun) => return rerun.run(client, output).await,
            Self::Cancel(steer) => steer.run(client, output, "cancel", "canceling").await?,
            Self::Pause(steer) => steer.run(client, output, "pause", "pausing").await?,
            Self::Resume(steer) => steer.run(client, output, "resume", "resuming").await?,
            Self::Retry { task, parameters } => {
                let given = (!parameters.is_empty()).then(|| parameters_of(&parameters));
                let body = json!({ "remedy": "retry", "parameters": given.transpose()? });
                task.remedy(client, output, body).await?;
            }
            Self::Skip { task, result } => {
                let result = result.map(|text| parsed(&text)).transpose()?;
                let body = json!({ "remedy": "skip", "result": result });
                task.remedy(client, output, body).await?;
            }
            Self::Abort { id } => {
                let task = Task { id, task: None };
                task.remedy(client, output, json!({ "remedy": "abort" })).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Steer {
    async fn run(
        self,
        client: &Client,
        output: &mut Output,
        wish: &str,
        status: &str,
    ) -> Result<(), Failure> {
        if let Some(action) = self.action {
            let body = json!({ "wish": wish, "selector": { "action": action } });
            let steer = format!("{PATH}/steer");
            let moved = client.call(Method::POST, &steer, &[], Some(&body)).await?;
            let ids = moved["executions"].as_array().map_or(0, Vec::len);
            return output.line(&format!("{ids} executions {status}"));
        }
        for id in self.ids {
            let body = json!({ "status": status });
            let row = client.call(Method::PUT, &path(&id), &[], Some(&body)).await?;
            output.line(&format!("{} {}", text(&row, "id"), text(&row, "status")))?;
        }
        Ok(())
    }
}

impl Task {
    async fn remedy(
        self,
        client: &Client,
        output: &mut Output,
        mut body: Value,
    ) -> Result<(), Failure> {
        body["task"] = json!(self.task);
        let path = format!("{}/remedy", path(&self.id));
        let row = client.call(Method::POST, &path, &[], Some(&body)).await?;
        output.line(&format!("{} {}", text(&row, "id"), text(&row, "status")))
    }
}

/// JSON as somebody typed it.
fn parsed(written: &str) -> Result<Value, Failure> {
    serde_json::from_str(written).map_err(|error| {
        Failure::usage(format!("`{written}` is not JSON: {error}"))
            .help("write JSON: `'{\"id\": \"v1\"}'`, `true`, `'\"text\"'`")
    })
}

/// `name=value`, the value as JSON where it is some, else as text.
fn parameters_of(written: &[String]) -> Result<Value, Failure> {
    let mut object = serde_json::Map::new();
    for pair in written {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Failure::usage(format!("`{pair}` is not `name=value`")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        object.insert(name.to_owned(), value);
    }
    Ok(Value::Object(object))
}

impl Rerun {
    async fn run(self, client: &Client, output: &mut Output) -> Result<ExitCode, Failure> {
        let old = client.get(&path(&self.id), &[]).await?;
        let action = text(&old, "action.ref");
        let parameters = run::parameters(client, &action, &self.parameters).await?;
        let mut body = json!({ "parameters": parameters, "delay": self.delay });
        if !self.tasks.is_empty() || self.failed {
            let kept = |name: &&String| !self.no_reset.contains(name);
            let reset: Vec<&String> = self.tasks.iter().filter(kept).collect();
            body = json!({ "tasks": self.tasks, "reset": reset, "failed": self.failed });
        }
        let path = format!("{}/re_run", path(&text(&old, "id")));
        let row = client.call(Method::POST, &path, &[], Some(&body)).await?;
        self.wait.until_done(client, output, row).await
    }
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let query: Vec<_> = [
            ("parent", (!self.all).then(|| "null".to_owned())),
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
