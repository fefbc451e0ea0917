//! What happens now, what needs a person, what runs.

use serde_json::{Map, Value, json};

use crate::web::page::{Ask, Page, Visit};
use crate::web::plot::{self, Bar};
use crate::web::render;

pub(crate) const PAGES: &[Page] = &[Page::new("/", "Overview", "overview.html")
    .asks(&[
        Ask::One("inquiries", "/api/v1/inquiries?limit=20"),
        Ask::One("paused", "/api/v1/executions?status=paused&parent=null&limit=20"),
        Ask::One(
            "failed",
            "/api/v1/executions?status=failed&parent=null&limit=8&timestamp_gt={yesterday}",
        ),
        Ask::One(
            "late",
            "/api/v1/executions?status=timeout&parent=null&limit=8&timestamp_gt={yesterday}",
        ),
        Ask::One(
            "left",
            "/api/v1/executions?status=abandoned&parent=null&limit=8&timestamp_gt={yesterday}",
        ),
        Ask::One("running", "/api/v1/executions?status=running&parent=null&limit=20"),
        Ask::One("latest", "/api/v1/executions?parent=null&limit=10"),
        Ask::One(
            "rules",
            "/api/v1/rules?limit=1000&include_attributes=ref,quarantined,last_error,enabled",
        ),
        Ask::One("sensors", "/api/v1/sensors?limit=1000"),
        Ask::One("problems", "/api/v1/problems?limit=50"),
        Ask::One("incidents", "/api/v1/incidents?limit=20"),
    ])
    .more(|visit, found| {
        more(visit, found);
        Box::pin(async { Ok(()) })
    })];

/// Executions that failed which are shown.
const FAILED: usize = 8;

fn more(visit: &Visit, found: &mut Map<String, Value>) {
    let rows = |name: &str| found.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let quarantined: Vec<Value> =
        rows("rules").into_iter().filter(|rule| !rule["quarantined"].is_null()).collect();
    let unhealthy: Vec<Value> = rows("sensors")
        .into_iter()
        .filter(|sensor| matches!(sensor["health"]["state"].as_str(), Some("waiting" | "stopped")))
        .collect();
    let broken: Vec<Value> =
        rows("problems").into_iter().filter(|problem| problem["severity"] == "error").collect();
    let mut failed = [rows("failed"), rows("late"), rows("left")].concat();
    let when = |row: &Value| row["start_timestamp"].as_str().map(str::to_owned);
    failed.sort_by_key(|row| std::cmp::Reverse(when(row)));
    failed.truncate(FAILED);
    // A workflow that waits for an answer is one thing to do, not two.
    let (mut inquiries, mut paused) = (rows("inquiries"), rows("paused"));
    for inquiry in &mut inquiries {
        let by = paused.iter().position(|row| row["id"] == inquiry["parent"]);
        if let Some(by) = by {
            inquiry["by"] = paused.remove(by)["action"]["ref"].take();
        }
    }
    found.insert("inquiries".to_owned(), json!(inquiries));
    found.insert("paused".to_owned(), json!(paused));
    let plots = plots(visit);
    found.insert("failed".to_owned(), json!(failed));
    found.insert("quarantined".to_owned(), json!(quarantined));
    found.insert("unhealthy".to_owned(), json!(unhealthy));
    found.insert("broken".to_owned(), json!(broken));
    found.insert("plots".to_owned(), plots);
}

/// The hour as three plots.
fn plots(visit: &Visit) -> Value {
    let hour = visit.house.pace.hour();
    let plot = |title: &str, of: &dyn Fn(&crate::telemetry::metrics::Totals) -> u64| {
        let bars: Vec<Bar> = hour
            .iter()
            .map(|(at, totals)| {
                let value = totals.as_ref().map(of);
                let at = at.to_jiff().strftime("%H:%M UTC");
                let words = match value {
                    Some(value) => format!("{at}: {value}"),
                    None => format!("{at}: not counted, Ifso was not running"),
                };
                Bar { value, words }
            })
            .collect();
        let values = || hour.iter().filter_map(|(_, totals)| totals.as_ref().map(of));
        let now: u64 = values().rev().take(2).max().unwrap_or(0);
        let (sum, most): (u64, u64) = (values().sum(), values().max().unwrap_or(0));
        let told = format!("{title} per minute in the last hour: {sum} in all, {most} at most");
        json!({
            "title": title,
            "svg": plot::bars(&told, &bars),
            "now": now,
            "sum": sum,
            "most": most,
            "from": render::stamp(hour[0].0, "%H:%M"),
        })
    };
    json!([
        plot("Events", &|totals| totals.events),
        plot("Decisions", &|totals| totals.decisions),
        plot("Executions", &|totals| totals.executions),
    ])
}
