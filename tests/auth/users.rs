//! Users: made by administrators, never by themselves stronger.

use ifso::auth::{Caller, Error, Via, rights};
use ifso::model::id::KeyId;
use serde_json::json;

use super::{PASSWORD, by, sign_in, token, user};
use crate::api::{House, is_problem};
use crate::world::catalog;

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_made_listed_shown_changed_and_removed() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "viewer", &["run pack:storage"]).await;
    let (_, ann) = house.ask("GET", "/api/v1/users/ann", None).await;
    assert_eq!(
        (&ann["role"], &ann["enabled"], &ann["password"]),
        (&json!("viewer"), &json!(true), &json!(true))
    );
    assert!(!ann.to_string().contains("argon2"), "{ann}");
    let again = json!({ "name": "ann" });
    assert_eq!(house.ask("POST", "/api/v1/users", Some(again)).await.0, 409);
    let change = json!({ "role": "author", "grants": [] });
    let (status, ann) = house.ask("PUT", "/api/v1/users/ann", Some(change)).await;
    assert_eq!((status, &ann["role"], &ann["grants"]), (200, &json!("author"), &json!([])));
    let (_, all) = house.ask("GET", "/api/v1/users", None).await;
    assert_eq!(all.as_array().map(Vec::len), Some(1));
    assert_eq!(house.ask("DELETE", "/api/v1/users/ann", None).await.0, 204);
    assert_eq!(house.ask("GET", "/api/v1/users/ann", None).await.0, 404);
    assert_eq!(sign_in(&house, "ann", PASSWORD).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_user_is_said() {
    let house = House::new(catalog([])).await;
    for (draft, code) in [
        (json!({ "name": "a b" }), "bad_name"),
        (json!({ "name": "../x" }), "bad_name"),
        (json!({ "name": "" }), "bad_name"),
        (json!({ "name": "ann", "role": "root" }), "no_such_role"),
        (json!({ "name": "ann", "grants": ["run everything"] }), "bad_grant"),
        (json!({ "name": "ann", "grants": vec!["run pack:x"; 101] }), "bad_grant"),
        (json!({ "name": "ann", "password": "short" }), "bad_password"),
        (json!({ "name": "ann", "password": "x".repeat(1025) }), "bad_password"),
        (json!({ "name": "ann", "admin": true }), "bad_body"),
    ] {
        let (status, told) = house.ask("POST", "/api/v1/users", Some(draft.clone())).await;
        assert_eq!((status, &told["code"]), (400, &json!(code)), "{draft}: {told}");
        assert!(is_problem(status, &told));
    }
    assert_eq!(house.ask("GET", "/api/v1/users", None).await.1, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_or_removes_themselves() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "admin", &[]).await;
    let ann = token(&house, "ann").await;
    for body in [
        json!({ "role": "viewer" }),
        json!({ "grants": ["run pack:x"] }),
        json!({ "enabled": false }),
    ] {
        let (status, told) = by(&house, &ann, "PUT", "/api/v1/users/ann", Some(body)).await;
        assert_eq!((status, &told["code"]), (403, &json!("forbidden")), "{told}");
    }
    assert_eq!(by(&house, &ann, "DELETE", "/api/v1/users/ann", None).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_admin_stays() {
    let house = House::new(catalog([])).await;
    // The tests' own key is the only one: without it nobody could administer.
    let id = house.admin.split_once('.').unwrap().0.to_owned();
    let path = format!("/api/v1/apikeys/{id}");
    let (status, told) = house.ask("DELETE", &path, None).await;
    assert_eq!((status, &told["code"]), (409, &json!("last_admin")), "{told}");
    let off = json!({ "enabled": false });
    assert_eq!(house.ask("PUT", &path, Some(off.clone())).await.0, 409);
    user(&house, "ann", "admin", &[]).await;
    let ann = token(&house, "ann").await;
    assert_eq!(by(&house, &ann, "DELETE", &path, None).await.0, 204);
    // Now ann is the last one, and nobody else may do it to her.
    let maker = Caller {
        user: "bob".to_owned(),
        role: rights::ADMIN.to_owned(),
        grants: [].into(),
        via: Via::Key(KeyId::from_bits(1)),
    };
    let removed = house.keys.remove_user(&maker, "ann").await;
    assert!(matches!(removed, Err(Error::LastAdmin)), "{removed:?}");
    for change in [json!({ "role": "viewer" }), json!({ "enabled": false })] {
        let change = ifso::auth::users::Change {
            role: change["role"].as_str().map(str::to_owned),
            enabled: change["enabled"].as_bool(),
            grants: None,
        };
        let changed = house.keys.change_user(&maker, "ann", change).await;
        assert!(matches!(changed, Err(Error::LastAdmin)), "{changed:?}");
    }
    assert_eq!(by(&house, &ann, "GET", "/api/v1/users", None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_switched_off_or_removed_has_neither_token_nor_key() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "operator", &[]).await;
    let token = token(&house, "ann").await;
    let draft = json!({ "user": "ann", "role": "viewer" });
    let (_, made) = house.ask("POST", "/api/v1/apikeys", Some(draft)).await;
    let key = made["key"].as_str().unwrap();
    let both = async || {
        let path = "/api/v1/rules";
        let status = by(&house, &token, "GET", path, None).await.0;
        (status, by(&house, key, "GET", path, None).await.0)
    };
    assert_eq!(both().await, (200, 200));
    house.ask("PUT", "/api/v1/users/ann", Some(json!({ "enabled": false }))).await;
    assert_eq!(both().await, (401, 401));
    assert_eq!(sign_in(&house, "ann", PASSWORD).await.0, 401);
    house.ask("PUT", "/api/v1/users/ann", Some(json!({ "enabled": true }))).await;
    assert_eq!(both().await, (401, 200), "who was switched off signs in again");
    house.ask("DELETE", "/api/v1/users/ann", None).await;
    assert_eq!(both().await, (401, 401));
    user(&house, "ann", "operator", &[]).await;
    assert_eq!(both().await, (401, 401), "another user of the name is another user");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_changes_their_own_password_and_nobody_elses() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "viewer", &[]).await;
    user(&house, "bob", "author", &[]).await;
    let (ann, bob) = (token(&house, "ann").await, token(&house, "bob").await);
    let path = "/api/v1/users/ann/password";
    let fresh = json!({ "password": "battery staple" });
    let (status, told) = by(&house, &bob, "PUT", path, Some(fresh.clone())).await;
    assert_eq!((status, is_problem(status, &told)), (403, true), "{told}");
    assert_eq!(
        by(&house, &ann, "PUT", path, Some(fresh.clone())).await.0,
        403,
        "without the old one"
    );
    let wrong = json!({ "password": "battery staple", "old": "battery staple" });
    assert_eq!(by(&house, &ann, "PUT", path, Some(wrong)).await.0, 403);
    let right = json!({ "password": "battery staple", "old": PASSWORD });
    assert_eq!(by(&house, &ann, "PUT", path, Some(right)).await.0, 200);
    assert_eq!(by(&house, &ann, "GET", "/api/v1/rules", None).await.0, 401, "her tokens ended");
    assert_eq!(by(&house, &bob, "GET", "/api/v1/rules", None).await.0, 200);
    assert_eq!(sign_in(&house, "ann", PASSWORD).await.0, 401);
    assert_eq!(sign_in(&house, "ann", "battery staple").await.0, 201);
    assert_eq!(house.ask("PUT", path, Some(fresh)).await.0, 200, "an admin needs no old one");
    assert_eq!(
        house
            .ask("PUT", "/api/v1/users/eve/password", Some(json!({ "password": PASSWORD })))
            .await
            .0,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_told_who_they_are() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "viewer", &["run pack:storage"]).await;
    let ann = token(&house, "ann").await;
    let (_, myself) = by(&house, &ann, "GET", "/api/v1/user", None).await;
    assert_eq!(myself["username"], "ann");
    assert_eq!(
        (&myself["rights"], &myself["grants"]),
        (&json!(["view"]), &json!(["run pack:storage"]))
    );
    assert_eq!(myself["rbac"]["is_admin"], false);
    assert_eq!(house.ask("GET", "/v1/user", None).await.1["rbac"]["is_admin"], true);
}
