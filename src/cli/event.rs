//! `ifso event`.

use std::time::Duration;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::fields::{self, Field};
use crate::cli::noun::Show;
use crate::cli::output::Output;
use crate::cli::row::{brief, json as pretty, text};
use crate::cli::table::Column;
use crate::model::problem::nearest;

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
    Show(Show),
    /// Send kept events through again, marked as replays; nothing is done unless asked.
    Replay(Replay),
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
    /// Its payload: fields as `name=value`, read as its trigger says (`ifso trigger show`), or
    /// `name:=json`.
    fields: Vec<String>,
    /// Its payload: one JSON object, `@FILE`, or `-` for standard input.
    #[arg(long, value_name = "JSON", conflicts_with = "fields", allow_hyphen_values = true)]
    payload: Option<String>,
    /// Who reports it.
    #[arg(long)]
    source: Option<String>,
    /// About what.
    #[arg(long)]
    subject: Option<String>,
    /// When it happened (RFC 3339) [default: now]
    #[arg(long)]
    time: Option<String>,
    /// Events with the same key count once, for 24 hours.
    #[arg(long, value_name = "KEY")]
    once: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The events' ids.
    #[arg(required_unless_present = "since")]
    ids: Vec<String>,
    /// All kept events from then on: a span back, or a time.
    #[arg(long, conflicts_with = "ids")]
    since: Option<String>,
    /// Up to when: a span back, or a time [default: now]
    #[arg(long, requires = "since")]
    until: Option<String>,
    /// Only events of this trigger.
    #[arg(long, requires = "since")]
    trigger: Option<String>,
    /// Do what they lead to; without, it is decided and kept, and rules remember nothing of it.
    #[arg(long)]
    effects: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Replay {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let mut body = json!({ "ids": self.ids, "effects": self.effects });
        for (name, value) in
            [("since", self.since), ("until", self.until), ("trigger", self.trigger)]
        {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let done = client.call(Method::POST, "/api/v1/events/replay", &[], Some(&body)).await?;
        if self.json {
            return output.json(&done);
        }
        for id in done["ids"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            output.line(id)?;
        }
        let (count, effects) = (
            done["ids"].as_array().map_or(0, Vec::len),
            if self.effects { "" } else { "; nothing is done" },
        );
        output.note(&format!("{count} events went through again{effects} (`ifso event show ID`)"))
    }
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only events of this trigger.
    #[arg(long)]
    trigger: Option<String>,
    /// Only events from this source.
    #[arg(long)]
    source: Option<String>,
    /// Only events from then on: a span back such as `1h`, or a time.
    #[arg(long)]
    since: Option<String>,
    /// Only events before: a span back, or a time.
    #[arg(long)]
    until: Option<String>,
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

const PATH: &str = "/api/v1/events";

const COLUMNS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::time("accepted", "accepted"),
    Column::new("trigger", trigger),
    Column::new("data", |row| text(row, "data")).cut(12),
    Column::new("runs", |row| row["executions"].as_array().map_or(0, Vec::len).to_string()).right(),
];

const FIELDS: &[Column] = &[
    Column::new("event", |row| text(row, "id")),
    Column::new("trigger", |row| text(row, "trigger")),
    Column::new("source", |row| text(row, "source")),
    Column::new("replay of", |row| text(row, "replay.of")),
    Column::new("subject", |row| text(row, "subject")),
    Column::time("time", "time"),
    Column::time("accepted", "accepted"),
    Column::new("data", |row| pretty(row, "data")),
    Column::new("decisions", decisions),
    Column::new("executions", |row| text(row, "executions").replace(", ", "\n")),
];

impl Event {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Send(send) => send.run(client, output).await,
            Self::List(list) => {
                let query: Vec<_> = [
                    ("trigger", list.trigger),
                    ("source", list.source),
                    ("since", list.since),
                    ("until", list.until),
                ]
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name, value)))
                .collect();
                let rows = client.list(PATH, &query, list.limit).await?;
                output.list(list.json, COLUMNS, &rows)
            }
            Self::Show(one) => one.run(client, output, PATH, FIELDS).await.map(drop),
            Self::Replay(replay) => replay.run(client, output).await,
            Self::Tail { trigger, json } => tail(client, output, trigger, json).await,
        }
    }
}

/// The trigger, and whether the event is one that went through again.
fn trigger(row: &Value) -> String {
    let replay = if row["replay"].is_object() { " (replay)" } else { "" };
    format!("{}{replay}", text(row, "trigger"))
}

/// One line per rule: `storage.grow fired`.
fn decisions(row: &Value) -> String {
    let decided = row["decisions"].as_array().into_iter().flatten().map(|decision| {
        let mut line = format!("{} {}", text(decision, "rule"), text(decision, "verdict.verdict"));
        for field in [
            "verdict.until",
            "verdict.since",
            "verdict.message",
            "verdict.hops",
            "verdict.note",
            "note",
        ] {
            let more = text(decision, field);
            if !more.is_empty() {
                line = format!("{line} ({more})");
            }
        }
        line
    });
    let refused = row["refused"].as_array().into_iter().flatten();
    let refused =
        refused.map(|one| format!("{} not_matched: {}", text(one, "rule"), text(one, "why")));
    decided.chain(refused).collect::<Vec<_>>().join("\n")
}

impl Send {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let payload = Payload::read(self.payload.as_deref(), &self.fields)?;
        let path = format!("/api/v1/triggertypes/{}", segment(&self.trigger));
        let described = client.look(&path, &[]).await?;
        let data = payload.typed(described.as_ref())?;
        let mut body = json!({ "trigger": self.trigger, "data": data });
        for (name, value) in
            [("source", &self.source), ("subject", &self.subject), ("time", &self.time)]
        {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let sent = client.post_once(PATH, &body, self.once.as_deref()).await?;
        if self.json {
            output.json(&sent)?;
        } else {
            if text(&sent, "outcome") == "duplicate" {
                output.note("it had been sent before:")?;
            }
            output.line(&text(&sent, "id"))?;
        }
        if described.is_none() {
            unheard(client, output, &self.trigger).await?;
        }
        Ok(())
    }
}

/// A payload as it was given.
enum Payload {
    Whole(Value),
    Fields(Vec<Field>),
}

impl Payload {
    fn read(data: Option<&str>, arguments: &[String]) -> Result<Self, Failure> {
        let json = match (data, arguments) {
            (Some("-"), _) => std::io::read_to_string(std::io::stdin())
                .map_err(|error| Failure::machine("standard input cannot be read", &error))?,
            (Some(text), _) => match text.strip_prefix('@') {
                Some(file) => std::fs::read_to_string(file).map_err(|error| {
                    Failure::machine(&format!("`{file}` cannot be read"), &error)
                })?,
                None => text.to_owned(),
            },
            (None, [one]) if one.trim_start().starts_with('{') => one.clone(),
            (None, fields) => return fields::split(fields).map(Self::Fields),
        };
        serde_json::from_str(&json)
            .map(Self::Whole)
            .map_err(|error| Failure::usage(format!("the payload is not JSON: {error}")))
    }

    /// The payload, with texts read as the trigger's schema says.
    fn typed(self, trigger: Option<&Value>) -> Result<Value, Failure> {
        match self {
            Self::Whole(value) => Ok(value),
            Self::Fields(fields) => {
                let schema = trigger.map(|trigger| &trigger["payload_schema"]["properties"]);
                fields::typed(fields, schema.unwrap_or(&Value::Null)).map(Value::Object)
            }
        }
    }
}

/// Names that are looked at to find the one that was meant.
const NAMES_LIMIT: usize = 2000;

/// Says so where an event of a trigger that no pack describes finds no rule either.
async fn unheard(client: &Client, output: &mut Output, trigger: &str) -> Result<(), Failure> {
    const RULES: &str = "/api/v1/rules";
    let query = [("trigger", trigger.to_owned()), ("limit", "1".to_owned())];
    // Whoever may only report is told nothing.
    let Some(listening) = client.look(RULES, &query).await? else { return Ok(()) };
    if listening.as_array().is_none_or(|rules| !rules.is_empty()) {
        return Ok(());
    }
    let described = client.list("/api/v1/triggertypes", &[], NAMES_LIMIT).await?;
    let rules = client.list(RULES, &[], NAMES_LIMIT).await?;
    let on = rules.iter().filter_map(|rule| rule["on"].as_array()).flatten();
    let names = described.iter().map(|trigger| &trigger["ref"]).chain(on);
    let meant = match nearest(trigger, names.filter_map(Value::as_str)) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => String::new(),
    };
    output.note(&format!("no rule listens to `{trigger}`, and no pack describes it{meant}"))
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
    let newest = client.list(PATH, &query, 1).await?;
    let mut seen = newest.first().map(|row| text(row, "id")).unwrap_or_default();
    loop {
        let rows = client.list(PATH, &query, TAIL_LIMIT).await?;
        // Ids sort by the order of acceptance.
        for row in rows.iter().rev().filter(|row| text(row, "id") > seen) {
            if json {
                output.line(&row.to_string())?;
            } else {
                let data = brief(&text(row, "data"), 100);
                let line =
                    format!("{}  {}  {data}", output.time(row, "accepted"), text(row, "trigger"));
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
    fn fields_are_what_the_trigger_says_else_texts() {
        let trigger = json!({ "payload_schema": { "type": "object", "properties": {
            "used": { "type": "number" }, "pool": { "type": "string" },
        }}});
        let given = |arguments: &[&str], trigger: Option<&Value>| {
            let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
            Payload::read(None, &arguments).and_then(|payload| payload.typed(trigger)).unwrap()
        };
        let arguments = ["pool=7", "used=93.5", "tags:=[1]", "other=1"];
        let expected = json!({ "pool": "7", "used": 93.5, "tags": [1], "other": "1" });
        assert_eq!(given(&arguments, Some(&trigger)), expected);
        assert_eq!(given(&["used=93.5"], None), json!({ "used": "93.5" }));
        assert_eq!(given(&["{\"a\": 1}"], None), json!({ "a": 1 }));
        assert!(Payload::read(None, &["pool".to_owned()]).is_err());
    }
}
