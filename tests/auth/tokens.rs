//! Signing in, staying signed in, and being slowed.

use std::time::Duration;

use ifso::auth::{Error, Keys};
use ifso::clock::Ids;
use serde_json::json;

use super::{PASSWORD, by, sign_in, token, user};
use crate::api::{House, answered, is_problem};
use crate::world::catalog;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_where_a_key_goes_until_its_time_is_over_or_its_user_leaves() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "viewer", &[]).await;
    let (status, made) = sign_in(&house, "ann", PASSWORD).await;
    assert_eq!((status, &made["user"]), (201, &json!("ann")), "{made}");
    assert_eq!(made["expiry"], "2026-03-02T00:00:00.000Z");
    let token = made["token"].as_str().unwrap();
    for header in ["x-auth-token", "st2-api-key"] {
        let call = house.bare("GET", "/v1/rules").header(header, token);
        assert_eq!(answered(call).await.0, 200, "{header}");
    }
    let valid = async |token: &str| {
        let ask = house.bare("POST", "/auth/v1/tokens/validate").json(&json!({ "token": token }));
        answered(ask).await.1["valid"].clone()
    };
    assert_eq!((valid(token).await, valid("nothing").await), (json!(true), json!(false)));
    assert_eq!(valid(&house.admin).await, json!(false), "a key is no token");
    assert_eq!(by(&house, token, "DELETE", "/auth/v1/tokens", None).await.0, 204);
    assert_eq!(by(&house, token, "GET", "/v1/rules", None).await.0, 401);
    assert_eq!(valid(token).await, json!(false));
    let other = super::token(&house, "ann").await;
    house.world.manual.advance(Duration::from_hours(24));
    assert_eq!(by(&house, &other, "GET", "/v1/rules", None).await.0, 401);
    let (status, told) = house.ask("DELETE", "/auth/v1/tokens", None).await;
    assert_eq!((status, &told["code"]), (400, &json!("no_token")), "a key does not sign out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_survives_a_restart_and_the_store_does_not_hold_it() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "operator", &[]).await;
    let token = token(&house, "ann").await;
    let clock = house.world.manual.clock();
    let anew = Keys::new(house.world.store.clone(), clock.clone(), Ids::new(clock));
    assert_eq!(anew.check(&token).await.unwrap().user, "ann");
    assert!(anew.sign_out(&token).await.unwrap());
    assert!(!anew.sign_out(&token).await.unwrap());
    assert!(matches!(anew.check(&token).await, Err(Error::Wrong)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_rights_holds_for_tokens_that_are_out() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "author", &[]).await;
    let token = token(&house, "ann").await;
    let write = || Some(json!({ "value": "v" }));
    assert_eq!(by(&house, &token, "PUT", "/v1/keys/k", write()).await.0, 200);
    house.ask("PUT", "/api/v1/users/ann", Some(json!({ "role": "operator" }))).await;
    assert_eq!(by(&house, &token, "PUT", "/v1/keys/k", write()).await.0, 403);
    assert_eq!(by(&house, &token, "GET", "/v1/keys/k", None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn lives_of_tokens_are_chosen_within_limits() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "viewer", &[]).await;
    let ask = async |body| {
        let call = house.bare("POST", "/auth/v1/tokens").basic_auth("ann", Some(PASSWORD));
        answered(call.json(&body)).await
    };
    assert_eq!(ask(json!({ "ttl": 60 })).await.1["expiry"], "2026-03-01T00:01:00.000Z");
    for ttl in [0, -1, 86_401, i64::MAX] {
        let (status, told) = ask(json!({ "ttl": ttl })).await;
        assert_eq!((status, &told["code"]), (400, &json!("bad_ttl")), "{ttl}");
    }
    assert_eq!(ask(json!({ "user": "root" })).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_about_signing_in_is_said_in_the_same_words() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "viewer", &[]).await;
    house.ask("POST", "/api/v1/users", Some(json!({ "name": "keys" }))).await;
    user(&house, "off", "viewer", &[]).await;
    house.ask("PUT", "/api/v1/users/off", Some(json!({ "enabled": false }))).await;
    let (_, first) = sign_in(&house, "ann", "wrong horse").await;
    for (name, password) in
        [("eve", PASSWORD), ("keys", PASSWORD), ("keys", ""), ("off", PASSWORD), ("", "")]
    {
        let (status, told) = sign_in(&house, name, password).await;
        assert_eq!((status, &told), (401, &first), "{name}");
        assert!(is_problem(status, &told));
    }
    for header in ["Basic", "Basic %", "Basic YW5u", "Bearer x", ""] {
        let call = house.bare("POST", "/auth/v1/tokens").header("authorization", header);
        assert_eq!(answered(call).await.0, 401, "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_tries_passwords_waits_longer_each_time() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "viewer", &[]).await;
    user(&house, "bob", "viewer", &[]).await;
    for _ in 0..5 {
        assert_eq!(sign_in(&house, "ann", "wrong horse").await.0, 401);
    }
    let call = house.bare("POST", "/auth/v1/tokens").basic_auth("ann", Some(PASSWORD));
    let slowed = call.send().await.unwrap();
    assert_eq!(
        (slowed.status().as_u16(), slowed.headers()["retry-after"].to_str().unwrap()),
        (429, "1")
    );
    assert_eq!(sign_in(&house, "bob", PASSWORD).await.0, 201, "others are not slowed");
    house.world.manual.advance(Duration::from_secs(1));
    assert_eq!(sign_in(&house, "ann", PASSWORD).await.0, 201);
    assert_eq!(sign_in(&house, "ann", "wrong horse").await.0, 401, "it begins anew");
}

/// Both take one look by Argon2, so their times are of one kind; a way around it would be hundreds of
/// times faster, however busy the machine.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_takes_as_long_as_a_wrong_password() {
    let house = House::new(catalog([])).await;
    user(&house, "ann", "viewer", &[]).await;
    let mut least = [Duration::MAX; 2];
    for _ in 0..4 {
        for (at, name) in ["ann", "eve"].into_iter().enumerate() {
            let begun = std::time::Instant::now();
            drop(house.keys.prove(name, "wrong horse", "a").await);
            least[at] = least[at].min(begun.elapsed());
        }
    }
    let [known, unknown] = least;
    assert!(unknown * 3 > known && known * 3 > unknown, "{known:?} {unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_passwords_than_the_machine_can_look_at_are_refused() {
    let house = House::new(catalog([])).await;
    let names: Vec<String> = (0..100).map(|n| format!("u{n}")).collect();
    let tries = names.iter().map(|name| house.keys.prove(name, PASSWORD, name));
    let all = futures_util::future::join_all(tries).await;
    let busy = all.iter().filter(|one| matches!(one, Err(Error::Busy))).count();
    let wrong = all.iter().filter(|one| matches!(one, Err(Error::WrongPassword))).count();
    assert_eq!((busy + wrong, wrong >= 34, busy > 0), (100, true, true), "{busy} {wrong}");
}
