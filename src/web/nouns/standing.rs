//! Why an execution stands where it stands, in one sentence, and what its reader can do about it.

use serde_json::{Value, json};

/// Reads the API's execution and its tree. `text` is the sentence; `kind` its colour; `task` and
/// `workflow` name what failed and holds, `part` the execution of that task, `question` the one that asks.
pub(crate) fn of(execution: &Value, tree: &Value) -> Value {
    let status = execution["status"].as_str().unwrap_or_default();
    let mut standing = match status {
        "paused" | "pausing" => held(execution, tree),
        "pending" => asks(&execution["id"], &execution["result"]["message"]),
        "running" | "resuming" => runs(tree),
        "succeeded" => said("good", "It succeeded.".to_owned()),
        "canceling" => said("hold", "It is being cancelled: what runs is asked to end.".to_owned()),
        "canceled" => said("off", because("It was cancelled", &execution["reason"])),
        "failed" | "timeout" | "abandoned" => failed(status, execution, tree),
        "delayed" => said("idle", because("It waits for its time", &execution["reason"])),
        _ => said("idle", because("It waits for its turn", &execution["reason"])),
    };
    standing["acts"] = acts(status, &standing, execution);
    standing
}

fn said(kind: &str, text: impl Into<String>) -> Value {
    let text: String = text.into();
    json!({ "kind": kind, "text": text })
}

fn because(words: &str, why: &Value) -> String {
    match why.as_str().filter(|why| !why.is_empty()) {
        Some(why) => format!("{words}: {why}."),
        None => format!("{words}."),
    }
}

fn asks(id: &Value, message: &Value) -> Value {
    let message = message.as_str().unwrap_or("a question without words");
    json!({ "kind": "ask", "text": format!("It waits for an answer: {message}"), "question": id })
}

/// Tasks of a node, those of what is part of it behind them.
fn tasks(node: &Value) -> Vec<(&Value, &Value)> {
    let mut found = Vec::new();
    for task in node["tasks"].as_array().into_iter().flatten() {
        found.push((node, task));
        let items = task["items"]["listed"].as_array().into_iter().flatten();
        for part in std::iter::once(&task["execution"]).chain(items.map(|item| &item["execution"]))
        {
            found.extend(tasks(part));
        }
    }
    found
}

/// Every workflow of the tree, the outermost first.
fn workflows(node: &Value) -> Vec<&Value> {
    let mut found = vec![node];
    for task in node["tasks"].as_array().into_iter().flatten() {
        let items = task["items"]["listed"].as_array().into_iter().flatten();
        for part in std::iter::once(&task["execution"]).chain(items.map(|item| &item["execution"]))
        {
            if part["workflow"] == true {
                found.extend(workflows(part));
            }
        }
    }
    found
}

/// What a task that failed said last.
fn why(task: &Value) -> String {
    let part = &task["execution"];
    let listed = task["items"]["listed"].as_array().into_iter().flatten();
    let item = listed.map(|item| &item["execution"]).find(|part| part["status"] == "failed");
    let item = item.unwrap_or(&Value::Null);
    let words = [
        &part["error"],
        &item["error"],
        &task["error"],
        &part["reason"],
        &item["reason"],
        &task["reason"],
    ];
    let mut words = words.into_iter().filter_map(Value::as_str).filter(|word| !word.is_empty());
    words.next().unwrap_or("it gave no reason").trim_end_matches('.').to_owned()
}

fn held(execution: &Value, tree: &Value) -> Value {
    let all = workflows(tree);
    let wants = |what: &str| all.iter().rev().find(|node| node["waits_for"]["what"] == what);
    if let Some(node) = wants("remedy") {
        let name = &node["waits_for"]["task"];
        let tasks = node["tasks"].as_array().into_iter().flatten();
        let task = tasks.rev().find(|task| task["task"] == *name).unwrap_or(&Value::Null);
        let word = name.as_str().unwrap_or_default();
        return json!({
            "kind": "bad",
            "text": format!("It is paused because task `{word}` failed: {}.", why(task)),
            "next": "Mend what is wrong and resume it: the task is tried again. Or try it with other parameters, skip it, or give the workflow up.",
            "task": name,
            "workflow": node["id"],
            "part": task["execution"]["id"],
            "probe": task["probe"],
        });
    }
    if let Some(node) = wants("answer") {
        let id = &node["waits_for"]["execution"];
        let all = tasks(tree);
        let asked = all.iter().find(|(_, task)| task["execution"]["id"] == *id);
        let message =
            asked.map_or(&Value::Null, |(_, task)| &task["execution"]["question"]["message"]);
        return asks(id, message);
    }
    let mut standing = said("hold", because("It is paused", &execution["reason"]));
    standing["next"] = json!("Resume it, and it goes on from where it is.");
    standing
}

fn runs(tree: &Value) -> Value {
    let all = tasks(tree);
    let open = |task: &Value| !task["ended"].is_string() && task["execution"]["workflow"] != true;
    let now: Vec<String> = all
        .iter()
        .filter(|(_, task)| open(task) && task["status"] == "running")
        .map(|(_, task)| {
            let name = task["task"].as_str().unwrap_or_default();
            let far = &task["execution"]["progress"];
            match (far["progress"].as_f64(), far["message"].as_str()) {
                (_, Some(said)) if !said.is_empty() => format!("`{name}` ({said})"),
                (Some(far), _) => format!("`{name}` ({far:.0} %)"),
                _ => format!("`{name}`"),
            }
        })
        .collect();
    let waits = all.iter().find(|(_, task)| open(task) && task["status"] == "delayed");
    match (now.as_slice(), waits) {
        ([], Some((_, task))) => said(
            "busy",
            format!("Task `{}` waits for its time.", task["task"].as_str().unwrap_or_default()),
        ),
        ([], None) => said("busy", "It runs.".to_owned()),
        ([one], _) => said("busy", format!("Task {one} runs.")),
        ([some @ .., last], _) if now.len() <= 4 => {
            said("busy", format!("Tasks {} and {last} run.", some.join(", ")))
        }
        (many, _) => said("busy", format!("{} tasks run: {}, …", many.len(), many[..3].join(", "))),
    }
}

fn failed(status: &str, execution: &Value, tree: &Value) -> Value {
    let word = match status {
        "timeout" => "It ran out of time",
        "abandoned" => "It was left: nobody knows how it ended",
        _ => "It failed",
    };
    let all = tasks(tree);
    let bad =
        |task: &Value| matches!(task["status"].as_str(), Some("failed" | "timeout" | "abandoned"));
    if let Some((_, task)) =
        all.iter().rev().find(|(_, task)| bad(task) && !task["undone"].is_string())
    {
        let name = task["task"].as_str().unwrap_or_default();
        let text = format!("{word}, because task `{name}` failed: {}.", why(task));
        return json!({ "kind": "bad", "text": text, "part": task["execution"]["id"], "failed": name });
    }
    let result = &execution["result"];
    let last = |text: &Value| {
        text.as_str().and_then(|text| text.trim().lines().next_back()).map(str::to_owned)
    };
    let own = execution["reason"].as_str().map(str::to_owned);
    let said_last = last(&result["error"]).or_else(|| last(&result["stderr"]));
    let why = match (own, said_last) {
        (Some(own), Some(last)) if own != last && !last.is_empty() => {
            format!(": {own}; it said `{last}`")
        }
        (Some(own), _) => format!(": {own}"),
        (None, Some(last)) => format!(": {last}"),
        (None, None) => String::new(),
    };
    said("bad", format!("{word}{}.", why.trim_end_matches('.')))
}

/// What can be done with it now.
fn acts(status: &str, standing: &Value, execution: &Value) -> Value {
    let done = matches!(status, "succeeded" | "failed" | "timeout" | "canceled" | "abandoned");
    let workflow = execution["liveaction"]["action_is_workflow"] == true;
    // A program that runs stops for nobody, unless its action says so.
    let can_pause = workflow || execution["action"]["pause"] != "never";
    json!({
        "pause": matches!(status, "requested" | "delayed" | "scheduled")
            || (can_pause && matches!(status, "running" | "resuming")),
        "resume": matches!(status, "paused" | "pausing") && !standing["question"].is_string(),
        "cancel": !done && status != "canceling",
        "remedy": standing["workflow"].is_string(),
        "rerun": done,
        "tasks": done && workflow && status != "succeeded" && standing["failed"].is_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_held_by_a_failed_task_says_which_and_why() {
        let execution = json!({ "id": "exe_1", "status": "paused", "reason": "task `copy` failed",
            "liveaction": { "action_is_workflow": true } });
        let inner = json!({ "id": "exe_2", "workflow": true, "status": "paused",
            "waits_for": { "what": "remedy", "task": "copy" },
            "tasks": [{ "task": "copy", "status": "failed",
                "execution": { "id": "exe_3", "error": "disk full", "status": "failed" } }] });
        let tree = json!({ "id": "exe_1", "workflow": true, "waits_for": { "what": "resume" },
            "tasks": [{ "task": "move", "status": "paused", "execution": inner }] });
        let standing = of(&execution, &tree);
        assert_eq!(standing["text"], "It is paused because task `copy` failed: disk full.");
        assert_eq!((&standing["workflow"], &standing["part"]), (&json!("exe_2"), &json!("exe_3")));
        assert_eq!(standing["acts"]["remedy"], true);
    }

    #[test]
    fn an_action_that_failed_says_its_last_word() {
        let execution = json!({ "status": "failed", "reason": "exit code 2",
            "result": { "stderr": "a\nno such pool\n" }, "liveaction": {} });
        let standing = of(&execution, &json!({}));
        assert_eq!(standing["text"], "It failed: exit code 2; it said `no such pool`.");
        assert_eq!(standing["acts"]["rerun"], true);
    }
}
