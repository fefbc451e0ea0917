//! The HTTP client of the command line.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::cli::Whereabouts;
use crate::cli::failure::{self, Failure};
use crate::config::{Config, Flags};

/// The file in the data folder that says where its Ifso serves.
pub const URL_FILE: &str = "url";
/// Where Ifso serves unless somebody says otherwise.
const URL: &str = "http://127.0.0.1:9101";
/// How long to wait for a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long to wait for an answer; the server waits 60 s for an execution at most.
const ANSWER_TIME: Duration = Duration::from_secs(90);

/// One serving Ifso.
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
    key_from: String,
}

impl Client {
    /// The Ifso that flags, environment and home point at.
    ///
    /// # Errors
    /// Where the home's settings cannot be read.
    pub fn find(whereabouts: &Whereabouts) -> Result<Self, Failure> {
        let data = data(whereabouts)?;
        let url = match &whereabouts.url {
            Some(url) => url.clone(),
            None => read(&data.join(URL_FILE)).unwrap_or_else(|| URL.to_owned()),
        };
        let file = data.join("admin.key");
        let (key, key_from) = match &whereabouts.key {
            Some(key) => (Some(key.trim().to_owned()), "IFSO_KEY".to_owned()),
            None => (read(&file), format!("`{}`", file.display())),
        };
        Self::new(url.trim_end_matches('/').to_owned(), key, key_from)
    }

    /// The Ifso at `url`.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(url: String, key: Option<String>, key_from: String) -> Result<Self, Failure> {
        // Somebody else may have set it: the one provider is the same.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME)
            .user_agent(concat!("ifso/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::machine("HTTP cannot be spoken", &error))?;
        Ok(Self { http, url, key, key_from })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// Where nobody answers, or the answer is no success.
    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        self.call(Method::GET, path, query, None).await
    }

    /// Reads JSON; nothing where there is no such thing, or where this key may not see it.
    ///
    /// # Errors
    /// As `get`.
    pub async fn look(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Option<Value>, Failure> {
        let request = self.request(Method::GET, path, Some(ANSWER_TIME)).query(query);
        let response = request.send().await.map_err(|error| self.away(&error))?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) {
            return Ok(None);
        }
        self.value(response).await.map(Some)
    }

    /// Every row of a list, page by page, `most` at most.
    ///
    /// # Errors
    /// As `get`.
    pub async fn list(
        &self,
        path: &str,
        query: &[(&str, String)],
        most: usize,
    ) -> Result<Vec<Value>, Failure> {
        const PAGE: usize = 500;
        let mut rows = Vec::new();
        while rows.len() < most {
            let mut query = query.to_vec();
            let want = PAGE.min(most - rows.len());
            query.push(("limit", want.to_string()));
            query.push(("offset", rows.len().to_string()));
            let Value::Array(page) = self.get(path, &query).await? else { break };
            let whole = page.len() == want;
            rows.extend(page);
            if !whole {
                break;
            }
        }
        Ok(rows)
    }

    /// Reads text.
    ///
    /// # Errors
    /// As `get`.
    pub async fn text(&self, path: &str, query: &[(&str, String)]) -> Result<String, Failure> {
        let request = self.request(Method::GET, path, Some(ANSWER_TIME)).query(query);
        let response = request.send().await.map_err(|error| self.away(&error))?;
        let response = self.good(response).await?;
        response.text().await.map_err(|error| self.away(&error))
    }

    /// Sends JSON with `method` and reads JSON; null where the answer has no body.
    ///
    /// # Errors
    /// As `get`.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut request = self.request(method, path, Some(ANSWER_TIME)).query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.away(&error))?;
        self.value(response).await
    }

    /// Posts JSON; calls with the same key count once.
    ///
    /// # Errors
    /// As `get`.
    pub async fn post_once(
        &self,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Result<Value, Failure> {
        let mut request = self.request(Method::POST, path, Some(ANSWER_TIME)).json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send().await.map_err(|error| self.away(&error))?;
        self.value(response).await
    }

    /// Follows server-sent events until `each` says `false` or the server ends them.
    ///
    /// # Errors
    /// As `get`, and whatever `each` makes of an event.
    pub async fn follow(
        &self,
        path: &str,
        mut each: impl FnMut(&str, &Value) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let never = Duration::MAX;
        self.follow_ticking(path, never, |heard| match heard {
            Some((name, value)) => each(name, value),
            None => Ok(true),
        })
        .await
    }

    /// The same, with a word of nothing whenever nothing came for as long as `tick`.
    ///
    /// # Errors
    /// As `follow`.
    pub async fn follow_ticking(
        &self,
        path: &str,
        tick: Duration,
        mut each: impl FnMut(Option<(&str, &Value)>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let request = self.request(Method::GET, path, None);
        let response = request.send().await.map_err(|error| self.away(&error))?;
        let mut bytes = self.good(response).await?.bytes_stream();
        let (mut rest, mut name) = (Vec::new(), String::new());
        loop {
            let piece = match tokio::time::timeout(tick, bytes.next()).await {
                Ok(Some(piece)) => piece,
                Err(_) if each(None)? => continue,
                Ok(None) | Err(_) => return Ok(()),
            };
            rest.extend_from_slice(&piece.map_err(|error| self.away(&error))?);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_end();
                if let Some(word) = line.strip_prefix("event:") {
                    word.trim().clone_into(&mut name);
                } else if let Some(data) = line.strip_prefix("data:") {
                    let value = serde_json::from_str(data.trim()).unwrap_or(Value::Null);
                    if !each(Some((&name, &value)))? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn request(&self, method: Method, path: &str, time: Option<Duration>) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        match time {
            Some(time) => request.timeout(time),
            None => request,
        }
    }

    fn away(&self, error: &reqwest::Error) -> Failure {
        let error = reason(error);
        Failure::new(format!("no Ifso answers at {}: {error}", self.url))
            .help(
                "start one with `ifso serve --home DIR`, or say where it is with `--home DIR` or \
                 IFSO_URL",
            )
            .code(failure::UNREACHABLE)
    }

    async fn value(&self, response: Response) -> Result<Value, Failure> {
        let response = self.good(response).await?;
        let bytes = response.bytes().await.map_err(|error| self.away(&error))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(format!("what answers at {} is no Ifso: {error}", self.url))
                .help("look at IFSO_URL")
        })
    }

    /// The answer, where it is a success.
    async fn good(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body: Value = response.json().await.unwrap_or(Value::Null);
        let message = body["faultstring"].as_str().map(str::to_owned);
        let message = message.unwrap_or_else(|| format!("{} answered {status}", self.url));
        let mut failed = Failure::new(message);
        failed.help = body["help"].as_str().map(str::to_owned);
        if status == StatusCode::UNAUTHORIZED {
            let first = match &self.key {
                Some(_) => format!("the key came from {}", self.key_from),
                None => format!(
                    "set IFSO_KEY, or name the home with `--home`; looked for {}",
                    self.key_from
                ),
            };
            failed.help = Some(format!(
                "{first}; whoever owns the data folder stops Ifso and makes one with \
                 `ifso token create --offline`"
            ));
        }
        if matches!(status, StatusCode::INSUFFICIENT_STORAGE | StatusCode::SERVICE_UNAVAILABLE) {
            failed.code = failure::STORE;
        }
        Err(failed)
    }
}

/// The data folder that flags, environment and settings name.
fn data(whereabouts: &Whereabouts) -> Result<std::path::PathBuf, Failure> {
    if let Some(data) = &whereabouts.data {
        return Ok(data.clone());
    }
    let home = whereabouts.home.as_deref().unwrap_or(Path::new("."));
    Ok(Config::load(home, [], &Flags::default())?.data)
}

fn read(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The innermost reason: what stands around it is about HTTP's insides.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it takes too long".to_owned();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A name as one segment of a path.
#[must_use]
pub fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}
