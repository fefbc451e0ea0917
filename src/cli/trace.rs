//! `ifso trace`: what led to an event or an execution, and what came of it.

use anstyle::Style;
use clap::Args;
use serde_json::Value;

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::row::{text, time};
use crate::cli::tree::{mark, span};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Show what led to an event or an execution, and what came of it.
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// The id of an event or an execution, or `last` for the newest execution.
    #[arg(default_value = "last")]
    id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Trace {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let path = format!("/api/v1/traces/{}", segment(&self.id));
        let trace = client.get(&path, &[]).await?;
        if self.json {
            return output.json(&trace);
        }
        let mut lines = Vec::new();
        draw(&trace["root"], ("", ""), output, &mut lines);
        for line in &lines {
            output.line(line)?;
        }
        if !trace["lost"].is_null() {
            output.note(&format!("what {} came of is not kept any more", text(&trace, "lost")))?;
        }
        if trace["left_out"] == true {
            output.note("there is more than is shown; trace an id further down")?;
        }
        if trace["searched"]["whole"] == false {
            let events = &trace["searched"]["events"];
            output.note(&format!(
                "events that came of this were looked for among the {events} after it; later ones \
                 are not shown"
            ))?;
        }
        Ok(())
    }
}

fn draw(node: &Value, (own, below): (&str, &str), output: &Output, lines: &mut Vec<String>) {
    let at = time(node, "at").map(|at| output.here().short(at)).unwrap_or_default();
    let what = match node["kind"].as_str() {
        Some("event") => event(node),
        Some("rule") => rule(node),
        Some("execution") => execution(node),
        _ => format!("{}  (see above)", text(node, "id")),
    };
    let gone = if node["lost"] == true { "  not kept any more" } else { "" };
    let asked = if node["asked"] == true { format!("  {BOLD}◀{BOLD:#}") } else { String::new() };
    lines.push(format!("{DIM}{at:<8}  {own}{DIM:#}{what}{gone}{asked}"));
    let children = node["children"].as_array().map_or(&[][..], Vec::as_slice);
    let more = node["left_out"] == true;
    for (number, child) in children.iter().enumerate() {
        let last = number + 1 == children.len() && !more;
        let (corner, bar) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        draw(child, (&format!("{below}{corner}"), &format!("{below}{bar}")), output, lines);
    }
    if more {
        lines.push(format!("{DIM}{:<8}  {below}└─ … and more{DIM:#}", ""));
    }
}

fn event(node: &Value) -> String {
    let from = text(node, "cause.sensor");
    let by = text(node, "cause.user");
    let from = match (from.as_str(), by.as_str()) {
        ("", "") => String::new(),
        ("", user) => format!("  by {user}"),
        (sensor, _) => format!("  from {sensor}"),
    };
    let id = text(node, "id");
    format!("event {BOLD}{}{BOLD:#}{from}  {DIM}{id}{DIM:#}", text(node, "trigger"))
}

fn rule(node: &Value) -> String {
    let status = text(node, "status");
    let why = if status == "error" { format!(": {}", text(node, "why")) } else { String::new() };
    format!("rule {BOLD}{}{BOLD:#} {status}{why}", text(node, "id"))
}

fn execution(node: &Value) -> String {
    let status = text(node, "status");
    let (mark, style) = mark(&status);
    let task = text(node, "task");
    let item = node["item"].as_u64().map(|item| format!("[{item}]")).unwrap_or_default();
    let task = if task.is_empty() { task } else { format!("task {task}{item}: ") };
    let took = node["elapsed_seconds"].as_f64().map(|took| format!(" {}", span(took)));
    let took = took.unwrap_or_default();
    let by = text(node, "cause.user");
    let by = if by.is_empty() { by } else { format!("  by {by}") };
    let reason = text(node, "reason");
    let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
    let (action, id) = (text(node, "action"), text(node, "id"));
    format!(
        "{style}{mark}{style:#} {task}{BOLD}{action}{BOLD:#} {style}{status}{style:#}{took}{reason}{by}  \
         {DIM}{id}{DIM:#}"
    )
}
