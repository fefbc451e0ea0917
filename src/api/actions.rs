//! Actions, and what they may be given.

use serde_json::{Map, Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::api::shape;
use crate::api::triggers::wanted;
use crate::auth::{Kind, Right};
use crate::model::action::Action;
use crate::model::reference::Reference;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/actions",
        Access::Needs(Right::View),
        |call| Box::pin(async move { list(&call, shape::action) }),
        "Lists the actions.",
    )
    .of(Of::Each)
    .query(FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Action")),
    Route::get(
        "/api/v1/actions/{ref}",
        Access::Needs(Right::View),
        |call| Box::pin(async move { get(&call) }),
        "Shows one action.",
    )
    .of(Of::Path(Kind::Action, "ref"))
    .gives(200, Shape::One("Action")),
    Route::get(
        "/api/v1/actions/views/parameters/{ref}",
        Access::Needs(Right::View),
        |call| Box::pin(async move { parameters(&call) }),
        "Shows every parameter that an action may be given, its runner's too.",
    )
    .of(Of::Path(Kind::Action, "ref"))
    .gives(200, Shape::One("Parameters")),
    Route::get(
        "/api/v1/actions/views/overview",
        Access::Needs(Right::View),
        |call| {
            Box::pin(async move {
                let known = call.state.runners.clone();
                list(&call, |action| whole(&known, action))
            })
        },
        "Lists the actions, their runners' parameters among their own.",
    )
    .of(Of::Each)
    .query(FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Action")),
];

const FILTERS: &[(&str, &str)] = &[
    ("pack", "Only those of this pack."),
    ("name", "Only those of this name."),
    ("runner_type", "Only those of this runner."),
    ("ref", "Only this one."),
];

fn list(call: &Call, row: impl Fn(&Action) -> Value) -> Answer {
    let page = Page::of(call)?;
    let catalog = call.state.catalog.load_full();
    let fits = |action: &Action| {
        wanted(call, &action.reference)
            && call.sees(Kind::Action, action.reference.as_str())
            && call.query("ref").is_none_or(|name| name == action.reference.as_str())
            && call
                .query("runner_type")
                .is_none_or(|name| name == action.runner || name == action.runner_type)
    };
    let all: Vec<_> = catalog.actions.values().filter(|action| fits(action)).collect();
    page.cut(all).map(|action| row(action)).answer(call, shape::ACTION)
}

fn get(call: &Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    let names = || catalog.actions.keys().map(Reference::as_str);
    let reference = call.reference("action", names())?;
    let found = catalog.actions.get(&reference);
    let action =
        found.ok_or_else(|| Problem::unknown_among("action", reference.as_str(), names()))?;
    paging::one(call, shape::action(action), shape::ACTION)
}

fn parameters(call: &Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    let names = || catalog.actions.keys().map(Reference::as_str);
    let reference = call.reference("action", names())?;
    let found = catalog.actions.get(&reference);
    let action =
        found.ok_or_else(|| Problem::unknown_among("action", reference.as_str(), names()))?;
    paging::one(
        call,
        json!({ "id": reference, "parameters": merged(&call.state.runners, action) }),
        &["id", "parameters"],
    )
}

fn whole(runners: &[crate::api::RunnerType], action: &Action) -> Value {
    let mut row = shape::action(action);
    row["parameters"] = merged(runners, action);
    row
}

/// The runner's parameters, overlaid by the action's own.
fn merged(runners: &[crate::api::RunnerType], action: &Action) -> Value {
    let mut all = Map::new();
    let runner = runners.iter().find(|runner| runner.name == action.runner_type);
    if let Some(Value::Object(of_runner)) = runner.map(|r| shape::parameters(&r.parameters)) {
        all.extend(of_runner);
    }
    if let Value::Object(own) = shape::parameters(&action.parameters) {
        for (name, own) in own {
            match (all.get_mut(&name), own) {
                (Some(Value::Object(below)), Value::Object(own)) => below.extend(own),
                (_, own) => drop(all.insert(name, own)),
            }
        }
    }
    Value::Object(all)
}
