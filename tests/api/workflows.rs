//! Workflows that are looked over.

use serde_json::{Value, json};

use crate::api::{House, answered, is_problem};
use crate::world::{action, catalog};

const WORKFLOW: &str = "
version: 1.0
input: [who]
tasks:
  greet:
    action: demo.greet
    input: {who: <% ctx().whom %>}
    next: [{do: left}]
";

#[tokio::test]
async fn the_answer_is_stackstorms_list() {
    let house = House::new(catalog([action("demo.grow")])).await;
    let ask = async |text: &str| {
        let call = house.call("POST", "/api/v1/workflows/inspect");
        answered(call.header("content-type", "text/plain").body(text.to_owned())).await
    };
    let (status, list) = ask(WORKFLOW).await;
    let told = |one: &Value| (one["type"].clone(), one["spec_path"].clone());
    let list = list.as_array().cloned().unwrap_or_default();
    assert_eq!(status, 200);
    assert_eq!(
        list.iter().map(told).collect::<Vec<_>>(),
        [
            (json!("content"), json!("tasks.greet.action")),
            (json!("context"), json!("tasks.greet.input")),
            (json!("semantic"), json!("tasks.greet.next[0].do")),
        ]
    );
    assert_eq!(list[1]["language"], "yaql");
    let (status, nothing) = ask("version: 1.0\ntasks: {a: {action: demo.grow}}\n").await;
    assert_eq!((status, nothing), (200, json!([])));
    let (status, problem) = ask("tasks: [").await;
    assert!(status == 400 && is_problem(status, &problem), "{problem}");
}
