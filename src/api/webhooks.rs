//! Webhooks: bytes go to the sensor that opened the hook, which judges and answers.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::route::{Access, Answer, Route, Shape};
use crate::auth::Right;
use crate::sensors::hooks;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/webhooks",
        Access::Needs(Right::View),
        |call| Box::pin(async move { list(&call) }),
        "Lists the open webhooks.",
    )
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Webhook")),
    Route::post(
        "/api/v1/webhooks/{*name}",
        Access::Own,
        |call| Box::pin(deliver(call)),
        "Delivers to a webhook; its sensor says how callers prove themselves.",
    )
    .takes(Shape::Any)
    .limit(|state, params| {
        let name = params.iter().find(|(key, _)| *key == "name").map(|(_, name)| name);
        state.hooks.limit_bytes(name.unwrap_or_default())
    })
    .gives(202, Shape::Any),
];

const KNOWN: &[&str] = &["id", "uid", "ref", "name", "description", "type", "parameters", "url"];

fn list(call: &Call) -> Answer {
    let page = Page::of(call)?;
    page.cut(call.state.hooks.names()).map(|name| row(&name)).answer(call, KNOWN)
}

fn row(name: &str) -> Value {
    json!({
        "id": name,
        "uid": format!("webhook:{name}"),
        "ref": name,
        "name": name,
        "description": "",
        "type": "core.st2.webhook",
        "parameters": { "url": name },
        "url": format!("/api/v1/webhooks/{name}"),
    })
}

async fn deliver(call: Call) -> Answer {
    let name = call.path("name").to_owned();
    let hooks = call.state.hooks.clone();
    Ok(sent(hooks.deliver(&name, delivery(call)).await))
}

/// What a hook gets of a call.
pub(crate) fn delivery(call: Call) -> hooks::Delivery {
    hooks::Delivery {
        headers: call.headers,
        query: call.raw_query,
        body: call.body,
        authenticated: call.caller.filter(|c| c.may(Right::Report)).map(|caller| caller.user),
    }
}

/// A hook's answer as HTTP.
pub(crate) fn sent(answer: hooks::Answer) -> axum::response::Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(answer.body)).into_response();
    if let Some(seconds) = answer.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
