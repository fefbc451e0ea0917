//! A bucket of a service that speaks S3. Requests are signed in their address.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt, TryStreamExt};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use reqwest::header::{LAST_MODIFIED, RANGE};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode};
use rusty_s3::actions::{
    CompleteMultipartUpload, CreateMultipartUpload, GetObject, ListObjectsV2, UploadPart,
};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};

use super::{Attributes, Content, Entry, Fault, Flow, Head, Page, Piece, Store, Version, xml};
use crate::clock::Clock;
use crate::runners::migrate::pace::Pace;
use crate::runners::migrate::place::{Place, S3 as Settings, Style};
use crate::runners::supervisor::chain;

/// Objects asked for in one page; services give fewer where they want to.
const PAGE: usize = 1000;
/// How long reaching the service may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a signed address is good: the longest that one part may take.
const SIGNED: Duration = Duration::from_hours(12);
/// A transfer in which no byte moves for so long has failed.
const STALL: Duration = Duration::from_mins(1);
/// The longest answer other than an object.
const LONGEST_ANSWER: usize = 16 << 20;
/// Idle connections kept for one service: as many as copies may run.
const IDLE: usize = 1024;
/// Headers of an object that go with it, besides `x-amz-meta-…` and its tags.
const KEPT: &[&str] = &[
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "x-amz-website-redirect-location",
];
const META: &str = "x-amz-meta-";
const TAGGING: &str = "x-amz-tagging";
/// What an object is whose type nobody said.
const BINARY: &str = "binary/octet-stream";

/// One end in a bucket.
pub(super) struct S3 {
    name: String,
    endpoint: String,
    prefix: String,
    client: Client,
    bucket: Bucket,
    credentials: Option<Credentials>,
    requests: Arc<Pace>,
    clock: Clock,
}

impl S3 {
    /// # Errors
    /// Where the settings are wrong, for people.
    pub(super) fn new(
        place: &Place,
        settings: &Settings,
        requests: Arc<Pace>,
        clock: Clock,
    ) -> Result<Self, String> {
        let name = place.store.clone();
        let wrong = |what: String| format!("`stores.{name}` of the pack's configuration: {what}");
        let endpoint = settings.endpoint.trim_end_matches('/').to_owned();
        let url = endpoint.parse().map_err(|error| {
            wrong(format!(
                "`endpoint`: `{endpoint}` is no URL ({error}); write `https://host:port`"
            ))
        })?;
        let style = match settings.style {
            Style::Path => UrlStyle::Path,
            Style::Host => UrlStyle::VirtualHost,
        };
        let bucket = Bucket::new(url, style, place.bucket.clone(), settings.region.clone())
            .map_err(|error| wrong(format!("`endpoint`: {error}")))?;
        let credentials = match (&settings.access_key, &settings.secret_key) {
            (Some(key), Some(secret)) => Some(match &settings.session_token {
                Some(token) => Credentials::new_with_token(key, secret, token),
                None => Credentials::new(key, secret),
            }),
            (None, None) => None,
            _ => {
                return Err(wrong(
                    "`access_key` and `secret_key` come together; add the other".to_owned(),
                ));
            }
        };
        // Content that is stored compressed stays so: nothing is unpacked on the way.
        let client = Client::builder()
            .user_agent(concat!("ifso/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .redirect(Policy::none())
            .no_gzip()
            .http1_only()
            .tcp_nodelay(true)
            .pool_max_idle_per_host(IDLE)
            .tls_danger_accept_invalid_certs(!settings.verify_ssl_cert)
            .build()
            .map_err(|error| format!("no HTTP client can be made: {}", chain(&error)))?;
        let prefix = place.prefix.clone();
        Ok(Self { name, endpoint, prefix, client, bucket, credentials, requests, clock })
    }

    /// The whole key.
    fn key(&self, key: &str) -> Result<String, Fault> {
        let key = format!("{}{key}", self.prefix);
        // An address cannot say such keys: they would name another object.
        if key.is_empty() || key.split('/').any(|part| part == "." || part == "..") {
            let why = "its key has a part `.` or `..`, which no address can name";
            return Err(Fault::Refused(why.to_owned()));
        }
        Ok(key)
    }

    /// A signed request; `headers` that begin with `x-amz-` are signed too.
    fn request<'a, A: S3Action<'a>>(
        &self,
        mut action: A,
        headers: &Attributes,
    ) -> Result<RequestBuilder, Fault> {
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            let refused = || Fault::Refused(format!("its header `{name}` cannot be sent"));
            if name.starts_with("x-amz-") {
                action.headers_mut().insert(name.clone(), value.clone());
            }
            let key: reqwest::header::HeaderName = name.parse().map_err(|_| refused())?;
            sent.insert(key, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused())?);
        }
        let url = action.sign_with_time(SIGNED, &self.clock.now().to_jiff());
        let method = Method::from_bytes(A::METHOD.to_str().as_bytes())
            .map_err(|_| Fault::Refused("an unknown method".to_owned()))?;
        Ok(self.client.request(method, url).headers(sent))
    }

    /// Carries a request that takes no longer than an answer may.
    async fn ask(&self, request: RequestBuilder) -> Result<Response, Fault> {
        self.requests.take(1).await;
        let answer = tokio::time::timeout(STALL, request.send()).await;
        self.answered(answer.map_err(|_| self.silent())?).await
    }

    async fn answered(&self, sent: reqwest::Result<Response>) -> Result<Response, Fault> {
        let response = sent.map_err(|error| self.failed(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.text(response).await.unwrap_or_default();
        Err(self.fault(status, &body))
    }

    fn silent(&self) -> Fault {
        Fault::Busy(format!("`{}` at {} gave no answer for {STALL:?}", self.name, self.endpoint))
    }

    fn failed(&self, error: reqwest::Error) -> Fault {
        let unreachable = error.is_connect();
        // The address holds a signature.
        let what = chain(&error.without_url());
        let (name, endpoint) = (&self.name, &self.endpoint);
        if unreachable {
            return Fault::Unreachable(format!(
                "`{name}` at {endpoint} cannot be reached ({what}); look whether it runs and the `endpoint` is right"
            ));
        }
        Fault::Busy(format!("`{name}` at {endpoint}: {what}"))
    }

    /// What an answer other than a success means.
    fn fault(&self, status: StatusCode, body: &str) -> Fault {
        let code = xml::text(body, "Code").unwrap_or_default();
        let message = xml::text(body, "Message").unwrap_or_default();
        let name = &self.name;
        let said = [status.to_string(), code.clone(), message]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ");
        match (status.as_u16(), code.as_str()) {
            (_, "NoSuchBucket") => Fault::NoBucket(format!("`{}` in `{name}`", self.bucket.name())),
            (_, "NoSuchUpload") => Fault::NoUpload,
            (404, _) => Fault::Gone,
            (412 | 416, _) => Fault::Changed,
            (401 | 403, _) => Fault::Denied(format!(
                "`{name}` does not allow it ({said}); look at the keys in `stores.{name}` and at what they may do"
            )),
            (_, "RequestTimeout" | "SlowDown" | "InternalError" | "ServiceUnavailable")
            | (408 | 429 | 500 | 502 | 503 | 504, _) => Fault::Busy(format!("`{name}`: {said}")),
            (_, "BadDigest" | "IncompleteBody" | "XAmzContentSHA256Mismatch") => {
                Fault::Broken(format!("`{name}` got something else: {said}"))
            }
            (301 | 307 | 308, _) => Fault::Refused(format!(
                "`{name}` sends elsewhere ({said}); set the `region` and `endpoint` of the bucket"
            )),
            _ => Fault::Refused(format!("`{name}`: {said}")),
        }
    }

    async fn text(&self, mut response: Response) -> Result<String, Fault> {
        let mut bytes = Vec::new();
        loop {
            let chunk = tokio::time::timeout(STALL, response.chunk()).await;
            match chunk.map_err(|_| self.silent())?.map_err(|error| self.failed(error))? {
                Some(chunk) if bytes.len() + chunk.len() <= LONGEST_ANSWER => bytes.extend(chunk),
                Some(_) => return Err(Fault::Refused("the answer is too long".to_owned())),
                None => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            }
        }
    }

    /// Sends content; it may take as long as bytes move.
    async fn send(&self, request: RequestBuilder, content: Content) -> Result<Response, Fault> {
        self.requests.take(1).await;
        let moved = Arc::new(AtomicU64::new(0));
        let request = match content {
            Content::Whole(bytes, md5) => request
                .header(CONTENT_LENGTH, bytes.len())
                .header("content-md5", BASE64_STANDARD.encode(md5))
                .body(bytes),
            Content::Flow(flow, size) => {
                let moved = moved.clone();
                let flow = flow.inspect(move |_| {
                    moved.fetch_add(1, Ordering::Relaxed);
                });
                request.header(CONTENT_LENGTH, size).body(Body::wrap_stream(flow))
            }
        };
        let sending = request.send();
        tokio::pin!(sending);
        let mut seen = 0;
        loop {
            match tokio::time::timeout(STALL, &mut sending).await {
                Ok(sent) => return self.answered(sent).await,
                Err(_) if moved.load(Ordering::Relaxed) == seen => return Err(self.silent()),
                Err(_) => seen = moved.load(Ordering::Relaxed),
            }
        }
    }

    async fn page(&self, from: Option<&str>, encoded: bool) -> Result<Result<Page, String>, Fault> {
        let mut list = ListObjectsV2::new(&self.bucket, self.credentials.as_ref());
        list.with_max_keys(PAGE);
        if !encoded {
            // Some servers say that they encode, and do not.
            list.query_mut().remove("encoding-type");
        }
        if !self.prefix.is_empty() {
            list.with_prefix(self.prefix.clone());
        }
        match from.map(|from| from.split_at(1)) {
            Some(("t", token)) => list.with_continuation_token(token),
            Some((_, key)) => list.with_start_after(format!("{}{key}", self.prefix)),
            None => {}
        }
        let response = self.ask(self.request(list, &Attributes::new())?).await?;
        let text = self.text(response).await?;
        let parsed = match ListObjectsV2::parse_response(&text) {
            Ok(parsed) => parsed,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let entries = parsed.contents.into_iter().filter_map(|object| {
            let key = object.key.strip_prefix(&self.prefix)?.to_owned();
            let modified = object.last_modified.as_deref().and_then(|text| text.parse().ok());
            let version = Version {
                size: object.size.unwrap_or_default(),
                modified: modified.map_or(0, jiff::Timestamp::as_millisecond),
                etag: object.etag.as_deref().map(plain).filter(|etag| !etag.is_empty()),
            };
            // The place itself, as a folder's marker, has no name below it.
            (!key.is_empty()).then_some(Entry { key, version })
        });
        let next = parsed.next_continuation_token.map(|token| format!("t{token}"));
        Ok(Ok(Page { entries: entries.collect(), odd: Vec::new(), next }))
    }

    fn head_of(response: &Response) -> Head {
        let headers = response.headers();
        let text = |name: &str| {
            let value = headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let whole = text(CONTENT_RANGE.as_str());
        let whole = whole.as_deref().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let length = || text(CONTENT_LENGTH.as_str())?.parse().ok();
        let modified = text(LAST_MODIFIED.as_str())
            .and_then(|text| jiff::fmt::rfc2822::parse(&text).ok())
            .map_or(0, |zoned| zoned.timestamp().as_millisecond());
        let version = Version {
            size: whole.or_else(length).unwrap_or_default(),
            modified,
            etag: text(ETAG.as_str()).as_deref().map(plain),
        };
        let mut attributes = Attributes::new();
        for name in headers.keys().map(reqwest::header::HeaderName::as_str) {
            if KEPT.contains(&name) || name.starts_with(META) {
                attributes.extend(text(name).map(|value| (name.to_owned(), value)));
            }
        }
        Head { version, attributes }
    }

    /// The object's tags, where it has some: `a=1&b=2`.
    async fn tags(&self, key: &str, response: &Response) -> Result<Option<String>, Fault> {
        let count = response.headers().get("x-amz-tagging-count");
        if count.is_none_or(|count| count == "0") {
            return Ok(None);
        }
        let mut action = GetObject::new(&self.bucket, self.credentials.as_ref(), key);
        action.query_mut().insert("tagging", "");
        let answer = self.ask(self.request(action, &Attributes::new())?).await?;
        let answer = self.text(answer).await?;
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for tag in xml::inside(&answer, "Tag") {
            let (name, value) = (xml::text(tag, "Key"), xml::text(tag, "Value"));
            pairs.append_pair(&name.unwrap_or_default(), &value.unwrap_or_default());
        }
        Ok(Some(pairs.finish()))
    }

    fn flow(&self, response: Response) -> Flow {
        let (name, endpoint) = (self.name.clone(), self.endpoint.clone());
        let failed = move |error: reqwest::Error| {
            let what = chain(&error.without_url());
            Fault::Busy(format!("the answer of `{name}` at {endpoint} broke off: {what}"))
        };
        response.bytes_stream().map_err(failed).boxed()
    }
}

/// A tag without its quotes; weak ones are no proof of anything, and differ from strong ones.
fn plain(etag: &str) -> String {
    etag.trim_matches('"').to_owned()
}

fn tag(response: &Response) -> Option<String> {
    response.headers().get(ETAG)?.to_str().ok().map(plain)
}

/// The headers with a type: a service may take a body without one for a form.
fn typed(attributes: &Attributes) -> Attributes {
    let mut typed = attributes.clone();
    typed.entry("content-type".to_owned()).or_insert_with(|| BINARY.to_owned());
    typed
}

/// Some services deny an upload that they do not know: one that was completed by an engine that died
/// then. Where it is denied indeed, so is the next one when it begins.
fn unknown(fault: Fault) -> Fault {
    match fault {
        Fault::Denied(_) => Fault::NoUpload,
        fault => fault,
    }
}

#[async_trait]
impl Store for S3 {
    async fn probe(&self) -> Result<(), Fault> {
        let mut list = ListObjectsV2::new(&self.bucket, self.credentials.as_ref());
        list.with_max_keys(1);
        self.ask(self.request(list, &Attributes::new())?).await.map(drop)
    }

    async fn list(&self, from: Option<&str>) -> Result<Page, Fault> {
        // Keys with control characters cannot stand in XML: only then are they asked for encoded.
        if let Ok(page) = self.page(from, false).await? {
            return Ok(page);
        }
        self.page(from, true).await?.map_err(|error| {
            let name = &self.name;
            Fault::Refused(format!("the listing of `{name}` cannot be read: {error}"))
        })
    }

    async fn head(&self, key: &str) -> Result<Head, Fault> {
        let key = self.key(key)?;
        let action = self.bucket.head_object(self.credentials.as_ref(), &key);
        let response = self.ask(self.request(action, &Attributes::new())?).await?;
        let mut head = Self::head_of(&response);
        let tags = self.tags(&key, &response).await?;
        head.attributes.extend(tags.map(|tags| (TAGGING.to_owned(), tags)));
        Ok(head)
    }

    async fn get(&self, key: &str, bytes: Option<Range<u64>>) -> Result<(Head, Flow), Fault> {
        let key = self.key(key)?;
        let action = self.bucket.get_object(self.credentials.as_ref(), &key);
        let mut request = self.request(action, &Attributes::new())?;
        if let Some(bytes) = &bytes {
            request = request.header(RANGE, format!("bytes={}-{}", bytes.start, bytes.end - 1));
        }
        let response = self.ask(request).await?;
        let mut head = Self::head_of(&response);
        if bytes.is_none() {
            let tags = self.tags(&key, &response).await?;
            head.attributes.extend(tags.map(|tags| (TAGGING.to_owned(), tags)));
        } else if response.status() != StatusCode::PARTIAL_CONTENT {
            let name = &self.name;
            return Err(Fault::Refused(format!("`{name}` does not give parts of objects")));
        }
        Ok((head, self.flow(response)))
    }

    async fn put(
        &self,
        key: &str,
        attributes: &Attributes,
        content: Content,
    ) -> Result<Option<String>, Fault> {
        let key = self.key(key)?;
        let action = self.bucket.put_object(self.credentials.as_ref(), &key);
        let response = self.send(self.request(action, &typed(attributes))?, content).await?;
        Ok(tag(&response))
    }

    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<String, Fault> {
        let key = self.key(key)?;
        let action = self.bucket.create_multipart_upload(self.credentials.as_ref(), &key);
        let response = self.ask(self.request(action, &typed(attributes))?).await?;
        let text = self.text(response).await?;
        CreateMultipartUpload::parse_response(&text)
            .map(|answer| answer.upload_id().to_owned())
            .map_err(|error| Fault::Busy(format!("`{}` began no upload: {error}", self.name)))
    }

    async fn part(
        &self,
        key: &str,
        upload: &str,
        piece: &Piece,
        content: Content,
    ) -> Result<Option<String>, Fault> {
        let key = self.key(key)?;
        let number = u16::try_from(piece.number)
            .map_err(|_| Fault::Refused("it has too many parts".to_owned()))?;
        let credentials = self.credentials.as_ref();
        let action = UploadPart::new(&self.bucket, credentials, &key, number, upload);
        let request = self.request(action, &Attributes::new())?.header(CONTENT_TYPE, BINARY);
        Ok(tag(&self.send(request, content).await.map_err(unknown)?))
    }

    async fn complete(
        &self,
        key: &str,
        upload: &str,
        tags: &[String],
        _: &Attributes,
    ) -> Result<Option<String>, Fault> {
        let key = self.key(key)?;
        let tags = tags.iter().map(String::as_str);
        let credentials = self.credentials.as_ref();
        let action = CompleteMultipartUpload::new(&self.bucket, credentials, &key, upload, tags);
        let request = self.request(action.clone(), &Attributes::new())?;
        let request = request.header(CONTENT_TYPE, "application/xml").body(action.body());
        let response = self.ask(request).await.map_err(unknown)?;
        let status = response.status();
        let text = self.text(response).await?;
        // The head of the answer goes out before the work is done: a failure comes in its body.
        if xml::inside(&text, "Error").next().is_some() {
            return Err(self.fault(status, &text));
        }
        Ok(xml::text(&text, "ETag").as_deref().map(plain))
    }

    async fn abort(&self, key: &str, upload: &str) -> Result<(), Fault> {
        let key = self.key(key)?;
        let credentials = self.credentials.as_ref();
        let action = self.bucket.abort_multipart_upload(credentials, &key, upload);
        self.ask(self.request(action, &Attributes::new())?).await.map(drop)
    }

    async fn delete(&self, key: &str) -> Result<(), Fault> {
        let key = self.key(key)?;
        let action = self.bucket.delete_object(self.credentials.as_ref(), &key);
        match self.ask(self.request(action, &Attributes::new())?).await {
            Ok(_) | Err(Fault::Gone) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    fn settle(&self) -> Result<(), Fault> {
        Ok(())
    }
}
