//! Who may do what, through the HTTP face.

mod grants;
mod keys;
mod st2;
mod tokens;
mod users;

use serde_json::{Value, json};

use crate::api::{House, answered};

/// A password that is good enough.
const PASSWORD: &str = "correct horse";

/// Makes a user with the tests' password.
async fn user(house: &House, name: &str, role: &str, grants: &[&str]) {
    let draft = json!({ "name": name, "role": role, "grants": grants, "password": PASSWORD });
    let (status, made) = house.ask("POST", "/api/v1/users", Some(draft)).await;
    assert_eq!(status, 201, "{made}");
}

/// Status and body of signing in.
async fn sign_in(house: &House, name: &str, password: &str) -> (u16, Value) {
    answered(house.bare("POST", "/auth/v1/tokens").basic_auth(name, Some(password))).await
}

/// A token of a user with the tests' password.
async fn token(house: &House, name: &str) -> String {
    let (status, made) = sign_in(house, name, PASSWORD).await;
    assert_eq!(status, 201, "{made}");
    made["token"].as_str().unwrap().to_owned()
}

/// Status and body of a call with this key or token.
async fn by(
    house: &House,
    key: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let call = house.bare(method, path).bearer_auth(key);
    answered(if let Some(body) = body { call.json(&body) } else { call }).await
}

/// A key that may nothing but what these grants say.
async fn narrow(house: &House, grants: &[&str]) -> String {
    let draft = json!({ "user": "narrow", "grants": grants });
    let (status, made) = house.ask("POST", "/api/v1/apikeys", Some(draft)).await;
    assert_eq!((status, &made["role"]), (201, &json!("none")), "{made}");
    made["key"].as_str().unwrap().to_owned()
}
