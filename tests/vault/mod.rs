//! Secrets where they are kept: sealed in the store, in backups and after a change of the master key.

mod canary;

use std::sync::Arc;

use ifso::clock::Manual;
use ifso::model::key::KeyValue;
use ifso::store::batch::Batch;
use ifso::store::redb::Redb;
use ifso::store::table::{self, Rows};
use ifso::store::{Error, Handle, Key, Order, Range};
use ifso::vault::{self, Source, Text, Vault};
use serde_json::json;

const VALUE: &str = "s3cr3t-canary";

fn key(name: &str, secret: bool) -> KeyValue {
    KeyValue {
        name: name.to_owned(),
        scope: "st2kv.system".to_owned(),
        value: json!(VALUE),
        secret,
        updated: crate::world::at("00:00:00"),
        expires: None,
    }
}

async fn put(store: &Handle, row: &KeyValue) {
    let mut batch = Batch::new();
    table::put(&mut batch, row);
    store.commit(batch).await.unwrap();
}

async fn read(store: &Handle) -> Vec<String> {
    let rows = table::scan::<KeyValue>(store, Rows::first(100)).await.unwrap();
    rows.into_iter().map(|held| held.row.name).collect()
}

/// Whether a table holds the value for whoever has the file alone.
async fn is_open(store: &Handle, table: &'static str) -> bool {
    let range = Range { table, prefix: Vec::new(), after: None, order: Order::Up, limit: 1000 };
    let found = store.scan(&range).await.unwrap();
    found
        .iter()
        .any(|(_, record)| record.bytes.windows(VALUE.len()).any(|part| part == VALUE.as_bytes()))
}

fn source(digits: &[&str]) -> Source {
    let lines: Vec<String> = digits.iter().map(|digits| digits.repeat(32)).collect();
    Source::Variable("KEY".to_owned(), Text::new(lines.join("\n")))
}

fn store() -> Handle {
    Arc::new(Redb::in_memory().unwrap())
}

async fn open(source: Source, store: &Handle) -> Vault {
    let now = Manual::at(crate::world::at("00:00:00")).clock().now();
    Vault::open(source, store.clone(), now).await.unwrap()
}

#[tokio::test]
async fn secrets_are_sealed_and_the_rest_is_not() {
    let raw = store();
    let vault = open(source(&["07"]), &raw).await;
    let sealed = vault.store();
    put(&sealed, &key("hidden", true)).await;
    assert!(!is_open(&raw, "keys").await);
    assert_eq!(read(&sealed).await, ["hidden"]);
    let one = table::get::<KeyValue>(&sealed, b"st2kv.system\0hidden".to_vec()).await.unwrap();
    assert_eq!(one.unwrap().row.value, VALUE);
    put(&sealed, &key("plain", false)).await;
    assert!(is_open(&raw, "keys").await);
}

#[tokio::test]
async fn a_sealed_record_does_not_open_in_another_place() {
    let raw = store();
    let sealed = open(source(&["07"]), &raw).await.store();
    put(&sealed, &key("hidden", true)).await;
    let from = Key { table: "keys", bytes: b"st2kv.system\0hidden".to_vec() };
    let record = raw.get(&from).await.unwrap().unwrap();
    let to = Key { table: "keys", bytes: b"st2kv.user:eve\0mine".to_vec() };
    let mut batch = Batch::new();
    batch.put(to.clone(), record.bytes);
    raw.commit(batch).await.unwrap();
    let moved = sealed.get(&to).await;
    assert!(matches!(moved, Err(Error::Damaged { .. })), "{moved:?}");
    assert_eq!(read(&sealed).await, ["hidden"]);
}

#[tokio::test]
async fn without_its_master_key_a_secret_stays_closed_and_the_rest_works() {
    let raw = store();
    let first = open(source(&["07"]), &raw).await;
    put(&first.store(), &key("hidden", true)).await;
    put(&first.store(), &key("plain", false)).await;
    let missing = first.standing().await.unwrap().master;

    let other = open(source(&["08"]), &raw).await;
    assert_eq!(other.standing().await.unwrap().missing, std::slice::from_ref(&missing));
    let sealed = other.store();
    assert_eq!(read(&sealed).await, ["plain"]);
    let closed = sealed.get(&Key { table: "keys", bytes: b"st2kv.system\0hidden".to_vec() }).await;
    let error = closed.unwrap_err();
    assert!(error.to_string().contains(&missing) && error.help().is_some(), "{error}");
    put(&sealed, &key("new", true)).await;
    assert_eq!(read(&sealed).await, ["new", "plain"]);

    // Beside the other one it opens again.
    let both = open(source(&["08", "07"]), &raw).await;
    assert_eq!(read(&both.store()).await, ["hidden", "new", "plain"]);
}

#[tokio::test]
async fn rotation_seals_everything_with_a_new_key_and_plain_secrets_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = Source::File(folder.path().join("master.key"));
    let raw = store();
    // As an Ifso wrote it that had no vault.
    put(&raw, &key("old", true)).await;
    put(&raw, &key("plain", false)).await;
    let vault = open(file.clone(), &raw).await;
    let sealed = vault.store();
    assert_eq!(read(&sealed).await, ["old", "plain"]);
    put(&sealed, &key("hidden", true)).await;
    let before = vault.standing().await.unwrap().master;

    let now = crate::world::at("12:00:00");
    let (master, done) = vault.rotate(now).await.unwrap();
    assert_ne!(master, before);
    assert_eq!(done.closed, 0);
    assert_eq!(file.names().unwrap(), std::slice::from_ref(&master));
    assert_eq!(vault::used(&raw).await.unwrap(), [master]);
    assert_eq!(read(&sealed).await, ["hidden", "old", "plain"]);
    let mut batch = Batch::new();
    batch.remove(Key { table: "keys", bytes: b"st2kv.system\0plain".to_vec() });
    raw.commit(batch).await.unwrap();
    assert!(!is_open(&raw, "keys").await);
    assert_eq!(read(&open(file, &raw).await.store()).await, ["hidden", "old"]);
}

/// A kill between any two commits of a rotation: what the file and the store hold then is what a ring
/// of both keys and a store sealed in part are.
#[tokio::test]
async fn a_rotation_that_was_cut_short_is_finished_by_the_next_start() {
    let raw = store();
    let old = open(source(&["07"]), &raw).await;
    for number in 0..600 {
        put(&old.store(), &key(&format!("hidden-{number:03}"), true)).await;
    }
    // The file has both keys; the store is sealed with the old one, but for what came since.
    let both = open(source(&["08", "07"]), &raw).await;
    put(&both.store(), &key("hidden-new", true)).await;
    assert!(both.is_behind().await.unwrap());
    assert_eq!(read(&both.store()).await.len(), 100);
    let done = both.reseal().await.unwrap();
    assert_eq!((done.resealed, done.closed), (600, 0));
    assert!(!both.is_behind().await.unwrap());
    let new = open(source(&["08"]), &raw).await;
    let rows = table::scan::<KeyValue>(&new.store(), Rows::first(1000)).await.unwrap();
    assert_eq!(rows.len(), 601);
    assert!(new.standing().await.unwrap().missing.is_empty());
}

#[tokio::test]
async fn a_key_that_is_given_from_outside_is_changed_outside() {
    let raw = store();
    let vault = open(source(&["07"]), &raw).await;
    let refused = vault.rotate(crate::world::at("12:00:00")).await.unwrap_err();
    assert!(matches!(refused, vault::Error::Given { .. }), "{refused}");
}
