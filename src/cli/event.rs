//! `ifso event`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::{Column, Output};
use crate::cli::row::{brief, json as pretty, text, time};

/// Send and look up events.
#[derive(Debug, Subcommand)]
pub(crate) enum Event {
    /// Send an event; done when it is on disk.
    Send(Send),
    /// List events, newest first.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one event: what every rule decided, and what was run.
    #[command(visible_alias = "get")]
    Show {
        /// Its id.
        id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print events as they come, until interrupted.
    Tail {
        /// Only events of this trigger.
        #[arg(long)]
        trigger: Option<String>,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// Its trigger: `pack.name`.
    trigger: String,
    /// Its payload: fields as `name=text` or `name:=json`, or one JSON object.
    fields: Vec<String>,
    /// Who reports it.
    #[arg(long)]
    source: Option<String>,
    /// About what.
    #[arg(long)]
    subject: Option<String>,
    /// Events with the same key count once, for 24 hours.
    #[arg(long, value_name = "KEY")]
    once: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only events of this trigger.
    #[arg(long)]
    trigger: Option<String>,
    /// Only events from this source.
    #[arg(long)]
    source: Option<String>,
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::new("accepted", |row| time(row, "accepted")),
    Column::new("trigger", |row| text(row, "trigger")),
    Column::new("runs", |row| row["executions"].as_array().map_or(0, Vec::len).to_string()).right(),
    Column::new("data", |row| brief(&text(row, "data"), 60)),
];

const FIELDS: &[Column] = &[
    Column::new("event", |row| text(row, "id")),
    Column::new("trigger", |row| text(row, "trigger")),
    Column::new("source", |row| text(row, "source")),
    Column::new("subject", |row| text(row, "subject")),
    Column::new("time", |row| time(row, "time")),
    Column::new("accepted", |row| time(row, "accepted")),
    Column::new("data", |row| pretty(row, "data")),
    Column::new("decisions", decisions),
    Column::new("executions", |row| text(row, "executions").replace(", ", "\n")),
];

impl Event {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Send(send) => send.run(client, output).await,
            Self::List(list) => {
                let query: Vec<_> = [("trigger", list.trigger), ("source", list.source)]
                    .into_iter()
                    .filter_map(|(name, value)| value.map(|value| (name, value)))
                    .collect();
                let rows = client.list("/api/v1/events", &query, list.limit).await?;
                output.list(list.json, COLUMNS, &rows)
            }
            Self::Show { id, json } => {
                let row = client.get(&format!("/api/v1/events/{}", segment(&id)), &[]).await?;
                output.one(json, FIELDS, &row)
            }
            Self::Tail { trigger, json } => tail(client, output, trigger, json).await,
        }
    }
}

/// One line per rule: `storage.grow fired`.
fn decisions(row: &Value) -> String {
    let decided = row["decisions"].as_array().into_iter().flatten().map(|decision| {
        let mut line = format!("{} {}", text(decision, "rule"), text(decision, "verdict.verdict"));
        for field in ["verdict.until", "verdict.message", "verdict.hops"] {
            let more = text(decision, field);
            if !more.is_empty() {
                line = format!("{line} ({more})");
            }
        }
        line
    });
    let refused = row["refused"].as_array().into_iter().flatten();
    let refused = refused.filter_map(Value::as_str).map(|rule| format!("{rule} not_matched"));
    decided.chain(refused).collect::<Vec<_>>().join("\n")
}

impl Send {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let data = payload(&self.fields)?;
        let mut body = json!({ "trigger": self.trigger, "data": data });
        for (name, value) in [("source", self.source), ("subject", self.subject)] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let sent = client.post_once("/api/v1/events", &body, self.once.as_deref()).await?;
        if self.json {
            return output.json(&sent);
        }
        if text(&sent, "outcome") == "duplicate" {
            output.note("it had been sent before:")?;
        }
        output.line(&text(&sent, "id"))
    }
}

/// The payload that the arguments write.
fn payload(arguments: &[String]) -> Result<Value, Failure> {
    if let [one] = arguments
        && one.trim_start().starts_with('{')
    {
        return serde_json::from_str(one)
            .map_err(|error| Failure::usage(format!("the payload is not JSON: {error}")));
    }
    let mut data = Map::new();
    for argument in arguments {
        let (name, value) = argument.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{argument}` is neither `name=text` nor `name:=json`"))
        })?;
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => (
                name,
                serde_json::from_str(value).map_err(|error| {
                    Failure::usage(format!("`{name}` is not JSON: {error}"))
                        .help(format!("write `{name}={value}` for a text"))
                })?,
            ),
            None => (name, Value::String(value.to_owned())),
        };
        data.insert(name.to_owned(), value);
    }
    Ok(Value::Object(data))
}

/// How often to look for new events.
const TAIL_PAUSE: Duration = Duration::from_millis(500);
/// Events that one look prints at most.
const TAIL_LIMIT: usize = 500;

async fn tail(
    client: &Client,
    output: &mut Output,
    trigger: Option<String>,
    json: bool,
) -> Result<(), Failure> {
    let mut pauses = tokio::time::interval(TAIL_PAUSE);
    let query: Vec<_> = trigger.into_iter().map(|trigger| ("trigger", trigger)).collect();
    let newest = client.list("/api/v1/events", &query, 1).await?;
    let mut seen = newest.first().map(|row| text(row, "id")).unwrap_or_default();
    loop {
        let rows = client.list("/api/v1/events", &query, TAIL_LIMIT).await?;
        // Ids sort by the order of acceptance.
        for row in rows.iter().rev().filter(|row| text(row, "id") > seen) {
            if json {
                output.line(&row.to_string())?;
            } else {
                let data = brief(&text(row, "data"), 100);
                let line = format!("{}  {}  {data}", time(row, "accepted"), text(row, "trigger"));
                output.line(&line)?;
            }
        }
        if let Some(row) = rows.first() {
            seen = seen.max(text(row, "id"));
        }
        pauses.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_texts_unless_they_say_json() {
        let arguments = ["pool=p1", "used:=93.5", "tags:=[1]", "note=a=b"].map(str::to_owned);
        let expected = json!({ "pool": "p1", "used": 93.5, "tags": [1], "note": "a=b" });
        assert_eq!(payload(&arguments).unwrap(), expected);
        assert_eq!(payload(&["{\"a\": 1}".to_owned()]).unwrap(), json!({ "a": 1 }));
        assert!(payload(&["pool".to_owned()]).is_err());
    }
}
