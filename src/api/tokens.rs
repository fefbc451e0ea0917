//! Tokens: StackStorm's way to sign in with a name and a password, by HTTP's basic authentication.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::auth::{self, Via, tokens};

pub(crate) const ROUTES: &[Route] = &[
    Route::post(
        "/auth/v1/tokens",
        Access::Own,
        |call| Box::pin(sign_in(call)),
        "Signs a user in, with name and password as HTTP's basic authentication: gives a token that \
         goes where API keys go.",
    )
    .takes(Shape::One("TokenDraft"))
    .gives(201, Shape::One("Token")),
    Route::post(
        "/auth/v1/tokens/validate",
        Access::Own,
        |call| Box::pin(validate(call)),
        "Says whether a token is valid.",
    )
    .takes(Shape::One("TokenQuestion"))
    .gives(200, Shape::One("TokenAnswer")),
    Route::delete(
        "/auth/v1/tokens",
        Access::Known,
        |call| Box::pin(sign_out(call)),
        "Ends the token that comes with the call.",
    )
    .gives(204, Shape::Nothing),
];

/// StackStorm's clients send more than is meant.
#[derive(Debug, Default, Deserialize)]
struct TokenDraft {
    #[serde(default)]
    ttl: Option<i64>,
    #[serde(default)]
    user: Option<String>,
}

#[derive(Deserialize)]
struct TokenQuestion {
    token: String,
}

async fn sign_in(call: Call) -> Answer {
    let draft: TokenDraft = call.json_or_empty()?;
    let (user, password) = basic(&call).ok_or_else(|| {
        let message = "Unauthorized - name and password did not come as basic authentication.";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .help("send `Authorization: Basic …`, as `curl -u NAME` does")
    })?;
    if draft.user.is_some_and(|other| other != user) {
        return Err(Problem::forbidden("nobody signs in as somebody else")
            .help("leave `user` out of the body"));
    }
    let ttl = match draft.ttl {
        None => tokens::TTL,
        Some(seconds) => match u64::try_from(seconds) {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => Duration::ZERO,
        },
    };
    let keys = &call.state.keys;
    let signed = keys.sign_in_for(&user, &password, &call.address, ttl).await;
    if let Err(error) = &signed {
        tracing::info!(%error, address = call.address, "somebody could not sign in");
    }
    let (secret, until) = signed?;
    tracing::info!(user, address = call.address, "a user signed in");
    let row = json!({
        "id": secret.id,
        "user": user,
        "token": secret.reveal(),
        "expiry": until,
        "service": false,
        "metadata": {},
    });
    Ok((StatusCode::CREATED, Json(row)).into_response())
}

async fn validate(call: Call) -> Answer {
    let question: TokenQuestion = call.json()?;
    let valid = match call.state.keys.check(&question.token).await {
        Ok(caller) => matches!(caller.via, Via::Token(_) | Via::Action(_)),
        Err(auth::Error::Store(error)) => return Err(error.into()),
        Err(_) => false,
    };
    let answer: Value = json!({ "valid": valid });
    Ok(Json(answer).into_response())
}

async fn sign_out(call: Call) -> Answer {
    let caller = call.caller.as_ref().ok_or(auth::Error::Missing)?;
    if !call.state.keys.leave(caller).await? {
        return Err(Problem::bad("no_token", "what came with this call is no token")
            .help("`ifso token delete` removes API keys"));
    }
    tracing::info!(user = caller.user, "a user signed out");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Name and password of basic authentication (RFC 7617).
fn basic(call: &Call) -> Option<(String, String)> {
    let (kind, text) = call.header("authorization")?.split_once(' ')?;
    if !kind.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
