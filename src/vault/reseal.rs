//! Everything under the present master key: what is under an earlier one, and what was written before
//! there was a vault and holds a secret.

use serde::Serialize;

use crate::model::execution::Execution;
use crate::model::key::KeyValue;
use crate::store::batch::{Batch, Expectation};
use crate::store::queue::Ticket;
use crate::store::table::{Row, decode, encode};
use crate::store::tables::{DeadLetter, TABLES};
use crate::store::{Error, Handle, Key, Order, Range, Record};
use crate::vault::master::Ring;
use crate::vault::seal;

/// Records that one look reads and one commit writes at most: some milliseconds of work.
const STEP_RECORDS: usize = 256;
/// Bytes of an execution's id, with which the keys of its workflow's rows begin.
const ID_BYTES: usize = 16;

/// What was sealed anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Resealed {
    /// Records that were under an earlier key.
    pub resealed: u64,
    /// Records that were not sealed, and hold secrets.
    pub sealed: u64,
    /// Records that stay closed: their key is not here, or they are damaged.
    pub closed: u64,
}

impl Resealed {
    fn add(&mut self, other: Self) {
        self.resealed += other.resealed;
        self.sealed += other.sealed;
        self.closed += other.closed;
    }
}

/// Goes through every table. Whoever writes meanwhile seals with the present key, so what was passed
/// stays right.
pub(super) async fn all(store: &Handle, ring: &Ring) -> Result<Resealed, Error> {
    let mut done = Resealed::default();
    for (table, _) in TABLES.iter().filter(|(name, _)| !name.ends_with("_index")) {
        let mut range =
            Range { table, prefix: Vec::new(), after: None, order: Order::Up, limit: STEP_RECORDS };
        loop {
            let found = store.scan(&range).await?;
            let whole = found.len() < STEP_RECORDS;
            let last = found.last().map(|(key, _)| key.clone());
            let (batch, step) = step(store, ring, table, found).await?;
            if !batch.is_empty() {
                match store.commit(batch).await {
                    Ok(_) => {}
                    // Somebody wrote one of them meanwhile: the same step again.
                    Err(Error::Conflict { .. }) => continue,
                    Err(error) => return Err(error),
                }
            }
            done.add(step);
            range.after = last;
            if whole {
                break;
            }
        }
    }
    Ok(done)
}

async fn step(
    store: &Handle,
    ring: &Ring,
    table: &'static str,
    found: Vec<(Vec<u8>, Record)>,
) -> Result<(Batch, Resealed), Error> {
    let (mut batch, mut done) = (Batch::new(), Resealed::default());
    for (bytes, record) in found {
        let again = if seal::is_sealed(&record.bytes) {
            match seal::rewrap(ring, (table, &bytes), &record.bytes) {
                Ok(Some(again)) => {
                    done.resealed += 1;
                    again
                }
                Ok(None) => continue,
                Err(_) => {
                    done.closed += 1;
                    continue;
                }
            }
        } else {
            let Some(plain) = secret(store, ring, (table, &bytes), &record.bytes).await? else {
                continue;
            };
            done.sealed += 1;
            seal::seal(ring.current(), (table, &bytes), &plain)
        };
        let key = Key { table, bytes };
        batch.expect(key.clone(), Expectation::At(record.revision));
        batch.put(key, again);
    }
    Ok((batch, done))
}

/// What is to be sealed of a record that is not; nothing where it holds no secret. Records that are no
/// rows are left as they are.
async fn secret(
    store: &Handle,
    ring: &Ring,
    (table, key): (&'static str, &[u8]),
    content: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    fn by_row<R: Row>(key: &[u8], content: &[u8]) -> bool {
        decode::<R>(key, content).is_ok_and(|row| row.is_secret())
    }
    let is_secret = match table {
        "keys" => by_row::<KeyValue>(key, content),
        "tickets" => by_row::<Ticket>(key, content),
        "dead_letters" => by_row::<DeadLetter>(key, content),
        "executions" => {
            let Ok(row) = decode::<Execution>(key, content) else { return Ok(None) };
            return Ok(holds(&row).then(|| encode(&Execution { secret: true, ..row })));
        }
        // The rows of a workflow go with its execution, which stands in an earlier table.
        "flows" => match key.get(..ID_BYTES) {
            Some(id) => is_of_secret(store, ring, id).await?,
            None => false,
        },
        _ => false,
    };
    Ok(is_secret.then(|| content.to_vec()))
}

/// Whether an execution of before there was a vault holds secrets.
fn holds(execution: &Execution) -> bool {
    let given = |name: &String| execution.given.get(name).is_some_and(|value| !value.is_null());
    let mut secret = execution.action.parameters.iter().filter(|(_, one)| one.secret);
    execution.secret || secret.any(|(name, one)| given(name) || one.default.is_some())
}

async fn is_of_secret(store: &Handle, ring: &Ring, id: &[u8]) -> Result<bool, Error> {
    let key = Key { table: Execution::TABLE, bytes: id.to_vec() };
    let Some(record) = store.get(&key).await? else { return Ok(false) };
    let content = if seal::is_sealed(&record.bytes) {
        let Ok(content) = seal::open(ring, (key.table, &key.bytes), &record.bytes) else {
            return Ok(false);
        };
        content
    } else {
        record.bytes
    };
    Ok(decode::<Execution>(id, &content).is_ok_and(|row| holds(&row)))
}
