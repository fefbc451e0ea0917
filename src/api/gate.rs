//! What every call passes before its handler: size, key, right, body. Deny by default.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Router, body};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::api::audit::{Asks, Trail};
use crate::api::call::Call;
use crate::api::inside::Admitted;
use crate::api::problem::Problem;
use crate::api::route::{Access, Of, Route, Verb};
use crate::api::server::Peer;
use crate::api::{State, object};
use crate::auth::{self, Caller, Object, rights};

/// The largest body that is read, in bytes, unless a route says otherwise.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// Bytes of a refused body that are taken in at most.
const DRAIN_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// For how long.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// How long a caller may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The router over `routes`; what begins with `/api/v1` answers at `/v1` too, and each with a slash at
/// its end, as StackStorm's clients write some.
pub fn router(state: State, stop: CancellationToken) -> Router {
    let house = House { state: Arc::new(state), stop };
    let mut paths: Vec<(String, MethodRouter)> = Vec::new();
    for route in crate::api::routes() {
        for path in spellings(route.path) {
            let method = method(house.clone(), route);
            match paths.iter_mut().find(|(known, _)| *known == path) {
                Some((_, methods)) => *methods = std::mem::take(methods).merge(method),
                None => paths.push((path, method)),
            }
        }
    }
    let mut router = Router::new();
    for (path, methods) in paths {
        router = router.route(&path, methods);
    }
    router.fallback(no_such_path).method_not_allowed_fallback(no_such_method)
}

/// Every way in which a path may be written.
fn spellings(path: &str) -> Vec<String> {
    let mut all = vec![path.to_owned()];
    if let Some(rest) = path.strip_prefix("/api/v1/") {
        all.push(format!("/v1/{rest}"));
    }
    // A wildcard takes the slash itself.
    if !path.ends_with('/') && !path.contains("{*") {
        let slashed: Vec<_> = all.iter().map(|path| format!("{path}/")).collect();
        all.extend(slashed);
    }
    all
}

/// What all calls share.
#[derive(Clone)]
struct House {
    state: Arc<State>,
    stop: CancellationToken,
}

fn method(house: House, route: &'static Route) -> MethodRouter {
    let filter = match route.verb {
        Verb::Get => MethodFilter::GET,
        Verb::Post => MethodFilter::POST,
        Verb::Put => MethodFilter::PUT,
        Verb::Delete => MethodFilter::DELETE,
    };
    on(filter, move |params: RawPathParams, request: Request| {
        let house = house.clone();
        async move {
            let started = std::time::Instant::now();
            let metrics = house.state.metrics.clone();
            let answer = pass(house, route, &params, request).await;
            let response = answer.unwrap_or_else(IntoResponse::into_response);
            let status = response.status().as_u16();
            metrics.answered(route.verb.word(), route.path, status, started.elapsed());
            response
        }
    })
}

async fn pass(
    house: House,
    route: &'static Route,
    params: &RawPathParams,
    request: Request,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let address = head.extensions.get::<Peer>().map(|peer| peer.0.ip().to_string());
    let limit = (route.limit)(&house.state, params);
    let announced = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    if announced.and_then(|v| v.parse::<u64>().ok()).is_some_and(|n| n > limit as u64) {
        drain(body).await;
        return Err(too_large(limit));
    }
    let raw_query = head.uri.query().map(str::to_owned);
    let query = read_query(raw_query.as_deref())?;
    let asks = Asks::of(route, (address.as_deref(), &head.headers), params, &query);
    let inside = head.extensions.get::<Admitted>().map(|Admitted(caller)| caller);
    let caller = match admit(&house.state, route, inside, &head.headers, &query).await {
        Ok(caller) => caller,
        Err(refused) => return Err(asks.denied(&house.state, inside, refused).await),
    };
    let body = if route.verb.has_body() { read(body, limit).await? } else { Bytes::new() };
    let path = params.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let House { state, stop } = house;
    let (headers, address) = (head.headers, address.unwrap_or_default());
    let trail = Trail::default();
    let mut call =
        Call { state, stop, caller, path, query, raw_query, headers, address, body, trail };
    if let Err(refused) = object::admit(&call, route).await {
        return Err(asks.denied(&call.state, call.caller.as_ref(), refused).await);
    }
    let (asked, trail) = asks.let_in(&call.state, call.caller.as_ref()).await?;
    call.trail = trail;
    asked.answered((route.handler)(call).await).await
}

/// Whether this call is let in, and as whom: whoever calls from inside is known already.
async fn admit(
    state: &State,
    route: &Route,
    inside: Option<&Caller>,
    headers: &HeaderMap,
    query: &[(String, String)],
) -> Result<Option<Caller>, Problem> {
    let sent = credential(headers, (route.access == Access::Own).then_some(query));
    match route.access {
        Access::Anyone => Ok(None),
        // A webhook's own bearer token may stand where a key would: what is no key of ours is for the
        // webhook to judge.
        Access::Own => match sent {
            Some(Ok(text)) => Ok(state.keys.check(&text).await.ok()),
            _ => Ok(None),
        },
        Access::Known => Ok(Some(known(state, inside, sent).await?)),
        Access::Needs(right) => {
            let caller = known(state, inside, sent).await?;
            // Of what exactly is asked once the call is whole: see `object`.
            let some = route.of != Of::All && rights::may_some(&caller, right);
            if some || caller.may(right) {
                return Ok(Some(caller));
            }
            Err(object::refused(&caller, right, &Object::default()))
        }
    }
}

/// Who calls: whoever is inside is known, all others show a credential.
async fn known(
    state: &State,
    inside: Option<&Caller>,
    sent: Option<Result<String, Malformed>>,
) -> Result<Caller, auth::Error> {
    match (inside, sent) {
        (Some(caller), _) => Ok(caller.clone()),
        (None, Some(Ok(text))) => state.keys.check(&text).await,
        (None, Some(Err(Malformed))) => Err(auth::Error::Wrong),
        (None, None) => Err(auth::Error::Missing),
    }
}

/// A header that is there but holds no key.
pub(super) struct Malformed;

/// The key that came with a call, in one of the forms in which clients send it.
pub(super) fn credential(
    headers: &HeaderMap,
    query: Option<&[(String, String)]>,
) -> Option<Result<String, Malformed>> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let text = value.to_str().unwrap_or_default();
        let key = text.split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        return Some(key.map(|(_, key)| key.trim().to_owned()).ok_or(Malformed));
    }
    for name in ["st2-api-key", "x-auth-token"] {
        if let Some(value) = headers.get(name) {
            return Some(value.to_str().map(str::to_owned).map_err(|_| Malformed));
        }
    }
    let names = ["st2-api-key", "x-auth-token"];
    query?.iter().find(|(key, _)| names.contains(&key.as_str())).map(|(_, v)| Ok(v.clone()))
}

fn read_query(raw: Option<&str>) -> Result<Vec<(String, String)>, Problem> {
    let uri = format!("/?{}", raw.unwrap_or_default());
    let bad = || Problem::bad("bad_query", "the query cannot be read");
    let uri: axum::http::Uri = uri.parse().map_err(|_| bad())?;
    let read = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
    read.map(|query| query.0).map_err(|_| bad())
}

async fn read(body: body::Body, limit: usize) -> Result<Bytes, Problem> {
    let reading = body::to_bytes(body, limit);
    match tokio::time::timeout(BODY_TIME, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(broken_body(&error, limit)),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            format!("the body did not come within {} s", BODY_TIME.as_secs()),
        )),
    }
}

/// Takes in what a caller sends that is refused, up to a limit: a connection that is closed under a caller
/// who still sends takes the answer with it.
async fn drain(body: body::Body) {
    let mut pieces = body.into_data_stream();
    let draining = async {
        let mut taken = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            taken += piece.len();
            if taken > DRAIN_LIMIT_BYTES {
                return;
            }
        }
    };
    // Whoever takes longer gets the answer that the connection allows.
    tokio::time::timeout(DRAIN_TIME, draining).await.ok();
}

fn broken_body(error: &axum::Error, limit: usize) -> Problem {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.to_string().contains("length limit") {
            return too_large(limit);
        }
        source = inner.source();
    }
    Problem::bad("bad_body", "the body ended before it was whole")
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        format!("the body is larger than {limit} bytes"),
    )
    .help("send less at once")
}

async fn no_such_path(request: Request) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_path",
        format!("nothing is at `{}`", request.uri().path()),
    )
    .help("`/api/v1/openapi.json` lists every path")
}

async fn no_such_method(request: Request) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_such_method",
        format!("`{}` does not take {}", request.uri().path(), request.method()),
    )
    .help("`/api/v1/openapi.json` lists every path with its methods")
}
