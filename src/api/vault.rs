//! The master key: how it stands, and a new one.

use axum::Json;
use axum::response::IntoResponse;
use serde_json::json;

use crate::api::call::Call;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::auth::Right;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/vault",
        Access::Needs(Right::Administer),
        |call| Box::pin(get(call)),
        "Tells which master key seals secrets, and which are missing.",
    )
    .gives(200, Shape::One("Vault")),
    Route::post(
        "/api/v1/vault/rotate",
        Access::Needs(Right::Administer),
        |call| Box::pin(rotate(call)),
        "Makes a new master key and seals every secret with it.",
    )
    .gives(200, Shape::One("Rotated")),
];

async fn get(call: Call) -> Answer {
    let standing = call.state.vault.standing().await?;
    Ok(Json(json!({
        "master": standing.master,
        "source": standing.source,
        "earlier": standing.earlier,
        "missing": standing.missing,
    }))
    .into_response())
}

async fn rotate(call: Call) -> Answer {
    let before = call.state.vault.standing().await?;
    let (vault, now) = (call.state.vault.clone(), call.state.clock.now());
    // A caller who goes away does not stop it half-way.
    let rotating = call.state.tasks.spawn(async move { vault.rotate(now).await });
    let (master, done) = rotating.await.expect("sealing does not panic")?;
    call.changed(json!({ "master": before.master }), json!({ "master": master }));
    tracing::info!(master, by = call.user(), "the master key was changed");
    Ok(Json(json!({
        "master": master,
        "before": before.master,
        "resealed": done.resealed,
        "sealed": done.sealed,
        "closed": done.closed,
    }))
    .into_response())
}
