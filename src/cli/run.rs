//! `ifso run`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::execution::{code, path};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::row::{safe, text};

/// Run an action and wait for its result; fails unless it succeeds.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The action: `pack.name`.
    action: String,
    /// Parameters as `name=value`, read as the action says (`ifso action show`), or `name:=json`.
    parameters: Vec<String>,
    /// Do not wait: print the execution's id.
    #[arg(long = "async", short = 'a')]
    detached: bool,
    /// Begin so many milliseconds later.
    #[arg(long, value_name = "MILLISECONDS")]
    delay: Option<u64>,
    /// Let an attempt take so many seconds at most.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Requests with the same key are one execution.
    #[arg(long, value_name = "KEY")]
    once: Option<String>,
    /// Print the execution as JSON.
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(crate) async fn run(
        self,
        client: &Client,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        let view = format!("/api/v1/actions/views/parameters/{}", segment(&self.action));
        let described = if self.parameters.is_empty() {
            Value::Null
        } else {
            client.get(&view, &[]).await?["parameters"].take()
        };
        let parameters = read(&self.parameters, &described)?;
        let body = json!({
            "action": self.action,
            "parameters": parameters,
            "delay": self.delay,
            "timeout": self.timeout,
        });
        let mut row = client.post_once("/api/v1/executions", &body, self.once.as_deref()).await?;
        let id = text(&row, "id");
        if self.detached {
            if self.json {
                output.json(&row)?;
            } else {
                output.line(&id)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        while !is_done(&text(&row, "status")) {
            row = client.get(&path(&id), &[("wait", "60".to_owned())]).await?;
        }
        self.show(&row, output)?;
        Ok(code(&text(&row, "status")))
    }

    fn show(&self, row: &Value, output: &mut Output) -> Result<(), Failure> {
        if self.json {
            return output.json(row);
        }
        let result = &row["result"];
        match (result.get("stdout"), result.get("stderr"), result.get("result")) {
            (Some(Value::String(out)), err, _) => {
                output.text(&ended(&safe(out)))?;
                if let Some(Value::String(err)) = err {
                    for line in safe(err).lines() {
                        output.note(line)?;
                    }
                }
            }
            (_, _, Some(inner)) => output.json(inner)?,
            _ if result.as_object().is_none_or(Map::is_empty) => {}
            _ => output.json(result)?,
        }
        let seconds = row["elapsed_seconds"].as_f64().unwrap_or_default();
        let (id, status, reason) = (text(row, "id"), text(row, "status"), text(row, "reason"));
        let why = if reason.is_empty() { reason } else { format!(": {reason}") };
        output.note(&format!("{id} {status} after {seconds:.2} s{why}"))
    }
}

/// The same text with a line end, unless it is empty.
fn ended(text: &str) -> String {
    let mut text = text.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn is_done(status: &str) -> bool {
    use crate::model::execution::Status;
    status.parse().is_ok_and(Status::is_done)
}

/// Reads `name=value` by the types of the described parameters.
fn read(arguments: &[String], described: &Value) -> Result<Map<String, Value>, Failure> {
    let mut parameters = Map::new();
    for argument in arguments {
        let (name, value) = argument.split_once('=').ok_or_else(|| {
            Failure::usage(format!("`{argument}` is neither `name=value` nor `name:=json`"))
        })?;
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => (name, parse(name, value, "JSON")?),
            None => (name, cast(name, value, &described[name]["type"])?),
        };
        parameters.insert(name.to_owned(), value);
    }
    Ok(parameters)
}

fn parse(name: &str, value: &str, what: &str) -> Result<Value, Failure> {
    serde_json::from_str(value).map_err(|error| {
        Failure::usage(format!("parameter `{name}`: `{value}` is not {what}: {error}"))
    })
}

/// A text as the first type that it fits. What fits none stays a text, for the server to refuse in its
/// own words.
fn cast(name: &str, value: &str, types: &Value) -> Result<Value, Failure> {
    let types: Vec<&str> = match types {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    for kind in &types {
        let read = match *kind {
            "integer" => value.parse::<i64>().ok().map(Value::from),
            "number" => serde_json::from_str(value).ok().filter(Value::is_number),
            "boolean" => match value.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" | "on" => Some(json!(true)),
                "false" | "no" | "0" | "off" => Some(json!(false)),
                _ => None,
            },
            "null" => (value == "null").then_some(Value::Null),
            "array" if value.trim_start().starts_with('[') => Some(parse(name, value, "an array")?),
            "array" => Some(value.split(',').map(str::trim).collect()),
            "object" => Some(object(name, value)?),
            "string" => Some(json!(value)),
            _ => None,
        };
        if let Some(read) = read {
            return Ok(read);
        }
    }
    Ok(json!(value))
}

/// `{"a": 1}`, or `a:1,b:2` as StackStorm's clients write it.
fn object(name: &str, value: &str) -> Result<Value, Failure> {
    if value.trim_start().starts_with('{') {
        return parse(name, value, "an object");
    }
    let pairs = value.split(',').map(|pair| {
        let (key, value) = pair.split_once([':', '=']).ok_or_else(|| {
            Failure::usage(format!("parameter `{name}`: `{pair}` is not `key:value`"))
                .help(format!("write it as JSON: `{name}:={{\"key\": \"value\"}}`"))
        })?;
        Ok((key.trim().to_owned(), json!(value.trim())))
    });
    pairs.collect::<Result<Map<_, _>, Failure>>().map(Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_what_the_action_says() {
        let described = json!({
            "n": { "type": "integer" }, "x": { "type": "number" }, "yes": { "type": "boolean" },
            "list": { "type": "array" }, "map": { "type": "object" }, "text": { "type": "string" },
            "either": { "type": ["integer", "string"] },
        });
        let arguments = [
            "n=5",
            "x=0.5",
            "yes=True",
            "list=a, b",
            "map=a:1,b:2",
            "text=5",
            "either=five",
            "other=5",
            "raw:=[1, null]",
        ];
        let arguments = arguments.map(str::to_owned);
        let expected = json!({
            "n": 5, "x": 0.5, "yes": true, "list": ["a", "b"], "map": { "a": "1", "b": "2" },
            "text": "5", "either": "five", "other": "5", "raw": [1, null],
        });
        assert_eq!(Value::Object(read(&arguments, &described).unwrap()), expected);
    }
}
