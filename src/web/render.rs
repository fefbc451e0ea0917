//! Templates, and what they may say: times, spans, counts, parts of addresses. Everything is escaped unless
//! it was drawn here.

use std::fmt::Write;

use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, Error, State, UndefinedBehavior};
use serde_json::Value as Json;

use crate::model::time::Time;
use crate::web::page;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("pages/", $name)))),*]
    };
}

/// Every template, by the name of its file in `pages/`.
const TEMPLATES: &[(&str, &str)] = files![
    "layout.html",
    "parts.html",
    "login.html",
    "error.html",
    "overview.html",
    "executions.html",
    "execution.html",
    "events.html",
    "event.html",
    "why.html",
    "causes.html",
    "fields.html",
    "search.html",
    "actions.html",
    "action.html",
    "apikeys.html",
    "audit.html",
    "backtest.html",
    "incidents.html",
    "incident.html",
    "inquiries.html",
    "inquiry.html",
    "keys.html",
    "me.html",
    "packs.html",
    "people.html",
    "pack.html",
    "rules.html",
    "rule.html",
    "schedules.html",
    "sensors.html",
    "sensor.html",
];

/// Every other file, with its kind.
const FILES: &[(&str, &str, &str)] = &[
    ("style.css", "text/css; charset=utf-8", include_str!("pages/style.css")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("pages/app.js")),
    ("icon.svg", "image/svg+xml", include_str!("pages/icon.svg")),
];

/// Where the files lie while Ifso itself is written: a debug build reads them anew for each page.
#[cfg(debug_assertions)]
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web/pages/");

/// A file's kind and text.
pub(crate) fn file(name: &str) -> Option<(&'static str, String)> {
    let (_, kind, text) = FILES.iter().find(|(own, ..)| *own == name)?;
    Some((kind, fresh(name).unwrap_or_else(|| (*text).to_owned())))
}

/// The file as it lies in the source tree, where there is one.
#[cfg(debug_assertions)]
fn fresh(name: &str) -> Option<String> {
    std::fs::read_to_string(format!("{FOLDER}{name}")).ok()
}

#[cfg(not(debug_assertions))]
const fn fresh(_: &str) -> Option<String> {
    None
}

/// Draws templates.
pub(crate) struct Renderer {
    environment: Environment<'static>,
    /// Names what is in the files, so that browsers keep them no longer than they are true.
    mark: String,
}

impl Renderer {
    pub(crate) fn new() -> Self {
        let mut crc = 0u64;
        for (_, _, text) in FILES {
            crc = crc.rotate_left(7)
                ^ crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, text.as_bytes());
        }
        let mut environment = environment();
        for (name, text) in TEMPLATES {
            environment.add_template(name, text).expect("the tests draw every template");
        }
        Self { environment, mark: format!("{crc:016x}") }
    }

    /// Draws a template.
    ///
    /// # Errors
    /// Where the template has a fault.
    pub(crate) fn draw(&self, name: &str, context: &Json) -> Result<String, String> {
        let context =
            minijinja::context! { mark => self.mark.as_str(), ..Value::from(Serde(context)) };
        let texts: Vec<_> =
            TEMPLATES.iter().filter_map(|(name, _)| Some((*name, fresh(name)?))).collect();
        if texts.len() == TEMPLATES.len() {
            let mut environment = environment();
            for (name, text) in &texts {
                environment.add_template(name, text).map_err(|error| told(&error))?;
            }
            let template = environment.get_template(name).map_err(|error| told(&error))?;
            return template.render(context).map_err(|error| told(&error));
        }
        let template = self.environment.get_template(name).map_err(|error| told(&error))?;
        template.render(context).map_err(|error| told(&error))
    }
}

fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        put(&mut text, format_args!(": {inner}"));
        source = inner.source();
    }
    text
}

fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    // What is not there is nothing to read.
    environment.set_formatter(|out, state, value| {
        if value.is_none() { Ok(()) } else { minijinja::escape_formatter(out, state, value) }
    });
    environment.add_filter("ago", |state: &State<'_, '_>, value: Value| ago(state, &value));
    environment.add_filter("moment", |value: Value| moment(&value));
    environment.add_filter("clock", |value: Value| time(&value).map(|at| stamp(at, "%H:%M:%S")));
    environment.add_filter("span", |value: Value| span(&value));
    environment.add_filter("count", |value: Value| count(&value));
    environment.add_filter("bytes", |value: Value| bytes(&value));
    environment.add_filter("enc", |value: Value| page::encoded(&plain(&value)));
    environment.add_filter("pretty", |value: Value| pretty(&value));
    environment.add_filter("line", |value: Value| line(&value));
    environment.add_filter("cut", |value: Value, letters: usize| cut(&value, letters));
    environment.add_filter("short", |value: Value| short_id(&plain(&value)));
    environment.add_filter("said", |value: Value| Value::from_safe_string(said(&plain(&value))));
    environment.add_filter("drawn", |value: Value| Value::from_safe_string(plain(&value)));
    environment.add_filter("ended", |value: Value| ended(&plain(&value)));
    environment
}

fn put(text: &mut String, words: std::fmt::Arguments<'_>) {
    text.write_fmt(words).expect("a text takes every letter");
}

/// Text as HTML shows it, in attributes too.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A value as plain text; nothing for what is not there.
fn plain(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => String::new(),
        _ => value.to_string(),
    }
}

fn time(value: &Value) -> Option<Time> {
    match value.as_str() {
        Some(text) => text.parse().ok(),
        None => value.as_i64().map(Time::from_millis),
    }
}

/// A time in strftime's `form`, UTC.
pub(crate) fn stamp(at: Time, form: &str) -> String {
    at.to_jiff().strftime(form).to_string()
}

/// `3 min ago`, with the whole time where the pointer rests; scripts keep it true.
fn ago(state: &State<'_, '_>, value: &Value) -> Value {
    let Some(at) = time(value) else { return Value::from("") };
    let now = state.lookup("now").and_then(|now| now.as_i64()).map_or(at, Time::from_millis);
    let words = if at > now {
        match at.since(now).as_secs() {
            0 => "now".to_owned(),
            seconds => format!("in {}", short(seconds)),
        }
    } else {
        match now.since(at).as_secs() {
            0 => "just now".to_owned(),
            seconds => format!("{} ago", short(seconds)),
        }
    };
    Value::from_safe_string(format!(
        "<time datetime=\"{at}\" title=\"{}\" data-ago>{words}</time>",
        stamp(at, "%a %d %b %Y, %H:%M:%S UTC")
    ))
}

/// `2026-03-01 09:30:12 UTC`.
fn moment(value: &Value) -> Value {
    let Some(at) = time(value) else { return Value::from("") };
    let words = stamp(at, "%Y-%m-%d %H:%M:%S UTC");
    Value::from_safe_string(format!("<time datetime=\"{at}\">{words}</time>"))
}

/// `exe_…d6k2p`: what stands at the front of an id is the time, and alike for what happens together.
fn short_id(id: &str) -> String {
    match (id.split_once('_'), id.char_indices().rev().nth(5)) {
        (Some((kind, rest)), Some((at, _))) if rest.len() > 8 => format!("{kind}_…{}", &id[at..]),
        _ => id.to_owned(),
    }
}

/// Seconds with one unit: `3 min`.
fn short(seconds: u64) -> String {
    match seconds {
        0..100 => format!("{seconds} s"),
        100..5400 => format!("{} min", (seconds + 30) / 60),
        5400..172_800 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} d", (seconds + 43_200) / 86_400),
    }
}

/// Seconds as people say them: `350 ms`, `12.4 s`, `3 min 20 s`, `2 h 5 min`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not below zero, and a saturated span is long enough"
)]
fn span(value: &Value) -> String {
    let Ok(seconds) = f64::try_from(value.clone()) else { return String::new() };
    let whole = seconds.max(0.0).round() as u64;
    match seconds {
        s if s < 0.9995 => format!("{} ms", (s.max(0.0) * 1000.0).round()),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{} min {} s", whole / 60, whole % 60),
        s if s < 172_800.0 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// `12 345`, with spaces that do not break.
fn count(value: &Value) -> String {
    let text = plain(value);
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text;
    }
    let mut grouped = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1.5 MiB`.
fn bytes(value: &Value) -> String {
    let Ok(mut size) = f64::try_from(value.clone()) else { return String::new() };
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 || unit == "TiB" {
            return if unit == "B" { format!("{size} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    String::new()
}

fn json(value: &Value) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

/// JSON over several lines; a text as it is.
fn pretty(value: &Value) -> String {
    match json(value) {
        Json::String(text) => text,
        other => serde_json::to_string_pretty(&other).unwrap_or_default(),
    }
}

/// JSON in one line; a text as it is.
fn line(value: &Value) -> String {
    match json(value) {
        Json::String(text) => text,
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

/// A sentence of ours: what stands between two backticks is the name of something.
fn said(text: &str) -> String {
    let mut shown = String::new();
    let pieces: Vec<&str> = text.split('`').collect();
    for (at, piece) in pieces.iter().enumerate() {
        let (named, last) = (at % 2 == 1, at + 1 == pieces.len());
        match (named, last) {
            (true, false) => put(&mut shown, format_args!("<code>{}</code>", escaped(piece))),
            (true, true) => put(&mut shown, format_args!("`{}", escaped(piece))),
            (false, _) => shown.push_str(&escaped(piece)),
        }
    }
    shown
}

/// A text of so many letters at most.
fn cut(value: &Value, letters: usize) -> String {
    let text = plain(value);
    match text.char_indices().nth(letters) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text,
    }
}

/// Whether this is the status of an execution that is over.
fn ended(status: &str) -> bool {
    let status = status.parse::<crate::model::execution::Status>();
    status.is_ok_and(crate::model::execution::Status::is_done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(template: &str, value: Json) -> String {
        let mut environment = environment();
        environment.add_template("x.html", template).unwrap();
        let context = minijinja::context! { v => Value::from(Serde(value)), now => 1_000_000 };
        environment.get_template("x.html").unwrap().render(context).unwrap()
    }

    #[test]
    fn every_template_is_read() {
        drop(Renderer::new());
    }

    #[test]
    fn what_people_read_is_short_and_what_is_not_there_is_nothing() {
        use serde_json::json;
        let cases = [
            ("{{ v|span }}", json!(0.35), "350 ms"),
            ("{{ v|span }}", json!(200), "3 min 20 s"),
            ("{{ v|count }}", json!(1_234_567), "1\u{202f}234\u{202f}567"),
            ("{{ v|bytes }}", json!(1536), "1.5 KiB"),
            ("{{ v|ago }}", json!(null), ""),
            ("{{ v }}", json!(null), ""),
            ("{{ v|enc }}", json!("a/b c?"), "a%2Fb%20c%3F"),
            ("{{ v|cut(3) }}", json!("äöüß"), "äöü…"),
            ("{{ v.a.b.c }}", json!({}), ""),
            ("{{ v|said }}", json!("task `<b>` said `"), "task <code>&lt;b&gt;</code> said `"),
            ("{{ v|line }}", json!({"a": "<b>"}), "{&quot;a&quot;:&quot;&lt;b&gt;&quot;}"),
        ];
        for (template, value, expected) in cases {
            assert_eq!(draw(template, value.clone()), expected, "{template} of {value}");
        }
        assert!(draw("{{ v|ago }}", json!(940_000)).contains(">60 s ago<"));
    }
}
