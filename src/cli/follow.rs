//! Waiting for an execution: what it writes as it comes, and its result at the end.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::client::{Client, segment};
use crate::cli::execution::path;
use crate::cli::failure::{self, Failure};
use crate::cli::output::Output;
use crate::cli::row::{safe, text};
use crate::cli::{tree, watch};
use crate::model::execution::Status;

/// How to wait for an execution.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// Do not wait: print the execution's id.
    #[arg(long = "async", short = 'a')]
    detached: bool,
    /// Print the execution as JSON.
    #[arg(long)]
    json: bool,
}

impl Wait {
    /// Shows an execution until it ends, whatever runs it; the code says how.
    pub(crate) async fn until_done(
        &self,
        client: &Client,
        output: &mut Output,
        row: Value,
    ) -> Result<ExitCode, Failure> {
        let id = text(&row, "id");
        if self.detached {
            if self.json {
                output.json(&row)?;
            } else {
                output.line(&id)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let work = async {
            output.note(&format!("{id} {}", text(&row, "status")))?;
            if watch::is_workflow(&row) {
                watch::attend(client, output, &id).await?;
            } else if !self.json {
                echo(client, output, &id).await?;
            }
            let row = done(client, &id).await?;
            if self.json {
                output.json(&row)?;
            } else {
                ended(output, &row)?;
            }
            Ok(code(&text(&row, "status")))
        };
        unless_interrupted(&id, work).await
    }
}

/// Prints what an execution writes until it ends; the code says how.
pub(crate) async fn tail(
    client: &Client,
    output: &mut Output,
    id: &str,
) -> Result<ExitCode, Failure> {
    let work = async {
        let Some(status) = echo(client, output, id).await? else {
            return Err(Failure::new("the stream ended before the execution did")
                .help(format!("see `ifso execution show {id}`"))
                .code(failure::UNREACHABLE));
        };
        output.note(&format!("{id} {status}"))?;
        Ok(code(&status))
    };
    unless_interrupted(id, work).await
}

/// An interrupt ends the waiting, never the execution.
pub(crate) async fn unless_interrupted<T>(
    id: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut interrupts = signal(SignalKind::interrupt())
        .map_err(|error| Failure::machine("signals cannot be heard", &error))?;
    tokio::select! {
        biased;
        _ = interrupts.recv() => Err(Failure::new(format!("interrupted; {id} goes on"))
            .help(format!(
                "stop it with `ifso execution cancel {id}`, or follow it with \
                 `ifso execution tail {id}`"
            ))
            .code(failure::INTERRUPTED)),
        done = work => done,
    }
}

/// Prints what an execution writes, each stream on its own; gives the status at its end, or nothing
/// where the stream ended before.
async fn echo(client: &Client, output: &mut Output, id: &str) -> Result<Option<String>, Failure> {
    let mut status = None;
    let (mut out_open, mut err_open) = (false, false);
    let stream = format!("/stream/v1/executions/{}/output", segment(id));
    client
        .follow(&stream, |name, value| {
            if name == "execution.end" {
                status = Some(text(value, "status"));
                return Ok(false);
            }
            let written = safe(value["data"].as_str().unwrap_or_default());
            let open = !written.is_empty() && !written.ends_with('\n');
            if value["output_type"] == "stderr" {
                err_open = open;
                output.beside(&written)?;
            } else {
                out_open = open;
                output.text(&written)?;
            }
            Ok(true)
        })
        .await?;
    // What follows begins a line of its own.
    if out_open {
        output.text("\n")?;
    }
    if err_open {
        output.beside("\n")?;
    }
    Ok(status)
}

/// The execution, once it is done.
async fn done(client: &Client, id: &str) -> Result<Value, Failure> {
    loop {
        let row = client.get(&path(id), &[("wait", "60".to_owned())]).await?;
        if text(&row, "status").parse().is_ok_and(Status::is_done) {
            return Ok(row);
        }
    }
}

/// Says how it ended, and what came of it.
fn ended(output: &mut Output, row: &Value) -> Result<(), Failure> {
    if let Some(answer) = answer(&row["result"]) {
        output.line(&answer)?;
    }
    let seconds = row["elapsed_seconds"].as_f64().unwrap_or_default();
    let (id, status, reason) = (text(row, "id"), text(row, "status"), text(row, "reason"));
    let why = if reason.is_empty() { reason } else { format!(": {reason}") };
    let span = if seconds < 60.0 { format!("{seconds:.2} s") } else { tree::span(seconds) };
    output.note(&format!("{id} {status} after {span}{why}"))
}

/// What came of an execution beside what it wrote: the value under `result`; where there is none and
/// it wrote nothing either, all that its runner says. A text is shown as text.
fn answer(result: &Value) -> Option<String> {
    let answer = match result.get("result") {
        Some(inner) => inner,
        None if result.get("stdout").is_some() => return None,
        None if result.as_object().is_none_or(Map::is_empty) => return None,
        None => result,
    };
    match answer {
        Value::Null => None,
        Value::String(text) => Some(safe(text.strip_suffix('\n').unwrap_or(text))),
        other => Some(format!("{other:#}")),
    }
}

/// The exit code for an execution in this status.
pub(crate) fn code(status: &str) -> ExitCode {
    if status == "succeeded" { ExitCode::SUCCESS } else { ExitCode::from(failure::FAILED) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_runner_shows_its_result_once() {
        for (result, shown) in [
            (
                json!({ "result": "hi Bob", "exit_code": 0, "stdout": "", "stderr": "log" }),
                Some("hi Bob"),
            ),
            (json!({ "result": null, "exit_code": 0, "stdout": "hi\n", "stderr": "" }), None),
            (json!({ "result": false, "exit_code": 1 }), Some("false")),
            (json!({ "succeeded": true, "return_code": 0, "stdout": "hi", "stderr": "" }), None),
            (json!({ "offset": 7 }), Some("{\n  \"offset\": 7\n}")),
            (json!({ "result": [1] }), Some("[\n  1\n]")),
            (json!({}), None),
            (Value::Null, None),
        ] {
            assert_eq!(answer(&result).as_deref(), shown, "{result}");
        }
    }
}
