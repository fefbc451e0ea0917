//! One bounded HTTP GET that answers with JSON: what `poll` and `prometheus` have in common.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use crate::model::problem::Problem;
use crate::model::sensor::Definition;
use crate::sensors::secret::Secret;
use crate::sensors::span::Span;
use crate::sensors::{Context, Error, wrong};

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
/// How much of a refusal is shown.
const EXCERPT: usize = 300;
/// How long an answer may take unless the file says otherwise.
pub(crate) const TIMEOUT: Span = Span::seconds(10);

/// What becomes an event of what is asked again and again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Only {
    /// All of it, every time.
    #[default]
    Always,
    /// What is another than last time; what is new too.
    Change,
}

/// Where to ask, and how.
pub(crate) struct Fetch {
    url: Url,
    headers: HeaderMap,
    bearer: Option<Secret>,
    timeout: Duration,
}

impl Fetch {
    /// Checks what the file says.
    pub(crate) fn new(
        definition: &Definition,
        url: &str,
        headers: &BTreeMap<String, String>,
        bearer: Option<Secret>,
        timeout: Span,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        if url.is_none() {
            let problem = wrong(definition, "url", "expected an address of http or https");
            problems.push(problem.help("write it whole: `http://host:9090`"));
        }
        let mut checked = HeaderMap::new();
        for (name, value) in headers {
            match (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
                (Ok(name), Ok(value)) => {
                    checked.insert(name, value);
                }
                _ => problems.push(wrong(definition, "headers", format!("`{name}` is no header"))),
            }
        }
        match url {
            Some(url) if problems.is_empty() => {
                Ok(Self { url, headers: checked, bearer, timeout: timeout.0 })
            }
            _ => Err(problems),
        }
    }

    /// The address, for people.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Asks `url`, which is this one or stands below it.
    ///
    /// Cancel-safe: it only reads.
    pub(crate) async fn get(
        &self,
        context: &Context,
        folder: &Path,
        url: &Url,
    ) -> Result<Answered, Error> {
        let mut headers = self.headers.clone();
        if let Some(bearer) = &self.bearer {
            let token = bearer.open(folder, &context.config).await?;
            let value = HeaderValue::from_bytes(&[b"Bearer ", token.as_slice()].concat());
            let mut value = value.map_err(|_| Error::Stop {
                what: format!("the secret {bearer:?} cannot stand in a header"),
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let request = context.client.get(url.clone()).headers(headers).timeout(self.timeout);
        let answer = request.send().await.map_err(|error| self.failed(&error))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(|error| self.failed(&error))?);
            if body.len() > ANSWER_LIMIT {
                let what = format!("`{}` answers with more than {ANSWER_LIMIT} bytes", self.url);
                return Err(Error::Source { what });
            }
        }
        Ok(Answered { status, body })
    }

    /// What went wrong, down to its root, and where.
    fn failed(&self, error: &reqwest::Error) -> Error {
        let mut root: &dyn std::error::Error = error;
        while let Some(source) = root.source() {
            root = source;
        }
        let root = if error.is_timeout() {
            format!("no answer within {} s", self.timeout.as_secs_f64())
        } else {
            root.to_string()
        };
        Error::Source { what: format!("`{}` cannot be read: {root}", self.url) }
    }

    /// The error that an answer is, where it is one.
    pub(crate) fn refused(&self, answered: &Answered, why: &str) -> Error {
        let text = String::from_utf8_lossy(&answered.body);
        let excerpt = excerpt(&text);
        let what = format!("`{}` answers {}: {why}{excerpt}", self.url, answered.status);
        Error::Source { what }
    }
}

/// As much of an answer as people want to see.
pub(crate) fn excerpt(text: &str) -> String {
    text.trim().chars().take(EXCERPT).collect()
}

/// What came back.
pub(crate) struct Answered {
    /// The HTTP status.
    pub(crate) status: u16,
    body: Vec<u8>,
}

impl Answered {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}
