//! `ifso rule explain`: why a rule did or did not act on an event.

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::Value;

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::row::{safe, text};

const YES: Style = AnsiColor::Green.on_default();
const NO: Style = AnsiColor::Red.on_default().bold();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Events that are looked through for the newest that is meant.
const LOOK: usize = 50;
/// Events behind a decision that are named.
const LED: usize = 5;
/// Letters of a value that are shown.
const VALUE_LIMIT: usize = 60;

/// Say why a rule did or did not act on an event.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The rule's reference.
    rule: String,
    /// The event's id, or `last` for the newest that the rule heard, its own deadlines among them.
    event: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let path = format!("/api/v1/rules/{}", segment(&whole(&self.rule)));
        let rule = client.get(&path, &[]).await?;
        let event = match self.event.as_str() {
            "last" => newest(client, &rule).await?,
            id => client.get(&format!("/api/v1/events/{}", segment(id)), &[]).await?,
        };
        let query = [("event", text(&event, "id"))];
        let explained = client.get(&format!("{path}/explain"), &query).await?;
        if self.json {
            return output.json(&explained);
        }
        for line in lines(&rule, &event, &explained, output) {
            output.line(&line)?;
        }
        Ok(())
    }
}

/// A rule's reference; the name alone means the home's own.
pub(crate) fn whole(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("site.{name}") }
}

/// The newest event that the rule listens to.
async fn newest(client: &Client, rule: &Value) -> Result<Value, Failure> {
    let mut newest = Value::Null;
    for trigger in rule["on"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let query = [("trigger", trigger.to_owned())];
        let found = client.list("/api/v1/events", &query, LOOK).await?;
        let own = found.into_iter().find(|event| event["replay"].is_null());
        newest = later(newest, own);
    }
    let query = [("trigger", "core.rule_due".to_owned())];
    let found = client.list("/api/v1/events", &query, LOOK).await?;
    let own = found.into_iter().find(|event| event["data"]["rule"] == rule["ref"]);
    newest = later(newest, own);
    if newest.is_null() {
        let rule = text(rule, "ref");
        return Err(Failure::usage(format!("no event that `{rule}` listens to is kept"))
            .help("send one with `ifso event send`"));
    }
    Ok(newest)
}

fn later(a: Value, b: Option<Value>) -> Value {
    b.filter(|b| text(b, "id") > text(&a, "id")).unwrap_or(a)
}

fn lines(rule: &Value, event: &Value, explained: &Value, output: &Output) -> Vec<String> {
    let when = output.time(event, "accepted");
    let mut lines = vec![
        format!(
            "{BOLD}rule{BOLD:#}     {}  {DIM}{}{DIM:#}",
            text(rule, "ref"),
            text(rule, "place")
        ),
        format!(
            "{BOLD}event{BOLD:#}    {}  {}  {DIM}{when}{DIM:#}",
            text(event, "id"),
            text(event, "trigger")
        ),
    ];
    lines.extend(whys(explained));
    if explained["condition"].is_object() {
        lines.push(String::new());
        lines.push(format!("{BOLD}condition{BOLD:#}"));
        part(&explained["condition"], ("", ""), &mut lines);
        lines.push(String::new());
    }
    let named = |title: &str, value: String, lines: &mut Vec<String>| {
        if !value.is_empty() {
            lines.push(format!("{BOLD}{title:<8}{BOLD:#} {value}"));
        }
    };
    let until = match explained["until"].as_bool() {
        Some(true) => "yes: it is not true any more".to_owned(),
        Some(false) => "no: what is true stays true".to_owned(),
        None => String::new(),
    };
    named("until", until, &mut lines);
    named("key", text(explained, "key"), &mut lines);
    let remembers = explained["before"].is_object() || explained["after"].is_object();
    if remembers {
        named("before", remembered(&explained["before"], output), &mut lines);
        named("after", remembered(&explained["after"], output), &mut lines);
    }
    let due = output.time(explained, "due");
    if !due.is_empty() {
        named("next", format!("acts by itself at {due}, unless something changes"), &mut lines);
    }
    let decisions = explained["decisions"].as_array().into_iter().flatten();
    for decision in decisions.clone() {
        let led: Vec<&str> =
            decision["events"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let more = led.len().saturating_sub(LED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let shown = led.iter().take(LED).copied().collect::<Vec<_>>().join("\n         ");
        named("from", format!("{shown}{more}"), &mut lines);
    }
    let effects = decisions.flat_map(|one| one["effects"].as_array().into_iter().flatten());
    for effect in effects {
        named("does", doing(effect), &mut lines);
    }
    lines
}

/// Why, in one line; two where what was decided then is not what the rule would decide now.
fn whys(explained: &Value) -> Vec<String> {
    let word = |field: &str| {
        let first = explained[field].as_array().and_then(|all| all.first());
        first.map(|one| text(one, "verdict.verdict")).unwrap_or_default()
    };
    let version = explained["then"].as_array().and_then(|all| all.first());
    let same = version.is_none_or(|then| text(then, "version") == text(explained, "version"));
    let why = text(explained, "why");
    if explained["decided"].is_null() && matches!(word("decisions").as_str(), "fired" | "recovered")
    {
        return vec![
            format!(
                "{BOLD}why{BOLD:#}      nothing was decided when the event came: the rule said no then, or was not in force"
            ),
            format!("{BOLD}now{BOLD:#}      as the rule is now: {why}"),
        ];
    }
    if explained["decided"].is_null() || (word("then") == word("decisions") && same) {
        return vec![format!("{BOLD}why{BOLD:#}      {why}")];
    }
    let reason =
        if same { "what it remembers was another then" } else { "the rule has changed since" };
    vec![
        format!("{BOLD}why{BOLD:#}      {}", text(explained, "decided")),
        format!("{BOLD}now{BOLD:#}      as the rule is now: {why} ({reason})"),
    ]
}

/// One part of a condition and those inside it, as a tree.
fn part(part_: &Value, (lead, below): (&str, &str), lines: &mut Vec<String>) {
    let decisive = part_["decisive"] == true;
    let answer = match part_["answer"].as_bool() {
        Some(true) => format!("{YES}yes{YES:#}"),
        Some(false) if decisive => format!("{NO}no{NO:#} "),
        Some(false) => format!("{DIM}no{DIM:#} "),
        None => format!("{NO}?{NO:#}  "),
    };
    let values = part_["values"].as_array().into_iter().flatten().map(|pair| {
        let name = pair[0].as_str().unwrap_or_default();
        match &pair[1] {
            Value::Null => format!("{name} is missing"),
            value => format!("{name} is {}", brief(&safe(&value.to_string()))),
        }
    });
    let error = text(part_, "error");
    let more: Vec<String> = values.chain((!error.is_empty()).then_some(error)).collect();
    let more =
        if more.is_empty() { String::new() } else { format!("  {DIM}{}{DIM:#}", more.join(", ")) };
    let mark = if decisive && part_["parts"].is_null() { "◀" } else { " " };
    lines.push(format!("  {answer} {mark} {lead}{}{more}", text(part_, "text")));
    let inner: Vec<&Value> = part_["parts"].as_array().into_iter().flatten().collect();
    for (number, one) in inner.iter().enumerate() {
        let last = number + 1 == inner.len();
        let (own, next) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        part(one, (&format!("{below}{own}"), &format!("{below}{next}")), lines);
    }
}

fn brief(text: &str) -> String {
    match text.char_indices().nth(VALUE_LIMIT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A memory in words.
pub(crate) fn remembered(memory: &Value, output: &Output) -> String {
    if !memory.is_object() {
        return "nothing".to_owned();
    }
    let mut said = Vec::new();
    for (field, words) in [
        ("since", "true since"),
        ("active", "fired for that at"),
        ("fired", "cools since"),
        ("pending", "waits until"),
        ("quarantined", "in quarantine since"),
    ] {
        if memory[field].is_string() {
            said.push(format!("{words} {}", output.time(memory, field)));
        }
    }
    let open = memory["started"]["open"].as_array().into_iter().flatten();
    let open: Vec<&str> = open.filter_map(|begun| begun["execution"].as_str()).collect();
    if !open.is_empty() {
        said.push(format!("started and is not over: {}", open.join(", ")));
    }
    let count = |field: &str| memory[field].as_array().map_or(0, Vec::len);
    for (field, words) in [
        ("samples", "samples in the window"),
        ("burst", "events in the burst"),
        ("firings", "firings within its limit"),
        ("queue", "firings kept"),
    ] {
        match count(field) {
            0 => {}
            1 => said.push(format!("1 {}", words.replacen("s ", " ", 1))),
            count => said.push(format!("{count} {words}")),
        }
    }
    let steps = memory["steps"].as_array().into_iter().flatten();
    let lengths: Vec<usize> = steps.filter_map(|step| Some(step.as_array()?.len())).collect();
    let most = lengths.iter().copied().max().unwrap_or(0);
    // Of a sequence, what came furthest; of events in any order, how many are there.
    let reached =
        if most == 1 { lengths.iter().filter(|length| **length > 0).count() } else { most };
    if reached > 0 {
        said.push(format!("step {reached} of {} reached", lengths.len()));
    }
    if count("breaches") > 0 {
        let all = memory["breaches"].as_array().into_iter().flatten();
        let marks: String = all.map(|one| if one == true { '▮' } else { '▯' }).collect();
        said.push(format!("samples {marks}"));
    }
    said.join(", ")
}

/// An effect in words: `run storage.grow {"pool":"p1"}`.
pub(crate) fn doing(effect: &Value) -> String {
    let word = text(effect, "effect");
    let what = match word.as_str() {
        "run" => format!("{} {}", text(effect, "action"), effect["parameters"]),
        "emit" => format!("{} {}", text(effect, "trigger"), effect["data"]),
        "notify" => format!("{} {}", text(effect, "channel"), text(effect, "text")),
        "incident" => format!("{} {}", text(effect, "key"), text(effect, "title")),
        "resolve" => text(effect, "key"),
        "steer" => return safe(&format!("{} {}", text(effect, "wish"), effect["selector"])),
        "set" => format!("{} = {}", text(effect, "key"), effect["value"]),
        _ => text(effect, "text"),
    };
    safe(&format!("{word} {what}"))
}
