//! Questions to people: asked, answered once, asked louder and expired to the millisecond, whatever
//! stops in between.

use std::sync::Arc;
use std::time::Duration;

use ifso::executions::{Question, Unanswered};
use ifso::intake::history::{self, Filter, Kept};
use ifso::model::execution::{Execution, Status};
use ifso::model::id::ExecutionId;
use ifso::packs::catalog::Catalog;
use ifso::rules::{self, Known, Library, Set, Source};
use ifso::store::table::{self, Rows};
use serde_json::{Map, Value, json};

use super::request;
use super::workflows::{ask, parts, workflow};
use crate::world::{World, action, catalog, patient};

const FLOW: &str = "
version: 1.0
vars: [{go: null}]
output: [{go: <% ctx().go %>}]
tasks:
  approve:
    action: core.ask
    input: {message: Grow it?, route: ops, ttl: 60, escalate: {after: 30, route: boss}}
    next:
      - when: <% succeeded() %>
        publish: go=<% result().response.continue %>
        do: act
  act: {action: test.do}
";

const TRIGGERS: [&str; 5] = [
    "core.st2.generic.inquiry",
    "core.inquiry_asked",
    "core.inquiry_escalated",
    "core.inquiry_answered",
    "core.inquiry_expired",
];

/// A catalog in which a rule hears of everything that happens to questions.
pub fn heard(mut all: Catalog) -> Catalog {
    let rule = |trigger: &str| {
        let name = trigger.replace('.', "_");
        let text = format!("rule(\"{name}\", #{{ on: \"{trigger}\", then: |e| () }});");
        let source = Source { pack: "site".to_owned(), file: "rules/r.rhai".into(), text };
        let compiled = rules::compile(&source, &Library::new(), &Known::default());
        Arc::new(compiled.unwrap().0.remove(0))
    };
    all.rules = Arc::new(Set::new(TRIGGERS.map(rule).to_vec()));
    all
}

fn world() -> World {
    World::new(heard(catalog([workflow("test.flow", FLOW), action("test.do"), ask()])))
}

/// The one question that waits for an answer.
pub async fn pending(world: &World) -> Execution {
    let mut changes = world.store.changes();
    let asked = async {
        loop {
            changes.mark_unchanged();
            let rows = Rows::first(2);
            let found = table::find::<Execution>(&world.store, "status", b"pending", rows).await;
            if let Some(held) = found.unwrap().pop() {
                return held.row;
            }
            changes.changed().await.unwrap();
        }
    };
    patient(asked).await.expect("a question is asked")
}

/// The newest event of a trigger, once there are so many of it.
pub async fn event(world: &World, trigger: &str, count: usize) -> Kept {
    let mut changes = world.store.changes();
    let told = async {
        loop {
            changes.mark_unchanged();
            let trigger = Some(trigger.to_owned());
            let filter = Filter { limit: 10, trigger, ..Filter::default() };
            let mut kept = history::list(&world.store, &filter).await.unwrap();
            assert!(kept.len() <= count, "{kept:?}");
            if kept.len() == count {
                return kept.remove(0);
            }
            changes.changed().await.unwrap();
        }
    };
    patient(told).await.unwrap_or_else(|| panic!("no `{trigger}`"))
}

async fn asked(world: &World) -> (Execution, Execution) {
    let flow = world.executions.request(request("test.flow")).await.unwrap();
    let asked = pending(world).await;
    (flow, asked)
}

fn yes() -> Map<String, Value> {
    Map::from_iter([("continue".to_owned(), json!(true))])
}

pub async fn answer(world: &World, id: ExecutionId) -> Result<Execution, Unanswered> {
    world.executions.answer(id, ("ann", &[]), &yes()).await
}

#[tokio::test]
async fn an_answer_lets_the_workflow_go_on_with_what_was_answered() {
    let world = world();
    let (flow, asked) = asked(&world).await;
    let question = Question::of(&asked).unwrap();
    assert_eq!(question.ttl, 60);
    assert_eq!(question.expires, Some(question.asked.plus(Duration::from_hours(1))));
    assert_eq!(asked.result["schema"]["properties"]["continue"]["required"], true);
    world.reaches(flow.id, Status::Paused).await;
    let answered = answer(&world, asked.id).await.unwrap();
    assert_eq!(answered.status, Status::Succeeded);
    assert_eq!(answered.result["response"], json!({ "continue": true }));
    assert_eq!(answered.result["answered_by"], "ann");
    assert_eq!(answered.reason.as_deref(), Some("answered by `ann`"));
    let done = world.reaches(flow.id, Status::Succeeded).await;
    assert_eq!(done.result["output"]["go"], true);
}

#[tokio::test]
async fn of_two_answers_at_once_exactly_one_wins() {
    let world = world();
    let (flow, asked) = asked(&world).await;
    let answers = (0..8).map(|_| answer(&world, asked.id));
    let all = futures_util::future::join_all(answers).await;
    let taken = all.iter().filter(|one| one.is_ok()).count();
    let late = all.iter().filter(|one| matches!(one, Err(Unanswered::Already(_)))).count();
    assert_eq!((taken, late), (1, 7), "{all:?}");
    world.reaches(flow.id, Status::Succeeded).await;
    assert_eq!(world.hands.jobs().len(), 1);
    event(&world, "core.inquiry_answered", 1).await;
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_refused_and_the_question_waits_on() {
    let world = world();
    let (_, asked) = asked(&world).await;
    for (given, said) in [
        (json!({}), "`continue` is missing"),
        (json!({ "continue": 123 }), "`continue`: 123 is not of type \"boolean\""),
    ] {
        let Value::Object(given) = given else { unreachable!() };
        let refused = world.executions.answer(asked.id, ("ann", &[]), &given).await.unwrap_err();
        assert_eq!(refused.to_string(), said);
    }
    answer(&world, asked.id).await.unwrap();
}

#[tokio::test]
async fn only_those_who_are_asked_may_answer() {
    let world = world();
    let mut wanted = request("core.ask");
    wanted.parameters.insert("users".to_owned(), json!(["bob"]));
    wanted.parameters.insert("roles".to_owned(), json!(["admin"]));
    world.executions.request(wanted).await.unwrap();
    let id = pending(&world).await.id;
    let refused = answer(&world, id).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("inquiry `{id}` is not for user `ann`"));
    let roles = ["admin".to_owned()];
    world.executions.answer(id, ("ann", &roles), &yes()).await.unwrap();
}

#[tokio::test]
async fn a_question_expires_to_the_millisecond_over_a_restart_and_fails_its_task() {
    let world = world();
    let (flow, asked) = asked(&world).await;
    let world = world.restart_after(Duration::from_millis(3_599_999)).await;
    event(&world, "core.inquiry_escalated", 1).await;
    let still = world.executions.get(asked.id).await.unwrap().unwrap();
    assert_eq!(still.status, Status::Pending);
    world.manual.advance(Duration::from_millis(1));
    let refused = answer(&world, asked.id).await.unwrap_err();
    assert!(matches!(refused, Unanswered::Expired(_)), "{refused}");
    let over = world.reaches(asked.id, Status::Timeout).await;
    assert_eq!(over.reason.as_deref(), Some("nobody answered within 60 minutes"));
    assert_eq!(over.ended, Question::of(&over).unwrap().expires);
    world.reaches(flow.id, Status::Failed).await;
    let told = event(&world, "core.inquiry_expired", 1).await;
    assert_eq!(told.event.data["id"], json!(asked.id));
    assert!(world.hands.jobs().is_empty());
}

#[tokio::test]
async fn a_question_without_a_limit_waits_for_years() {
    let world = world();
    let mut wanted = request("core.ask");
    wanted.parameters.insert("ttl".to_owned(), json!(0));
    let asked = world.executions.request(wanted).await.unwrap();
    pending(&world).await;
    let world = world.restart_after(Duration::from_hours(24 * 365)).await;
    answer(&world, asked.id).await.unwrap();
}

#[tokio::test]
async fn nobody_answers_so_another_route_hears_of_it_with_a_link_of_its_own() {
    let world = world();
    let (_, asked) = asked(&world).await;
    let first = event(&world, "core.inquiry_asked", 1).await.event.data;
    assert_eq!((&first["route"], &first["message"]), (&json!("ops"), &json!("Grow it?")));
    assert_eq!((&first["workflow"], &first["task"]), (&json!("test.flow"), &json!("approve")));
    let theirs = event(&world, "core.st2.generic.inquiry", 1).await.event.data;
    assert_eq!(*theirs, json!({ "id": asked.id, "route": "ops" }));
    world.manual.advance(Duration::from_mins(30));
    let louder = event(&world, "core.inquiry_escalated", 1).await.event.data;
    assert_eq!(louder["route"], "boss");
    let (one, two) = (first["link"].as_str().unwrap(), louder["link"].as_str().unwrap());
    let lead = format!("https://ifso.example/inquiries/{}/", asked.id);
    assert!(one.starts_with(&lead) && two.starts_with(&lead) && one != two, "{one} {two}");
    let kept = world.executions.get(asked.id).await.unwrap().unwrap();
    let stored = serde_json::to_string(&kept).unwrap();
    for link in [one, two] {
        let secret = link.strip_prefix(&lead).unwrap();
        assert_eq!(secret.len(), 43);
        assert!(!stored.contains(secret), "only its hash is kept");
    }
    let secret = one.strip_prefix(&lead).unwrap();
    let wrong = world.executions.answer_by_link(asked.id, &secret[1..], &yes()).await;
    assert!(matches!(wrong, Err(Unanswered::NotFound(_))), "{wrong:?}");
    let answered = world.executions.answer_by_link(asked.id, secret, &yes()).await.unwrap();
    assert_eq!(answered.reason.as_deref(), Some("answered by link"));
    let again = world.executions.answer_by_link(asked.id, secret, &yes()).await;
    assert!(matches!(again, Err(Unanswered::Already(_))), "{again:?}");
    let told = event(&world, "core.inquiry_answered", 1).await.event.data;
    assert_eq!(told["answered_by"], "link");
}

#[tokio::test]
async fn a_question_survives_a_restart_and_a_reload_of_its_action() {
    let world = world();
    let (flow, asked) = asked(&world).await;
    world.catalog.store(Arc::new(catalog([action("test.do")])));
    let world = world.restart().await;
    answer(&world, asked.id).await.unwrap();
    world.reaches(flow.id, Status::Succeeded).await;
}

#[tokio::test]
async fn cancelling_the_workflow_withdraws_its_question() {
    let world = world();
    let (flow, asked) = asked(&world).await;
    world.executions.cancel(flow.id, "ann").await.unwrap();
    world.reaches(flow.id, Status::Canceled).await;
    world.reaches(asked.id, Status::Canceled).await;
    let refused = answer(&world, asked.id).await.unwrap_err();
    assert!(matches!(refused, Unanswered::NotAsked { .. }), "{refused}");
    world.manual.advance(Duration::from_hours(2));
    let still = world.executions.get(asked.id).await.unwrap().unwrap();
    assert_eq!(still.status, Status::Canceled);
}

#[tokio::test]
async fn the_answer_to_a_paused_workflow_is_kept_until_it_is_resumed() {
    let flow = "
version: 1.0
tasks:
  approve: {action: core.ask, next: [{when: <% succeeded() %>, do: act}]}
  beside: {action: test.do}
  act: {action: test.do}
";
    let world = World::new(catalog([workflow("test.flow", flow), action("test.do"), ask()]));
    world.hands.hold();
    let (flow, asked) = asked(&world).await;
    world.hands.began().await;
    world.executions.pause(flow.id, "ann").await.unwrap();
    world.hands.go_on();
    world.reaches(flow.id, Status::Paused).await;
    answer(&world, asked.id).await.unwrap();
    let world = world.restart().await;
    let held = world.reaches(flow.id, Status::Paused).await;
    assert_eq!(held.reason.as_deref(), Some("paused by `ann`"));
    assert_eq!(parts(&world, &held).await.len(), 2);
    world.executions.resume(flow.id, "ann").await.unwrap();
    let done = world.reaches(flow.id, Status::Succeeded).await;
    assert_eq!(parts(&world, &done).await.len(), 3);
}

#[tokio::test]
async fn a_question_that_cannot_be_asked_fails_with_the_reason() {
    let world = world();
    let mut wanted = request("core.ask");
    wanted.parameters.insert("schema".to_owned(), json!({ "type": "nothing" }));
    let asked = world.executions.request(wanted).await.unwrap();
    let failed = world.reaches(asked.id, Status::Failed).await;
    let reason = failed.reason.unwrap();
    assert!(reason.starts_with("`schema` is not a JSON Schema"), "{reason}");
}
