//! Who may do what, through the HTTP face.

mod grants;

use serde_json::{Value, json};

use crate::api::{House, answered};

/// Status and body of a call with this key.
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
