//! API keys: made, listed, switched off and removed by administrators. The secret is shown once.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::api::shape::MASK;
use crate::auth::{self, Draft, Right, rights};
use crate::model::id::KeyId;
use crate::model::time::Time;
use crate::store::tables::ApiKey;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/apikeys",
        Access::Needs(Right::Administer),
        |call| Box::pin(list(call)),
        "Lists the API keys, without their secrets.",
    )
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("ApiKey")),
    Route::get(
        "/api/v1/apikeys/{id}",
        Access::Needs(Right::Administer),
        |call| Box::pin(get(call)),
        "Shows one API key, without its secret.",
    )
    .gives(200, Shape::One("ApiKey")),
    Route::post(
        "/api/v1/apikeys",
        Access::Needs(Right::Administer),
        |call| Box::pin(create(call)),
        "Makes an API key, of the role `operator` unless `role` or `grants` say otherwise; `key` is in \
         this answer and never again.",
    )
    .takes(Shape::One("ApiKeyDraft"))
    .gives(201, Shape::One("ApiKey")),
    Route::put(
        "/api/v1/apikeys/{id}",
        Access::Needs(Right::Administer),
        |call| Box::pin(enable(call)),
        "Switches an API key on or off.",
    )
    .takes(Shape::One("ApiKeyChange"))
    .gives(200, Shape::One("ApiKey")),
    Route::delete(
        "/api/v1/apikeys/{id}",
        Access::Needs(Right::Administer),
        |call| Box::pin(delete(call)),
        "Removes an API key; it ends at once.",
    )
    .gives(204, Shape::Nothing),
];

const KNOWN: &[&str] = &[
    "id",
    "uid",
    "user",
    "role",
    "grants",
    "key_hash",
    "metadata",
    "created_at",
    "expires_at",
    "last_used",
    "enabled",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiKeyDraft {
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    grants: Vec<String>,
    #[serde(default)]
    ttl_seconds: Option<u64>,
    #[serde(default)]
    metadata: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct ApiKeyChange {
    enabled: bool,
}

async fn list(call: Call) -> Answer {
    let page = Page::of(&call)?;
    let all = call.state.keys.list().await?;
    let listing = page.cut(all);
    let ids = listing.rows.iter().map(|key| key.id.to_string());
    let mut used = call.state.keys.last_used(ids.collect()).await?.into_iter();
    listing.map(|key| row(&key, used.next().flatten())).answer(&call, KNOWN)
}

async fn get(call: Call) -> Answer {
    let id: KeyId = call.named("id", "API key")?;
    let found = call.state.keys.get(id).await?;
    let key = found.ok_or_else(|| Problem::unknown("API key", &id.to_string()))?;
    let used = call.state.keys.last_used(vec![id.to_string()]).await?;
    paging::one(&call, row(&key, used.into_iter().next().flatten()), KNOWN)
}

async fn create(call: Call) -> Answer {
    let draft: ApiKeyDraft = call.json_or_empty()?;
    if draft.user.as_ref().is_some_and(|user| user.trim().is_empty()) {
        return Err(Problem::bad("no_user", "`user` is empty")
            .help("name a user, or leave it out: then the key is in your name"));
    }
    let now = call.state.clock.now();
    let draft = Draft {
        user: draft.user.unwrap_or_else(|| call.user().to_owned()),
        // What has grants has a reason to have no more than these.
        role: draft.role.unwrap_or_else(|| {
            if draft.grants.is_empty() { rights::OPERATOR } else { rights::NONE }.to_owned()
        }),
        grants: draft.grants,
        expires: draft.ttl_seconds.map(|seconds| now.plus(Duration::from_secs(seconds))),
        metadata: draft.metadata.unwrap_or_else(|| json!({})),
    };
    let maker = call.caller.as_ref().ok_or(auth::Error::Missing)?;
    let (key, secret) = call.state.keys.create_by(maker, draft).await?;
    tracing::info!(key = %key.id, user = key.user, role = key.role, by = call.user(), "an API key was made");
    let mut row = row(&key, None);
    row["key"] = json!(secret.reveal());
    Ok((StatusCode::CREATED, Json(row)).into_response())
}

async fn enable(call: Call) -> Answer {
    let id: KeyId = call.named("id", "API key")?;
    let change: ApiKeyChange = call.json()?;
    let changed = call.state.keys.enable(id, change.enabled).await?;
    let key = changed.ok_or_else(|| Problem::unknown("API key", &id.to_string()))?;
    tracing::info!(key = %id, enabled = key.enabled, by = call.user(), "an API key was changed");
    let used = call.state.keys.last_used(vec![id.to_string()]).await?;
    Ok(Json(row(&key, used.into_iter().next().flatten())).into_response())
}

async fn delete(call: Call) -> Answer {
    let id: KeyId = call.named("id", "API key")?;
    if !call.state.keys.remove(id).await? {
        return Err(Problem::unknown("API key", &id.to_string()));
    }
    tracing::info!(key = %id, by = call.user(), "an API key was removed");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn row(key: &ApiKey, used: Option<Time>) -> Value {
    json!({
        "id": key.id,
        "uid": format!("api_key:{}", key.id),
        "user": key.user,
        "role": key.role,
        "grants": key.grants,
        "key_hash": MASK,
        "metadata": key.metadata,
        "created_at": key.created,
        "expires_at": key.expires,
        "last_used": used,
        "enabled": key.enabled,
    })
}
