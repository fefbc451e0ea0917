//! Policies: never too many, first come first, nobody forgotten, whatever stops in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ifso::model::action::Action;
use ifso::model::execution::{End, Execution, Status};
use ifso::model::id::ExecutionId;
use ifso::model::parameter::Parameter;
use ifso::model::policy::{Excess, Policy, Repeat, Retry, Rule};
use ifso::packs::catalog::Catalog;
use ifso::runners::Ended;
use serde_json::{Value, json};

use super::request;
use super::workflows::workflow;
use crate::world::{World, action, catalog};

fn policy(name: &str, action: &str, rule: Rule) -> Policy {
    Policy {
        reference: name.parse().unwrap(),
        description: String::new(),
        enabled: true,
        resource: action.parse().unwrap(),
        policy_type: String::new(),
        rule,
        parameters: Value::Null,
        file: "policies/policy.yaml".into(),
    }
}

fn at_once(threshold: u32, attributes: &[&str], excess: Excess) -> Rule {
    let attributes = attributes.iter().map(|name| (*name).to_owned()).collect();
    Rule::Concurrency { threshold, attributes, excess }
}

fn under(policies: Vec<Policy>, actions: impl IntoIterator<Item = Action>) -> Catalog {
    let mut governs: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for policy in policies {
        governs.entry(policy.resource.clone()).or_default().push(Arc::new(policy));
    }
    Catalog { governs: Arc::new(governs), ..catalog(actions) }
}

fn one_at_once() -> Catalog {
    let policy = policy("test.one", "test.do", at_once(1, &[], Excess::Delay));
    under(vec![policy], [action("test.do"), action("test.other")])
}

async fn ask(world: &World, count: usize) -> Vec<ExecutionId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(world.executions.request(request("test.do")).await.unwrap().id);
    }
    ids
}

async fn now(world: &World, id: ExecutionId) -> Execution {
    world.executions.get(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn one_after_the_other_in_the_order_of_arrival() {
    let world = World::new(one_at_once());
    world.hands.hold();
    let ids = ask(&world, 5).await;
    for (place, id) in ids.iter().enumerate() {
        world.reaches(*id, Status::Running).await;
        for later in &ids[place + 1..] {
            let waits = world.reaches(*later, Status::Delayed).await;
            let reason = waits.reason.unwrap();
            assert!(reason.starts_with("policy `test.one` lets 1 run at once: "), "{reason}");
        }
        world.executions.cancel(*id, "ann").await.unwrap();
    }
    world.reaches(ids[4], Status::Canceled).await;
    assert_eq!(world.hands.most_at_once(), 1);
}

#[tokio::test]
async fn who_waits_and_who_runs_is_known_after_a_restart() {
    let world = World::new(one_at_once());
    world.hands.hold();
    let ids = ask(&world, 4).await;
    world.reaches(ids[0], Status::Running).await;
    world.reaches(ids[3], Status::Delayed).await;
    let world = world.restart().await;
    for id in &ids {
        let done = world.reaches(*id, Status::Succeeded).await;
        assert_eq!((done.attempt, done.reason), (1, None));
    }
    assert_eq!(world.hands.most_at_once(), 1);
    let order: Vec<_> = world.hands.jobs().iter().map(|(id, ..)| *id).collect();
    assert_eq!(order, ids);
}

#[tokio::test]
async fn each_value_of_an_attribute_has_its_own_line() {
    let policy = policy("test.host", "test.do", at_once(1, &["host"], Excess::Delay));
    let known = Parameter { default: Some(json!("a")), ..Parameter::default() };
    let this = Action { parameters: vec![("host".to_owned(), known)], ..action("test.do") };
    let mut catalog = under(vec![policy], [this.clone()]);
    catalog.accepts.insert(this.reference.clone(), Arc::new(this.parameters.clone()));
    let world = World::new(catalog);
    world.hands.hold();
    let on = async |host: Option<&str>| {
        let mut asked = request("test.do");
        asked.parameters.extend(host.map(|host| ("host".to_owned(), json!(host))));
        world.executions.request(asked).await.unwrap().id
    };
    let (first, second, other) = (on(Some("a")).await, on(None).await, on(Some("b")).await);
    world.reaches(first, Status::Running).await;
    world.reaches(other, Status::Running).await;
    world.reaches(second, Status::Delayed).await;
    world.executions.cancel(first, "ann").await.unwrap();
    world.reaches(second, Status::Running).await;
}

#[tokio::test]
async fn one_too_many_is_canceled_where_the_policy_says_so() {
    let policy = policy("test.one", "test.do", at_once(1, &[], Excess::Cancel));
    let world = World::new(under(vec![policy], [action("test.do")]));
    world.hands.hold();
    let ids = ask(&world, 2).await;
    let refused = world.reaches(ids[1], Status::Canceled).await;
    let reason = "policy `test.one` lets 1 run at once, and cancels what is more";
    assert_eq!(refused.reason.as_deref(), Some(reason));
    assert_eq!(now(&world, ids[0]).await.status, Status::Running);
}

#[tokio::test]
async fn a_rate_is_kept_to_the_millisecond_and_over_a_restart() {
    let rate = Rule::Rate { limit: 2, per: Duration::from_mins(1), excess: Excess::Delay };
    let policy = policy("test.rate", "test.do", rate);
    let mut world = World::new(under(vec![policy], [action("test.do"), action("test.other")]));
    let ids = ask(&world, 4).await;
    for id in &ids[..2] {
        world.reaches(*id, Status::Succeeded).await;
    }
    world.reaches(ids[3], Status::Delayed).await;
    world = world.restart_after(Duration::from_millis(59_999)).await;
    let other = world.executions.request(request("test.other")).await.unwrap();
    world.reaches(other.id, Status::Succeeded).await;
    for id in &ids[2..] {
        assert_eq!(now(&world, *id).await.status, Status::Delayed);
    }
    world.manual.advance(Duration::from_millis(1));
    for id in &ids[2..] {
        world.reaches(*id, Status::Succeeded).await;
    }
}

#[tokio::test]
async fn who_is_paused_while_it_waits_keeps_nobody_waiting() {
    let world = World::new(one_at_once());
    world.hands.hold();
    let ids = ask(&world, 3).await;
    world.reaches(ids[0], Status::Running).await;
    world.reaches(ids[2], Status::Delayed).await;
    let paused = world.executions.pause(ids[1], "ann").await.unwrap();
    assert_eq!(paused.status, Status::Paused);
    world.executions.cancel(ids[0], "ann").await.unwrap();
    world.reaches(ids[2], Status::Running).await;
    world.executions.resume(ids[1], "ann").await.unwrap();
    world.reaches(ids[1], Status::Delayed).await;
    world.executions.cancel(ids[2], "ann").await.unwrap();
    world.reaches(ids[1], Status::Running).await;
    assert_eq!(world.hands.most_at_once(), 1);
}

#[tokio::test]
async fn a_policy_that_is_gone_lets_go_who_waits() {
    let world = World::new(one_at_once());
    world.hands.hold();
    let ids = ask(&world, 3).await;
    world.reaches(ids[0], Status::Running).await;
    world.reaches(ids[2], Status::Delayed).await;
    let free = Catalog { governs: Arc::default(), ..(*world.catalog.load_full()).clone() };
    world.catalog.store(Arc::new(free));
    world.executions.request(request("test.other")).await.unwrap();
    for id in ids {
        world.reaches(id, Status::Running).await;
    }
}

fn retrying() -> Policy {
    let retry = Retry {
        on_failure: true,
        on_timeout: false,
        count: 1,
        delay: Duration::from_secs(10),
        backoff: 1.0,
        max_delay: Duration::from_mins(1),
    };
    policy("test.retry", "test.do", Rule::Retry(Repeat { retry, jitter: 0.0 }))
}

#[tokio::test]
async fn a_retry_gives_its_place_back_until_it_comes_again() {
    let one = policy("test.one", "test.do", at_once(1, &[], Excess::Delay));
    let world = World::new(under(vec![one, retrying()], [action("test.do")]));
    world.hands.will([Ended::So(End::Failed)]);
    let ids = ask(&world, 2).await;
    world.reaches(ids[1], Status::Succeeded).await;
    assert_eq!(now(&world, ids[0]).await.status, Status::Delayed);
    world.manual.advance(Duration::from_secs(10));
    let done = world.reaches(ids[0], Status::Succeeded).await;
    assert_eq!(done.attempt, 2);
}

const TWICE: &str = "
version: 1.0
tasks:
  first:
    action: test.do
  second:
    action: test.do
";

#[tokio::test]
async fn a_workflow_waits_as_an_action_does_and_so_do_its_tasks() {
    let flows = policy("test.flows", "test.twice", at_once(1, &[], Excess::Delay));
    let tasks = policy("test.tasks", "test.do", at_once(1, &[], Excess::Delay));
    let actions = [workflow("test.twice", TWICE), action("test.do"), action("test.other")];
    let world = World::new(under(vec![flows, tasks, retrying()], actions));
    world.hands.hold();
    let first = world.executions.request(request("test.twice")).await.unwrap().id;
    let second = world.executions.request(request("test.twice")).await.unwrap().id;
    world.reaches(first, Status::Running).await;
    let waits = world.reaches(second, Status::Delayed).await;
    assert!(waits.reason.unwrap().contains("`test.flows`"));
    world.hands.began().await;
    let world = world.restart().await;
    world.reaches(first, Status::Succeeded).await;
    world.reaches(second, Status::Succeeded).await;
    assert_eq!(world.hands.most_at_once(), 1);
}

#[tokio::test]
async fn a_policy_does_not_try_tasks_of_a_workflow_again() {
    let actions = [workflow("test.twice", TWICE), action("test.do")];
    let world = World::new(under(vec![retrying()], actions));
    world.hands.will([Ended::So(End::Failed)]);
    let flow = world.executions.request(request("test.twice")).await.unwrap().id;
    world.reaches(flow, Status::Failed).await;
    assert!(world.hands.jobs().iter().all(|(_, attempt, _)| *attempt == 1));
}
