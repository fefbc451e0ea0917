//! Typed tables and their indexes over bytes, written once for all backends.
//!
//! A row names its table, its key and its index entries; `put`, `replace` and `remove` keep the index
//! in step. An index entry is a record without content whose key is
//! `<field>\0<length of value><value><row key>`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::batch::{Batch, Expectation};
use crate::store::{Error, Handle, Key, Order, Range, Record};

/// A kind of record.
pub trait Row: Serialize + DeserializeOwned + Send + Sync {
    /// The table it lives in.
    const TABLE: &'static str;
    /// The table of its index entries; empty where it has none.
    const INDEX: &'static str = "";
    /// The version of its form. A reader that knows a higher one reads the lower one too.
    const VERSION: u8 = 1;

    /// Its key; the order of bytes is the order of scans.
    fn key(&self) -> Vec<u8>;

    /// Whether it holds what nobody may read who has the file alone: it is sealed as a whole.
    fn is_secret(&self) -> bool {
        false
    }

    /// Its index entries: field and value.
    fn entries(&self) -> Vec<(&'static str, Vec<u8>)> {
        Vec::new()
    }
}

/// A row as it was read.
#[derive(Debug, Clone)]
pub struct Held<R> {
    /// The row.
    pub row: R,
    /// The commit that wrote it.
    pub revision: u64,
}

/// The key of a row of `R`.
#[must_use]
pub fn key<R: Row>(bytes: Vec<u8>) -> Key {
    Key { table: R::TABLE, bytes }
}

/// Creates a row; the batch fails where one stands there already.
pub fn create<R: Row>(batch: &mut Batch, row: &R) {
    batch.expect(key::<R>(row.key()), Expectation::Absent);
    put(batch, row);
}

/// Writes a row that has no index entries that change; whatever stood there is replaced.
pub fn put<R: Row>(batch: &mut Batch, row: &R) {
    for entry in entries(row) {
        batch.put(entry, Vec::new());
    }
    let key = key::<R>(row.key());
    if row.is_secret() {
        batch.put_secret(key, encode(row));
    } else {
        batch.put(key, encode(row));
    }
}

/// Replaces a row that was read; the batch fails where somebody wrote it meanwhile.
pub fn replace<R: Row>(batch: &mut Batch, held: &Held<R>, row: &R) {
    remove(batch, held);
    put(batch, row);
}

/// Removes a row that was read; the batch fails where somebody wrote it meanwhile.
pub fn remove<R: Row>(batch: &mut Batch, held: &Held<R>) {
    batch.expect(key::<R>(held.row.key()), Expectation::At(held.revision));
    for entry in entries(&held.row) {
        batch.remove(entry);
    }
    batch.remove(key::<R>(held.row.key()));
}

/// One row.
///
/// # Errors
/// As `Store::get`; `Damaged` where its form is not that of `R`.
pub async fn get<R: Row>(store: &Handle, bytes: Vec<u8>) -> Result<Option<Held<R>>, Error> {
    let key = key::<R>(bytes);
    let Some(record) = store.get(&key).await? else { return Ok(None) };
    decode(&key.bytes, &record.bytes).map(|row| Some(Held { row, revision: record.revision }))
}

/// Several rows in one look, in the order of the keys.
///
/// # Errors
/// As `get`.
pub async fn get_many<R: Row>(
    store: &Handle,
    keys: impl IntoIterator<Item = Vec<u8>>,
) -> Result<Vec<Option<Held<R>>>, Error> {
    let keys: Vec<Key> = keys.into_iter().map(key::<R>).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let records = store.get_many(&keys).await?;
    keys.iter()
        .zip(records)
        .map(|(key, record)| {
            record
                .map(|record| {
                    let row = decode(&key.bytes, &record.bytes)?;
                    Ok(Held { row, revision: record.revision })
                })
                .transpose()
        })
        .collect()
}

/// Rows in the order of their keys.
///
/// # Errors
/// As `get`.
pub async fn scan<R: Row>(store: &Handle, rows: Rows) -> Result<Vec<Held<R>>, Error> {
    let range = Range {
        table: R::TABLE,
        prefix: rows.prefix,
        after: rows.after,
        order: rows.order,
        limit: rows.limit,
    };
    let found = store.scan(&range).await?;
    found
        .into_iter()
        .map(|(key, record)| {
            Ok(Held { row: decode(&key, &record.bytes)?, revision: record.revision })
        })
        .collect()
}

/// Rows whose index entry for `field` is `value`, in the order of their keys. A row that is damaged is
/// left out, like in a scan.
///
/// # Errors
/// As `get`.
pub async fn find<R: Row>(
    store: &Handle,
    field: &'static str,
    value: &[u8],
    rows: Rows,
) -> Result<Vec<Held<R>>, Error> {
    let lead = entry_lead(field, value);
    let with_lead = |bytes: &[u8]| [lead.as_slice(), bytes].concat();
    let mut range = Range {
        table: R::INDEX,
        prefix: with_lead(&rows.prefix),
        after: rows.after.as_deref().map(with_lead),
        order: rows.order,
        limit: rows.limit,
    };
    let mut held = Vec::new();
    // Between the look at the index and the look at the rows somebody may write: what does not fit any
    // more is left out, and the next entries take its place.
    while held.len() < rows.limit {
        range.limit = rows.limit - held.len();
        let found = store.scan(&range).await?;
        let Some((last, _)) = found.last() else { break };
        range.after = Some(last.clone());
        let whole = found.len() < range.limit;
        for (key, record) in pointed::<R>(store, found, lead.len()).await? {
            let row: R = decode(&key.bytes, &record.bytes)?;
            if row.entries().iter().any(|(own, is)| *own == field && is == value) {
                held.push(Held { row, revision: record.revision });
            }
        }
        if whole {
            break;
        }
    }
    Ok(held)
}

/// How many index entries for `field` have `value`, up to `limit`. Reads no row.
///
/// # Errors
/// As `Store::scan`.
pub async fn count<R: Row>(
    store: &Handle,
    field: &'static str,
    value: &[u8],
    limit: usize,
) -> Result<usize, Error> {
    let prefix = entry_lead(field, value);
    let range = Range { table: R::INDEX, prefix, after: None, order: Order::Up, limit };
    Ok(store.scan(&range).await?.len())
}

/// The records to which index entries point.
async fn pointed<R: Row>(
    store: &Handle,
    entries: Vec<(Vec<u8>, Record)>,
    lead_bytes: usize,
) -> Result<Vec<(Key, Record)>, Error> {
    let rows = entries.into_iter().map(|(mut entry, _)| entry.split_off(lead_bytes));
    let keys: Vec<Key> = rows.map(key::<R>).collect();
    let records = match store.get_many(&keys).await {
        // One of them blocks itself alone: the others are fetched one by one.
        Err(error) if error.is_of_record() => {
            let mut records = Vec::new();
            for key in &keys {
                records.push(match store.get(key).await {
                    Err(error) if error.is_of_record() => None,
                    other => other?,
                });
            }
            records
        }
        other => other?,
    };
    Ok(keys.into_iter().zip(records).filter_map(|(key, record)| Some((key, record?))).collect())
}

/// Which rows a scan wants.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Only keys that begin so.
    pub prefix: Vec<u8>,
    /// Only keys beyond this one.
    pub after: Option<Vec<u8>>,
    /// Upwards or downwards.
    pub order: Order,
    /// At most so many.
    pub limit: usize,
}

impl Rows {
    /// The first `limit` rows.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { prefix: Vec::new(), after: None, order: Order::Up, limit }
    }

    /// The last `limit` rows, last first.
    #[must_use]
    pub fn last(limit: usize) -> Self {
        Self { order: Order::Down, ..Self::first(limit) }
    }

    /// Only rows whose key begins with `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: impl Into<Vec<u8>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Only rows beyond `key`.
    #[must_use]
    pub fn after(mut self, key: Option<Vec<u8>>) -> Self {
        self.after = key;
        self
    }
}

/// The keys of a row's index entries.
pub(crate) fn entries<R: Row>(row: &R) -> impl Iterator<Item = Key> + use<R> {
    let key = row.key();
    row.entries().into_iter().map(move |(field, value)| Key {
        table: R::INDEX,
        bytes: [entry_lead(field, &value), key.clone()].concat(),
    })
}

/// `<field>\0<length of value><value>`: the length keeps values apart that begin alike.
fn entry_lead(field: &str, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u64).to_be_bytes();
    [field.as_bytes(), &[0], &length, value].concat()
}

/// The row's form: a version byte, then `MessagePack` with field names, so that fields may come and go.
///
/// # Panics
/// Where the row cannot be written as `MessagePack` at all: a bug in the row's type.
#[must_use]
pub fn encode<R: Row>(row: &R) -> Vec<u8> {
    let mut bytes = vec![R::VERSION];
    rmp_serde::encode::write_named(&mut bytes, row).expect("rows are plain data");
    bytes
}

/// Reads what `encode` wrote.
///
/// # Errors
/// `Damaged` where it is no such row, or one of a newer form.
pub fn decode<R: Row>(key: &[u8], bytes: &[u8]) -> Result<R, Error> {
    let damaged = |what: String| Error::Damaged { table: R::TABLE, key: hex(key), what };
    match bytes.split_first() {
        Some((version, content)) if *version <= R::VERSION => {
            rmp_serde::from_slice(content).map_err(|error| damaged(error.to_string()))
        }
        Some((version, _)) => Err(damaged(format!("its form {version} is newer than this Ifso"))),
        None => Err(damaged("it is empty".to_owned())),
    }
}

/// A key for people.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('?'));
        }
        text
    })
}
