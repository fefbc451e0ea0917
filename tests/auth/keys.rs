//! API keys: no stronger than whoever makes them, and known by when they were last used.

use std::time::Duration;

use ifso::auth::{Caller, Draft, Error, Via, rights};
use ifso::model::id::KeyId;
use ifso::store::people::Used;
use ifso::store::table::{self, Rows};
use serde_json::{Value, json};

use super::{by, narrow};
use crate::api::House;
use crate::world::catalog;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_do_nothing_that_its_maker_cannot() {
    let house = House::new(catalog([])).await;
    for (maker, _) in rights::ROLES {
        let caller = Caller {
            user: "maker".to_owned(),
            role: (*maker).to_owned(),
            grants: ["change key:a".parse().unwrap()].into(),
            via: Via::Key(KeyId::from_bits(1)),
        };
        for (role, wanted) in rights::ROLES {
            let draft = |grants: &[&str]| Draft {
                user: "made".to_owned(),
                role: (*role).to_owned(),
                grants: grants.iter().map(|&grant| grant.to_owned()).collect(),
                expires: None,
                metadata: Value::Null,
            };
            let made = house.keys.create_by(&caller, draft(&[])).await;
            let covered = wanted.iter().all(|right| rights::of(maker).contains(right));
            assert_eq!(made.is_ok(), covered, "{maker} makes {role}");
            let own = house.keys.create_by(&caller, draft(&["change key:a"])).await;
            assert_eq!(own.is_ok(), covered, "{maker} makes {role} with a grant of its own");
            let more = house.keys.create_by(&caller, draft(&["change key:*"])).await;
            let may = covered && rights::of(maker).contains(&ifso::auth::Right::Change);
            assert_eq!(more.is_ok(), may, "{maker} makes {role} with more");
            assert!(more.is_ok() || matches!(more, Err(Error::Stronger)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_make_keys_and_users() {
    let house = House::new(catalog([])).await;
    for (role, rights) in rights::ROLES {
        let key = house.key(role).await;
        for path in ["/api/v1/apikeys", "/api/v1/users"] {
            let draft = json!({ "role": "viewer", "name": format!("made-by-{role}") });
            let draft = if path.ends_with("users") { draft } else { json!({ "role": "viewer" }) };
            let (status, told) = by(&house, &key, "POST", path, Some(draft)).await;
            let expected = if rights.contains(&ifso::auth::Right::Administer) { 201 } else { 403 };
            assert_eq!(status, expected, "{role} {path}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_say_when_a_key_and_its_user_were_last_used() {
    let house = House::new(catalog([])).await;
    super::user(&house, "ann", "viewer", &[]).await;
    let key = narrow(&house, &["view pack:demo"]).await;
    let id = key.split_once('.').unwrap().0.to_owned();
    let path = format!("/api/v1/apikeys/{id}");
    assert_eq!(house.ask("GET", &path, None).await.1["last_used"], Value::Null);
    let token = super::token(&house, "ann").await;
    by(&house, &token, "GET", "/v1/rules", None).await;
    by(&house, &key, "GET", "/v1/rules", None).await;
    let written =
        async || table::scan::<Used>(&house.world.store, Rows::first(9)).await.unwrap().len();
    assert_eq!(written().await, 0, "no call waits for the disk");
    house.keys.note_uses().await.unwrap();
    let (_, shown) = house.ask("GET", &path, None).await;
    assert_eq!(shown["last_used"], "2026-03-01T00:00:00.000Z");
    let (_, all) = house.ask("GET", "/api/v1/users", None).await;
    assert_eq!(all[0]["last_seen"], "2026-03-01T00:00:00.000Z");
    house.ask("DELETE", &path, None).await;
    house.ask("DELETE", "/api/v1/users/ann", None).await;
    let left: Vec<_> = table::scan::<Used>(&house.world.store, Rows::first(9)).await.unwrap();
    let left: Vec<_> = left.iter().map(|held| held.row.what.as_str()).collect();
    assert!(!left.contains(&id.as_str()) && !left.contains(&"user/ann"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_are_written_once_a_minute_and_at_the_end() {
    let house = House::new(catalog([])).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let stage = house.world.tasks.spawn(house.keys.clone().run(stop.clone()));
    let key = narrow(&house, &["view pack:demo"]).await;
    by(&house, &key, "GET", "/v1/rules", None).await;
    let mut changes = house.world.store.changes();
    let id = key.split_once('.').unwrap().0.to_owned();
    let noted = crate::world::patient(async {
        loop {
            house.world.manual.advance(Duration::from_mins(1));
            let used = house.keys.last_used(vec![id.clone()]).await.unwrap();
            if used[0].is_some() {
                return;
            }
            drop(tokio::time::timeout(Duration::from_millis(50), changes.changed()).await);
        }
    });
    noted.await.expect("it was written");
    stop.cancel();
    stage.await.unwrap();
}
