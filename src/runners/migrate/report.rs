//! What a manifest says, for people and rules.

use std::collections::BTreeMap;

use redb::Database;
use serde_json::{Map, Value, json};

use super::limits::Note;
use super::manifest::{FAILED_TOLD, Head, Stage, read_head, rows};
use super::row::State;

/// What failed, by key.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Failures {
    pub(super) count: u64,
    /// The first of them, with their reasons.
    pub(super) told: Vec<(String, String)>,
}

impl Failures {
    fn add(&mut self, key: &str, reason: String) {
        self.count += 1;
        if self.told.len() < FAILED_TOLD {
            self.told.push((key.to_owned(), reason));
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let told = self.told.iter().map(|(key, reason)| json!({ "key": key, "reason": reason }));
        told.collect()
    }
}

/// What failed; where all is done, also what is left because it kept changing. Blocks.
pub(super) fn failures(db: &Database, done: bool) -> Result<Failures, String> {
    let mut failures = Failures::default();
    rows(db, None, |key, row| {
        match row.state {
            State::Failed { reason, .. } => failures.add(key, reason),
            State::Pending | State::Parts { .. } if done => {
                failures.add(key, "it kept changing; its source is where it was".to_owned());
            }
            _ => {}
        }
        true
    })?;
    Ok(failures)
}

/// All that is known of a migration. Blocks.
pub(super) fn report(db: &Database, note: &Note, running: bool) -> Result<Value, String> {
    let head = read_head(db)?;
    let mut counts: BTreeMap<&str, (u64, u64)> =
        ["waiting", "copied", "removed", "failed", "gone"].map(|name| (name, (0, 0))).into();
    let mut failures = Failures::default();
    rows(db, None, |key, row| {
        let name = match &row.state {
            State::Pending | State::Parts { .. } => "waiting",
            State::Verified(..) => "copied",
            State::Removed(..) => "removed",
            State::Failed { reason, .. } => {
                failures.add(key, reason.clone());
                "failed"
            }
            State::Gone(_) => "gone",
        };
        let count = counts.entry(name).or_default();
        *count = (count.0 + 1, count.1 + row.listed.size);
        true
    })?;
    let mut report = Map::new();
    report.extend([
        ("name".to_owned(), json!(note.name)),
        ("from".to_owned(), json!(note.from)),
        ("to".to_owned(), json!(note.to)),
        ("stage".to_owned(), json!(stage(head.as_ref(), running))),
        ("execution".to_owned(), json!(head.map(|head| head.execution))),
        ("limits".to_owned(), json!(note.limits)),
    ]);
    for (name, (objects, bytes)) in counts {
        report.insert(name.to_owned(), json!({ "objects": objects, "bytes": bytes }));
    }
    report.insert("failures".to_owned(), failures.to_json());
    Ok(Value::Object(report))
}

/// Where it is, in a word.
fn stage(head: Option<&Head>, running: bool) -> &'static str {
    match head.map(|head| &head.stage) {
        Some(Stage::Done) => "done",
        _ if !running => "stopped",
        Some(Stage::Listing { .. } | Stage::Copying { .. }) => "copying",
        Some(Stage::Removing) => "removing",
        None => "beginning",
    }
}
