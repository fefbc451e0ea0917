//! Workflows on a real engine: tasks follow one another, whatever stops in between.

use std::sync::Arc;

use ifso::model::action::{Action, Pinned};
use ifso::model::execution::{End, Execution, Status};
use ifso::model::parameter::Parameter;
use ifso::runners::Ended;
use ifso::store::table::{self, Rows};
use serde_json::{Value, json};

use super::request;
use crate::world::{World, action, catalog};

/// An action that is this workflow, written as YAML.
pub fn workflow(name: &str, yaml: &str) -> Action {
    let definition: Value = serde_saphyr::from_str(yaml).unwrap();
    let inputs = definition["input"].as_array().into_iter().flatten();
    let names = inputs.map(|input| match input {
        Value::Object(one) => one.keys().next().unwrap().clone(),
        name => name.as_str().unwrap().to_owned(),
    });
    Action {
        parameters: names.map(|name| (name, Parameter::default())).collect(),
        enabled: true,
        runner: "workflow".to_owned(),
        runner_type: "orquesta".to_owned(),
        workflow: Some(Pinned { hash: name.into(), definition: Arc::new(definition) }),
        ..Action::missing(name.parse().unwrap())
    }
}

fn noop() -> Action {
    Action {
        enabled: true,
        runner: "noop".to_owned(),
        runner_type: "noop".to_owned(),
        ..Action::missing("core.noop".parse().unwrap())
    }
}

/// The parts of an execution, oldest first.
pub async fn parts(world: &World, parent: &Execution) -> Vec<Execution> {
    let rows = Rows::first(100_000);
    let key = parent.id.to_bytes();
    let found = table::find::<Execution>(&world.store, "parent", &key, rows).await.unwrap();
    found.into_iter().map(|held| held.row).collect()
}

const TWO: &str = "
version: 1.0
input: [who]
vars: [{said: null}]
output: [{said: <% ctx().said %>}]
tasks:
  first:
    action: test.do
    next:
      - when: <% succeeded() %>
        publish: said=<% ctx().who %>
        do: second
  second:
    action: test.do
";

#[tokio::test]
async fn tasks_follow_one_another_and_the_output_is_the_result() {
    let world = World::new(catalog([workflow("test.two", TWO), action("test.do")]));
    let mut asked = request("test.two");
    asked.parameters.insert("who".to_owned(), json!("Ann"));
    let accepted = world.executions.request(asked).await.unwrap();
    let done = world.reaches(accepted.id, Status::Succeeded).await;
    assert_eq!(done.result, json!({ "output": { "said": "Ann" } }));
    let parts = parts(&world, &done).await;
    let names: Vec<_> =
        parts.iter().map(|part| part.part.as_ref().unwrap().task.as_ref()).collect();
    assert_eq!(names, ["first", "second"]);
}

fn world(flows: impl IntoIterator<Item = Action>) -> World {
    let usual = [action("test.do"), action("test.other"), noop(), ask()];
    World::new(catalog(flows.into_iter().chain(usual)))
}

/// An action that asks a person.
pub fn ask() -> Action {
    Action {
        enabled: true,
        runner: "inquiry".to_owned(),
        runner_type: "inquirer".to_owned(),
        ..Action::missing("core.ask".parse().unwrap())
    }
}

async fn started(world: &World, name: &str) -> Execution {
    world.executions.request(request(name)).await.unwrap()
}

/// Its tasks: name and where each stands.
async fn tasks(world: &World, execution: &Execution) -> Vec<(String, Status)> {
    let tasks = world.executions.tasks(execution).await.unwrap().unwrap_or_default();
    tasks.into_iter().map(|task| (task.name.to_string(), task.status)).collect()
}

const CHAIN: &str = "
version: 1.0
tasks:
  a: {action: test.do, next: [{when: <% succeeded() %>, do: b}]}
  b: {action: test.do, next: [{when: <% succeeded() %>, do: c}]}
  c: {action: test.do}
";

#[tokio::test]
async fn a_failed_task_ends_the_workflow_with_its_error() {
    let world = world([workflow("test.chain", CHAIN)]);
    world.hands.will([Ended::So(End::Succeeded), Ended::So(End::Failed)]);
    let flow = started(&world, "test.chain").await;
    let done = world.reaches(flow.id, Status::Failed).await;
    let expected = [("a".to_owned(), Status::Succeeded), ("b".to_owned(), Status::Failed)];
    assert_eq!(tasks(&world, &done).await, expected);
    assert_eq!(done.result["errors"][0]["task_id"], "b", "{}", done.result);
    assert_eq!(world.hands.jobs().len(), 2);
}

#[tokio::test]
async fn an_action_that_no_pack_provides_fails_its_task_with_the_reason() {
    let flow = "
version: 1.0
tasks:
  a: {action: test.nothing}
";
    let world = world([workflow("test.flow", flow)]);
    let flow = started(&world, "test.flow").await;
    let done = world.reaches(flow.id, Status::Failed).await;
    let part = parts(&world, &done).await.remove(0);
    assert_eq!(part.status, Status::Failed);
    let reason = part.reason.unwrap();
    assert!(reason.starts_with("no pack provides action `test.nothing`"), "{reason}");
}

#[tokio::test]
async fn after_a_pause_nothing_starts_and_a_restart_keeps_it() {
    let world = world([workflow("test.chain", CHAIN)]);
    world.hands.hold();
    let flow = started(&world, "test.chain").await;
    world.hands.began().await;
    let pausing = world.executions.pause(flow.id, "ann").await.unwrap();
    assert_eq!(pausing.status, Status::Pausing);
    world.hands.go_on();
    world.reaches(flow.id, Status::Paused).await;
    let world = world.restart().await;
    let paused = world.executions.get(flow.id).await.unwrap().unwrap();
    assert_eq!(
        (paused.status, paused.reason.as_deref()),
        (Status::Paused, Some("paused by `ann`"))
    );
    assert_eq!(parts(&world, &paused).await.len(), 1);
    world.executions.resume(flow.id, "ann").await.unwrap();
    let done = world.reaches(flow.id, Status::Succeeded).await;
    assert_eq!(tasks(&world, &done).await.len(), 3);
    let moves: Vec<_> = done.log.iter().map(|(_, status)| *status).collect();
    use Status::{Paused, Pausing, Requested, Resuming, Running, Succeeded};
    assert_eq!(moves, [Requested, Running, Pausing, Paused, Resuming, Running, Succeeded]);
}

#[tokio::test]
async fn cancelling_reaches_the_tasks_of_a_workflow_within_a_workflow() {
    let outer = "
version: 1.0
tasks:
  inner: {action: test.chain}
";
    let world = world([workflow("test.chain", CHAIN), workflow("test.outer", outer)]);
    world.hands.hold();
    let flow = started(&world, "test.outer").await;
    world.hands.began().await;
    world.executions.cancel(flow.id, "ann").await.unwrap();
    let done = world.reaches(flow.id, Status::Canceled).await;
    let inner = parts(&world, &done).await.remove(0);
    assert_eq!(inner.status, Status::Canceled);
    let task = parts(&world, &inner).await.remove(0);
    assert_eq!((task.status, world.hands.jobs().len()), (Status::Canceled, 1));
}

#[tokio::test]
async fn a_thousand_steps_that_do_nothing_are_conducted_in_turns() {
    let mut flow = "version: 1.0\ntasks:\n".to_owned();
    for n in 0..1000 {
        flow += &format!("  t{n}: {{action: core.noop, next: [{{do: t{}}}]}}\n", n + 1);
    }
    flow += "  t1000: {action: core.noop}\n";
    let world = world([workflow("test.long", &flow)]);
    let flow = started(&world, "test.long").await;
    let done = world.reaches(flow.id, Status::Succeeded).await;
    assert_eq!(tasks(&world, &done).await.len(), 1001);
    assert_eq!(parts(&world, &done).await.len(), 1001);
}

#[tokio::test]
async fn items_run_so_many_at_once_and_give_their_results_in_order() {
    let flow = "
version: 1.0
output: [{all: <% ctx().all %>}]
tasks:
  each:
    with: {items: <% range(10) %>, concurrency: 3}
    action: test.do
    next: [{when: <% succeeded() %>, publish: [{all: <% result().attempt %>}]}]
";
    let world = world([workflow("test.items", flow)]);
    let flow = started(&world, "test.items").await;
    let done = world.reaches(flow.id, Status::Succeeded).await;
    assert_eq!(done.result["output"]["all"], json!(vec![1; 10]));
    assert!(world.hands.most_at_once() <= 3, "{}", world.hands.most_at_once());
    let mut items: Vec<_> =
        parts(&world, &done).await.iter().map(|p| p.part.as_ref().unwrap().item).collect();
    items.sort_unstable();
    assert_eq!(items, (0..10).map(Some).collect::<Vec<_>>());
}

#[tokio::test]
async fn failed_tasks_are_done_again_and_the_others_keep_their_results() {
    let world = world([workflow("test.chain", CHAIN)]);
    world.hands.will([Ended::So(End::Succeeded), Ended::So(End::Failed)]);
    let flow = started(&world, "test.chain").await;
    world.reaches(flow.id, Status::Failed).await;
    let again =
        world.executions.rerun(flow.id, Vec::new(), "ann", serde_json::Map::new()).await.unwrap();
    let done = world.reaches(again.id, Status::Succeeded).await;
    assert_eq!(done.context["re-run"]["ref"], json!(flow.id));
    // The first ran once; the second twice; the third once.
    assert_eq!(world.hands.jobs().len(), 4);
    let first = world.executions.get(flow.id).await.unwrap().unwrap();
    assert_eq!(first.status, Status::Failed);
}

#[tokio::test]
async fn a_failed_workflow_within_a_workflow_goes_on_where_it_failed() {
    let outer = "
version: 1.0
tasks:
  inner: {action: test.chain}
";
    let world = world([workflow("test.chain", CHAIN), workflow("test.outer", outer)]);
    world.hands.will([Ended::So(End::Succeeded), Ended::So(End::Failed)]);
    let flow = started(&world, "test.outer").await;
    world.reaches(flow.id, Status::Failed).await;
    let again =
        world.executions.rerun(flow.id, Vec::new(), "ann", serde_json::Map::new()).await.unwrap();
    world.reaches(again.id, Status::Succeeded).await;
    assert_eq!(world.hands.jobs().len(), 4, "the first task of the inner one is not done again");
}

#[tokio::test]
async fn a_reload_never_changes_a_workflow_that_runs() {
    let world = world([workflow("test.chain", CHAIN)]);
    world.hands.hold();
    let flow = started(&world, "test.chain").await;
    world.hands.began().await;
    let other = "version: 1.0\ntasks: {z: {action: test.do}}\n";
    let mut changed = workflow("test.chain", other);
    changed.workflow.as_mut().unwrap().hash = "other".into();
    world.catalog.store(Arc::new(catalog([changed, action("test.do")])));
    world.hands.go_on();
    let world = world.restart().await;
    let done = world.reaches(flow.id, Status::Succeeded).await;
    let names: Vec<_> = tasks(&world, &done).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "c"]);
}
