//! How Ifso does: for people, for orchestrators, for Prometheus. None of it needs a key or names anything.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::api::State;
use crate::api::call::Call;
use crate::api::openapi;
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::model::execution::{Execution, STATUSES};
use crate::model::incident::{self, Incident};
use crate::model::sensor::HealthState;
use crate::store::batch::Batch;
use crate::store::{self, queue, table};
use crate::telemetry::disk::Disk;

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
        "Says whether work is accepted: 503 where the store cannot be written. `degraded` where a part of it wants looking at (the disk, sensors, packs), with words.",
    )
    .gives(200, Shape::Any),
    Route::get(
        "/metrics",
        Access::Anyone,
        |call| Box::pin(metrics(call)),
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

/// What is counted in the store is counted up to so many: enough to see that it is too much.
const COUNT_LIMIT: usize = 10_000;

async fn ready(call: Call) -> Answer {
    if let Err(error) = call.state.store.commit(Batch::new()).await {
        let problem: Problem = error.into();
        return Err(problem);
    }
    let all = call.state.sensors.list();
    let count = |state| all.iter().filter(|sensor| sensor.health.state == state).count();
    let mut sensors = json!({});
    for state in [
        HealthState::Starting,
        HealthState::Running,
        HealthState::Waiting,
        HealthState::Stopped,
        HealthState::Disabled,
    ] {
        let word = json!(state);
        sensors[word.as_str().unwrap_or_default()] = json!(count(state));
    }
    let errors = call.state.catalog.load().errors();
    let catalog = match errors {
        0 => json!({ "problems": 0 }),
        _ => json!({ "problems": errors, "help": "`ifso check` names them" }),
    };
    let away = count(HealthState::Waiting) + count(HealthState::Stopped);
    let parts = json!({
        "store": part(None),
        "disk": part(low(&call)),
        "sensors": part((away > 0).then(|| {
            (format!("{away} do not listen"), "`ifso sensor list` says which, and why")
        })),
        "packs": part((errors > 0).then(|| {
            (format!("{errors} errors keep something from being in force"), "`ifso check` names them")
        })),
    });
    let degraded =
        parts.as_object().is_some_and(|all| all.values().any(|one| one["state"] != "ok"));
    let status = if degraded { "degraded" } else { "ready" };
    let answer =
        json!({ "status": status, "parts": parts, "sensors": sensors, "catalog": catalog });
    Ok(Json(answer).into_response())
}

/// How a part does: well, or what is wrong with it and the next step.
fn part(wrong: Option<(String, &str)>) -> Value {
    match wrong {
        None => json!({ "state": "ok" }),
        Some((what, help)) => json!({ "state": "look", "what": what, "help": help }),
    }
}

/// What is wrong with the store's disk.
fn low(call: &Call) -> Option<(String, &'static str)> {
    let disk = call.state.metrics.kept().disk().filter(Disk::is_low)?;
    let what = format!("{} MiB are free on the store's disk", disk.free_bytes >> 20);
    Some((what, "make room, or keep less: `[keep]` in `ifso.toml`"))
}

async fn metrics(call: Call) -> Answer {
    let up = |state| matches!(state, HealthState::Running);
    let all = call.state.sensors.list();
    let metrics = &call.state.metrics;
    let enabled = all.iter().filter(|s| s.health.state != HealthState::Disabled).count();
    metrics.sensors(enabled, all.iter().filter(|s| up(s.health.state)).count());
    // What is switched off is not down.
    let shown = all.iter().filter(|s| s.health.state != HealthState::Disabled);
    metrics.each_sensor(
        shown.map(|s| (s.definition.reference.as_str(), up(s.health.state), s.health.lag)),
    );
    metrics.waiting(call.state.door.waiting());
    metrics.catalog(call.state.catalog.load().errors());
    metrics.running(call.state.executions.running());
    if metrics.kept().look()
        && let Err(error) = count(&call).await
    {
        // What cannot be counted stands as it was; the rest says that the store fails.
        tracing::debug!(%error, "the store cannot be counted");
    }
    let text = metrics.text().map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics", error.to_string())
    })?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response())
}

/// Counts what waits and what is not over.
async fn count(call: &Call) -> Result<(), store::Error> {
    let State { store, metrics, clock, .. } = &*call.state;
    for queue in queue::QUEUES {
        metrics.kept().queue(queue, queue::waiting(store, queue, clock.now(), COUNT_LIMIT).await?);
    }
    for word in STATUSES.iter().filter(|status| !status.is_done()).map(|status| status.word()) {
        let found = table::count::<Execution>(store, "status", word.as_bytes(), COUNT_LIMIT);
        metrics.kept().open(word, found.await?);
    }
    for state in [incident::State::Open, incident::State::Acknowledged] {
        let word = state.word();
        let found = table::count::<Incident>(store, "state", word.as_bytes(), COUNT_LIMIT);
        metrics.kept().incidents(word, found.await?);
    }
    Ok(())
}
