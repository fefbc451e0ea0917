//! Nobody gets in by default: the matrix of roles and routes, made from the table of routes itself.

use ifso::api::gate::BODY_LIMIT_BYTES;
use ifso::api::route::{Access, Route, Verb};
use ifso::auth::rights;
use ifso::sensors::hooks::ALERTS_LIMIT_BYTES;
use serde_json::json;

use crate::api::{House, answered, is_problem};
use crate::world::catalog;

/// A path that the route answers.
fn path(route: &Route) -> String {
    let parts = route.path.split('/').map(|part| if part.starts_with('{') { "x.y" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Every way in which the route may be written.
fn spellings(route: &Route) -> Vec<String> {
    let path = path(route);
    let alias = path.strip_prefix("/api/v1/").map(|rest| format!("/v1/{rest}"));
    let mut all: Vec<String> = std::iter::once(path).chain(alias).collect();
    if route.path != "/" {
        all.extend(all.clone().into_iter().map(|path| format!("{path}/")));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_answers_without_a_key_unless_the_table_says_so() {
    let house = House::new(catalog([])).await;
    for route in ifso::api::routes() {
        for path in spellings(route) {
            let (status, body) = answered(house.bare(route.verb.word(), &path)).await;
            match route.access {
                Access::Needs(_) | Access::Known => {
                    assert_eq!(status, 401, "{} {path}", route.verb.word());
                    assert!(is_problem(status, &body), "{path}: {body}");
                }
                Access::Own => assert_ne!(status / 100, 2, "{path}"),
                Access::Anyone => assert_eq!(status, 200, "{path}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_may_do_is_what_the_table_of_rights_says() {
    let house = House::new(catalog([])).await;
    for (role, rights) in rights::ROLES {
        let key = house.key(role).await;
        for route in ifso::api::routes() {
            let name = format!("{role}: {} {}", route.verb.word(), route.path);
            let right = match route.access {
                Access::Needs(right) => right,
                Access::Known => {
                    let call = house.bare(route.verb.word(), &path(route)).bearer_auth(&key);
                    let status = answered(call).await.0;
                    assert!(![401, 403].contains(&status) && status < 500, "{name}: {status}");
                    continue;
                }
                Access::Anyone | Access::Own => continue,
            };
            // A stream that is let in does not end by itself.
            if route.path == "/stream/v1/stream" {
                continue;
            }
            let call = house.bare(route.verb.word(), &path(route)).bearer_auth(&key);
            let (status, body) = answered(call).await;
            if rights.contains(&right) {
                assert!(![401, 403].contains(&status) && status < 500, "{name}: {status} {body}");
            } else {
                assert_eq!((status, is_problem(status, &body)), (403, true), "{name}: {body}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_good_key_is_taken_and_every_malformed_one_refused() {
    let house = House::new(catalog([])).await;
    let (key, path) = (house.admin.clone(), "/api/v1/rules");
    for (name, value) in [
        ("authorization", format!("Bearer {key}")),
        ("authorization", format!("bearer {key}")),
        ("st2-api-key", key.clone()),
        ("x-auth-token", key.clone()),
    ] {
        let (status, _) = answered(house.bare("GET", path).header(name, value)).await;
        assert_eq!(status, 200, "{name}");
    }
    let (id, secret) = key.split_once('.').unwrap();
    let other = house.key("viewer").await;
    let bad = [
        String::new(),
        "nothing".to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer nothing".to_owned(),
        format!("Basic {key}"),
        key.clone(),
        format!("Bearer {id}"),
        format!("Bearer {id}."),
        format!("Bearer .{secret}"),
        format!("Bearer {id}.{}", secret.to_uppercase()),
        format!("Bearer {id}.{}", &secret[1..]),
        format!("Bearer {key} {key}"),
        format!("Bearer {key}.{secret}"),
        format!("Bearer {id}.{}", other.split_once('.').unwrap().1),
        format!("Bearer {}", "a".repeat(8000)),
    ];
    for value in bad {
        let call = house.bare("GET", path).header("authorization", &value);
        let (status, body) = answered(call).await;
        assert_eq!((status, is_problem(status, &body)), (401, true), "{value}");
    }
    let query = house.bare("GET", &format!("{path}?st2-api-key={key}"));
    assert_eq!(answered(query).await.0, 401, "keys in addresses end up in logs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_ends_at_once_when_it_is_disabled_removed_or_over() {
    let house = House::new(catalog([])).await;
    let asked = async |key: &str| answered(house.bare("GET", "/v1/rules").bearer_auth(key)).await.0;
    let (_, made) = house.ask("POST", "/api/v1/apikeys", Some(json!({ "role": "viewer" }))).await;
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert_eq!(asked(key).await, 200);
    let path = format!("/api/v1/apikeys/{id}");
    house.ask("PUT", &path, Some(json!({ "enabled": false }))).await;
    assert_eq!(asked(key).await, 401);
    house.ask("PUT", &path, Some(json!({ "enabled": true }))).await;
    assert_eq!(asked(key).await, 200);
    house.ask("DELETE", &path, None).await;
    assert_eq!(asked(key).await, 401);
    let short = house.keys.issue("ann", "viewer", std::time::Duration::from_secs(9)).reveal();
    assert_eq!(asked(&short).await, 200);
    house.world.manual.advance(std::time::Duration::from_secs(10));
    assert_eq!(asked(&short).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_matched_exactly() {
    let house = House::new(catalog([])).await;
    for path in [
        "/api/v1/rules//",
        "//api/v1/rules",
        "/api//v1/rules",
        "/API/v1/rules",
        "/api/v1/Rules",
        "/api/v1/rules;x",
        "/api/v1/rules%00",
        "/api/v1/rules%2f",
        "/api/v1%2frules",
        "/api/v2/rules",
        "/api/v1/healthz/..%2frules",
        "/metrics/../api/v1/rules",
        "/metrics/api/v1/rules",
        "/api/v1/rules/metrics/x",
        "/api/v1/rules.json",
        "/v1/v1/rules",
        "/healthz/x",
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"] {
            let (status, _) = answered(house.bare(method, path)).await;
            assert!([401, 404, 405].contains(&status), "{method} {path}: {status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_refused_on_every_route() {
    let house = House::new(catalog([])).await;
    for route in ifso::api::routes() {
        let path = path(route);
        for verb in ["PATCH", "TRACE", "OPTIONS", "PROPFIND"] {
            let (status, body) = answered(house.call(verb, &path)).await;
            assert_eq!((status, is_problem(status, &body)), (405, true), "{verb} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_before_the_key_is_looked_at() {
    let house = House::new(catalog([])).await;
    for route in ifso::api::routes().filter(|route| matches!(route.verb, Verb::Post | Verb::Put)) {
        // Alertmanager puts a whole group of alerts into one call and drops what is refused.
        let takes_alerts = route.path.ends_with("/alerts");
        let limit = if takes_alerts { ALERTS_LIMIT_BYTES } else { BODY_LIMIT_BYTES };
        let call = house.bare(route.verb.word(), &path(route)).body(vec![b' '; limit + 1]);
        // The server may close while we still write: then there is no answer to read, and that is fine.
        let Ok(response) = call.send().await else { continue };
        assert_eq!(response.status(), 413, "{}", route.path);
    }
    let many = house.bare("POST", "/api/v2/alerts").body(vec![b' '; BODY_LIMIT_BYTES + 1]);
    assert_eq!(answered(many).await.1["code"], "no_alert_sensor");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_runs_or_reads_keys_as_somebody_else() {
    let house = House::new(catalog([crate::world::action("demo.act")])).await;
    let run = json!({ "action": "demo.act", "user": "root" });
    assert_eq!(house.ask("POST", "/v1/executions", Some(run)).await.0, 403);
    assert_eq!(house.ask("GET", "/v1/keys?scope=user&user=root", None).await.0, 403);
    let write = json!({ "value": "v", "scope": "user", "user": "root" });
    assert_eq!(house.ask("PUT", "/v1/keys/k", Some(write)).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_keys_are_seen_by_nobody_else() {
    let house = House::new(catalog([])).await;
    let author = house.key("author").await;
    let draft = json!({ "value": "mine", "scope": "user", "secret": true });
    let call = house.bare("PUT", "/v1/keys/k").bearer_auth(&author).json(&draft);
    assert_eq!(answered(call).await.0, 200);
    assert_eq!(house.ask("GET", "/v1/keys/k?scope=user", None).await.0, 404);
    let (_, all) = house.ask("GET", "/v1/keys?scope=all", None).await;
    assert_eq!(all, json!([]));
    let own = house.bare("GET", "/v1/keys/k?scope=user&decrypt=true").bearer_auth(&author);
    assert_eq!(answered(own).await.1["value"], "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_values_are_revealed_by_right_only() {
    let house = House::new(catalog([])).await;
    let draft = json!({ "value": "hidden", "secret": true });
    house.ask("PUT", "/v1/keys/password", Some(draft)).await;
    let operator = house.key("operator").await;
    for path in ["/v1/keys/password?decrypt=true", "/v1/keys?decrypt=true", "/v1/keys"] {
        let call = house.bare("GET", path).bearer_auth(&operator);
        let text = call.send().await.unwrap().text().await.unwrap();
        assert!(text.contains("password") && !text.contains("hidden"), "{path}: {text}");
    }
    let (_, shown) = house.ask("GET", "/v1/keys/password?decrypt=true", None).await;
    assert_eq!((&shown["value"], &shown["encrypted"]), (&json!("hidden"), &json!(false)));
}
