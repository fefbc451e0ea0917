//! Two S3 servers that share no code: s3s-fs, whose objects are files and whose listings have no
//! `ETag`, and moto, which lists them. Both take any object that people can name.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;

use super::program::Program;

/// Who may call both servers; moto does not look what they sign with.
pub const ACCESS_KEY: &str = "ifso-tests";
/// What they sign with.
pub const SECRET_KEY: &str = "a secret of the tests";
/// What moto takes for signed.
pub const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=ifso-tests/20260101/us-east-1/s3/aws4_request, \
     SignedHeaders=host, Signature=none";
/// What of a key is written with `%` in an address.
const KEY: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'+').add(b'<').add(b'>').add(b'?');

/// All objects of a bucket: key and content.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// s3s-fs, in this process, with threads of its own so that no test slows it down.
pub struct Files {
    /// Where it answers: `http://127.0.0.1:…`.
    pub endpoint: String,
    folder: TempDir,
    inside: Arc<Inside>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// What is told, before it is done, of each request: the method and the address behind the port.
pub type Witness = Box<dyn Fn(&str, &str) + Send + Sync>;

struct Inside {
    service: S3Service,
    down: AtomicBool,
    calls: Mutex<Vec<String>>,
    witness: Mutex<Option<Witness>>,
}

impl Files {
    /// Starts it with these buckets.
    pub fn start(buckets: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for bucket in buckets {
            std::fs::create_dir(folder.path().join(bucket)).unwrap();
        }
        let mut service =
            S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).expect("a folder"));
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let inside = Arc::new(Inside {
            service: service.build(),
            down: AtomicBool::new(false),
            calls: Mutex::default(),
            witness: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer).with_state(inside.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await
        });
        Self { endpoint, folder, inside, runtime: Some(runtime) }
    }

    /// The folder that is this bucket.
    pub fn bucket(&self, bucket: &str) -> PathBuf {
        self.folder.path().join(bucket)
    }

    /// Puts objects there behind the server's back.
    pub fn fill(&self, bucket: &str, tree: &Tree) {
        for (key, content) in tree {
            let path = self.bucket(bucket).join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }

    /// What the bucket holds.
    pub fn tree(&self, bucket: &str) -> Tree {
        tree(&self.bucket(bucket))
    }

    /// Whether it answers everything with 503 from now on.
    pub fn down(&self, down: bool) {
        self.inside.down.store(down, Ordering::SeqCst);
    }

    /// `GET /bucket/key?…` for each request since the last look, in the order in which they came.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.inside.calls.lock().unwrap())
    }

    /// Tells `witness` of each request before it is done; one that panics makes the request fail.
    pub fn watch(&self, witness: Witness) {
        *self.inside.witness.lock().unwrap() = Some(witness);
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Without waiting: a test may end in the middle of a copy.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(State(inside): State<Arc<Inside>>, request: Request) -> Response {
    let method = request.method().as_str();
    let address = request.uri().path_and_query().map_or("/", |address| address.as_str());
    inside.calls.lock().unwrap().push(format!("{method} {address}"));
    if inside.down.load(Ordering::SeqCst) {
        return (http::StatusCode::SERVICE_UNAVAILABLE, "out of order").into_response();
    }
    if let Some(witness) = &*inside.witness.lock().unwrap() {
        witness(method, address);
    }
    let request = request.map(s3s::Body::http_body_unsync);
    match inside.service.call(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => {
            (http::StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")).into_response()
        }
    }
}

/// The files below a folder, by their path from there.
pub fn tree(folder: &Path) -> Tree {
    let mut found = Tree::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(one) = folders.pop() {
        for entry in std::fs::read_dir(one).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(key, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

/// moto, which keeps everything in memory.
pub struct Moto {
    /// Where it answers: `http://127.0.0.1:…`.
    pub endpoint: String,
    client: reqwest::Client,
    _program: Program,
}

impl Moto {
    /// Starts it with these buckets.
    pub async fn start(buckets: &[&str]) -> Self {
        // `./dev` puts it there; else whatever this machine has.
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join(".parts/moto/bin/moto_server");
        let program = if ours.exists() { ours.to_str().unwrap() } else { "moto_server" };
        let arguments = ["-H", "127.0.0.1", "-p", "{port}"];
        let program = Program::start(program, ("unused", ""), &arguments, "/moto-api/").await;
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let signed = [(AUTHORIZATION, SIGNED.parse().unwrap())].into_iter().collect();
        let client = reqwest::Client::builder()
            .default_headers(signed)
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()
            .unwrap();
        let started = Self { endpoint: program.url.clone(), client, _program: program };
        for bucket in buckets {
            started.put(bucket, "", &[], Vec::new()).await;
        }
        started
    }

    /// Stores an object with these headers; without a key it makes the bucket.
    pub async fn put(&self, bucket: &str, key: &str, headers: &[(&str, &str)], content: Vec<u8>) {
        let mut request = self.client.put(self.address(bucket, key)).body(content);
        // moto takes a body without a type for a form.
        request = request.header(CONTENT_TYPE, "application/octet-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{key}: {answer:?}");
    }

    /// Stores all of them.
    pub async fn fill(&self, bucket: &str, tree: &Tree) {
        for (key, content) in tree {
            self.put(bucket, key, &[], content.clone()).await;
        }
    }

    /// An object with its headers; nothing where there is none.
    pub async fn get(&self, bucket: &str, key: &str) -> Option<(http::HeaderMap, Vec<u8>)> {
        let answer = self.client.get(self.address(bucket, key)).send().await.unwrap();
        if answer.status() == http::StatusCode::NOT_FOUND {
            return None;
        }
        assert!(answer.status().is_success(), "{key}: {answer:?}");
        let headers = answer.headers().clone();
        Some((headers, answer.bytes().await.unwrap().to_vec()))
    }

    /// The keys of a bucket, in order.
    pub async fn keys(&self, bucket: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut after = String::new();
        loop {
            let page = [("list-type", "2"), ("encoding-type", "url"), ("start-after", &after)];
            let page = self.client.get(self.address(bucket, "")).query(&page).send().await.unwrap();
            let page = page.text().await.unwrap();
            let found = page.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
            let found = found.map(|(key, _)| percent_decode_str(key).decode_utf8().unwrap());
            keys.extend(found.map(std::borrow::Cow::into_owned));
            if !page.contains("<IsTruncated>true") {
                return keys;
            }
            after = keys.last().unwrap().clone();
        }
    }

    /// What the bucket holds.
    pub async fn tree(&self, bucket: &str) -> Tree {
        let mut found = Tree::new();
        for key in self.keys(bucket).await {
            let (_, content) = self.get(bucket, &key).await.unwrap();
            found.insert(key, content);
        }
        found
    }

    fn address(&self, bucket: &str, key: &str) -> String {
        format!("{}/{bucket}/{}", self.endpoint, utf8_percent_encode(key, KEY))
            .trim_end_matches(if key.is_empty() { "/" } else { "\0" })
            .to_owned()
    }
}

#[tokio::test]
async fn both_servers_keep_what_they_are_given() {
    let odd = ["plain", "empty", "a/b c", "ä/€.txt", "plus+percent%41#?&=", "quote\"'<>"];
    let given: Tree = odd.iter().map(|key| ((*key).to_owned(), key.as_bytes().to_vec())).collect();
    let given = given.into_iter().map(|(key, mut content)| {
        content.truncate(if key == "empty" { 0 } else { usize::MAX });
        (key, content)
    });
    let given: Tree = given.collect();
    let moto = Moto::start(&["old"]).await;
    moto.fill("old", &given).await;
    assert_eq!(moto.tree("old").await, given);
    let files = Files::start(&["old"]);
    files.fill("old", &given);
    assert_eq!(files.tree("old"), given);
    let signed = moto.client.get(format!("{}/old/plain", files.endpoint)).send().await.unwrap();
    assert!(signed.status().is_client_error(), "{signed:?}");
    files.down(true);
    let down = moto.client.get(format!("{}/old/plain", files.endpoint)).send().await.unwrap();
    assert_eq!(down.status(), http::StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(files.calls(), ["GET /old/plain", "GET /old/plain"]);
}
