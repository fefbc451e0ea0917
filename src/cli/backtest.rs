//! `ifso rule backtest`: what a rule would have done with the events that were kept.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::row::text;
use crate::cli::why::{doing, whole};
use crate::model::time::Time;

/// Cells of the longest bar.
const BAR: u64 = 40;
/// Firings that are listed.
const LISTED: usize = 20;
/// Parts of a cell, an eighth each.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// Run a rule, or the difference between two versions, over kept events; nothing is done.
#[derive(Debug, Args)]
pub(crate) struct Backtest {
    /// The rule's reference: `pack.name`, or the name alone for the home's own.
    rule: String,
    /// Take the rule from this file instead of from those in force.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// From when on: a span back, or a time.
    #[arg(long, default_value = "7d")]
    since: String,
    /// Up to when: a span back, or a time [default: now]
    #[arg(long)]
    until: Option<String>,
    /// Compare with this file's version of the rule, or with `live`, the one in force.
    #[arg(long, value_name = "FILE|live")]
    against: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Backtest {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let rule = whole(&self.rule);
        let mut body = json!({ "rule": rule, "since": self.since });
        if let Some(until) = &self.until {
            body["until"] = json!(until);
        }
        if let Some(file) = &self.file {
            body["source"] = source(file)?;
        }
        match &self.against {
            None => {}
            Some(word) if word.as_os_str() == "live" => body["against"] = json!("live"),
            Some(file) => body["against"] = source(file)?,
        }
        let done = client.call(Method::POST, "/api/v1/rules/backtest", &[], Some(&body)).await?;
        if self.json {
            return output.json(&done);
        }
        for line in lines(&rule, &done, output) {
            output.line(&line)?;
        }
        Ok(())
    }
}

fn source(file: &std::path::Path) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::machine(&format!("`{}` cannot be read", file.display()), &error)
    })?;
    Ok(json!({ "file": file, "text": text }))
}

fn lines(rule: &str, done: &Value, output: &Output) -> Vec<String> {
    let mut lines = vec![format!(
        "{rule} over {} events in {} ms, {} to {}",
        done["events"],
        done["took_ms"],
        output.time(done, "since"),
        output.time(done, "until"),
    )];
    if done["history_since"].is_string() {
        lines.push(format!("the first of them came at {}", output.time(done, "history_since")));
    }
    lines.push(String::new());
    let new = &done["outcome"];
    lines.extend(plot(done, new, done.get("against"), output));
    lines.push(String::new());
    lines.push(counts("decisions", new));
    if let Some(old) = done.get("against") {
        lines.push(counts("against", old));
    }
    for (name, outcome) in [("", Some(new)), ("against: ", done.get("against"))] {
        let error = outcome.map(|outcome| text(outcome, "error")).unwrap_or_default();
        if !error.is_empty() {
            lines.push(format!("{name}{error}"));
        }
    }
    lines.push(String::new());
    if done.get("against").is_some() {
        lines.extend(listed("only the new version", &done["only_new"], output));
        lines.extend(listed("only the old version", &done["only_old"], output));
    } else {
        lines.extend(listed("firings", &new["firings"], output));
    }
    lines
}

/// `decisions  3 fired, 120 holding`
fn counts(title: &str, outcome: &Value) -> String {
    let verdicts = outcome["verdicts"].as_object().into_iter().flatten();
    let all: Vec<String> =
        verdicts.map(|(word, count)| format!("{count} {}", word.replace('_', " "))).collect();
    let all = if all.is_empty() { "none: nothing matched".to_owned() } else { all.join(", ") };
    format!("{title:<10} {all}")
}

/// Firings over time, a bar each.
fn plot(done: &Value, new: &Value, old: Option<&Value>, output: &Output) -> Vec<String> {
    let counts = |outcome: &Value| -> Vec<(String, u64)> {
        let buckets = outcome["buckets"].as_array().into_iter().flatten();
        let pair = |bucket: &Value| {
            let at = output.time(&json!({ "at": bucket[0] }), "at");
            (at, bucket[1].as_u64().unwrap_or(0))
        };
        buckets.map(pair).collect()
    };
    let old = old.map(counts);
    let all = counts(new);
    let most = all.iter().chain(old.iter().flatten()).map(|bucket| bucket.1).max().unwrap_or(0);
    if most == 0 {
        return vec!["it would not have fired".to_owned()];
    }
    // Before history begins there is nothing to see.
    let begun = |bucket: &Value| {
        let begin = |value: &Value| value.as_str().and_then(|text| text.parse::<Time>().ok());
        begin(&bucket[0]) <= begin(&done["history_since"])
    };
    let buckets = new["buckets"].as_array().into_iter().flatten();
    let before = buckets.filter(|bucket| begun(bucket)).count().saturating_sub(1);
    let mut lines = Vec::new();
    for (number, (at, fired)) in all.iter().enumerate().skip(before) {
        let figure = if *fired == 0 { String::new() } else { format!(" {fired}") };
        lines.push(format!("{at:>19} │{}{figure}", bar(*fired, most)));
        let was = old.as_ref().and_then(|old| old.get(number)).map(|bucket| bucket.1);
        if let Some(was) = was.filter(|was| was != fired) {
            let width = at.chars().count().max(19);
            lines.push(format!("{:>width$} ┆{} {was} before", "", bar(was, most)));
        }
    }
    lines
}

fn bar(count: u64, most: u64) -> String {
    let eighths = (count * BAR * 8).div_ceil(most.max(1));
    let (whole, part) = (eighths / 8, usize::try_from(eighths % 8).unwrap_or(0));
    let mut bar = "█".repeat(usize::try_from(whole).unwrap_or(0));
    bar.push_str(EIGHTHS[part]);
    bar
}

fn listed(title: &str, firings: &Value, output: &Output) -> Vec<String> {
    let all: Vec<&Value> = firings.as_array().into_iter().flatten().collect();
    let mut lines = vec![format!("{title}: {}", all.len())];
    for firing in all.iter().take(LISTED) {
        let effects = firing["effects"].as_array().into_iter().flatten().map(doing);
        let effects = effects.collect::<Vec<_>>().join("; ");
        let (at, verdict) = (output.time(firing, "at"), text(firing, "verdict"));
        lines.push(format!("  {at}  {verdict:<9} {:<12} {effects}", text(firing, "key")));
    }
    if all.len() > LISTED {
        lines.push(format!("  … and {} more (`--json` has them)", all.len() - LISTED));
    }
    lines
}
