//! Alertmanager's own paths, so that Prometheus or delfin can be pointed straight here.

use crate::api::call::Call;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::api::webhooks::{delivery, sent};
use crate::sensors::hooks::{ALERTS_LIMIT_BYTES, AlertsVersion};

pub(crate) const ROUTES: &[Route] = &[
    Route::post(
        "/api/v2/alerts",
        Access::Own,
        |call| Box::pin(take(call, AlertsVersion::V2)),
        "Takes alerts as Alertmanager's version 2 does.",
    )
    .quiet()
    .takes(Shape::Any)
    .limit(|_, _| ALERTS_LIMIT_BYTES)
    .gives(200, Shape::Any),
    Route::post(
        "/api/v1/alerts",
        Access::Own,
        |call| Box::pin(take(call, AlertsVersion::V1)),
        "Takes alerts as Alertmanager's version 1 did.",
    )
    .quiet()
    .takes(Shape::Any)
    .limit(|_, _| ALERTS_LIMIT_BYTES)
    .gives(200, Shape::Any),
];

async fn take(call: Call, version: AlertsVersion) -> Answer {
    let hooks = call.state.hooks.clone();
    Ok(sent(hooks.alerts(version, delivery(call)).await))
}
