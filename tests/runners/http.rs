//! HTTP requests, against a server of the test's own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use ifso::model::execution::End;
use ifso::runners::{Begin, Ended};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::desk::{Attempt, Desk};

/// A server that answers by path, and what it was asked.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    // Ends the server with the test.
    _running: tokio::task::JoinHandle<()>,
}

async fn answer(
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    match uri.path() {
        "/json" => ([("content-type", "application/json")], r#"{"a": [1]}"#).into_response(),
        "/teapot" => (StatusCode::IM_A_TEAPOT, "no coffee").into_response(),
        "/away" => (StatusCode::FOUND, [("location", "/json")]).into_response(),
        "/slow" => std::future::pending().await,
        "/big" => vec![b'x'; 3 << 20].into_response(),
        _ => {
            let header =
                |name: &str| headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()));
            let said = json!({
                "method": method.as_str(),
                "query": uri.query(),
                "x": header("x-test"),
                "cookie": header("cookie"),
                "type": header("content-type"),
                "authorization": header("authorization"),
                "body": String::from_utf8_lossy(&body),
            });
            ([("content-type", "application/json")], said.to_string()).into_response()
        }
    }
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "a test's own server lives as long as its test")]
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let app = axum::Router::new().fallback(move |method: Method, uri: Uri, headers, body| {
            log.lock().unwrap().push(format!("{method} {uri}"));
            answer(method, uri, headers, body)
        });
        let running = async move { axum::serve(listener, app).await.unwrap() };
        Self { url, asked, _running: tokio::spawn(running) }
    }

    fn get(&self, desk: &Desk, path: &str) -> Attempt {
        desk.attempt("http-request").given("url", format!("{}{path}", self.url))
    }
}

#[tokio::test]
async fn an_answer_of_json_is_parsed() {
    let (desk, server) = (Desk::new(), Server::start().await);
    let result = server.get(&desk, "/json").run().await.succeeded();
    assert_eq!(result["body"], json!({ "a": [1] }));
    assert_eq!((&result["status_code"], &result["parsed"]), (&json!(200), &json!(true)));
    assert_eq!(result["headers"]["content-type"], "application/json");
}

#[tokio::test]
async fn four_hundred_and_more_fails_with_the_answer() {
    let (desk, server) = (Desk::new(), Server::start().await);
    let came = server.get(&desk, "/teapot?key=hidden").run().await;
    assert_eq!(came.end(), End::Failed);
    assert_eq!(came.outcome.result["body"], "no coffee");
    assert!(came.reason().ends_with("/teapot` answered 418 I'm a teapot"), "{}", came.reason());
}

#[tokio::test]
async fn everything_that_was_given_is_sent() {
    let (desk, server) = (Desk::new(), Server::start().await);
    let came = server
        .get(&desk, "/echo?a=1")
        .given("method", "post")
        .given("params", json!({ "b": "x y&z", "c": [1, 2], "d": null }))
        .given("headers", json!({ "X-Test": "yes" }))
        .given("cookies", json!({ "session": "7" }))
        .given("body", json!({ "pool": "gold" }))
        .given("username", "u")
        .given("password", "p")
        .run()
        .await;
    let expected = json!({
        "method": "POST", "query": "a=1&b=x+y%26z&c=1&c=2", "x": "yes", "cookie": "session=7",
        "type": "application/json", "authorization": "Basic dTpw", "body": "{\"pool\":\"gold\"}",
    });
    assert_eq!(came.succeeded()["body"], expected);
}

#[tokio::test]
async fn redirects_are_followed_only_when_asked() {
    let (desk, server) = (Desk::new(), Server::start().await);
    let stays = server.get(&desk, "/away").run().await.succeeded();
    assert_eq!(stays["status_code"], 302);
    let follows = server.get(&desk, "/away").given("allow_redirects", true).run().await.succeeded();
    assert_eq!(follows["body"], json!({ "a": [1] }));
}

#[tokio::test]
async fn a_slow_server_ends_in_a_time_out_and_a_cancel_at_once() {
    let (desk, server) = (Desk::new(), Server::start().await);
    let slow = server.get(&desk, "/slow");
    let came = slow.clone().within(Duration::from_millis(100)).run().await;
    assert_eq!(came.end(), End::TimedOut);
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(slow.run_until(stop).await.end(), End::Canceled);
}

#[tokio::test]
async fn an_endless_answer_is_refused() {
    let (desk, server) = (Desk::new(), Server::start().await);
    let came = server.get(&desk, "/big").run().await;
    assert!(came.reason().contains("longer than 1048576 bytes"), "{}", came.reason());
}

/// What is wrong with a request, said before anything is sent.
#[tokio::test]
async fn bad_parameters_are_named() {
    let (desk, server) = (Desk::new(), Server::start().await);
    let cases = [
        ("url", json!("not a url"), "parameter `url`"),
        ("url", json!("file:///etc/passwd"), "neither http nor https"),
        ("url", json!(""), "parameter `url` is missing"),
        ("headers", json!({ "a b": "c" }), "cannot be a header's name"),
        ("headers", json!({ "a": "b\r\nX-Injected: 1" }), "holds a line break"),
        ("cookies", json!({ "a": "b; admin=1" }), "holds a semicolon"),
        ("method", json!("GET /x HTTP/1.1\r\n"), "no HTTP method"),
        ("url_hosts_blacklist", json!(["127.0.0.1"]), "is on the list"),
        ("url_hosts_whitelist", json!(["example.org"]), "is not on the list"),
        ("https_proxy", json!("::::"), "parameter `https_proxy`"),
    ];
    for (name, value, expected) in cases {
        let came = server.get(&desk, "/echo").given(name, value).run().await;
        assert!(came.reason().contains(expected), "{name}: {}", came.reason());
    }
    assert!(server.asked.lock().unwrap().is_empty(), "a bad request was sent");
}

#[tokio::test]
async fn nobody_listening_is_said() {
    let desk = Desk::new();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let came = desk.attempt("http").given("url", format!("http://{free}/a?key=hidden")).run().await;
    assert_eq!(came.end(), End::Failed);
    assert!(
        came.reason().contains("refused") && !came.reason().contains("hidden"),
        "{}",
        came.reason()
    );
}

#[tokio::test]
async fn a_request_that_may_have_been_made_is_lost_on_return() {
    let (desk, server) = (Desk::new(), Server::start().await);
    let came = server.get(&desk, "/json").begin(Begin::Return).run().await;
    assert_eq!((came.outcome.ended, &came.outcome.result["body"]), (Ended::Lost, &Value::Null));
}
