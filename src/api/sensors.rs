//! Sensors and how they do, under their own name and as StackStorm's `sensortypes`.

use axum::Json;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::api::shape;
use crate::api::triggers::wanted;
use crate::auth::{Kind, Right};
use crate::sensors::supervisor::Status;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/sensors",
        Access::Needs(Right::View),
        |call| Box::pin(async move { list(&call, row, KNOWN) }),
        "Lists the sensors and how they do.",
    )
    .of(Of::Each)
    .query(FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Sensor")),
    Route::get(
        "/api/v1/sensors/{ref}",
        Access::Needs(Right::View),
        |call| Box::pin(async move { get(&call, row, KNOWN) }),
        "Shows one sensor and how it does.",
    )
    .of(Of::Path(Kind::Sensor, "ref"))
    .gives(200, Shape::One("Sensor")),
    Route::post(
        "/api/v1/sensors/{ref}/restart",
        Access::Needs(Right::Operate),
        |call| Box::pin(async move { restart(&call) }),
        "Stops a sensor and starts it again.",
    )
    .of(Of::Path(Kind::Sensor, "ref"))
    .gives(202, Shape::One("Sensor")),
    Route::get(
        "/api/v1/sensortypes",
        Access::Needs(Right::View),
        |call| Box::pin(async move { list(&call, type_row, TYPE) }),
        "Lists the sensors in StackStorm's shape.",
    )
    .of(Of::Each)
    .query(FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("SensorType")),
    Route::get(
        "/api/v1/sensortypes/{ref}",
        Access::Needs(Right::View),
        |call| Box::pin(async move { get(&call, type_row, TYPE) }),
        "Shows one sensor in StackStorm's shape.",
    )
    .of(Of::Path(Kind::Sensor, "ref"))
    .gives(200, Shape::One("SensorType")),
];

const FILTERS: &[(&str, &str)] = &[
    ("pack", "Only those of this pack."),
    ("name", "Only those of this name."),
    ("state", "Only those in this state."),
];

const KNOWN: &[&str] = &[
    "id",
    "ref",
    "uid",
    "pack",
    "name",
    "kind",
    "description",
    "enabled",
    "place",
    "paths",
    "health",
];
const TYPE: &[&str] = &[
    "id",
    "ref",
    "uid",
    "pack",
    "name",
    "description",
    "enabled",
    "metadata_file",
    "artifact_uri",
    "entry_point",
    "trigger_types",
];

fn list(call: &Call, shape: fn(&Call, &Status) -> Value, known: &[&str]) -> Answer {
    let page = Page::of(call)?;
    let mut all = call.state.sensors.list();
    all.retain(|status| {
        wanted(call, &status.definition.reference)
            && call.sees(Kind::Sensor, status.definition.reference.as_str())
            && call.query("state").is_none_or(|state| json!(status.health.state) == json!(state))
    });
    page.cut(all).map(|status| shape(call, &status)).answer(call, known)
}

fn find(call: &Call) -> Result<Status, Problem> {
    let all = call.state.sensors.list();
    let names = || all.iter().map(|status| status.definition.reference.as_str());
    let reference = call.reference("sensor", names())?;
    let found = call.state.sensors.get(&reference);
    found.ok_or_else(|| Problem::unknown_among("sensor", reference.as_str(), names()))
}

fn get(call: &Call, shape: fn(&Call, &Status) -> Value, known: &[&str]) -> Answer {
    paging::one(call, shape(call, &find(call)?), known)
}

fn restart(call: &Call) -> Answer {
    let status = find(call)?;
    let reference = &status.definition.reference;
    if !status.definition.enabled || !call.state.sensors.restart(reference) {
        return Err(Problem::conflict("disabled", format!("sensor `{reference}` is disabled"))
            .help("remove `enabled: false` from its file"));
    }
    tracing::info!(sensor = %reference, user = call.user(), "a sensor was restarted by hand");
    Ok((axum::http::StatusCode::ACCEPTED, Json(row(call, &status))).into_response())
}

fn row(call: &Call, status: &Status) -> Value {
    let definition = &status.definition;
    shape::with(
        shape::named("sensor", &definition.reference),
        json!({
            "kind": definition.kind,
            "description": definition.description,
            "enabled": definition.enabled,
            "place": definition.place.to_string(),
            "paths": call.state.hooks.paths(&definition.reference),
            "health": status.health,
        }),
    )
}

fn type_row(_: &Call, status: &Status) -> Value {
    let definition = &status.definition;
    let trigger = definition.settings.get("trigger").and_then(Value::as_str);
    shape::with(
        shape::named("sensor_type", &definition.reference),
        json!({
            "description": definition.description,
            "enabled": definition.enabled,
            "metadata_file": definition.place.file.as_path(),
            "artifact_uri": format!("file://{}", definition.place.file.display()),
            "entry_point": definition.kind,
            "trigger_types": Vec::from_iter(trigger),
        }),
    )
}
