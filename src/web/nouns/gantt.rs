//! A workflow as lines: its tasks with what is part of them, each with a bar of when it ran.

use serde_json::{Value, json};

use crate::model::time::Time;
use crate::web::plot::put;
use crate::web::render::escaped;

/// Lines of one page at most.
const LINES_LIMIT: usize = 400;
/// Units of a bar's picture.
const WIDTH: f64 = 1000.0;

/// The lines of a tree, and its time's beginning and end.
pub(crate) fn of(tree: &Value, now: Time) -> Value {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Time>().ok());
    let begin = time(&tree["start_timestamp"]).unwrap_or(now);
    let end = time(&tree["end_timestamp"]).unwrap_or(now);
    let span = end.since(begin).as_secs_f64().max(0.001);
    let mut chart = Chart { begin, end, span, lines: Vec::new(), left_out: 0 };
    chart.node(tree, 0);
    json!({
        "lines": chart.lines,
        "left_out": chart.left_out,
        "begin": begin,
        "end": end,
        "seconds": span,
        "over": time(&tree["end_timestamp"]).is_some(),
    })
}

struct Chart {
    begin: Time,
    end: Time,
    span: f64,
    lines: Vec<Value>,
    left_out: u64,
}

impl Chart {
    fn node(&mut self, node: &Value, depth: usize) {
        for task in node["tasks"].as_array().into_iter().flatten() {
            if let Some(left_out) = task["left_out"].as_u64() {
                self.left_out += left_out;
                continue;
            }
            self.task(task, depth);
        }
        for waiting in node["waiting"].as_array().into_iter().flatten() {
            self.push(json!({ "depth": depth.min(6), "name": waiting["task"], "status": "delayed", "due": waiting["due"] }));
        }
    }

    fn task(&mut self, task: &Value, depth: usize) {
        let part = &task["execution"];
        // What a task's action said counts more than that its workflow gave it up.
        let error = [&part["error"], &task["error"], &part["reason"], &task["reason"]];
        let error = error.into_iter().find(|error| error.is_string());
        self.push(json!({
            "depth": depth.min(6),
            "name": task["task"],
            "status": task["status"],
            "id": part["id"],
            "action": part["action"],
            "error": error,
            "items": task["items"].is_object().then(|| json!({
                "all": task["items"]["all"], "done": task["items"]["done"],
                "failed": task["items"]["failed"], "active": task["items"]["active"],
            })),
            "progress": part["progress"],
            "retries": task["retries"],
            "undone": task["undone"],
            "probe": task["probe"],
            "due": task["due"],
            "question": part["question"]["message"],
            "seconds": self.seconds(task),
            "bar": self.bar(task),
            "top": depth == 0,
        }));
        self.node(part, depth + 1);
        for item in task["items"]["listed"].as_array().into_iter().flatten() {
            let part = &item["execution"];
            self.push(json!({
                "depth": (depth + 1).min(6),
                "name": format!("item {}", item["item"]),
                "status": item["status"],
                "id": part["id"],
                "action": part["action"],
                "error": if part["error"].is_string() { &part["error"] } else { &part["reason"] },
                "progress": part["progress"],
                "seconds": self.seconds(part),
                "bar": self.bar(part),
            }));
            self.node(part, depth + 2);
        }
    }

    fn push(&mut self, line: Value) {
        if self.lines.len() < LINES_LIMIT { self.lines.push(line) } else { self.left_out += 1 }
    }

    fn times(&self, of: &Value) -> Option<(Time, Time)> {
        let read = |name: &str| of[name].as_str().and_then(|text| text.parse::<Time>().ok());
        let from = read("started").or_else(|| read("start_timestamp"))?;
        let to = read("ended").or_else(|| read("end_timestamp")).unwrap_or(self.end);
        Some((from, to))
    }

    fn seconds(&self, of: &Value) -> Option<f64> {
        self.times(of).map(|(from, to)| to.since(from).as_secs_f64())
    }

    /// A bar in the time of the whole.
    fn bar(&self, of: &Value) -> Option<String> {
        let (from, to) = self.times(of)?;
        let at = |time: Time| {
            (time.since(self.begin).as_secs_f64() / self.span * WIDTH).clamp(0.0, WIDTH)
        };
        let (x, width) = (at(from).min(WIDTH - 4.0), (at(to) - at(from)).max(4.0));
        let status = escaped(of["status"].as_str().unwrap_or_default());
        let clock = |time: Time| time.to_jiff().strftime("%H:%M:%S").to_string();
        let mut svg = format!(
            "<svg class=\"gantt\" viewBox=\"0 0 {WIDTH} 14\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"from {} to {} UTC\">",
            clock(from),
            clock(to)
        );
        put(
            &mut svg,
            format_args!(
                "<title>{} to {} UTC</title><rect class=\"{status}\" x=\"{x:.1}\" y=\"2\" \
                 width=\"{width:.1}\" height=\"10\" rx=\"2\"/></svg>",
                clock(from),
                clock(to)
            ),
        );
        Some(svg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_lies_in_the_time_of_the_whole() {
        let tree = json!({ "start_timestamp": "2026-03-01T00:00:00Z", "end_timestamp": "2026-03-01T00:00:10Z",
            "tasks": [{ "task": "<b>", "status": "failed\"", "started": "2026-03-01T00:00:05Z",
                "ended": "2026-03-01T00:00:10Z", "execution": {} }] });
        let chart = of(&tree, Time::from_millis(0));
        let bar = chart["lines"][0]["bar"].as_str().unwrap();
        assert!(bar.contains("x=\"500.0\"") && bar.contains("width=\"500.0\""), "{bar}");
        assert!(bar.contains("class=\"failed&quot;\""), "{bar}");
    }
}
