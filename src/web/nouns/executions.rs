//! Executions: the list, and one with why it stands where it stands.

use serde_json::{Map, Value, json};

use crate::api::inside::Refused;
use crate::api::route::Verb;
use crate::auth::{Kind, Object, Right};
use crate::web::fields;
use crate::web::form::{Form, wrong};
use crate::web::nouns::{gantt, later, standing};
use crate::web::page::{Ask, Deed, Done, Page, Visit, encoded};

/// What the list's reader may filter by.
const FILTERS: &[&str] = &[
    "action",
    "status",
    "rule",
    "user",
    "parent",
    "timestamp_gt",
    "timestamp_lt",
    "trigger_instance",
];
/// Pieces of output that a page shows: the last.
const PIECES: usize = 400;
/// Letters of output that a page shows: the last.
const LETTERS: usize = 200_000;
/// Pieces of a failed task's output beside the sentence that names it.
const LAST_WORDS: usize = 40;

pub(crate) const PAGES: &[Page] = &[
    Page::new("/executions", "Executions", "executions.html").more(later!(list)),
    Page::new("/executions/{id}", "Execution", "execution.html")
        .asks(&[Ask::One("execution", "/api/v1/executions/{id}")])
        .more(later!(one)),
    Page::new("/executions/{id}/causes", "Causes", "causes.html")
        .asks(&[Ask::One("trace", "/api/v1/traces/{id}")])
        .more(|_, found| {
            causes(found);
            Box::pin(async { Ok(()) })
        }),
];

const ONE: &str = "/api/v1/executions/{id}";

pub(crate) const DEEDS: &[Deed] = &[
    Deed::call(
        "/executions/{id}/pause",
        Verb::Put,
        ONE,
        |_| Ok(json!({ "status": "pausing" })),
        "It pauses once what runs has ended.",
    ),
    Deed::call(
        "/executions/{id}/resume",
        Verb::Put,
        ONE,
        |_| Ok(json!({ "status": "resuming" })),
        "It goes on.",
    ),
    Deed::call(
        "/executions/{id}/cancel",
        Verb::Delete,
        ONE,
        |_| Ok(Value::Null),
        "It is cancelled: what runs is asked to end.",
    ),
    Deed::call(
        "/executions/{id}/skip",
        Verb::Post,
        "/api/v1/executions/{id}/remedy",
        |form| {
            let result = form.json("result")?;
            Ok(json!({ "remedy": "skip", "task": form.some("task"), "result": result }))
        },
        "The failed task is skipped; the workflow goes on as if it had succeeded.",
    ),
    Deed::call(
        "/executions/{id}/abort",
        Verb::Post,
        "/api/v1/executions/{id}/remedy",
        |form| Ok(json!({ "remedy": "abort", "task": form.some("task") })),
        "The workflow is given up.",
    ),
    Deed::own("/executions/{id}/retry", later!(retry)),
    Deed::own("/executions/{id}/rerun", later!(rerun)),
    Deed::call(
        "/executions/{id}/rerun-tasks",
        Verb::Post,
        "/api/v1/executions/{id}/re_run",
        |form| {
            let tasks: Vec<&str> = form.all("task").filter(|task| !task.is_empty()).collect();
            Ok(if tasks.is_empty() { json!({ "failed": true }) } else { json!({ "tasks": tasks }) })
        },
        "It runs again from there.",
    )
    .to("/executions/{id}"),
];

/// One page of the list. Whoever asks for nothing sees no parts of workflows: `parent=any` shows them.
async fn list(visit: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    const BARE: &str = "/api/v1/executions?exclude_attributes=runner,log,context,liveaction";
    let asked = ["parent", "trigger_instance"].iter().any(|name| visit.query(name).is_some());
    let path = if asked { BARE.to_owned() } else { format!("{BARE}&parent=null") };
    let filters: Vec<&str> = FILTERS
        .iter()
        .copied()
        .filter(|name| !(*name == "parent" && visit.query("parent") == Some("any")))
        .collect();
    let (rows, paging) = visit.rows(&path, &filters).await?;
    found.insert("executions".to_owned(), rows);
    found.insert("paging".to_owned(), paging);
    Ok(())
}

/// What one page shows beside the execution itself.
async fn one(visit: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let execution = found["execution"].clone();
    let id = encoded(execution["id"].as_str().unwrap_or_default());
    let tree = visit.get(&format!("/api/v1/executions/{id}/tree")).await?;
    let mut standing = standing::of(&execution, &tree);
    let workflow = execution["liveaction"]["action_is_workflow"] == true;
    if workflow {
        found.insert("chart".to_owned(), gantt::of(&tree, visit.house.clock.now()));
    } else {
        found.insert("output".to_owned(), output(visit, &id, PIECES).await);
    }
    let part = standing["part"].as_str().map(encoded);
    if let Some(part) = part.filter(|part| *part != id) {
        let asked = visit.get(&format!("/api/v1/executions/{part}")).await.unwrap_or_default();
        standing["fields"] = fields::of(&asked["action"]["parameters"], &asked["parameters"]);
        standing["words"] = output(visit, &part, LAST_WORDS).await;
    }
    let given = &execution["parameters"];
    found.insert("fields".to_owned(), fields::of(&execution["action"]["parameters"], given));
    found.insert("live".to_owned(), json!(stream(&execution, workflow)));
    let object = Object::default()
        .and(Kind::Execution, execution["id"].as_str().unwrap_or_default())
        .named(Kind::Action, execution["action"]["ref"].as_str().unwrap_or_default());
    found.insert("can_run".to_owned(), json!(visit.caller.may_of(Right::Run, &object)));
    found.insert("workflow".to_owned(), json!(workflow));
    found.insert("standing".to_owned(), standing);
    Ok(())
}

/// Where the page hears what happens; nothing for what is over.
fn stream(execution: &Value, workflow: bool) -> Option<String> {
    let status = execution["status"].as_str().unwrap_or_default();
    if matches!(status, "succeeded" | "failed" | "timeout" | "canceled" | "abandoned") {
        return None;
    }
    let id = encoded(execution["id"].as_str().unwrap_or_default());
    Some(format!("/live/executions/{id}/{}", if workflow { "tree" } else { "output" }))
}

/// The last of what an execution wrote.
async fn output(visit: &Visit, id: &str, pieces: usize) -> Value {
    let path = format!("/api/v1/executions/{id}/output?output_format=json&last={pieces}");
    let Ok(Value::Array(mut found)) = visit.get(&path).await else { return json!([]) };
    let mut letters = 0;
    let first = found.iter().rposition(|piece| {
        letters += piece["data"].as_str().map_or(0, str::len);
        letters > LETTERS
    });
    let cut = first.map_or(0, |first| first + 1);
    found.drain(..cut);
    Value::Array(found)
}

/// Tries the task again that holds a workflow, with what was changed of its parameters.
async fn retry(visit: &Visit, form: &Form) -> Result<Done, Refused> {
    let mut body = json!({ "remedy": "retry", "task": form.some("task") });
    if let Some(part) = form.some("part") {
        let part = visit.get(&format!("/api/v1/executions/{}", encoded(part))).await?;
        let changed = fields::changed(form, &part["action"]["parameters"], &part["parameters"])?;
        if !changed.is_empty() {
            body["parameters"] = Value::Object(changed);
        }
    }
    let path = visit.fill("/api/v1/executions/{id}/remedy");
    visit.inside.post(&path, &body, &visit.caller).await?;
    let words = match body["parameters"].as_object() {
        Some(changed) => {
            let names: Vec<String> = changed.keys().map(|name| format!("`{name}`")).collect();
            format!("The task is tried again with another {}.", names.join(", "))
        }
        None => "The task is tried again.".to_owned(),
    };
    Ok(Done { words, ..Done::default() })
}

/// Runs the whole again, with what was changed of its parameters.
async fn rerun(visit: &Visit, form: &Form) -> Result<Done, Refused> {
    let old = visit.get(&visit.fill(ONE)).await?;
    let changed = fields::changed(form, &old["action"]["parameters"], &old["parameters"])?;
    let path = visit.fill("/api/v1/executions/{id}/re_run");
    let body = json!({ "parameters": changed });
    let new = visit.inside.post(&path, &body, &visit.caller).await?;
    let id = new["id"].as_str().ok_or_else(|| wrong("nothing was started"))?;
    Ok(Done {
        to: format!("/executions/{}", encoded(id)),
        words: "It runs again: this is the new execution.".to_owned(),
        once: None,
    })
}

/// The chain of causes as lines with their depth.
fn causes(found: &mut Map<String, Value>) {
    let mut lines = Vec::new();
    flatten(&found["trace"]["root"], 0, &mut lines);
    found.insert("lines".to_owned(), Value::Array(lines));
}

fn flatten(node: &Value, depth: usize, lines: &mut Vec<Value>) {
    let Some(fields) = node.as_object() else { return };
    let mut line = fields.clone();
    let below = line.remove("children").unwrap_or_default();
    line.insert("depth".to_owned(), json!(depth.min(8)));
    lines.push(Value::Object(line));
    for child in below.as_array().into_iter().flatten() {
        flatten(child, depth + 1, lines);
    }
}
