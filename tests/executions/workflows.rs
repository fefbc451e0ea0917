//! Workflows on a real engine: tasks follow one another, whatever stops in between.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ifso::clock::Manual;
use ifso::executions::{Error, Remedy};
use ifso::model::action::{Action, Pinned};
use ifso::model::execution::{End, Execution, Selector, Status, Wish};
use ifso::model::id::RecordId;
use ifso::model::parameter::{Parameter, Parameters};
use ifso::runners::{Course, Ended, Job, Outcome, Runner};
use ifso::store::Handle;
use ifso::store::batch::Batch;
use ifso::store::queue;
use ifso::store::redb::Redb;
use ifso::store::table::{self, Rows};
use ifso::store::tables::Work;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::request;
use crate::world::{Real, World, action, catalog};

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

pub fn noop() -> Action {
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
    let words: Vec<_> = moves.iter().map(|status| status.word()).collect();
    assert_eq!(words.join(" "), "requested running pausing paused resuming running succeeded");
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
        writeln!(flow, "  t{n}: {{action: core.noop, next: [{{do: t{}}}]}}", n + 1).unwrap();
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

const HELD: &str = "
version: 1.0
on_error: pause
output: [{got: <% ctx().got %>}]
vars: [{got: null}]
tasks:
  a:
    action: test.do
    compensate: test.undo
    next: [{when: <% succeeded() %>, do: b}]
  b:
    action: test.do
    input: {size: 1}
    next: [{when: <% succeeded() %>, publish: [{got: <% result() %>}], do: c}]
  c: {action: test.do}
";

/// `test.do`, which takes a size.
fn sized() -> Action {
    let mut takes = action("test.do");
    takes.parameters.push(("size".to_owned(), Parameter::default()));
    takes
}

/// A world in which the second task of a workflow has failed and holds it.
async fn held() -> (World, Execution) {
    let flows = [workflow("test.held", HELD), sized(), action("test.undo")];
    let world = World::new(catalog(flows));
    world.hands.will([Ended::So(End::Succeeded), Ended::So(End::Failed)]);
    let flow = started(&world, "test.held").await;
    let paused = world.reaches(flow.id, Status::Paused).await;
    let reason = paused.reason.clone().unwrap_or_default();
    assert!(reason.starts_with("task `b` failed"), "{reason}");
    (world, paused)
}

#[tokio::test]
async fn a_failed_task_holds_its_workflow_and_resuming_makes_the_same_step_again() {
    let (world, flow) = held().await;
    let world = world.restart().await;
    world.executions.resume(flow.id, "ann").await.unwrap();
    let done = world.reaches(flow.id, Status::Succeeded).await;
    let mut names: Vec<_> =
        parts(&world, &done).await.iter().map(|p| p.part.clone().unwrap().task).collect();
    names.sort();
    assert_eq!(names.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["a", "b", "b", "c"]);
}

#[tokio::test]
async fn a_failed_task_is_done_again_with_other_parameters() {
    let (world, flow) = held().await;
    let parameters = json!({ "size": 2 }).as_object().cloned();
    let retry = Remedy::Retry { parameters };
    world.executions.remedy(flow.id, None, retry.clone(), "ann").await.unwrap();
    let done = world.reaches(flow.id, Status::Succeeded).await;
    let sizes: Vec<_> =
        parts(&world, &done).await.iter().map(|part| part.given.get("size").cloned()).collect();
    assert_eq!(sizes, [None, Some(json!(1)), Some(json!(2)), None]);
    let refused = world.executions.remedy(flow.id, None, retry, "ann").await.unwrap_err();
    assert!(matches!(refused, Error::NoFailedTask { .. }), "{refused}");
}

#[tokio::test]
async fn a_failed_task_is_skipped_with_a_result() {
    let (world, flow) = held().await;
    let wrong = Remedy::Skip { result: json!(1) };
    let refused = world.executions.remedy(flow.id, Some("a"), wrong, "ann").await.unwrap_err();
    assert_eq!(refused.to_string(), format!("execution `{}` has no failed task `a`", flow.id));
    let skip = Remedy::Skip { result: json!("by hand") };
    world.executions.remedy(flow.id, Some("b"), skip, "ann").await.unwrap();
    let done = world.reaches(flow.id, Status::Succeeded).await;
    assert_eq!(done.result["output"]["got"], "by hand");
}

#[tokio::test]
async fn a_workflow_that_is_given_up_undoes_what_it_did() {
    let (world, flow) = held().await;
    world.executions.remedy(flow.id, None, Remedy::Abort, "ann").await.unwrap();
    let done = world.reaches(flow.id, Status::Failed).await;
    let undone = parts(&world, &done).await.pop().unwrap();
    assert_eq!(undone.action.reference.as_str(), "test.undo");
    assert_eq!(undone.status, Status::Succeeded);
}

const WAIT: &str = "
version: 1.0
tasks:
  wait: {action: test.do, delay: 60}
";

/// Lets the engine do what it has to: what is asked for now is over after what was asked for before.
async fn meanwhile(world: &World) {
    let other = started(world, "test.do").await;
    world.reaches(other.id, Status::Succeeded).await;
}

#[tokio::test]
async fn a_delay_is_kept_over_a_restart_and_ends_on_the_millisecond() {
    let world = world([workflow("test.wait", WAIT)]);
    let flow = started(&world, "test.wait").await;
    world.reaches(flow.id, Status::Running).await;
    let world = world.restart_after(Duration::from_millis(59_999)).await;
    // What is asked for later is over first: the delay holds.
    meanwhile(&world).await;
    assert_eq!(parts(&world, &flow).await.len(), 0);
    world.manual.advance(Duration::from_millis(1));
    world.reaches(flow.id, Status::Succeeded).await;
}

#[tokio::test]
async fn a_workflow_that_takes_too_long_times_out_and_stops_its_tasks() {
    let flow = "
version: 1.0
timeout: 10s
tasks:
  long: {action: test.do}
";
    let world = world([workflow("test.late", flow)]);
    world.hands.hold();
    let flow = started(&world, "test.late").await;
    world.hands.began().await;
    world.manual.advance(Duration::from_secs(10));
    let done = world.reaches(flow.id, Status::Timeout).await;
    let long = parts(&world, &done).await.remove(0);
    world.reaches(long.id, Status::Canceled).await;
}

#[tokio::test]
async fn a_selector_pauses_what_it_means_and_nothing_else() {
    let world = world([workflow("test.chain", CHAIN), workflow("other.chain", CHAIN)]);
    world.hands.hold();
    let [one, other] = [started(&world, "test.chain").await, started(&world, "other.chain").await];
    world.hands.began().await;
    world.reaches(one.id, Status::Running).await;
    world.reaches(other.id, Status::Running).await;
    let selector = Selector { action: Some("test.c*".to_owned()), ..Selector::default() };
    let moved = world.executions.steer_all(&selector, Wish::Pause, "by a test").await.unwrap();
    assert_eq!(moved, [one.id]);
    world.hands.go_on();
    world.reaches(one.id, Status::Paused).await;
    world.reaches(other.id, Status::Succeeded).await;
}

#[tokio::test]
async fn what_several_hold_goes_on_when_the_last_lets_go() {
    let world = world([workflow("test.chain", CHAIN)]);
    world.hands.hold();
    let flow = started(&world, "test.chain").await;
    world.hands.began().await;
    world.reaches(flow.id, Status::Running).await;
    let steer = async |wish, hold: Option<&str>, why: &str| {
        let selector = Selector { execution: Some(flow.id), ..Selector::default() };
        let selector = Selector { hold: hold.map(str::to_owned), ..selector };
        let moved = world.executions.steer_all(&selector, wish, why).await.unwrap();
        let now = world.executions.get(flow.id).await.unwrap().unwrap();
        (moved.len(), now.reason.unwrap_or_default())
    };
    let outage = Some("outage");
    assert_eq!(steer(Wish::Resume, outage, "x").await.0, 0);
    assert_eq!(steer(Wish::Pause, Some("window"), "morning").await, (1, "morning".to_owned()));
    world.hands.go_on();
    world.reaches(flow.id, Status::Paused).await;
    assert_eq!(steer(Wish::Pause, outage, "fire").await, (1, "fire; morning".to_owned()));
    assert_eq!(steer(Wish::Pause, None, "ann").await, (1, "ann; fire; morning".to_owned()));
    // Twice is once.
    steer(Wish::Pause, outage, "fire").await;
    assert_eq!(steer(Wish::Resume, outage, "x").await, (1, "ann; morning".to_owned()));
    assert_eq!(steer(Wish::Resume, outage, "x").await.0, 0);
    assert_eq!(steer(Wish::Resume, Some("window"), "x").await, (1, "ann".to_owned()));
    meanwhile(&world).await;
    world.reaches(flow.id, Status::Paused).await;
    // A person lets go of everything.
    steer(Wish::Pause, outage, "fire").await;
    assert_eq!(steer(Wish::Resume, None, "bob").await, (1, "bob".to_owned()));
    let done = world.reaches(flow.id, Status::Succeeded).await;
    assert!(done.holds.is_empty());
}

#[tokio::test]
async fn a_workflow_within_that_is_held_holds_the_outer_one_until_either_is_resumed() {
    let outer = "
version: 1.0
tasks:
  inner: {action: test.held, next: [{when: <% succeeded() %>, do: after}]}
  after: {action: test.do}
";
    for resumed in ["outer", "inner"] {
        let flows = [workflow("test.held", HELD), workflow("test.outer", outer)];
        let world = World::new(catalog(flows.into_iter().chain([sized(), action("test.undo")])));
        world.hands.will([Ended::So(End::Succeeded), Ended::So(End::Failed)]);
        let flow = started(&world, "test.outer").await;
        let outer = world.reaches(flow.id, Status::Paused).await;
        let inner = parts(&world, &outer).await.remove(0);
        assert_eq!(inner.status, Status::Paused);
        let id = if resumed == "outer" { outer.id } else { inner.id };
        world.executions.resume(id, "ann").await.unwrap();
        world.reaches(outer.id, Status::Succeeded).await;
        assert_eq!(world.hands.jobs().len(), 5, "resumed: {resumed}");
    }
}

#[tokio::test]
async fn a_workflow_that_waits_for_an_answer_and_is_paused_does_not_go_on_when_it_comes() {
    let flow = "
version: 1.0
tasks:
  asks: {action: core.ask, next: [{when: <% succeeded() %>, do: act}]}
  act: {action: test.do}
";
    let world = world([workflow("test.flow", flow)]);
    let flow = started(&world, "test.flow").await;
    world.reaches(flow.id, Status::Paused).await;
    world.executions.pause(flow.id, "ann").await.unwrap();
    let asked = super::inquiries::pending(&world).await;
    super::inquiries::answer(&world, asked.id).await.unwrap();
    world.reaches(asked.id, Status::Succeeded).await;
    meanwhile(&world).await;
    let held = world.executions.get(flow.id).await.unwrap().unwrap();
    assert_eq!((held.status, held.reason.as_deref()), (Status::Paused, Some("paused by `ann`")));
    world.executions.resume(flow.id, "ann").await.unwrap();
    world.reaches(flow.id, Status::Succeeded).await;
}

#[tokio::test]
async fn a_workflow_that_only_waits_can_be_paused_and_resumed() {
    let world = world([workflow("test.wait", WAIT)]);
    let flow = started(&world, "test.wait").await;
    world.reaches(flow.id, Status::Running).await;
    world.executions.pause(flow.id, "ann").await.unwrap();
    world.reaches(flow.id, Status::Paused).await;
    world.manual.advance(Duration::from_mins(2));
    // What is asked for later is over first: nothing begins while it is paused.
    meanwhile(&world).await;
    assert_eq!(parts(&world, &flow).await.len(), 0);
    world.executions.resume(flow.id, "ann").await.unwrap();
    world.reaches(flow.id, Status::Succeeded).await;
}

#[tokio::test]
async fn a_damaged_part_stops_its_own_workflow_and_no_other() {
    let world = world([workflow("test.chain", CHAIN)]);
    world.hands.hold();
    let hurt = started(&world, "test.chain").await;
    world.hands.began().await;
    let part = parts(&world, &hurt).await.remove(0);
    let mut batch = Batch::new();
    let key = table::key::<Execution>(part.id.to_bytes().to_vec());
    batch.put(key, b"nonsense".to_vec());
    let work = Work::Moved(part.id);
    queue::push(&mut batch, queue::CONDUCT, part.created, RecordId::from_bits(1), work);
    world.store.commit(batch).await.unwrap();
    world.hands.go_on();
    let well = started(&world, "test.chain").await;
    world.reaches(well.id, Status::Succeeded).await;
}

#[tokio::test]
async fn parameters_that_the_action_does_not_take_are_refused_before_anything_changes() {
    let (world, flow) = held().await;
    let retry = Remedy::Retry { parameters: json!({ "sise": 2 }).as_object().cloned() };
    let refused = world.executions.remedy(flow.id, None, retry, "ann").await.unwrap_err();
    assert!(refused.to_string().contains("sise"), "{refused}");
    let still = world.executions.get(flow.id).await.unwrap().unwrap();
    assert_eq!((still.status, world.hands.jobs().len()), (Status::Paused, 2));
}

/// A runner with a mistake that shows in the middle of a turn.
struct Mistaken;

#[async_trait]
impl Runner for Mistaken {
    fn name(&self) -> &'static str {
        "mistaken"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn about(&self) -> &'static str {
        "panics when it is asked"
    }

    fn parameters(&self, _: &str) -> Parameters {
        Vec::new()
    }

    fn course(&self) -> Course {
        panic!("planted")
    }

    async fn run(&self, _: Job, _: CancellationToken) -> Outcome {
        unreachable!("its course is asked first")
    }
}

#[tokio::test]
async fn a_turn_that_panics_ends_its_own_workflow_and_no_other() {
    let flow = "
version: 1.0
tasks:
  a: {action: test.mistaken}
";
    let mistaken = Action {
        runner: "mistaken".to_owned(),
        runner_type: "mistaken".to_owned(),
        ..action("test.mistaken")
    };
    let flows = [workflow("test.hurt", flow), workflow("test.chain", CHAIN)];
    let actions = catalog(flows.into_iter().chain([mistaken, action("test.do")]));
    let store: Handle = Arc::new(Redb::in_memory().unwrap());
    let manual = Manual::at("2026-03-01T00:00:00Z".parse().unwrap());
    let runner: Arc<dyn Runner> = Arc::new(Mistaken);
    let world = World::with(store, actions, manual, Real::from([("mistaken", runner)]));
    let hurt = started(&world, "test.hurt").await;
    let failed = world.reaches(hurt.id, Status::Failed).await;
    assert_eq!(failed.reason.as_deref(), Some("its turn panicked, which is a mistake of Ifso's"));
    let well = started(&world, "test.chain").await;
    world.reaches(well.id, Status::Succeeded).await;
}
