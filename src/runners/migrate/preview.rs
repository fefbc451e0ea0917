//! What a migration would do, touching nothing.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::copy::tried;
use super::manifest::{known, open};
use super::order::Order;
use super::pace::Pace;
use super::row::{Row, State};
use super::store;
use super::{MANIFEST, blocking};
use crate::clock::Clock;
use crate::runners::Outcome;

/// Keys that are told.
const TOLD: usize = 100;

/// Lists the source, and compares it with what an earlier run noted.
///
/// # Errors
/// Why it cannot, for people.
pub(super) async fn preview(
    order: &Order,
    folder: &Path,
    clock: &Clock,
) -> Result<Outcome, String> {
    let requests = Arc::new(Pace::new(clock.clone()));
    requests.set(order.limits.requests);
    let source = store::open(&order.from, requests.clone(), clock)?;
    let target = store::open(&order.to, requests, clock)?;
    tried(clock, || source.gives()).await.map_err(|fault| fault.to_string())?;
    tried(clock, || target.probe()).await.map_err(|fault| fault.to_string())?;
    let file = folder.join(MANIFEST);
    let db = if file.exists() { Some(blocking(move || open(&file)).await?) } else { None };
    let (mut objects, mut bytes, mut skipped, mut excluded) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut keys, mut from) = (Vec::new(), None);
    loop {
        let page = tried(clock, || source.list(from.as_deref())).await;
        let page = page.map_err(|fault| fault.to_string())?;
        from = page.next;
        let all = page.entries.len();
        let meant: Vec<_> =
            page.entries.into_iter().filter(|entry| order.choice.takes(&entry.key)).collect();
        excluded += (all - meant.len()) as u64;
        let known = match &db {
            Some(db) => {
                let (db, meant) = (db.clone(), meant.clone());
                blocking(move || copied(&db, &meant)).await?
            }
            None => vec![false; meant.len()],
        };
        for (entry, known) in meant.into_iter().zip(known) {
            if known {
                skipped += 1;
                continue;
            }
            objects += 1;
            bytes += entry.version.size;
            if keys.len() < TOLD {
                keys.push(entry.key);
            }
        }
        if from.is_none() {
            break;
        }
    }
    Ok(Outcome::succeeded(json!({
        "dry_run": true,
        "name": order.name,
        "from": order.from.to_string(),
        "to": order.to.to_string(),
        "objects": objects,
        "bytes": bytes,
        "skipped": skipped,
        "excluded": excluded,
        "keys": keys,
        "removes_source": order.remove_source,
    })))
}

/// Which of these an earlier run copied as they are now. Blocks.
fn copied(db: &redb::Database, entries: &[store::Entry]) -> Result<Vec<bool>, String> {
    let keys = entries.iter().map(|entry| entry.key.as_str());
    let known = known(db, keys)?;
    let as_now = |(row, entry): (&Option<Row>, &store::Entry)| {
        row.as_ref().is_some_and(|row| {
            matches!(row.state, State::Verified(..)) && row.listed.same(&entry.version)
        })
    };
    Ok(known.iter().zip(entries).map(as_now).collect())
}
