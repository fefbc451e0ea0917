//! The API's streams for pages: the same events, let in by the session's cookie.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use crate::api::route::Verb;
use crate::api::server::Peer;
use crate::web::page::{encoded, fill, matched};
use crate::web::{House, guard, session};

/// The streams: where pages hear them, and where the API tells them.
const STREAMS: &[(&str, &str)] = &[
    ("/live/executions", "/stream/v1/stream"),
    ("/live/executions/{id}/tree", "/stream/v1/executions/{id}/tree?output=true"),
    ("/live/executions/{id}/output", "/stream/v1/executions/{id}/output"),
];

/// A stream ends after so long; the browser opens it again, and its session is looked at again.
const LENGTH: Duration = Duration::from_mins(5);

/// Answers under `/live/`.
pub(crate) async fn answer(house: Arc<House>, request: Request) -> Response {
    let path = request.uri().path();
    let found = STREAMS.iter().find_map(|(own, api)| Some((api, matched(own, path)?)));
    let Some((api, named)) = found else { return StatusCode::NOT_FOUND.into_response() };
    let caller = match session::of(request.headers()) {
        Some(session) if guard::is_own(request.headers(), &house.public_url) => {
            house.sessions.caller(&session).await
        }
        _ => None,
    };
    let Some(caller) = caller else { return StatusCode::UNAUTHORIZED.into_response() };
    let value = |name: &str| named.iter().find(|(key, _)| key == name).map_or("", |(_, v)| v);
    let path = fill(api, |name| encoded(value(name)));
    let peer = request.extensions().get::<Peer>().copied();
    let response = house.inside.on_behalf_of(peer).raw(Verb::Get, &path, None, &caller).await;
    let clock = house.clock.clone();
    let end = clock.now().plus(LENGTH);
    let (head, body) = response.into_parts();
    let over = async move { clock.sleep_until(end).await };
    let body = body.into_data_stream().take_until(Box::pin(over));
    Response::from_parts(head, Body::from_stream(body))
}
