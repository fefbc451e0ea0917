//! One call as its handler gets it: let in, its body read.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::api::State;
use crate::api::problem::Problem;
use crate::auth::{Caller, Kind, Object, Right};
use crate::model::reference::Reference;
use crate::model::time::Time;

/// One call.
pub struct Call {
    /// Everything that handlers ask.
    pub state: Arc<State>,
    /// Cancelled when Ifso stops answering: streams end then.
    pub stop: CancellationToken,
    /// Who calls; nothing on routes that anyone may call.
    pub caller: Option<Caller>,
    /// What stands in the braces of the pattern, decoded.
    pub path: Vec<(String, String)>,
    /// The query, decoded, in the order of writing.
    pub query: Vec<(String, String)>,
    /// The query as it came.
    pub raw_query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The address that the call came from, without its port; empty where it came from within.
    pub address: String,
    /// The body; empty for methods that have none.
    pub body: Bytes,
}

impl Call {
    /// What stands in `{name}`.
    #[must_use]
    pub fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// What stands in `{name}`, read.
    ///
    /// # Errors
    /// 404 where it has not that form: no such thing can exist.
    pub fn named<T: std::str::FromStr>(&self, name: &str, what: &str) -> Result<T, Problem> {
        let text = self.path(name);
        text.parse().map_err(|_| Problem::unknown(what, text))
    }

    /// The reference in `{ref}`, to be found among `names`.
    ///
    /// # Errors
    /// 404 where it has not the form of one, with the name that may have been meant.
    pub fn reference<'a>(
        &self,
        what: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Reference, Problem> {
        let text = self.path("ref");
        text.parse().map_err(|_| Problem::unknown_among(what, text, names))
    }

    /// A query parameter; empty is as good as absent.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A query parameter that is a switch: `true`, `1`, `yes`.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.query(name).is_some_and(|value| {
            ["true", "1", "yes"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
        })
    }

    /// A query parameter that is a time.
    ///
    /// # Errors
    /// 400 where it is none.
    pub fn time(&self, name: &str) -> Result<Option<Time>, Problem> {
        let read = |text: &str| {
            text.parse().map_err(|error| Problem::bad("bad_query", format!("`{name}`: {error}")))
        };
        self.query(name).map(read).transpose()
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The type of the body, without its parameters, in lower case.
    #[must_use]
    pub fn content_type(&self) -> String {
        let text = self.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The user who calls.
    #[must_use]
    pub fn user(&self) -> &str {
        self.caller.as_ref().map_or("", |caller| caller.user.as_str())
    }

    /// Whether the caller has `right` of everything.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.may(right))
    }

    /// Whether the caller has `right` of the thing of this kind and name.
    #[must_use]
    pub fn may_of(&self, right: Right, kind: Kind, name: &str) -> bool {
        self.caller.as_ref().is_some_and(|caller| {
            caller.may(right) || caller.may_of(right, &Object::default().named(kind, name))
        })
    }

    /// Whether the caller may see the thing of this kind and name.
    #[must_use]
    pub fn sees(&self, kind: Kind, name: &str) -> bool {
        self.may_of(Right::View, kind, name)
    }

    /// The body, which must be JSON of this form.
    ///
    /// # Errors
    /// 415 where it says that it is something else; 400 where it is not of the form, naming the field.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let kind = self.content_type();
        if !(kind.is_empty() || kind == "application/json" || kind.ends_with("+json")) {
            return Err(not_json(&kind));
        }
        read_json(&self.body)
    }

    /// As `json`, but an empty body is as good as `{}`.
    ///
    /// # Errors
    /// As `json`.
    pub fn json_or_empty<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if self.body.is_empty() { read_json(b"{}") } else { self.json() }
    }
}

/// Reads JSON and names the field that does not fit.
///
/// # Errors
/// 400.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let what = error.into_inner();
        if path == "." {
            Problem::bad("bad_body", format!("the body cannot be read: {what}"))
        } else {
            Problem::bad("bad_body", format!("the body's `{path}` cannot be read: {what}"))
        }
    })?;
    reader.end().map_err(|error| {
        Problem::bad("bad_body", format!("something follows the body's JSON: {error}"))
    })?;
    Ok(value)
}

fn not_json(kind: &str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        format!("the body is `{kind}`; expected `application/json`"),
    )
    .help("send `Content-Type: application/json`")
}
