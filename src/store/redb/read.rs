//! Looks into an open file: short, and never across an await.

use std::ops::Bound;

use ::redb::{Database, ReadTransaction};

use crate::store::redb::file::{definition, guarded, refused, view};
use crate::store::{Error, Key, Order, Range, Record, record};

/// Several records, from one state of the store.
pub(super) fn get_many(
    name: &str,
    database: &Database,
    keys: &[Key],
) -> Result<Vec<Option<Record>>, Error> {
    guarded(name, || {
        let transaction = view(name, database)?;
        keys.iter().map(|key| get(name, &transaction, key)).collect()
    })
}

fn get(name: &str, transaction: &ReadTransaction, key: &Key) -> Result<Option<Record>, Error> {
    let table =
        transaction.open_table(definition(key.table)).map_err(|error| refused(name, error))?;
    let value = table.get(key.bytes.as_slice()).map_err(|error| refused(name, error))?;
    value.map(|value| record::open(key.table, &key.bytes, value.value())).transpose()
}

/// The records of a range, and those among them that are damaged.
pub(super) struct Scanned {
    pub(super) records: Vec<(Vec<u8>, Record)>,
    pub(super) damaged: Vec<Error>,
}

/// The records of a range. One that is damaged is left out and named: it blocks itself alone.
pub(super) fn scan(name: &str, database: &Database, range: &Range) -> Result<Scanned, Error> {
    let mut scanned = Scanned { records: Vec::new(), damaged: Vec::new() };
    let Some(bounds) = bounds(range) else { return Ok(scanned) };
    guarded(name, || {
        let transaction = view(name, database)?;
        let table = transaction
            .open_table(definition(range.table))
            .map_err(|error| refused(name, error))?;
        let bounds = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
        let mut found = table.range::<&[u8]>(bounds).map_err(|error| refused(name, error))?;
        while scanned.records.len() < range.limit {
            let next = match range.order {
                Order::Up => found.next(),
                Order::Down => found.next_back(),
            };
            let Some(next) = next else { break };
            let (key, value) = next.map_err(|error| refused(name, error))?;
            match record::open(range.table, key.value(), value.value()) {
                Ok(record) => scanned.records.push((key.value().to_vec(), record)),
                Err(error) => scanned.damaged.push(error),
            }
        }
        Ok(scanned)
    })
}

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Where a scan begins and ends; nothing where no key can be in it.
fn bounds(range: &Range) -> Option<Bounds> {
    let mut low = Bound::Included(range.prefix.clone());
    let mut high = successor(&range.prefix).map_or(Bound::Unbounded, Bound::Excluded);
    match (&range.after, range.order) {
        (Some(after), Order::Up) if *after >= range.prefix => low = Bound::Excluded(after.clone()),
        (Some(after), Order::Down) if successor(&range.prefix).is_none_or(|end| *after < end) => {
            high = Bound::Excluded(after.clone());
        }
        _ => {}
    }
    let empty = match (&low, &high) {
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
        _ => false,
    };
    (!empty && range.limit > 0).then_some((low, high))
}

/// The smallest key that is larger than all that begin with `prefix`; nothing where none is.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
