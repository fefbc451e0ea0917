//! What a message says: a subject, a text for people, and the same as data for programs.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::incidents::gather::Message;
use crate::model::incident::{Incident, Kind};
use crate::model::time::Time;

/// Incidents that a text lists; the data has them all.
const LISTED: usize = 50;
/// Characters of a title in a subject.
const SUBJECT_LIMIT: usize = 200;
/// Incidents of a message up to which the data has their details too.
const DETAILED: usize = 50;

/// A message in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Words {
    /// One line.
    pub subject: String,
    /// For people.
    pub text: String,
    /// For programs.
    pub notice: Value,
}

/// The words of a message about these incidents.
#[must_use]
pub fn words(message: &Message, of: &[&Incident], now: Time) -> Words {
    let subject = subject(message.kind, of, now);
    let mut text = format!("{subject}\n");
    match of {
        [one] => about(&mut text, one, now),
        many => {
            for one in many.iter().take(LISTED) {
                let (severity, title) = (one.failure.severity, &one.failure.title);
                line(&mut text, format_args!("- [{severity}] {title} ({})", times(one, now)));
            }
            if many.len() > LISTED {
                line(&mut text, format_args!("… and {} more", many.len() - LISTED));
            }
        }
    }
    let worst = of.iter().map(|one| one.failure.severity).max();
    let rows: Vec<Value> = of.iter().map(|one| row(one, of.len() <= DETAILED, now)).collect();
    let notice = json!({
        "kind": message.kind,
        "channel": message.channel,
        "severity": worst,
        "group": of.first().and_then(|one| one.failure.group.as_ref()),
        "count": of.len(),
        "at": now,
        "incidents": rows,
    });
    Words { subject, text, notice }
}

/// The words of something that somebody wanted to be said.
#[must_use]
pub(super) fn plain(channel: &str, text: &str, now: Time) -> Words {
    let subject = cut(text.lines().next().unwrap_or_default());
    let notice = json!({
        "kind": "message", "channel": channel, "severity": "info", "count": 0, "at": now,
        "incidents": [], "text": text,
    });
    Words { subject, text: text.to_owned(), notice }
}

fn subject(kind: Kind, of: &[&Incident], now: Time) -> String {
    let Some(first) = of.first() else { return String::new() };
    let worst = of.iter().map(|one| one.failure.severity).max().unwrap_or(first.failure.severity);
    let since = first.since.map_or(Duration::ZERO, |since| now.since(since));
    let mark = match kind {
        Kind::Opened => worst.to_string(),
        Kind::Escalated => format!("{worst}, nobody acknowledged it for {}", span(since)),
        Kind::Flapping => "flapping".to_owned(),
        Kind::Acknowledged => {
            let by = first.acked.as_ref().map_or("somebody", |acked| acked.by.as_str());
            format!("acknowledged by {by}")
        }
        Kind::Recovered if of.len() == 1 => format!("recovered after {}", span(first.lasted(now))),
        Kind::Recovered => "recovered".to_owned(),
    };
    let what = match of {
        [one] => one.failure.title.clone(),
        many => {
            let group = first.failure.group.as_deref().unwrap_or("several");
            format!("{group}: {} incidents", many.len())
        }
    };
    cut(&format!("[{mark}] {what}"))
}

/// One line, not too long.
fn cut(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(SUBJECT_LIMIT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn about(text: &mut String, one: &Incident, now: Time) {
    let failure = &one.failure;
    line(text, format_args!("{}", times(one, now)));
    if !failure.source.is_empty() {
        line(text, format_args!("source: {}", failure.source));
    }
    for (name, value) in &failure.labels {
        line(text, format_args!("{name}: {value}"));
    }
    match &failure.details {
        Value::Null => {}
        Value::String(details) => line(text, format_args!("\n{details}")),
        Value::Object(details) => {
            for (name, value) in details {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                line(text, format_args!("{name}: {value}"));
            }
        }
        other => line(text, format_args!("{other}")),
    }
    line(text, format_args!("\n{}", one.id));
}

fn times(one: &Incident, now: Time) -> String {
    let reports = if one.count == 1 { "report" } else { "reports" };
    let lasted = span(one.lasted(now));
    let over = match &one.resolved {
        Some(resolved) => match &resolved.by {
            Some(by) => format!(", resolved by {by} at {} after {lasted}", resolved.at),
            None => format!(", over at {} after {lasted}", resolved.at),
        },
        None => String::new(),
    };
    format!("since {}{over}, {} {reports}", one.opened, one.count)
}

fn row(one: &Incident, detailed: bool, now: Time) -> Value {
    let failure = &one.failure;
    let mut row = json!({
        "id": one.id,
        "key": failure.key,
        "title": failure.title,
        "severity": failure.severity,
        "source": failure.source,
        "labels": failure.labels,
        "state": one.state,
        "opened": one.opened,
        "last": one.last,
        "count": one.count,
        "acknowledged_by": one.acked.as_ref().map(|acked| &acked.by),
        "resolved": one.resolved.as_ref().map(|resolved| resolved.at),
        "resolved_by": one.resolved.as_ref().and_then(|resolved| resolved.by.as_ref()),
        "lasted_seconds": one.lasted(now).as_secs(),
    });
    if detailed {
        row["details"] = failure.details.clone();
    }
    row
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    text.write_fmt(words).expect("a text takes whatever is written to it");
    text.push('\n');
}

/// `1 h 5 min`: the two largest units.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let first = units.iter().position(|(size, _)| seconds >= *size);
    let Some(first) = first else { return "less than 1 s".to_owned() };
    let (size, unit) = units[first];
    let mut said = format!("{} {unit}", seconds / size);
    if let Some((smaller, unit)) = units.get(first + 1) {
        let rest = seconds % size / smaller;
        if rest > 0 {
            write!(said, " {rest} {unit}").expect("writing to a text does not fail");
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (seconds, said) in [
            (0, "less than 1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_725, "1 h 2 min"),
            (90_000, "1 d 1 h"),
            (86_400, "1 d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), said);
        }
    }
}
