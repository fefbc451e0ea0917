//! The ways in which actions are carried out.

use serde_json::{Value, json};

use crate::api::RunnerType;
use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::api::shape;
use crate::auth::Right;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/runnertypes",
        Access::Needs(Right::View),
        |call| Box::pin(async move { list(&call) }),
        "Lists the runners.",
    )
    .query(&[("name", "Only the runner of this name.")])
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Runner")),
    Route::get(
        "/api/v1/runnertypes/{name}",
        Access::Needs(Right::View),
        |call| Box::pin(async move { get(&call) }),
        "Shows one runner.",
    )
    .gives(200, Shape::One("Runner")),
];

const KNOWN: &[&str] = &[
    "id",
    "uid",
    "name",
    "description",
    "enabled",
    "runner_package",
    "runner_module",
    "runner_parameters",
];

fn list(call: &Call) -> Answer {
    let page = Page::of(call)?;
    let wanted = call.query("name");
    let named = |runner: &&RunnerType| wanted.is_none_or(|wanted| wanted == runner.name);
    let all: Vec<&RunnerType> = call.state.runners.iter().filter(named).collect();
    page.cut(all).map(row).answer(call, KNOWN)
}

fn get(call: &Call) -> Answer {
    let name = call.path("name");
    let found = call.state.runners.iter().find(|runner| runner.name == name);
    let runner = found.ok_or_else(|| Problem::unknown("runner", name))?;
    paging::one(call, row(runner), KNOWN)
}

/// A runner as StackStorm's clients read it.
pub(crate) fn row(runner: &RunnerType) -> Value {
    json!({
        "id": runner.name,
        "uid": format!("runner_type:{}", runner.name),
        "name": runner.name,
        "description": runner.about,
        "enabled": true,
        "runner_package": runner.name,
        "runner_module": runner.name,
        "runner_parameters": shape::parameters(&runner.parameters),
    })
}
