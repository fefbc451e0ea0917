//! Watching a workflow: the tree of its tasks once, or until it ends. A terminal has the tree redrawn in
//! its place; whatever else reads gets one line for each thing that happens.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use anstyle::Style;
use serde_json::{Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::execution::path;
use crate::cli::failure::{self, Failure};
use crate::cli::follow::{code, unless_interrupted};
use crate::cli::noun::Show;
use crate::cli::output::Output;
use crate::cli::row::{safe, text};
use crate::cli::table::Column;
use crate::cli::tree::{self, bar, span};
use crate::clock;
use crate::model::execution::Status;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// How often spans are counted on while nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// Whether an execution's row is that of a workflow.
pub(crate) fn is_workflow(row: &Value) -> bool {
    row["liveaction"]["action_is_workflow"] == true
}

/// Shows one execution; a workflow with its tree.
pub(crate) async fn show(
    one: &Show,
    client: &Client,
    output: &mut Output,
    fields: &[Column],
) -> Result<(), Failure> {
    let mut row = client.get(&path(&one.name), &[]).await?;
    let stands = matches!(text(&row, "status").as_str(), "pending" | "paused" | "pausing");
    if !is_workflow(&row) && !stands {
        return output.one(one.json, fields, &row);
    }
    let tree = client.get(&format!("{}/tree", path(&text(&row, "id"))), &[]).await?;
    if one.json {
        row["tree"] = tree;
        return output.json(&row);
    }
    output.one(false, fields, &row)?;
    if is_workflow(&row) {
        output.line("")?;
        for line in tree::drawn(&tree::lines(&tree, output.here().now()), None) {
            output.line(&line)?;
        }
    }
    next(&tree, output)
}

/// Waits for the end of a workflow, and says each time when it stands still: why, and how it goes on.
pub(crate) async fn attend(client: &Client, output: &mut Output, id: &str) -> Result<(), Failure> {
    let mut told = Vec::new();
    let stream = format!("/stream/v1/executions/{}/tree", segment(id));
    let mut each = |name: &str, value: &Value| {
        if name == "execution.end" {
            return Ok(false);
        }
        let (status, steps) = (text(value, "status"), tree::steps(value));
        // What stands still says so a moment after its task has failed; a question waits for nothing.
        let moves = matches!(status.as_str(), "requested" | "running" | "resuming");
        let asks = steps.iter().any(|(step, _)| step.starts_with("ifso inquiry"));
        if moves && !asks {
            told.clear();
            return Ok(true);
        }
        if !steps.is_empty() && steps != told {
            let why = Some(text(value, "reason")).filter(|why| !why.is_empty());
            let why = why.map(|why| format!(": {}", safe(&why))).unwrap_or_default();
            output.notice(&format!("{id} waits ({status}){why}"))?;
            for (step, about) in &steps {
                output.note(&format!("  next  {step}  {about}"))?;
            }
        }
        told = steps;
        Ok(true)
    };
    // A stream may end before the workflow does: whoever attends listens again.
    loop {
        client.follow(&stream, &mut each).await?;
        let row = client.get(&path(id), &[("wait", "1".to_owned())]).await?;
        if text(&row, "status").parse().is_ok_and(Status::is_done) {
            return Ok(());
        }
    }
}

/// Says what can be done about what stands still.
fn next(tree: &Value, output: &mut Output) -> Result<(), Failure> {
    let steps = tree::steps(tree);
    let wide = steps.iter().map(|(step, _)| step.chars().count()).max().unwrap_or(0);
    if !steps.is_empty() {
        output.line("")?;
    }
    for (step, about) in steps {
        output.line(&format!("{BOLD}next{BOLD:#}  {step:<wide$}  {DIM}{about}{DIM:#}"))?;
    }
    Ok(())
}

/// Follows a workflow until it ends; the code says how.
pub(crate) async fn tail(
    client: &Client,
    output: &mut Output,
    id: &str,
    with_output: bool,
) -> Result<ExitCode, Failure> {
    let mut watcher = Watcher { output, drawn: 0, tree: Value::Null, told: HashMap::new() };
    let query = if with_output { "?output=true" } else { "" };
    let stream = format!("/stream/v1/executions/{}/tree{query}", segment(id));
    let mut status = None;
    let work = async {
        let each = |heard: Option<(&str, &Value)>| {
            match heard {
                Some(("workflow.tree", tree)) => watcher.tree(tree)?,
                Some(("execution.output", piece)) => watcher.piece(piece)?,
                Some(("execution.end", end)) => {
                    status = Some(text(end, "status"));
                    return Ok(false);
                }
                Some(_) => {}
                None => watcher.redraw("")?,
            }
            Ok(true)
        };
        client.follow_ticking(&stream, TICK, each).await?;
        let Some(status) = &status else {
            return Err(Failure::new("the stream ended before the workflow did")
                .help(format!("see `ifso execution show {id}`"))
                .code(failure::UNREACHABLE));
        };
        watcher.output.note(&format!("{id} {status}"))?;
        Ok(code(status))
    };
    unless_interrupted(id, work).await
}

/// Somebody who watches.
struct Watcher<'a> {
    output: &'a mut Output,
    /// Lines of the tree that stand on the screen.
    drawn: usize,
    tree: Value,
    /// What was told of each thing: its status and a word of how far it is.
    told: HashMap<String, (String, String)>,
}

impl Watcher<'_> {
    fn tree(&mut self, tree: &Value) -> Result<(), Failure> {
        self.tree = tree.clone();
        if self.output.screen().is_some() {
            return self.redraw("");
        }
        let mut lines = Vec::new();
        let name = format!("workflow {}", text(tree, "action"));
        self.thing((tree, tree), (&name, ""), &mut lines);
        self.tasks(tree, ("", ""), &mut lines);
        lines.sort_by(|(a, _), (b, _)| a.cmp(b));
        let here = self.output.here().at(clock::system().now());
        for (at, line) in lines {
            let at = at.parse().unwrap_or_else(|_| here.now());
            self.output.line(&format!("{} {line}", here.short(at)))?;
        }
        Ok(())
    }

    /// A piece of what a task wrote.
    fn piece(&mut self, piece: &Value) -> Result<(), Failure> {
        let task = text(piece, "task");
        let written = safe(piece["data"].as_str().unwrap_or_default());
        let lines = written.lines().map(|line| format!("{DIM}{task} |{DIM:#} {line}\n"));
        let lines = lines.collect::<Vec<_>>().concat();
        if self.output.screen().is_some() {
            return self.redraw(&lines);
        }
        self.output.text(&lines)
    }

    /// Draws the tree in the place of what was drawn, below `above`.
    fn redraw(&mut self, above: &str) -> Result<(), Failure> {
        let Some((columns, rows)) = self.output.screen() else { return Ok(()) };
        if self.tree.is_null() {
            return self.output.text(above);
        }
        let lines = tree::lines(&self.tree, clock::system().now());
        let lines = tree::drawn(&tree::folded(lines, rows.saturating_sub(1)), Some(columns));
        let up = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        self.drawn = lines.len();
        self.output.text(&format!("{up}\r\x1b[J{above}{}\n", lines.join("\n")))
    }

    /// What is new of what is part of an execution: time and line.
    fn tasks(
        &mut self,
        node: &Value,
        (lead, key): (&str, &str),
        lines: &mut Vec<(String, String)>,
    ) {
        for task in node["tasks"].as_array().into_iter().flatten() {
            if task["left_out"].is_u64() {
                continue;
            }
            let name = format!("{lead}{}", text(task, "task"));
            let key = format!("{key}/{}", task["entry"]);
            self.thing((task, &task["execution"]), (&format!("task {name}"), &key), lines);
            self.tasks(&task["execution"], (&format!("{name}/"), &key), lines);
            for item in task["items"]["listed"].as_array().into_iter().flatten() {
                let name = format!("{name}[{}]", item["item"]);
                let key = format!("{key}#{}", item["item"]);
                self.thing((item, &item["execution"]), (&format!("item {name}"), &key), lines);
                self.tasks(&item["execution"], (&format!("{name}/"), &key), lines);
            }
        }
    }

    fn thing(
        &mut self,
        (stands, execution): (&Value, &Value),
        (name, key): (&str, &str),
        lines: &mut Vec<(String, String)>,
    ) {
        let status = text(stands, "status");
        let far = word_of(&stands["items"], &execution["progress"]);
        let told = self.told.insert(key.to_owned(), (status.clone(), far.clone()));
        let done = status.parse().is_ok_and(Status::is_done);
        let (before, far_before) = told.unwrap_or_default();
        if before == status {
            if far != far_before && !done {
                let far = bar(&execution["progress"]).unwrap_or(far);
                lines.push((text(execution, "progress.at"), format!("{name} {status}  {far}")));
            }
            return;
        }
        let at = [(execution, "end_timestamp"), (stands, "ended"), (execution, "started")]
            .into_iter()
            .chain([(stands, "started")])
            .filter(|(_, field)| done || *field == "started")
            .map(|(row, field)| text(row, field))
            .find(|at| !at.is_empty());
        let took = stands["elapsed_seconds"].as_f64().filter(|_| done);
        let took = took.map(|took| format!(" after {}", span(took))).unwrap_or_default();
        let why = [text(stands, "error"), text(execution, "reason"), text(execution, "error")];
        let why = why.into_iter().filter(|why| !why.is_empty() && status != "succeeded");
        let why: Vec<String> =
            why.map(|why| format!(": {}", why.lines().next().unwrap_or_default())).collect();
        let why = why.concat();
        lines.push((at.unwrap_or_default(), format!("{name} {status}{took}{why}")));
        if execution["question"].is_object() {
            for (step, about) in tree::steps(&json!({ "id": execution["id"], "question": {} })) {
                lines.push((String::new(), format!("{name} {about}: {step}")));
            }
        }
    }
}

/// How far something is, as coarse as a log wants it.
fn word_of(items: &Value, progress: &Value) -> String {
    if let (Some(done), Some(all)) = (items["done"].as_u64(), items["all"].as_u64()) {
        let tenths = done * 10 / all.max(1);
        return format!("items {}/{all}", tenths * all / 10);
    }
    let message = text(progress, "message");
    progress["progress"].as_f64().map(|part| format!("{part:.1} {message}")).unwrap_or_default()
}
