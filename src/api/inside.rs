//! Calls from within the process: whoever shows what the API says (the pages) asks the API itself, and
//! passes the same gate with the caller that it has found out already.

use axum::Router;
use axum::body::{self, Body};
use axum::http::{Method, Request, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tower::ServiceExt;

use crate::api::route::Verb;
use crate::api::server::Peer;
use crate::auth::Caller;

/// The largest answer that is read whole, in bytes: an execution's output is the largest there is.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// A caller in a request's extensions. Only this process puts one there: what comes by wire has none.
#[derive(Debug, Clone)]
pub(crate) struct Admitted(pub(crate) Caller);

/// The API's own routes, to be called without a connection.
#[derive(Clone)]
pub struct Inside {
    router: Router,
    peer: Option<Peer>,
}

/// What a call gave.
#[derive(Debug, Clone)]
pub struct Given {
    /// The answer's JSON; null where it has none.
    pub body: Value,
    /// How many rows the whole list has.
    pub total: Option<u64>,
    /// Whether there are more than `total`.
    pub more: bool,
}

/// An answer that is no success, as the API words it.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    /// HTTP's status.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// The next step.
    pub help: Option<String>,
    /// Facts.
    pub details: Value,
}

impl Inside {
    /// Calls into `router`, which is `gate::router`.
    #[must_use]
    pub const fn new(router: Router) -> Self {
        Self { router, peer: None }
    }

    /// The same on behalf of somebody at the other end of a connection.
    #[must_use]
    pub fn on_behalf_of(&self, peer: Option<Peer>) -> Self {
        Self { router: self.router.clone(), peer }
    }

    /// The routes, for whoever calls from outside.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Reads.
    ///
    /// # Errors
    /// What the API says when it does not answer.
    pub async fn get(&self, path: &str, caller: &Caller) -> Result<Value, Refused> {
        Ok(self.call(Verb::Get, path, None, caller).await?.body)
    }

    /// Makes or does.
    ///
    /// # Errors
    /// As `get`.
    pub async fn post(&self, path: &str, body: &Value, caller: &Caller) -> Result<Value, Refused> {
        Ok(self.call(Verb::Post, path, Some(body), caller).await?.body)
    }

    /// Writes.
    ///
    /// # Errors
    /// As `get`.
    pub async fn put(&self, path: &str, body: &Value, caller: &Caller) -> Result<Value, Refused> {
        Ok(self.call(Verb::Put, path, Some(body), caller).await?.body)
    }

    /// Removes.
    ///
    /// # Errors
    /// As `get`.
    pub async fn delete(&self, path: &str, caller: &Caller) -> Result<Value, Refused> {
        Ok(self.call(Verb::Delete, path, None, caller).await?.body)
    }

    /// Any call; the counts of a list come along.
    ///
    /// # Errors
    /// As `get`.
    pub async fn call(
        &self,
        verb: Verb,
        path: &str,
        body: Option<&Value>,
        caller: &Caller,
    ) -> Result<Given, Refused> {
        let response = self.raw(verb, path, body, caller).await;
        let status = response.status();
        let (head, content) = response.into_parts();
        let header = |name: &str| head.headers.get(name)?.to_str().ok();
        let total = header("x-total-count").and_then(|text| text.parse().ok());
        let more = header("x-total-count-is").is_some();
        let bytes = body::to_bytes(content, ANSWER_LIMIT_BYTES).await;
        let bytes = bytes.map_err(|_| Refused {
            status: 502,
            code: "too_large".to_owned(),
            message: "the answer is too large to be shown".to_owned(),
            ..Refused::default()
        })?;
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let body = match bytes.len() {
            0 => Value::Null,
            _ => serde_json::from_slice(&bytes).unwrap_or_else(|_| text()),
        };
        if status.is_success() {
            return Ok(Given { body, total, more });
        }
        let word = |name: &str| body[name].as_str().map(str::to_owned);
        Err(Refused {
            status: status.as_u16(),
            code: word("code").unwrap_or_default(),
            message: word("faultstring").unwrap_or_else(|| status.to_string()),
            help: word("help"),
            details: body["details"].clone(),
        })
    }

    /// The answer as it comes: a picture, a stream.
    pub async fn raw(
        &self,
        verb: Verb,
        path: &str,
        body: Option<&Value>,
        caller: &Caller,
    ) -> Response {
        let method = Method::from_bytes(verb.word().as_bytes()).unwrap_or_default();
        let content = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .extension(Admitted(caller.clone()))
            .body(content);
        match request {
            Ok(mut request) => {
                if let Some(peer) = self.peer {
                    request.extensions_mut().insert(peer);
                }
                match self.router.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            Err(_) => crate::api::problem::Problem::unknown("page", path).into_response(),
        }
    }
}
