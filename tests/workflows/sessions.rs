//! Sessions of Orquesta's conductor, recorded call by call, replayed step by step. Wherever the recording
//! restarts from its serialised state, the flow here is written to rows and read back.

use std::collections::BTreeMap;

use ifso::workflows::Context;
use ifso::workflows::conduct::ready::Ready;
use ifso::workflows::conduct::state::{STATES, State};
use ifso::workflows::conduct::steps::{Report, Steps};
use ifso::workflows::conduct::{Again, Flow, Start};
use ifso::workflows::definition::Definition;
use serde_json::{Value, json};

use super::conformance::{Still, agree, same};

/// Why a recorded session is not followed.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "test_workflow_cycle.py::CyclicWorkflowConductorTest::test_rollback_retry",
        "the workflow draws a random number, and ours is another one",
    ),
    (
        "test_workflow_conductor_eval_retry.py::WorkflowConductorEvalTaskRetryTest::\
         test_retry_default_condition_satisfied",
        "the test changes the recorded state by hand after its last call",
    ),
];

#[test]
fn recorded_sessions_go_as_they_went() {
    agree("workflow_conducting.orquesta.json", DIFFERENT, |case| {
        let definition = Definition::new(&case["definition"]).map_err(|p| format!("{p:?}"))?;
        let start = Start {
            inputs: case["inputs"].as_object().cloned().unwrap_or_default(),
            context: case["parent_context"].as_object().cloned().unwrap_or_default(),
            deadline: None,
        };
        let mut flow = Steps::create(&definition, start, &Still);
        let mut disk = BTreeMap::new();
        for (at, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            if step["call"] == "restart_from_serialized_state" {
                flow = restart(&mut flow, &mut disk)?;
                continue;
            }
            let mut steps = Steps::new(&definition, &mut flow, &Still);
            replay(&mut steps, step).map_err(|how| format!("step {at} {step}: {how}"))?;
            expect("workflow status", &json!(flow.state().word()), step.get("workflow_status"))
                .map_err(|how| format!("step {at} {step}: {how}"))?;
        }
        flow = restart(&mut flow, &mut disk)?;
        end(&flow, &definition, &case["final"])
    });
}

pub(super) fn restart(
    flow: &mut Flow,
    disk: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<Flow, String> {
    for (key, content) in flow.take_changes() {
        match content {
            Some(content) => drop(disk.insert(key, content)),
            None => drop(disk.remove(&key)),
        }
    }
    let rows = disk.iter().map(|(key, content)| (key.clone(), content.clone()));
    Flow::restore(rows).map_err(|damaged| damaged.to_string())
}

fn expect(what: &str, ours: &Value, theirs: Option<&Value>) -> Result<(), String> {
    match theirs {
        Some(theirs) if !same(ours, theirs) => {
            Err(format!("{what}\n ours   {ours}\n theirs {theirs}"))
        }
        _ => Ok(()),
    }
}

fn replay(steps: &mut Steps<'_>, step: &Value) -> Result<(), String> {
    let raises = step.get("raises");
    let refused = match step["call"].as_str().unwrap() {
        "request_workflow_status" => steps.request(state(&step["status"])).err(),
        "get_next_tasks" => {
            let next = steps.take_ready();
            let ours: Vec<Value> = next.iter().map(|ready| shown(steps, ready)).collect();
            expect("next", &json!(ours), step.get("returns"))?;
            None
        }
        // Orquesta refuses what is no event; here it cannot even be said.
        "update_task_state" if step["event"]["status"].is_null() => return Ok(()),
        "update_task_state" => match update(steps, step) {
            Ok(state) => {
                expect("task status", &json!(state.word()), step.get("task_status"))?;
                None
            }
            Err(refused) => Some(refused),
        },
        "render_workflow_output" => {
            steps.render_output();
            None
        }
        "get_workflow_output" => {
            let output = steps.output().map_or(Value::Null, |output| json!(output));
            expect("output", &output, step.get("returns"))?;
            None
        }
        "get_workflow_terminal_context" => {
            expect("context", &plain(&steps.terminal_context()), step.get("returns"))?;
            None
        }
        "request_workflow_rerun" => steps.rerun(&again(&step["tasks"])).err(),
        other => return Err(format!("unknown call {other}")),
    };
    match (refused, raises) {
        (None, None) => Ok(()),
        (Some(refused), Some(raises)) => {
            expect("message", &json!(refused.to_string()), raises.get("message"))
        }
        (ours, theirs) => Err(format!("ours {ours:?}, theirs {theirs:?}")),
    }
}

pub(super) fn again(tasks: &Value) -> Vec<Again> {
    let tasks = tasks.as_array().map_or(&[][..], Vec::as_slice);
    tasks
        .iter()
        .map(|task| Again {
            name: task["task_id"].as_str().unwrap().to_owned(),
            route: task["route"].as_u64().and_then(|route| route.try_into().ok()),
            reset_items: task["reset_items"] == true,
        })
        .collect()
}

fn update(steps: &mut Steps<'_>, step: &Value) -> Result<State, ifso::workflows::conduct::Refused> {
    let event = &step["event"];
    let report = Report {
        state: state(&event["status"]),
        result: event.get("result").cloned(),
        item: event.get("item_id").and_then(Value::as_u64).map(|item| item.try_into().unwrap()),
        // Orquesta keeps no results of items: whoever calls it hands in the list, or there is none.
        whole: event
            .get("item_id")
            .map(|_| event.get("accumulated_result").cloned().unwrap_or_else(|| json!([]))),
    };
    let route = step["route"].as_u64().unwrap_or(0).try_into().unwrap();
    steps.update(step["task_id"].as_str().unwrap_or(""), route, report)
}

pub(super) fn state(word: &Value) -> State {
    let found = STATES.iter().find(|state| word == state.word());
    *found.unwrap_or_else(|| panic!("no status {word}"))
}

fn shown(steps: &mut Steps<'_>, ready: &Ready) -> Value {
    let actions: Vec<Value> = ready
        .actions
        .iter()
        .map(|action| {
            let mut shown = json!({ "action": action.action, "input": action.input });
            if let Some(item) = action.item {
                shown["item_id"] = json!(item);
            }
            shown
        })
        .collect();
    let mut shown = json!({
        "id": ready.task,
        "route": ready.route,
        "actions": actions,
        "context": plain(&steps.context_of(ready)),
    });
    if let Some(delay) = ready.delay {
        shown["delay"] = json!(delay.as_secs());
    }
    if let Some(items) = ready.items {
        shown["items_count"] = json!(items);
        shown["concurrency"] = json!(ready.concurrency);
    }
    shown
}

fn plain(context: &Context) -> Value {
    context.iter().map(|(name, value)| (name.to_string(), value.as_ref().clone())).collect()
}

pub(super) fn end(flow: &Flow, definition: &Definition, theirs: &Value) -> Result<(), String> {
    let ours = flow.orquesta(definition);
    for part in ["workflow_status", "output", "errors", "sequence", "routes", "contexts", "staged"]
    {
        expect(part, &ours[part], theirs.get(part))?;
    }
    Ok(())
}
