//! `http`: one HTTP request. An answer of 400 or more fails the action.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Proxy, Request, Response, Url};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::process;
use super::supervisor::chain;
use crate::model::execution::End;
use crate::model::parameter::Parameters;
use crate::runners::{Begin, Ended, Job, Outcome, Runner, described};

/// The longest answer that is read.
const LONGEST_BODY: usize = 1 << 20;

/// Redirects that are followed, where they are at all.
const REDIRECTS: usize = 5;

/// How long reaching the server may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Makes HTTP requests.
pub(super) struct Http {
    /// The client that most requests share: certificates are checked, redirects not followed.
    shared: OnceLock<Client>,
}

impl Http {
    pub(super) fn new() -> Self {
        // Whoever came first has installed the same one.
        if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
            tracing::trace!("The provider for TLS is installed already");
        }
        Self { shared: OnceLock::new() }
    }
}

#[async_trait]
impl Runner for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["http-request"]
    }

    fn about(&self) -> &'static str {
        "Makes one HTTP request; an answer of 400 or more is a failure"
    }

    fn parameters(&self, _runner_type: &str) -> Parameters {
        described(json!([
            ["url", { "types": ["string"], "required": true, "description": "Where to" }],
            ["method", { "types": ["string"], "default": "GET", "choices": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], "description": "What to do there" }],
            ["headers", { "types": ["object", "null"], "description": "Headers of the request" }],
            ["cookies", { "types": ["object", "null"], "description": "Cookies of the request" }],
            ["params", { "types": ["object", "null"], "description": "Query parameters, added to the URL's own" }],
            ["body", { "types": [], "description": "The body: a text goes as it is, anything else as JSON" }],
            ["username", { "types": ["string", "null"], "description": "Name for basic authentication" }],
            ["password", { "types": ["string", "null"], "secret": true, "description": "Password for basic authentication" }],
            ["timeout", { "types": ["integer"], "default": 60, "description": "Seconds it may take" }],
            ["allow_redirects", { "types": ["boolean"], "default": false, "description": "Whether redirects are followed, five at most" }],
            ["verify_ssl_cert", { "types": ["boolean"], "default": true, "description": "Whether the server's certificate must be good" }],
            ["http_proxy", { "types": ["string", "null"], "description": "Proxy for http URLs" }],
            ["https_proxy", { "types": ["string", "null"], "description": "Proxy for https URLs" }],
            ["url_hosts_blacklist", { "types": ["array", "null"], "description": "Hosts that may not be asked" }],
            ["url_hosts_whitelist", { "types": ["array", "null"], "description": "The only hosts that may be asked" }],
        ]))
    }

    async fn run(&self, job: Job, stop: CancellationToken) -> Outcome {
        if job.begin == Begin::Return {
            let why = "nobody can know whether the request was made before the engine ended";
            return Outcome::ended(Ended::Lost, why);
        }
        let timeout = process::timeout(&job);
        tokio::select! {
            biased;
            () = stop.cancelled() => Outcome::ended(Ended::So(End::Canceled), "it was cancelled"),
            made = tokio::time::timeout(timeout, self.make(&job)) => made.unwrap_or_else(|_| {
                let why = format!("there was no answer within {timeout:?}");
                Outcome::ended(Ended::So(End::TimedOut), why)
            }),
        }
    }
}

impl Http {
    async fn make(&self, job: &Job) -> Outcome {
        let asked = Asked(&job.parameters);
        let built = self.client(&asked).and_then(|client| {
            let mut request = asked.request(&client)?;
            // What the action says of it wins.
            let parent = job.trace_parent().and_then(|parent| HeaderValue::from_str(parent).ok());
            if let Some(parent) = parent {
                request.headers_mut().entry(PARENT).or_insert(parent);
            }
            Ok((client, request))
        });
        let (client, request) = match built {
            Ok(built) => built,
            Err(reason) => return Outcome::failed(reason),
        };
        let url = request.url().clone();
        match client.execute(request).await {
            Ok(response) => read(response).await,
            // The error names the URL; its query may hold a key.
            Err(error) => {
                Outcome::failed(format!("`{}`: {}", shown(&url), chain(&error.without_url())))
            }
        }
    }

    fn client(&self, asked: &Asked<'_>) -> Result<Client, String> {
        if !asked.is_special() {
            if let Some(client) = self.shared.get() {
                return Ok(client.clone());
            }
            let client = asked.client()?;
            return Ok(self.shared.get_or_init(|| client).clone());
        }
        asked.client()
    }
}

/// The header that says which trace a request is part of.
const PARENT: &str = "traceparent";

/// The parameters of a request.
struct Asked<'a>(&'a Map<String, Value>);

impl Asked<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    fn yes(&self, name: &str, default: bool) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(default)
    }

    fn object(&self, name: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.0.get(name).and_then(Value::as_object).into_iter().flatten()
    }

    fn hosts(&self, name: &str) -> Option<Vec<&str>> {
        let hosts = self.0.get(name)?.as_array()?;
        Some(hosts.iter().filter_map(Value::as_str).collect())
    }

    /// Whether the request needs a client of its own.
    fn is_special(&self) -> bool {
        self.yes("allow_redirects", false)
            || !self.yes("verify_ssl_cert", true)
            || self.text("http_proxy").or(self.text("https_proxy")).is_some()
    }

    fn client(&self) -> Result<Client, String> {
        let follow = self.yes("allow_redirects", false);
        let policy = if follow { Policy::limited(REDIRECTS) } else { Policy::none() };
        let mut client = Client::builder()
            .user_agent(concat!("ifso/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .redirect(policy)
            .tls_danger_accept_invalid_certs(!self.yes("verify_ssl_cert", true));
        let wrong =
            |name: &str, error: &reqwest::Error| format!("parameter `{name}`: {}", chain(error));
        if let Some(proxy) = self.text("http_proxy") {
            client = client.proxy(Proxy::http(proxy).map_err(|error| wrong("http_proxy", &error))?);
        }
        if let Some(proxy) = self.text("https_proxy") {
            client =
                client.proxy(Proxy::https(proxy).map_err(|error| wrong("https_proxy", &error))?);
        }
        client.build().map_err(|error| format!("no HTTP client can be made: {}", chain(&error)))
    }

    fn request(&self, client: &Client) -> Result<Request, String> {
        let url = self.url()?;
        let method = self.text("method").unwrap_or("GET").to_uppercase();
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| format!("parameter `method`: `{method}` is no HTTP method"))?;
        let mut headers = self.headers()?;
        let body = match self.0.get("body") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(value) => {
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                Some(value.to_string())
            }
        };
        let query: Vec<_> = self
            .object("params")
            .filter(|(_, value)| !value.is_null())
            .flat_map(|(name, value)| match value {
                Value::Array(items) => {
                    items.iter().map(|item| (name, process::text(item))).collect()
                }
                value => vec![(name, process::text(value))],
            })
            .collect();
        let mut request = client.request(method, url).headers(headers);
        if !query.is_empty() {
            request = request.query(&query);
        }
        if let Some(user) = self.text("username") {
            request = request.basic_auth(user, self.text("password"));
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        request.build().map_err(|error| chain(&error))
    }

    fn url(&self) -> Result<Url, String> {
        let text = self.text("url").ok_or("parameter `url` is missing; say where to")?;
        let url: Url = text
            .parse()
            .map_err(|error| format!("parameter `url`: `{text}` is no URL: {error}"))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(format!("parameter `url`: `{}` is neither http nor https", url.scheme()));
        }
        let host = url.host_str().unwrap_or_default();
        if self.hosts("url_hosts_blacklist").is_some_and(|hosts| hosts.contains(&host)) {
            return Err(format!("host `{host}` is on the list `url_hosts_blacklist`"));
        }
        if self.hosts("url_hosts_whitelist").is_some_and(|hosts| !hosts.contains(&host)) {
            return Err(format!("host `{host}` is not on the list `url_hosts_whitelist`"));
        }
        Ok(url)
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.object("headers") {
            let key: HeaderName = name
                .parse()
                .map_err(|_| format!("parameter `headers`: {name:?} cannot be a header's name"))?;
            headers.append(key, plain("headers", name, value)?);
        }
        for (name, value) in self.object("cookies") {
            let pair = format!("{name}={}", process::text(value));
            if pair.contains(';') {
                return Err(format!("parameter `cookies`: `{name}` holds a semicolon"));
            }
            headers.append(COOKIE, plain("cookies", name, &Value::String(pair))?);
        }
        Ok(headers)
    }
}

/// A header's value; one with a line break could become a second header.
fn plain(parameter: &str, name: &str, value: &Value) -> Result<HeaderValue, String> {
    HeaderValue::from_str(&process::text(value)).map_err(|_| {
        format!("parameter `{parameter}`: the value of `{name}` holds a line break or a control character")
    })
}

/// The address without what may be secret in it.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

async fn read(mut response: Response) -> Outcome {
    let status = response.status();
    let url = shown(response.url());
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in response.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        let joined = headers.entry(name.to_string()).or_default();
        *joined = if joined.is_empty() { value.into_owned() } else { format!("{joined}, {value}") };
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > LONGEST_BODY => {
                return Outcome::failed(format!(
                    "the answer of `{url}` is longer than {LONGEST_BODY} bytes"
                ));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => {
                let error = chain(&error.without_url());
                return Outcome::failed(format!("the answer of `{url}` broke off: {error}"));
            }
        }
    }
    let json = headers.get("content-type").is_some_and(|kind| kind.contains("json"));
    let parsed = if json { serde_json::from_slice::<Value>(&body).ok() } else { None };
    let result = json!({
        "status_code": status.as_u16(),
        "parsed": parsed.is_some(),
        "body": parsed.unwrap_or_else(|| Value::String(String::from_utf8_lossy(&body).into_owned())),
        "headers": headers,
    });
    if status.as_u16() < 400 {
        return Outcome::succeeded(result);
    }
    let reason = Some(format!("`{url}` answered {status}"));
    Outcome { ended: Ended::So(End::Failed), result, reason }
}
