//! Any order in which tasks end leads to one final state.
//!
//! Precisely: where no task fails without a remedy, the status, the set of tasks that ran (with routes and
//! how they ended) and the output are the same in every order, provided that no two ways that meet
//! publish the same name: there the later one wins, as in StackStorm. Where a task fails without
//! a remedy the flow fails in every order, but what was still begun before depends on the order.

use ifso::model::execution::Status;
use ifso::workflows::conduct::Place;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::play::Play;

/// A source of choices that is the same for the same seed.
pub(super) struct Choices(pub(super) u64);

impl Choices {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        // Knuth's MMIX generator; the high bits are the good ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    pub(super) fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// A workflow without circles: joins, splits, items, tries, failures.
fn workflow(choices: &mut Choices) -> Value {
    let count = 2 + choices.below(7);
    let mut tasks = serde_json::Map::new();
    let mut vars = Vec::new();
    let mut output = Vec::new();
    for at in 0..count {
        let mut next = Vec::new();
        for later in at + 1..count {
            if choices.one_in(if count < 5 { 2 } else { 3 }) {
                let when = ["succeeded", "completed", "completed", "failed"];
                let when = when[usize::try_from(choices.below(4)).unwrap()];
                next.push(json!({
                    "when": format!("<% {when}() %>"),
                    "publish": [{ format!("v{at}"): at }],
                    "do": format!("t{later}"),
                }));
            }
        }
        let mut task = json!({ "action": "core.noop", "next": next });
        if at > 0 && choices.one_in(3) {
            task["join"] = json!("all");
        }
        if choices.one_in(4) {
            task["retry"] = json!({ "count": 1 + choices.below(2) });
        }
        if choices.one_in(4) {
            task["with"] = json!({ "items": "x in <% ctx(xs) %>", "concurrency": 2 });
        }
        tasks.insert(format!("t{at}"), task);
        vars.push(json!({ format!("v{at}"): null }));
        output.push(json!({ format!("v{at}"): format!("<% ctx(v{at}) %>") }));
    }
    vars.push(json!({ "xs": [1, 2, 3] }));
    json!({ "vars": vars, "output": output, "tasks": tasks })
}

/// How a child ends depends on nothing but who it is and which try it is.
fn outcome(seed: u64, play: &Play, place: Place, tries: u64) -> Status {
    let name = &play.children[&place].task;
    let number: u64 = name[1..].parse().unwrap();
    let item = place.item.map_or(7, u64::from);
    let mut choices = Choices(seed ^ (number * 1_000 + item * 10 + tries));
    choices.below(3);
    if choices.one_in(4) { Status::Failed } else { Status::Succeeded }
}

struct Ending {
    status: Status,
    tasks: Vec<String>,
    output: Value,
}

fn run(definition: &Value, seed: u64, order: u64) -> Ending {
    let mut play = Play::new(definition);
    let mut turns = Choices(order);
    let mut tries = std::collections::HashMap::<Place, u64>::new();
    for _ in 0..10_000 {
        let left = play.children.len() as u64;
        if left == 0 {
            break;
        }
        let at = usize::try_from(turns.below(left)).unwrap();
        let place = *play.children.keys().nth(at).unwrap();
        let runs = tries.entry(Place { turn: 0, ..place }).or_default();
        *runs += 1;
        let status = outcome(seed, &play, place, *runs);
        play.child(place, status, Value::Null);
    }
    assert!(play.status().is_done(), "it stands still at {}: {:?}", play.status(), play.tasks());
    let routes: Vec<Vec<String>> =
        play.flow.routes().map(|route| route.iter().map(ToString::to_string).collect()).collect();
    let mut tasks: Vec<String> = play
        .flow
        .tasks()
        .map(|task| format!("{} {:?} {}", task.name, routes[task.route as usize], task.status))
        .collect();
    tasks.sort_unstable();
    Ending { status: play.status(), tasks, output: play.output() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_outcomes_ends_in_one_state(seed: u64, first: u64, second: u64) {
        let definition = workflow(&mut Choices(seed));
        let one = run(&definition, seed, first);
        let other = run(&definition, seed, second);
        prop_assert_eq!(one.status, other.status, "{}", definition);
        if one.status == Status::Succeeded {
            prop_assert_eq!(one.tasks, other.tasks, "{}", definition);
            prop_assert_eq!(one.output, other.output, "{}", definition);
        }
    }
}
