//! `ifso incident`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::noun::Show;
use crate::cli::output::Output;
use crate::cli::row::{json as pretty, safe, text};
use crate::cli::table::Column;
use crate::incidents::span;

/// Look up incidents, and say who is at them.
#[derive(Debug, Subcommand)]
pub(crate) enum Incident {
    /// List the incidents that are not over, newest first.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one incident: its story, and who was told.
    #[command(visible_alias = "get")]
    Show(Show),
    /// Say that you are at it: nobody else is called.
    Ack(Ack),
    /// Say that it is over: whoever was told of it is told so.
    Resolve(Named),
    /// Tell those whom no message reached, when what kept messages back is mended.
    Tell(Named),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Those that are over too.
    #[arg(long, short, conflicts_with = "state")]
    all: bool,
    /// Only `open`, `acknowledged` or `resolved` ones; several parted by commas.
    #[arg(long)]
    state: Option<String>,
    /// Only of this severity and worse.
    #[arg(long)]
    severity: Option<String>,
    /// Only of this key.
    #[arg(long)]
    key: Option<String>,
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 100)]
    limit: usize,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ack {
    /// Their ids, as the list shows them; `last` is the newest.
    #[arg(required = true)]
    ids: Vec<String>,
    /// For so long (`2h`): after that it is open again, unless it is over.
    #[arg(long, value_name = "SPAN")]
    r#for: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Their ids, as the list shows them; `last` is the newest.
    #[arg(required = true)]
    ids: Vec<String>,
}

const PATH: &str = "/api/v1/incidents";

const COLUMNS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::new("severity", |row| text(row, "severity")).status(),
    Column::new("state", state).status(),
    Column::new("title", |row| text(row, "title")).cut(24),
    Column::time("opened", "opened"),
    Column::new("lasts", lasts),
    Column::new("count", |row| text(row, "count")).right(),
    Column::new("told", heard),
    Column::new("by", by).optional(),
    Column::new("source", |row| text(row, "source")).optional(),
];

const FIELDS: &[Column] = &[
    Column::new("incident", |row| text(row, "id")),
    Column::new("title", |row| text(row, "title")),
    Column::new("severity", |row| text(row, "severity")).status(),
    Column::new("state", state).status(),
    Column::new("key", |row| text(row, "key")),
    Column::new("source", |row| text(row, "source")),
    Column::new("group", |row| text(row, "group")),
    Column::new("labels", labels),
    Column::new("details", |row| pretty(row, "details")),
    Column::new("reports", |row| text(row, "count")),
    Column::time("first", "first"),
    Column::time("opened", "opened"),
    Column::time("last report", "last"),
    Column::new("lasts", lasts),
    Column::new("acknowledged by", |row| text(row, "acknowledged_by")),
    Column::time("until", "acknowledged_until"),
    Column::time("resolved", "resolved_at"),
    Column::new("resolved by", |row| text(row, "resolved_by")),
    Column::time("next", "next"),
    Column::new("route", route),
    Column::new("told", told),
    Column::new("story", story),
];

fn state(row: &Value) -> String {
    let flaps = if row["flapping"] == true { ", flapping" } else { "" };
    format!("{}{flaps}", text(row, "state"))
}

fn lasts(row: &Value) -> String {
    let seconds = row["lasted_seconds"].as_u64().unwrap_or_default();
    span(std::time::Duration::from_secs(seconds))
}

fn by(row: &Value) -> String {
    match text(row, "resolved_by") {
        resolved if !resolved.is_empty() => resolved,
        _ => text(row, "acknowledged_by"),
    }
}

fn rows<'a>(row: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    row[name].as_array().into_iter().flatten()
}

/// Whom messages reached or are to reach, each once.
fn heard(row: &Value) -> String {
    let mut names: Vec<(&str, bool)> = Vec::new();
    for told in rows(row, "told").filter(|told| told["arrived"] != false) {
        let name = told["channel"].as_str().unwrap_or_default();
        let arrived = told["arrived"] == true;
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, reached)) => *reached |= arrived,
            None => names.push((name, arrived)),
        }
    }
    let shown = |(name, reached): &(&str, bool)| {
        if *reached { (*name).to_owned() } else { format!("{name} (not yet)") }
    };
    let names: Vec<String> = names.iter().map(shown).collect();
    if names.is_empty() { "nobody".to_owned() } else { safe(&names.join(", ")) }
}

/// Whether it is not over, and there is somebody whom no message reached.
fn missed(row: &Value) -> bool {
    let channel = |told: &Value| text(told, "channel");
    let reached: Vec<String> =
        rows(row, "told").filter(|told| told["arrived"] != false).map(channel).collect();
    row["state"] != "resolved"
        && rows(row, "told").map(channel).any(|name| !reached.contains(&name))
}

fn labels(row: &Value) -> String {
    let labels = row["labels"].as_object().into_iter().flatten();
    let line = |(name, value): (&String, &Value)| {
        format!("{name}: {}", value.as_str().unwrap_or_default())
    };
    safe(&labels.map(line).collect::<Vec<_>>().join("\n"))
}

/// Who is told at which level.
fn route(row: &Value) -> String {
    let levels: Vec<String> = rows(row, "levels")
        .map(|level| {
            let channels = text(level, "channels");
            match level["after_seconds"].as_u64() {
                None | Some(0) => channels,
                Some(after) => {
                    format!("{channels} after {}", span(std::time::Duration::from_secs(after)))
                }
            }
        })
        .collect();
    if levels.is_empty() {
        return "nobody: no route of configs/notify.yaml fits".to_owned();
    }
    levels.join(", then ")
}

/// `2026-03-01T00:00:00.000Z  ops  opened  arrived  exe_…`.
fn told(row: &Value) -> String {
    let line = |told: &Value| {
        let how = match &told["arrived"] {
            Value::Bool(true) => "arrived",
            Value::Bool(false) => "failed",
            _ => "under way",
        };
        let (at, channel) = (text(told, "at"), text(told, "channel"));
        format!("{at}  {channel}  {}  {how}  {}", text(told, "kind"), text(told, "execution"))
    };
    rows(row, "told").map(line).collect::<Vec<_>>().join("\n")
}

fn story(row: &Value) -> String {
    let line = |entry: &Value| format!("{}  {}", text(entry, "at"), text(entry, "what"));
    rows(row, "log").map(line).collect::<Vec<_>>().join("\n")
}

impl Incident {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(client, output).await,
            Self::Show(one) => {
                let (json, row) = (one.json, one.run(client, output, PATH, FIELDS).await?);
                if json || !missed(&row) {
                    return Ok(());
                }
                let id = text(&row, "id");
                let step = format!("`ifso incident tell {id}` tells those whom no message reached");
                output.note(&format!("\n{step}, once that is mended"))
            }
            Self::Ack(ack) => {
                let mut body = json!({ "state": "acknowledged" });
                if let Some(span) = &ack.r#for {
                    body["for"] = json!(span);
                }
                change(client, output, &ack.ids, &body).await
            }
            Self::Resolve(resolve) => {
                change(client, output, &resolve.ids, &json!({ "state": "resolved" })).await
            }
            Self::Tell(named) => {
                for id in &named.ids {
                    let path = format!("{PATH}/{}/tell", segment(id));
                    let row = client.call(Method::POST, &path, &[], None).await?;
                    output.line(&format!("{} is told to {}", text(&row, "id"), heard(&row)))?;
                }
                Ok(())
            }
        }
    }
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let state = if self.all { Some("all".to_owned()) } else { self.state };
        let query: Vec<(&str, String)> =
            [("state", state), ("severity", self.severity), ("key", self.key)]
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
        let rows = client.list(PATH, &query, self.limit).await?;
        output.list(self.json, COLUMNS, &rows)
    }
}

async fn change(
    client: &Client,
    output: &mut Output,
    ids: &[String],
    body: &Value,
) -> Result<(), Failure> {
    for id in ids {
        let path = format!("{PATH}/{}", segment(id));
        let row = client.call(Method::PUT, &path, &[], Some(body)).await?;
        let (id, title) = (text(&row, "id"), text(&row, "title"));
        output.line(&format!("{id} is {}: {title}", state(&row)))?;
    }
    Ok(())
}
