//! Orquesta's own rehearsals: a workflow, what its actions give, and how it must go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ifso::workflows::conduct::state::State;
use ifso::workflows::conduct::steps::{Report, Steps};
use ifso::workflows::conduct::{Flow, Place, Start};
use ifso::workflows::definition::Definition;
use serde_json::{Value, json};

use super::conformance::{Still, agree, same};
use super::play::Play;
use super::sessions::{again, restart, state};

/// Why a rehearsal does not go as recorded.
const DIFFERENT: &[(&str, &str)] = &[(
    "test_workflow_cycle.py::CyclicWorkflowConductorTest::test_rollback_retry",
    "the workflow draws a random number, and ours is another one",
)];

#[test]
fn rehearsals_go_as_recorded() {
    agree("workflow_rehearsal.orquesta.json", DIFFERENT, rehearse);
}

fn rehearse(case: &Value) -> Result<(), String> {
    let definition = Definition::new(&case["definition"]).map_err(|p| format!("{p:?}"))?;
    let mut flow = if case["workflow_state"].is_null() {
        let inputs = case["inputs"].as_object().cloned().unwrap_or_default();
        let start = Start { inputs, ..Start::default() };
        let mut flow = Steps::create(&definition, start, &Still);
        // A flow whose inputs cannot be worked out has failed already.
        Steps::new(&definition, &mut flow, &Still).request(State::Running).ok();
        flow
    } else {
        let mut flow = Flow::from_orquesta(&case["workflow_state"], &definition)?;
        let mut steps = Steps::new(&definition, &mut flow, &Still);
        steps.rerun(&again(&case["rerun_tasks"])).map_err(|refused| refused.to_string())?;
        flow
    };
    let mut disk = BTreeMap::new();
    let mut mocks = Mocks::new(&case["mock_action_executions"]);
    loop {
        flow = restart(&mut flow, &mut disk)?;
        let mut steps = Steps::new(&definition, &mut flow, &Still);
        if !round(&mut steps, &definition, &mut mocks)? {
            break;
        }
    }
    let mut steps = Steps::new(&definition, &mut flow, &Still);
    steps.render_output();
    compare(&flow, &definition, case)
}

/// Starts what is ready, ends all of it, and says whether there was anything.
fn round(
    steps: &mut Steps<'_>,
    definition: &Definition,
    mocks: &mut Mocks,
) -> Result<bool, String> {
    let mut running = VecDeque::new();
    for ready in steps.take_ready() {
        let report = Report { state: State::Running, ..Report::default() };
        steps.update(&ready.task, ready.route, report).map_err(|refused| refused.to_string())?;
        running.push_back((ready.task, ready.route, steps.begun() - 1));
    }
    let any = !running.is_empty();
    for (task, route, at) in running {
        let items = definition.task(&task).is_some_and(|task| task.items.is_some());
        let report = mocks.report(&task, at, items);
        steps.update(&task, route, report).map_err(|refused| refused.to_string())?;
    }
    Ok(any)
}

struct Mocks {
    left: Vec<(Value, i64)>,
    items: BTreeMap<String, Vec<Value>>,
}

impl Mocks {
    fn new(given: &Value) -> Self {
        let given = given.as_array().cloned().unwrap_or_default();
        let left = given.into_iter().map(|mock| (mock, 0)).collect();
        Self { left, items: BTreeMap::new() }
    }

    /// What the mocked action of `task`, the one begun as number `at`, gives.
    fn report(&mut self, task: &str, at: usize, items: bool) -> Report {
        let open = |(mock, used): &&mut (Value, i64)| {
            mock["task_id"] == task && *used < mock["num_iter"].as_i64().unwrap_or(1)
        };
        let exact = self.left.iter_mut().filter(open).find(|(mock, _)| mock["seq_id"] == at);
        let mock = match exact {
            Some(found) => Some(found),
            None => self.left.iter_mut().find(open).filter(|(mock, _)| mock["seq_id"].is_null()),
        };
        let mock = mock.map_or(Value::Null, |(mock, used)| {
            *used += 1;
            mock.clone()
        });
        let ended = mock.get("status").map_or(State::Succeeded, state);
        let result = mock.get("result").cloned();
        if !items {
            return Report { state: ended, result, ..Report::default() };
        }
        let so_far = self.items.entry(task.to_owned()).or_default();
        let item =
            mock["item_id"].as_u64().map_or(so_far.len(), |item| usize::try_from(item).unwrap());
        if so_far.len() <= item {
            so_far.resize(item + 1, Value::Null);
        }
        so_far[item] = result.clone().unwrap_or_default();
        let whole = Some(json!(so_far));
        Report { state: ended, result, item: Some(item.try_into().unwrap()), whole }
    }
}

fn compare(flow: &Flow, definition: &Definition, case: &Value) -> Result<(), String> {
    let ours = flow.orquesta(definition);
    if let Some(theirs) = case.get("actual_final") {
        return super::sessions::end(flow, definition, theirs);
    }
    // Here the rehearsal itself was wrong about the order, and says so.
    let sequence: Vec<&Value> =
        ours["sequence"].as_array().unwrap().iter().map(|entry| &entry["id"]).collect();
    let said = case["raises"]["message"].as_str().unwrap_or_default();
    let mine = json!(sequence).to_string().replace('"', "'").replace(',', ", ");
    let right = said.contains(&mine) && same(&ours["output"], &case["expected_output"]);
    right.then_some(()).ok_or(format!("{mine} is not in {said}"))
}

/// Why a rehearsal ends differently through the front door.
const ELSEWHERE: &[(&str, &str)] = &[(
    "test_workflow_with_items.py::WithItemsWorkflowConductorTest::\
         test_items_list_with_error_and_remediation",
    "the result has a place for every item, null for one that did not run, as StackStorm documents",
)];

/// The same workflows through the front door: children end first come, first served.
#[test]
fn rehearsals_end_alike_through_the_front_door() {
    agree("workflow_rehearsal.orquesta.json", ELSEWHERE, |case| {
        let mocks = case["mock_action_executions"].as_array().map_or(&[][..], Vec::as_slice);
        // A mock that is named by its position in Orquesta's order says nothing about another order:
        // here a task follows as soon as it can. Reruns begin in the middle, behind the front door.
        if !case["workflow_state"].is_null() || mocks.iter().any(|mock| !mock["seq_id"].is_null()) {
            return Ok(());
        }
        let inputs = case["inputs"].as_object().map_or(json!({}), |inputs| json!(inputs));
        let mut play = Play::with(&case["definition"], &inputs);
        let mut mocks = Mocks::new(&case["mock_action_executions"]);
        let mut queue: VecDeque<Place> = VecDeque::new();
        let mut seen = BTreeSet::new();
        for _ in 0..1_000 {
            let fresh = play.children.keys().copied().filter(|place| seen.insert(*place));
            queue.extend(fresh);
            let Some(place) = queue.pop_front() else { break };
            let task = play.children[&place].task.clone();
            let report = mocks.report(&task, place.entry as usize, place.item.is_some());
            play.child(place, report.state.status(), report.result.unwrap_or_default());
        }
        let theirs = case.get("actual_final").unwrap_or(case);
        let status = theirs.get("workflow_status").unwrap_or(&case["expected_workflow_status"]);
        let output = theirs.get("output").unwrap_or(&case["expected_output"]);
        let ours = (json!(play.status().word()), play.output());
        let alike = &ours.0 == status && same(&ours.1, output);
        alike.then_some(()).ok_or_else(|| format!("{ours:?} instead of {status} {output}"))
    });
}
