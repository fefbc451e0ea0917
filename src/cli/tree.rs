//! A workflow as a tree of lines: what `execution show` and `execution tail` draw. Pure: the tree as the
//! API gives it goes in, lines come out. Every state has a mark and a word, so colours only help.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::cli::row::{brief, safe, text, time};
use crate::model::time::Time;

const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const PLAIN: Style = Style::new();

/// The widest column of names; longer ones push only their own line.
const NAME_CHARS: usize = 36;
/// The width of the words of states.
const STATUS_CHARS: usize = 9;
/// Next steps that are said at most.
const STEPS_LIMIT: usize = 6;

/// The mark of a state and its style.
#[must_use]
pub fn mark(status: &str) -> (char, Style) {
    match status {
        "succeeded" => ('✓', GREEN),
        "failed" | "timeout" | "abandoned" => ('✗', RED),
        "running" | "resuming" => ('▶', CYAN),
        "paused" | "pausing" => ('‖', YELLOW),
        "pending" => ('?', YELLOW),
        "canceled" | "canceling" => ('⊘', YELLOW),
        _ => ('○', DIM),
    }
}

/// One line of a tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A thing and where it stands.
    Thing {
        /// The branches before it.
        lead: String,
        /// What it is called.
        name: String,
        /// Where it stands.
        status: String,
        /// How long it took so far.
        took: String,
        /// Whatever else is to be said, most important first.
        more: String,
    },
    /// Something about the thing above.
    Remark {
        /// The branches before it.
        lead: String,
        /// What.
        text: String,
        /// Whether it is bad.
        bad: bool,
    },
}

/// The lines of a tree at `now`.
#[must_use]
pub fn lines(tree: &Value, now: Time) -> Vec<Line> {
    let mut drawing = Drawing { now, lines: Vec::new() };
    let more = [far(tree), tries(tree)].into_iter().flatten().collect::<Vec<_>>().join("  ");
    drawing.thing("", text(tree, "action"), (tree, tree), more);
    drawing.why("", tree);
    drawing.inside(tree, "");
    drawing.lines
}

struct Drawing {
    now: Time,
    lines: Vec<Line>,
}

impl Drawing {
    /// What is part of an execution.
    fn inside(&mut self, node: &Value, lead: &str) {
        let rows = |name: &str| node[name].as_array().map_or(&[][..], Vec::as_slice);
        let (tasks, waiting, errors) = (rows("tasks"), rows("waiting"), rows("errors"));
        for error in errors.iter().filter_map(Value::as_str) {
            let text = safe(error);
            self.lines.push(Line::Remark { lead: lead.to_owned(), text, bad: true });
        }
        if node["left_out"] == true {
            let text = "not looked into; show it by its id".to_owned();
            self.lines.push(Line::Remark { lead: lead.to_owned(), text, bad: false });
        }
        let all = tasks.len() + waiting.len();
        for (number, row) in tasks.iter().chain(waiting).enumerate() {
            let (own, below) = branches(lead, number + 1 == all);
            if number < tasks.len() {
                self.task(row, &own, &below);
            } else {
                self.waits(row, own);
            }
        }
    }

    fn task(&mut self, task: &Value, own: &str, below: &str) {
        if let Some(count) = task["left_out"].as_u64() {
            let text = format!("… {count} more that succeeded");
            self.lines.push(Line::Remark { lead: own.to_owned(), text, bad: false });
            return;
        }
        let execution = &task["execution"];
        let mut more: Vec<String> = Vec::new();
        more.extend(counts(&task["items"]));
        more.extend(far(execution));
        if let (Some(so_far), Some(most)) =
            (task["retries"]["so_far"].as_u64(), task["retries"]["most"].as_u64())
        {
            more.push(format!("retry {so_far} of {most}"));
        }
        if let Some(rounds) = task["rounds"].as_u64() {
            more.push(format!("{rounds} rounds were not enough"));
        }
        more.extend(match task["undone"].as_bool() {
            Some(true) => Some("undone".to_owned()),
            Some(false) => Some("is being undone".to_owned()),
            None => None,
        });
        more.extend(self.begins(task));
        more.extend(tries(execution));
        more.extend([text(execution, "action"), text(execution, "id")]);
        more.retain(|part| !part.is_empty());
        self.thing(own, text(task, "task"), (task, task), more.join("  "));
        let said = [text(execution, "reason"), text(execution, "error")];
        for error in [text(task, "error"), text(task, "reason")] {
            if !error.is_empty() && !said.contains(&error) {
                self.lines.push(Line::Remark { lead: below.to_owned(), text: error, bad: true });
            }
        }
        if let Some(probe) = time(task, "probe") {
            let text = format!("probed in {}", span(probe.since(self.now).as_secs_f64()));
            self.lines.push(Line::Remark { lead: below.to_owned(), text, bad: false });
        }
        self.why(below, execution);
        self.inside(execution, below);
        self.items(&task["items"], below);
    }

    fn items(&mut self, items: &Value, lead: &str) {
        let listed = items["listed"].as_array().map_or(&[][..], Vec::as_slice);
        for (number, row) in listed.iter().enumerate() {
            let (own, below) = branches(lead, number + 1 == listed.len());
            let execution = &row["execution"];
            let parts = [far(execution), tries(execution), Some(text(execution, "id"))];
            let more = parts.into_iter().flatten().filter(|part| !part.is_empty());
            let name = format!("item {}", row["item"]);
            self.thing(&own, name, (row, execution), more.collect::<Vec<_>>().join("  "));
            self.why(&below, execution);
            self.inside(execution, &below);
        }
    }

    /// What is about to begin.
    fn waits(&mut self, row: &Value, lead: String) {
        let joins = || (row["ready"] == false).then(|| "joins what is under way".to_owned());
        let more = self.begins(row).or_else(joins).unwrap_or_default();
        let (name, status, took) = (text(row, "task"), "waits".to_owned(), String::new());
        self.lines.push(Line::Thing { lead, name, status, took, more });
    }

    /// When something begins that waits for its time.
    fn begins(&self, row: &Value) -> Option<String> {
        let due = time(row, "due").filter(|due| *due > self.now)?;
        Some(format!("begins in {}", span(due.since(self.now).as_secs_f64())))
    }

    fn thing(&mut self, lead: &str, name: String, (stands, took): (&Value, &Value), more: String) {
        let seconds = took["elapsed_seconds"].as_f64().or_else(|| {
            let over = text(stands, "status") == "requested";
            let started = time(took, "started").filter(|_| !over)?;
            Some(self.now.since(started).as_secs_f64())
        });
        let took = seconds.map(span).unwrap_or_default();
        let (lead, status) = (lead.to_owned(), text(stands, "status"));
        self.lines.push(Line::Thing { lead, name, status, took, more });
    }

    /// Why an execution stands where it stands, and what it asks.
    fn why(&mut self, lead: &str, execution: &Value) {
        let status = text(execution, "status");
        let bad = matches!(status.as_str(), "failed" | "timeout" | "abandoned");
        let mut remark = |text: String, bad: bool| {
            if !text.is_empty() {
                self.lines.push(Line::Remark { lead: lead.to_owned(), text, bad });
            }
        };
        if status != "succeeded" && status != "running" {
            remark(text(execution, "reason"), bad);
        }
        if bad {
            remark(text(execution, "error"), true);
        }
        if execution["question"].is_object() {
            let asked = text(execution, "question.message");
            let asked = if asked.is_empty() { "a question".to_owned() } else { asked };
            remark(format!("asks: {asked}"), false);
        }
    }
}

fn branches(lead: &str, last: bool) -> (String, String) {
    let (own, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    (format!("{lead}{own}"), format!("{lead}{below}"))
}

/// `items 37/10000, 2 failed, 4 running`.
fn counts(items: &Value) -> Option<String> {
    let count = |name: &str| items[name].as_u64().unwrap_or(0);
    let all = items["all"].as_u64()?;
    let mut said = format!("items {}/{all}", count("done"));
    for (name, word) in [("failed", "failed"), ("active", "running")] {
        if count(name) > 0 {
            write!(said, ", {} {word}", count(name)).ok();
        }
    }
    Some(said)
}

/// `attempt 2`, where it is not the first.
fn tries(execution: &Value) -> Option<String> {
    let attempt = execution["attempt"].as_u64().filter(|attempt| *attempt > 1)?;
    Some(format!("attempt {attempt}"))
}

/// The bar of what says how far it is and has not succeeded.
fn far(execution: &Value) -> Option<String> {
    (text(execution, "status") != "succeeded").then(|| bar(&execution["progress"])).flatten()
}

/// `████░░░░░░ 40 %  half of the volumes`.
#[must_use]
pub fn bar(progress: &Value) -> Option<String> {
    const CELLS: usize = 10;
    let part = progress["progress"].as_f64()?.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
    let percent = (part * 100.0).floor() as usize;
    let full = percent * CELLS / 100;
    let bar: String = (0..CELLS).map(|cell| if cell < full { '█' } else { '░' }).collect();
    let message = brief(&text(progress, "message"), 60);
    let gap = if message.is_empty() { "" } else { "  " };
    Some(format!("{bar} {percent} %{gap}{message}"))
}

/// `0.32 s`, `3m 05s`, `2h 14m`.
#[must_use]
pub fn span(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "spans are short")]
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{:.2} s", seconds.max(0.0)),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        3600..86400 => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d {:02}h", whole / 86400, whole % 86400 / 3600),
    }
}

/// The lines as text, cut to `width` where there is one.
#[must_use]
pub fn drawn(lines: &[Line], width: Option<usize>) -> Vec<String> {
    let wide = |line: &Line| match line {
        Line::Thing { lead, name, .. } => lead.chars().count() + name.chars().count() + 2,
        Line::Remark { .. } => 0,
    };
    let names = lines.iter().map(wide).max().unwrap_or(0).min(NAME_CHARS);
    let spans = lines.iter().map(|line| match line {
        Line::Thing { took, .. } => took.chars().count(),
        Line::Remark { .. } => 0,
    });
    let spans = spans.max().unwrap_or(0);
    lines.iter().map(|line| draw(line, (names, spans), width)).collect()
}

fn draw(line: &Line, (names, spans): (usize, usize), width: Option<usize>) -> String {
    let pieces = match line {
        Line::Thing { lead, name, status, took, more } => {
            let (mark, style) = mark(status);
            let used = lead.chars().count() + 2 + name.chars().count();
            let pad = names.saturating_sub(used);
            vec![
                (DIM, lead.clone()),
                (style, format!("{mark} ")),
                (BOLD, name.clone()),
                (PLAIN, " ".repeat(pad + 2)),
                (style, format!("{status:<STATUS_CHARS$}")),
                (PLAIN, format!("  {took:>spans$}")),
                (DIM, if more.is_empty() { String::new() } else { format!("  {more}") }),
            ]
        }
        Line::Remark { lead, text, bad } => {
            let style = if *bad { RED } else { YELLOW };
            let first = text.lines().next().unwrap_or_default();
            let mark = if text.starts_with('…') { "" } else { "  ↳ " };
            vec![(DIM, lead.clone()), (style, format!("{mark}{first}"))]
        }
    };
    let mut left = width.unwrap_or(usize::MAX);
    let mut drawn = String::new();
    let last = pieces.iter().rposition(|(_, text)| !text.trim().is_empty()).unwrap_or(0);
    for (at, (style, text)) in pieces.iter().enumerate().take(last + 1) {
        let text = if at == last { text.trim_end() } else { text };
        let shown: String = text.chars().take(left).collect();
        left -= shown.chars().count();
        let plain = *style == PLAIN || shown.trim().is_empty();
        if plain {
            drawn.push_str(&shown);
        } else {
            write!(drawn, "{style}{shown}{style:#}").ok();
        }
    }
    drawn
}

/// The same in `most` lines at most: what has succeeded goes first, the oldest before the others.
#[must_use]
pub fn folded(mut lines: Vec<Line>, most: usize) -> Vec<Line> {
    let mut gone = 0;
    let mut at = 1;
    while lines.len() + 1 > most && at < lines.len() {
        if matches!(&lines[at], Line::Thing { status, .. } if status == "succeeded") {
            lines.remove(at);
            gone += 1;
        } else {
            at += 1;
        }
    }
    let beyond = lines.len().saturating_sub(most.saturating_sub(1));
    if gone > 0 || beyond > 1 {
        if beyond > 0 {
            lines.truncate(most.saturating_sub(1).max(1));
            gone += beyond;
        }
        let text = format!("… {gone} more lines: `ifso execution show`");
        lines.push(Line::Remark { lead: String::new(), text, bad: false });
    }
    lines
}

/// What a person can do next: commands, each with what it does.
#[must_use]
pub fn steps(tree: &Value) -> Vec<(String, &'static str)> {
    let mut steps = Vec::new();
    gather(tree, &mut steps);
    steps.truncate(STEPS_LIMIT);
    steps
}

fn gather(node: &Value, steps: &mut Vec<(String, &'static str)>) {
    let id = text(node, "id");
    let wants = &node["waits_for"];
    let inner = |node: &Value, steps: &mut Vec<_>| {
        for task in node["tasks"].as_array().into_iter().flatten() {
            gather(&task["execution"], steps);
            for item in task["items"]["listed"].as_array().into_iter().flatten() {
                gather(&item["execution"], steps);
            }
        }
    };
    if node["question"].is_object() {
        steps.push((format!("ifso inquiry respond {id}"), "answers the question"));
    }
    // What holds a workflow within this one holds this one too: that is where something can be done.
    let before = steps.len();
    inner(node, steps);
    if steps.len() > before {
        return;
    }
    match wants["what"].as_str() {
        Some("resume") => {
            steps.push((format!("ifso execution resume {id}"), "goes on where it was held"));
        }
        Some("remedy") => {
            let task = text(wants, "task");
            let mut push = |verb: &str, about| {
                steps.push((format!("ifso execution {verb} {id} --task {task}"), about));
            };
            push("retry", "does the failed task again and goes on");
            push("skip", "goes on as if it had succeeded");
            steps.push((format!("ifso execution abort {id}"), "gives up"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Time {
        "2026-03-01T12:00:10Z".parse().unwrap()
    }

    fn plain(tree: &Value, width: Option<usize>) -> String {
        let drawn = drawn(&lines(tree, now()), width).join("\n");
        anstream::adapter::strip_str(&drawn).to_string()
    }

    fn everything() -> Value {
        let started = "2026-03-01T12:00:00Z";
        let part = |id: &str, status: &str| json!({ "id": id, "action": "core.local", "status": status, "attempt": 1 });
        let with = |mut part: Value, name: &str, value: Value| {
            part[name] = value;
            part
        };
        let task = |name: &str, status: &str, execution: Value| json!({ "task": name, "status": status, "started": started, "execution": execution });
        let done = with(
            task("build", "succeeded", part("exe_1", "succeeded")),
            "elapsed_seconds",
            json!(1.2),
        );
        let failed = with(part("exe_2", "failed"), "reason", json!("it ended with code 2"));
        let failed = with(with(failed, "error", json!("no space left")), "attempt", json!(3));
        let far = json!({ "progress": 0.4, "message": "volume 4 of 10" });
        let running = with(part("exe_3", "running"), "progress", far);
        let items = json!({ "all": 10000, "done": 37, "failed": 2, "active": 1, "listed": [
            { "item": 3, "status": "failed", "execution": failed },
            { "item": 9, "status": "running", "execution": running },
        ]});
        let each = with(
            with(task("each", "running", Value::Null), "items", items),
            "execution",
            Value::Null,
        );
        let asks = with(
            part("exe_4", "pending"),
            "question",
            json!({ "message": "Switch \u{1b}[1m now?" }),
        );
        let inner = json!({ "id": "exe_5", "action": "site.inner", "status": "paused", "workflow": true,
            "reason": "task switch failed", "waits_for": { "what": "remedy", "task": "switch" },
            "tasks": [{ "left_out": 701 }, task("switch", "failed", failed.clone())] });
        json!({ "id": "exe_0", "action": "site.deploy", "status": "running", "started": started, "workflow": true,
            "tasks": [done, each, task("ask", "pending", asks), task("inner", "paused", inner)],
            "waiting": [{ "task": "later", "due": "2026-03-01T12:03:15Z", "ready": true },
                        { "task": "end", "ready": false }] })
    }

    #[test]
    fn a_tree_says_in_words_where_everything_stands() {
        insta::assert_snapshot!(plain(&everything(), None));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let drawn = plain(&everything(), Some(60));
        assert!(drawn.lines().all(|line| line.chars().count() <= 60), "{drawn}");
    }

    #[test]
    fn on_a_small_terminal_what_went_well_is_folded_first() {
        let folded = folded(lines(&everything(), now()), 12);
        assert_eq!(folded.len(), 12);
        let drawn = drawn(&folded, None).join("\n");
        assert!(drawn.contains("item 9") && !drawn.contains("build"), "{drawn}");
    }

    #[test]
    fn whoever_waits_is_told_what_to_do_where_it_holds() {
        let steps: Vec<String> = steps(&everything()).into_iter().map(|(step, _)| step).collect();
        assert_eq!(
            steps,
            [
                "ifso inquiry respond exe_4",
                "ifso execution retry exe_5 --task switch",
                "ifso execution skip exe_5 --task switch",
                "ifso execution abort exe_5",
            ]
        );
    }

    #[test]
    fn spans_are_as_exact_as_their_length_wants() {
        for (seconds, said) in [
            (0.0, "0.00 s"),
            (59.9, "59.90 s"),
            (185.0, "3m 05s"),
            (8040.0, "2h 14m"),
            (90000.0, "1d 01h"),
        ] {
            assert_eq!(span(seconds), said);
        }
    }
}
