//! How Ifso does: for people, for orchestrators, for Prometheus. None of it needs a key or names anything.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::json;

use crate::api::call::Call;
use crate::api::openapi;
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::model::sensor::HealthState;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/",
        Access::Anyone,
        |_| Box::pin(async { Ok(Json(welcome()).into_response()) }),
        "Says what this is and where to go on.",
    )
    .gives(200, Shape::One("Welcome")),
    Route::get(
        "/api/v1",
        Access::Anyone,
        |_| Box::pin(async { Ok(Json(welcome()).into_response()) }),
        "Says what this is and where to go on.",
    )
    .gives(200, Shape::One("Welcome")),
    Route::get(
        "/v1",
        Access::Anyone,
        |_| Box::pin(async { Ok(Json(welcome()).into_response()) }),
        "Says what this is and where to go on.",
    )
    .gives(200, Shape::One("Welcome")),
    Route::get(
        "/healthz",
        Access::Anyone,
        |_| Box::pin(async { Ok(Json(json!({ "status": "ok" })).into_response()) }),
        "Says that the process answers.",
    )
    .gives(200, Shape::Any),
    Route::get(
        "/readyz",
        Access::Anyone,
        |call| Box::pin(ready(call)),
        "Says whether work is accepted: 503 where the store cannot be written. `degraded` where something in the home is wrong and not in force.",
    )
    .gives(200, Shape::Any),
    Route::get(
        "/metrics",
        Access::Anyone,
        |call| Box::pin(async move { metrics(&call) }),
        "Metrics in Prometheus's text form.",
    )
    .gives(200, Shape::Text),
    Route::get(
        "/api/v1/openapi.json",
        Access::Anyone,
        |_| Box::pin(async { Ok(Json(openapi::document()).into_response()) }),
        "This page.",
    )
    .gives(200, Shape::Any),
];

fn welcome() -> serde_json::Value {
    json!({
        "name": "Ifso",
        "version": env!("CARGO_PKG_VERSION"),
        "docs_url": "/api/v1/openapi.json",
        "help": "try `ifso event list` or `ifso run core.noop`; the first key stands in `admin.key` in the data folder",
    })
}

async fn ready(call: Call) -> Answer {
    if let Err(error) = call.state.store.commit(crate::store::batch::Batch::new()).await {
        let problem: Problem = error.into();
        return Err(problem);
    }
    let mut sensors = json!({});
    for state in [
        HealthState::Starting,
        HealthState::Running,
        HealthState::Waiting,
        HealthState::Stopped,
        HealthState::Disabled,
    ] {
        let count = call.state.sensors.list().iter().filter(|s| s.health.state == state).count();
        let word = json!(state);
        sensors[word.as_str().unwrap_or_default()] = json!(count);
    }
    let errors = call.state.catalog.load().errors();
    let (status, catalog) = match errors {
        0 => ("ready", json!({ "problems": 0 })),
        _ => ("degraded", json!({ "problems": errors, "help": "`ifso check` names them" })),
    };
    Ok(Json(json!({ "status": status, "sensors": sensors, "catalog": catalog })).into_response())
}

fn metrics(call: &Call) -> Answer {
    let up = |state| matches!(state, HealthState::Running);
    let all = call.state.sensors.list();
    let enabled = all.iter().filter(|s| s.health.state != HealthState::Disabled).count();
    call.state.metrics.sensors(enabled, all.iter().filter(|s| up(s.health.state)).count());
    // What is switched off is not down.
    let shown = all.iter().filter(|s| s.health.state != HealthState::Disabled);
    call.state.metrics.each_sensor(
        shown.map(|s| (s.definition.reference.as_str(), up(s.health.state), s.health.lag)),
    );
    call.state.metrics.waiting(call.state.door.waiting());
    call.state.metrics.catalog(call.state.catalog.load().errors());
    call.state.metrics.running(call.state.executions.running());
    let text = call.state.metrics.text().map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics", error.to_string())
    })?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}
