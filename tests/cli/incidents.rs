//! Incidents on the command line.

use crate::api::incidents::house;
use crate::cli::talking::say;

/// Whether all of these stand in what was said.
fn has(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "`{word}` is not in:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_are_listed_shown_acknowledged_and_resolved() {
    let house = house().await;
    let list = say(&house, &["incident", "list"]).await;
    has(&list, &["SEVERITY", "error", "open", "disk/sda is broken", "ops"]);
    let shown = say(&house, &["incident", "show", "last"]).await;
    has(&shown, &["ops, then lead after 15 min", "opened: disk/sda is broken", "arrived"]);
    let acked = say(&house, &["incident", "ack", "last", "--for", "2h"]).await;
    has(&acked, &["is acknowledged: disk/sda is broken"]);
    has(&say(&house, &["incident", "list"]).await, &["acknowledged", "admin"]);
    let over = say(&house, &["incident", "resolve", "last"]).await;
    has(&over, &["is resolved: disk/sda is broken"]);
    has(&say(&house, &["incident", "resolve", "last"]).await, &["every incident is over"]);
    has(&say(&house, &["incident", "list", "--all"]).await, &["resolved"]);
}
