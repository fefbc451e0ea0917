//! CloudEvents 1.0 over HTTP: structured, batch and binary (HTTP protocol binding, section 3).
//!
//! `type` is the trigger, `source` and `id` together are the key under which it counts once.

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::api::call::read_json;
use crate::api::problem::Problem;
use crate::model::event::Report;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::sensors::decode::cloudevents::{once, shaped};

/// One event in a JSON envelope.
///
/// # Errors
/// 400, naming the attribute.
pub fn structured(body: &[u8]) -> Result<Report, Problem> {
    envelope(&read_json(body)?, None)
}

/// Several events, each in an envelope.
///
/// # Errors
/// As `structured`, naming the event too.
pub fn batch(body: &[u8]) -> Result<Vec<Report>, Problem> {
    let all: Vec<Map<String, Value>> = read_json(body)?;
    all.iter().enumerate().map(|(number, one)| envelope(one, Some(number))).collect()
}

/// Attributes in `ce-*` headers, the payload in the body.
///
/// # Errors
/// As `structured`.
pub fn binary(headers: &HeaderMap, kind: &str, body: &[u8]) -> Result<Report, Problem> {
    let mut attributes = Map::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
        let text = value.to_str().map_err(|_| wrong(name, "is not text"))?;
        attributes.insert(name.to_owned(), Value::String(unescape(text)));
    }
    let data = if body.is_empty() {
        Value::Null
    } else if kind.is_empty() || kind == "application/json" || kind.ends_with("+json") {
        read_json(body)?
    } else {
        let text = std::str::from_utf8(body);
        Value::String(text.map_err(|_| wrong("data", "is neither JSON nor text"))?.to_owned())
    };
    attributes.insert("data".to_owned(), data);
    envelope(&attributes, None)
}

fn envelope(event: &Map<String, Value>, number: Option<usize>) -> Result<Report, Problem> {
    read(event).map_err(|problem| match number {
        Some(number) => problem.help(format!("event {number} of the batch, counted from 0")),
        None => problem.help("see https://github.com/cloudevents/spec, version 1.0"),
    })
}

fn read(event: &Map<String, Value>) -> Result<Report, Problem> {
    let version = text(event, "specversion")?;
    if version != "1.0" {
        return Err(wrong("specversion", &format!("is `{version}`; expected `1.0`")));
    }
    let (id, source, kind) = (text(event, "id")?, text(event, "source")?, text(event, "type")?);
    let trigger: Reference =
        kind.parse().map_err(|error| wrong("type", &format!("names no trigger: {error}")))?;
    let data = match (event.get("data"), event.get("data_base64")) {
        (Some(_), Some(_)) => return Err(wrong("data_base64", "stands beside `data`")),
        (None, Some(encoded)) => json!({ "data_base64": encoded }),
        (data, None) => shaped(data.cloned().unwrap_or_default()),
    };
    let mut report = Report::new(trigger, source, data);
    report.subject = optional(event, "subject")?.map(Into::into);
    report.time = match optional(event, "time")? {
        Some(time) => Some(time.parse::<Time>().map_err(|e| wrong("time", &e.to_string()))?),
        None => None,
    };
    report.once = Some(once(source, id));
    Ok(report)
}

fn text<'a>(event: &'a Map<String, Value>, name: &str) -> Result<&'a str, Problem> {
    optional(event, name)?.ok_or_else(|| wrong(name, "is missing"))
}

fn optional<'a>(event: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Problem> {
    match event.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(wrong(name, "must be a text that is not empty")),
    }
}

fn wrong(name: &str, what: &str) -> Problem {
    Problem::bad("bad_cloudevent", format!("CloudEvents attribute `{name}` {what}"))
}

/// Header values are percent-encoded (section 3.1.3.2).
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = bytes.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(decoded) if byte == b'%' => {
                out.push(decoded);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_percent_decoded() {
        assert_eq!(unescape("Euro%20%E2%82%AC%20%F0%9F%98%80 100%"), "Euro € 😀 100%");
    }

    #[test]
    fn source_and_id_never_run_into_each_other() {
        let event = |source: &str, id: &str| {
            let body = serde_json::json!({
                "specversion": "1.0", "type": "a.b", "source": source, "id": id
            });
            structured(body.to_string().as_bytes()).unwrap().once
        };
        assert_ne!(event("a/b", "c"), event("a", "b/c"));
        assert_eq!(event("a", "b"), event("a", "b"));
    }
}
