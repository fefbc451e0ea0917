//! `ifso inquiry`.

use std::io::{self, BufRead};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::execution;
use crate::cli::failure::Failure;
use crate::cli::fields;
use crate::cli::noun::Show;
use crate::cli::output::Output;
use crate::cli::row::{json as pretty, safe, text};
use crate::cli::table::Column;
use crate::packs::answer;

/// Look up and answer questions to people.
#[derive(Debug, Subcommand)]
pub(crate) enum Inquiry {
    /// List the questions that wait for an answer, oldest first.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one question.
    #[command(visible_alias = "get")]
    Show(Show),
    /// Answer a question; without an answer on the command line it is asked field by field.
    Respond(Respond),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 100)]
    limit: usize,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Respond {
    /// Its id, as the list shows it.
    id: String,
    /// The answer as `name=value`, read as the question's schema says, or `name:=json`.
    answer: Vec<String>,
    /// The whole answer as a JSON object.
    #[arg(long, value_name = "JSON", conflicts_with = "answer")]
    json: Option<String>,
}

const PATH: &str = "/api/v1/inquiries";

const COLUMNS: &[Column] = &[
    Column::new("id", |row| text(row, "id")),
    Column::time("asked", "asked"),
    Column::new("question", |row| text(row, "message")).cut(16),
    Column::new("task", |row| text(row, "task")),
    Column::new("route", |row| text(row, "route")),
    Column::time("expires", "expires"),
];

const FIELDS: &[Column] = &[
    Column::new("inquiry", |row| text(row, "id")),
    Column::new("question", |row| text(row, "message")),
    Column::new("status", |row| text(row, "status")),
    Column::new("action", |row| text(row, "action")),
    Column::new("user", |row| text(row, "user")),
    Column::new("workflow", |row| text(row, "parent")),
    Column::new("task", |row| text(row, "task")),
    Column::new("route", |row| text(row, "route")),
    Column::new("for users", |row| words(row, "users")),
    Column::new("for roles", |row| words(row, "roles")),
    Column::time("asked", "asked"),
    Column::time("escalated", "escalated"),
    Column::time("expires", "expires"),
    Column::new("answer has", asked_for),
    Column::new("answer", |row| pretty(row, "response")),
    Column::new("answered by", |row| text(row, "answered_by")),
    Column::time("answered", "answered_at"),
];

fn words(row: &Value, name: &str) -> String {
    let words = row[name].as_array().into_iter().flatten().filter_map(Value::as_str);
    safe(&words.collect::<Vec<_>>().join(", "))
}

/// One line for each field of the answer.
fn asked_for(row: &Value) -> String {
    let fields = answer::fields(&row["schema"]).into_iter();
    fields.map(|(name, _)| line(&row["schema"], name)).collect::<Vec<_>>().join("\n")
}

/// `size (integer, required): How much`.
fn line(schema: &Value, name: &str) -> String {
    let property = &schema["properties"][name];
    let choices: Vec<String> = answer::choices(property).map(answer::plain).collect();
    let kind = match answer::kinds(property).as_slice() {
        _ if !choices.is_empty() => choices.join(" or "),
        ["boolean"] => "yes or no".to_owned(),
        [] => "anything".to_owned(),
        kinds => kinds.join(" or "),
    };
    let required = if answer::is_required(schema, name) { ", required" } else { "" };
    let secret = if property["secret"] == true { ", secret" } else { "" };
    let default = property.get("default").filter(|default| !default.is_null());
    let default =
        default.map(|value| format!(", else {}", answer::plain(value))).unwrap_or_default();
    let about = property["description"].as_str();
    let about = about.map(|about| format!(": {about}")).unwrap_or_default();
    safe(&format!("{name} ({kind}{required}{secret}{default}){about}"))
}

impl Inquiry {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => {
                let rows = client.list(PATH, &[], list.limit).await?;
                output.list(list.json, COLUMNS, &rows)
            }
            Self::Show(one) => one.run(client, output, PATH, FIELDS).await.map(drop),
            Self::Respond(respond) => respond.run(client, output).await,
        }
    }
}

impl Respond {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let path = format!("{PATH}/{}", segment(&self.id));
        let row = client.get(&path, &[]).await?;
        let response = match &self.json {
            Some(text) => object(text)?,
            None if self.answer.is_empty() && text(&row, "status") == "pending" => {
                ask(&row, output, &mut io::stdin().lock())?
            }
            None => fields::typed(fields::split(&self.answer)?, &row["schema"]["properties"])?,
        };
        let body = json!({ "id": row["id"], "response": response });
        // `last` may be another one by now.
        let path = format!("{PATH}/{}", segment(&text(&row, "id")));
        client.call(Method::PUT, &path, &[], Some(&body)).await?;
        output.line(&format!("{} is answered", text(&row, "id")))?;
        next(client, output, &text(&row, "parent")).await
    }
}

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::usage(format!("`--json`: `{text}` is not a JSON object: {error}"))
            .help("write it as `--json '{\"continue\": true}'`")
    })
}

/// Says what the answer leads to.
async fn next(client: &Client, output: &mut Output, workflow: &str) -> Result<(), Failure> {
    if workflow.is_empty() {
        return Ok(());
    }
    let row = client.get(&execution::path(workflow), &[]).await?;
    // A workflow that waited for this answer alone goes on by itself; one that somebody held does not.
    if text(&row, "reason").starts_with("paused by") {
        let reason = text(&row, "reason");
        return output.note(&format!(
            "its workflow is {reason}: `ifso execution resume {workflow}` lets it go on"
        ));
    }
    output.note(&format!("its workflow goes on: `ifso execution tail {workflow}` follows it"))
}

/// Asks for each field of the answer; an empty line takes the default or leaves the field out.
fn ask(
    row: &Value,
    output: &mut Output,
    typed: &mut dyn BufRead,
) -> Result<Map<String, Value>, Failure> {
    let schema = &row["schema"];
    let fields = answer::fields(schema);
    if fields.is_empty() {
        return Err(Failure::usage("the question does not say which fields its answer has")
            .help("give the answer as `name=value` or with `--json`"));
    }
    let message = text(row, "message");
    if !message.is_empty() {
        output.notice(&message)?;
    }
    let mut response = Map::new();
    for (name, _) in fields {
        if let Some(value) = one(schema, name, output, typed)? {
            response.insert(name.to_owned(), value);
        }
    }
    Ok(response)
}

/// One field, asked until what is typed fits.
fn one(
    schema: &Value,
    name: &str,
    output: &mut Output,
    typed: &mut dyn BufRead,
) -> Result<Option<Value>, Failure> {
    // The field alone, so that it is told at once what does not fit.
    let property = &schema["properties"][name];
    let required = answer::is_required(schema, name);
    let alone = json!({ "type": "object", "properties": { name: property } });
    loop {
        output.beside(&format!("{}\n> ", line(schema, name)))?;
        let mut text = String::new();
        let read = typed.read_line(&mut text);
        if read.map_err(|error| Failure::machine("the answer cannot be read", &error))? == 0 {
            output.beside("\n")?;
            return Err(Failure::usage(format!("nothing was typed for `{name}`"))
                .help("nothing is answered; give the answer as `name=value` or with `--json`"));
        }
        let text = text.trim_end_matches(['\n', '\r']);
        let has_default = property.get("default").is_some_and(|default| !default.is_null());
        if text.is_empty() {
            if has_default || !required {
                return Ok(None);
            }
            output.beside(&format!("`{name}` must be given\n"))?;
            continue;
        }
        let value = answer::read(schema, name, text);
        let given = Map::from_iter([(name.to_owned(), value.clone())]);
        match answer::check(&alone, &given) {
            Ok(_) => return Ok(Some(value)),
            Err(problems) => output.beside(&format!("{}\n", safe(&problems.join("\n"))))?,
        }
    }
}
