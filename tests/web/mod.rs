//! The pages: what keeps strangers out, and an operator's day in a real browser.

use std::path::Path;
use std::process::Command;

use ifso::packs::catalog::Catalog;
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use serde_json::{Value, json};

use crate::api::House;

/// What a browser says of a page that it wants to see.
const PAGE: (&str, &str) = ("accept", "text/html");

/// Somebody at the pages: a cookie, and nothing else.
struct Guest<'a> {
    house: &'a House,
    client: reqwest::Client,
    cookie: String,
}

impl<'a> Guest<'a> {
    fn stranger(house: &'a House) -> Self {
        let policy = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().no_proxy().redirect(policy).build().unwrap();
        Self { house, client, cookie: String::new() }
    }

    /// Somebody signed in with a fresh key of this role.
    async fn signed_in(house: &'a House, role: &str) -> Self {
        let mut guest = Self::stranger(house);
        let key = house.key(role).await;
        let (status, headers, text) =
            guest.send("POST", "/login", &[("key", &key), ("next", "/events")], &[]).await;
        assert_eq!(
            (status, word(&headers, LOCATION.as_str())),
            (303, "/events".to_owned()),
            "{text}"
        );
        let cookie = word(&headers, SET_COOKIE.as_str());
        for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Secure"] {
            assert!(cookie.contains(part), "{cookie} without {part}");
        }
        cookie.split(';').next().unwrap_or_default().clone_into(&mut guest.cookie);
        guest
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> (u16, HeaderMap, String) {
        let method = method.parse().unwrap();
        let mut call = self.client.request(method, format!("{}{path}", self.house.url));
        call = call.header("cookie", &self.cookie).header(PAGE.0, PAGE.1);
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        let call = if form.is_empty() { call } else { call.form(form) };
        let answer = call.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.text().await.unwrap())
    }

    async fn see(&self, path: &str) -> (u16, String) {
        let (status, _, text) = self.send("GET", path, &[], &[]).await;
        (status, text)
    }

    /// The token that the forms of this session carry.
    async fn token(&self) -> String {
        let (_, text) = self.see("/").await;
        let found =
            text.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        found.unwrap_or_default().to_owned()
    }
}

fn word(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// An execution that a form could cancel.
async fn waiting(house: &House) -> String {
    let body = json!({ "action": "demo.wait", "delay": 3_600_000 });
    let (status, row) = house.ask("POST", "/api/v1/executions", Some(body)).await;
    assert_eq!(status, 201, "{row}");
    row["id"].as_str().unwrap().to_owned()
}

async fn status(house: &House, id: &str) -> String {
    let (_, row) = house.ask("GET", &format!("/api/v1/executions/{id}"), None).await;
    row["status"].as_str().unwrap_or_default().to_owned()
}

fn catalog() -> Catalog {
    crate::world::catalog([crate::world::action("demo.wait")])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_asks_who_comes_and_tells_browsers_to_trust_nothing() {
    let house = House::new(catalog()).await;
    let stranger = Guest::stranger(&house);
    let guest = Guest::signed_in(&house, "viewer").await;
    for path in ["/", "/executions", "/events", "/search?q=x", "/executions/nothing", "/nothing"] {
        let (status, headers, text) = stranger.send("GET", path, &[], &[]).await;
        assert_eq!(status, 303, "{path}: {text}");
        assert!(word(&headers, LOCATION.as_str()).starts_with("/login"), "{path}");
        let (_, headers, text) = guest.send("GET", path, &[], &[]).await;
        assert!(text.contains("<main"), "{path}: {text}");
        let policy = word(&headers, "content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(word(&headers, "cache-control"), "no-store", "{path}");
        assert_eq!(word(&headers, "referrer-policy"), "same-origin", "{path}");
        assert_eq!(word(&headers, "x-frame-options"), "DENY", "{path}");
        assert!(!text.contains("style=\"") && !text.contains("<script>"), "{path}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_counts_for_pages_and_never_for_the_api() {
    let house = House::new(catalog()).await;
    let guest = Guest::signed_in(&house, "admin").await;
    for path in ["/api/v1/executions", "/v1/rules", "/stream/v1/stream", "/api/v1/apikeys"] {
        assert_eq!(guest.see(path).await.0, 401, "{path}");
    }
    let stranger = Guest::stranger(&house);
    for path in ["/live/executions", "/executions/last/graph.svg"] {
        assert_eq!(stranger.see(path).await.0, 401, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_not_our_own_does_nothing() {
    let house = House::new(catalog()).await;
    let guest = Guest::signed_in(&house, "operator").await;
    let other = Guest::signed_in(&house, "operator").await;
    let id = waiting(&house).await;
    let path = format!("/executions/{id}/cancel");
    let (token, theirs) = (guest.token().await, other.token().await);
    assert!(token.len() == 64 && token != theirs, "{token}");
    let cross = ("sec-fetch-site", "cross-site");
    let forged: [(&str, &[(&str, &str)]); 6] = [
        ("", &[]),
        ("0", &[]),
        (&theirs, &[]),
        (&token, &[cross]),
        (&token, &[("sec-fetch-site", "same-site")]),
        (&token, &[("origin", "https://evil.example")]),
    ];
    for (token, headers) in forged {
        let form = [("csrf", token), ("back", "/")];
        let (status, _, text) = guest.send("POST", &path, &form, headers).await;
        assert_eq!(status, 403, "{token} {headers:?}: {text}");
    }
    assert_eq!(status(&house, &id).await, "delayed");
    let form = [("csrf", token.as_str()), ("back", "//evil.example/x")];
    let (code, headers, _) = guest.send("POST", &path, &form, &[]).await;
    assert_eq!((code, word(&headers, LOCATION.as_str())), (303, "/".to_owned()));
    assert_eq!(status(&house, &id).await, "canceled");
    assert!(guest.see("/").await.1.contains("It is cancelled"), "nothing is said");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_only_look_sees_no_buttons_and_is_refused_by_the_api() {
    let house = House::new(catalog()).await;
    let guest = Guest::signed_in(&house, "viewer").await;
    let id = waiting(&house).await;
    let (_, text) = guest.see(&format!("/executions/{id}")).await;
    assert!(!text.contains("/cancel\""), "{text}");
    let token = guest.token().await;
    let (code, _, text) = guest
        .send("POST", &format!("/executions/{id}/cancel"), &[("csrf", &token), ("back", "/")], &[])
        .await;
    assert_eq!(code, 403, "{text}");
    assert!(text.contains("role <code>viewer</code> may not run"), "{text}");
    assert_eq!(status(&house, &id).await, "delayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_itself_and_with_the_key_that_opened_it() {
    let house = House::new(catalog()).await;
    let idle = Guest::signed_in(&house, "viewer").await;
    assert_eq!(idle.see("/events").await.0, 200);
    house.world.manual.advance(std::time::Duration::from_hours(3));
    assert_eq!(idle.see("/events").await.0, 303);
    let guest = Guest::signed_in(&house, "viewer").await;
    let (_, keys) = house.ask("GET", "/api/v1/apikeys", None).await;
    for key in keys
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["role"] == "viewer" || key["user"] == "viewer")
    {
        let path = format!("/api/v1/apikeys/{}", key["id"].as_str().unwrap());
        house.ask("DELETE", &path, None).await;
    }
    assert_eq!(guest.see("/events").await.0, 303);
    let out = Guest::signed_in(&house, "viewer").await;
    let token = out.token().await;
    out.send("POST", "/logout", &[("csrf", "0")], &[]).await;
    assert_eq!(out.see("/events").await.0, 200, "a forged form signs out");
    out.send("POST", "/logout", &[("csrf", &token)], &[]).await;
    assert_eq!(out.see("/events").await.0, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_leads_to_our_own_pages_only() {
    let house = House::new(catalog()).await;
    let key = house.key("viewer").await;
    let stranger = Guest::stranger(&house);
    for (next, there) in [
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/logout", "/"),
        ("/executions?status=paused", "/executions?status=paused"),
    ] {
        let form = [("key", key.as_str()), ("next", next)];
        let (_, headers, _) = stranger.send("POST", "/login", &form, &[]).await;
        assert_eq!(word(&headers, LOCATION.as_str()), there, "{next}");
    }
    let form = [("key", key.as_str()), ("next", "/")];
    let cross = [("sec-fetch-site", "cross-site")];
    let (code, headers, _) = stranger.send("POST", "/login", &form, &cross).await;
    assert_eq!((code, word(&headers, SET_COOKIE.as_str())), (400, String::new()));
    let sensor = house.key("sensor").await;
    let form = [("key", sensor.as_str()), ("next", "/")];
    assert_eq!(stranger.send("POST", "/login", &form, &[]).await.0, 403);
}

/// A link in a mail or a chat: the browser keeps a strict cookie to itself until the next step is our own.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_from_elsewhere_leads_to_its_page() {
    let house = House::new(catalog()).await;
    let stranger = Guest::stranger(&house);
    let path = "/executions/%22%3E%3Cscript%3E?x=%3Cb%3E";
    let cross = [("sec-fetch-site", "cross-site")];
    let (status, _, text) = stranger.send("GET", path, &[], &cross).await;
    assert_eq!(status, 200);
    assert!(text.contains(&format!("url={path}")) && !text.contains("<script>"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_json_where_people_get_a_page() {
    let house = House::new(catalog()).await;
    let (status, row) = crate::api::answered(house.bare("GET", "/")).await;
    assert_eq!((status, &row["name"]), (200, &Value::from("Ifso")));
    let (status, row) = crate::api::answered(house.bare("GET", "/nothing")).await;
    assert_eq!((status, &row["code"]), (404, &Value::from("no_such_path")));
}

#[test]
fn an_operators_day_in_a_real_browser() {
    drives("pages.py", "pages");
}

#[test]
fn what_people_wrote_and_what_waits_for_them_in_a_real_browser() {
    drives("nouns.py", "nouns");
}

/// Runs a script that drives a real browser; its pictures stay under `target`.
fn drives(script: &str, shots: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let day = Command::new("python3")
        .arg(here.join("tests/web").join(script))
        .args(["--ifso", env!("CARGO_BIN_EXE_ifso"), "--shots"])
        .arg(here.join("target").join(shots))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&day.stdout);
    let wrong = String::from_utf8_lossy(&day.stderr);
    assert!(day.status.success(), "{said}{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_with_a_password_and_out_again() {
    let house = House::new(catalog()).await;
    let password = "correct horse battery staple";
    let body = json!({ "name": "ada", "role": "viewer", "password": password });
    let (status, row) = house.ask("POST", "/api/v1/users", Some(body)).await;
    assert!(status < 300, "{row}");
    let mut ada = Guest::stranger(&house);
    let (code, _, text) =
        ada.send("POST", "/login", &[("user", "ada"), ("password", "wrong")], &[]).await;
    assert_eq!(code, 401);
    assert!(text.contains("the user or the password is wrong"), "{text}");
    assert!(!text.contains("wrong\" name"), "what was typed as a password is shown: {text}");
    let form = [("user", "ada"), ("password", password), ("next", "/events")];
    let (_, headers, _) = ada.send("POST", "/login", &form, &[]).await;
    assert_eq!(word(&headers, LOCATION.as_str()), "/events");
    let cookie = word(&headers, SET_COOKIE.as_str());
    ada.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    assert_eq!(ada.see("/events").await.0, 200);
    // The cookie's text is no credential of the API, whoever gets hold of it.
    let text = ada.cookie.split_once('=').map(|(_, text)| text.to_owned()).unwrap_or_default();
    let call = house.bare("GET", "/api/v1/events").bearer_auth(text);
    assert_eq!(crate::api::answered(call).await.0, 401);
    let (status, _) = house.ask("DELETE", "/api/v1/users/ada", None).await;
    assert!(status < 300);
    assert_eq!(ada.see("/events").await.0, 303);
}
