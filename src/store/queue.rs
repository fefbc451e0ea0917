//! Queues of tickets, which are timers too: a ticket is due at a time, and whoever takes it moves
//! that time to the end of a lease. What is not done by then is due again, by itself.
//!
//! The key is `<queue>\0<due><id>`, so the first record of a queue is the next one due.

use serde::{Deserialize, Serialize};

use crate::model::id::RecordId;
use crate::model::time::Time;
use crate::store::batch::{Batch, Expectation};
use crate::store::table::{self, Held, Row, Rows};
use crate::store::tables::Work;
use crate::store::{Error, Handle, Order, Range};
use crate::telemetry::kept::Waiting;

/// Executions to dispatch.
pub const DISPATCH: &str = "dispatch";
/// Workflows that something has happened to.
pub const CONDUCT: &str = "conduct";
/// What happened to incidents.
pub const INCIDENTS: &str = "incidents";
/// Events made inside, to be taken in.
pub const INTAKE: &str = "intake";

/// Every queue.
pub const QUEUES: &[&str] = &[DISPATCH, CONDUCT, INCIDENTS, INTAKE];

/// The queue in which executions of a runner wait for their turn: what the engine carries out itself
/// takes no place from what runs.
#[must_use]
pub fn line(runner: &str) -> &'static str {
    match runner {
        "workflow" | "inquiry" => CONDUCT,
        _ => DISPATCH,
    }
}

/// One piece of work that waits, or is being done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// The queue.
    pub queue: String,
    /// When it is due: the time asked for, or the end of the lease of whoever has it.
    pub due: Time,
    /// Its name.
    pub id: RecordId,
    /// Who has it.
    pub owner: Option<String>,
    /// What to do.
    pub work: Work,
}

impl Row for Ticket {
    const TABLE: &'static str = "tickets";

    /// What people want, what they answer and what is reported inside may hold secrets.
    fn is_secret(&self) -> bool {
        matches!(self.work, Work::Order(..) | Work::Report(_))
    }

    fn key(&self) -> Vec<u8> {
        [lead(&self.queue).as_slice(), &sortable(self.due), &self.id.to_bytes()].concat()
    }
}

fn lead(queue: &str) -> Vec<u8> {
    [queue.as_bytes(), &[0]].concat()
}

/// Bytes whose order is the order of times, before 1970 too.
fn sortable(time: Time) -> [u8; 8] {
    (time.millis().cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Puts work into a queue, due at `due`.
pub fn push(batch: &mut Batch, queue: &str, due: Time, id: RecordId, work: Work) {
    table::put(batch, &Ticket { queue: queue.to_owned(), due, id, owner: None, work });
}

/// The tickets that are due at `now`, longest due first.
///
/// # Errors
/// As `Store::scan`.
pub async fn due(
    store: &Handle,
    queue: &str,
    now: Time,
    limit: usize,
) -> Result<Vec<Held<Ticket>>, Error> {
    let mut found = table::scan::<Ticket>(store, Rows::first(limit).under(lead(queue))).await?;
    found.retain(|ticket| ticket.row.due <= now);
    Ok(found)
}

/// When the next ticket of a queue is due.
///
/// # Errors
/// As `Store::scan`.
pub async fn next_due(store: &Handle, queue: &str) -> Result<Option<Time>, Error> {
    let found = table::scan::<Ticket>(store, Rows::first(1).under(lead(queue))).await?;
    Ok(found.first().map(|ticket| ticket.row.due))
}

/// How much waits in a queue at `now`, of its first `limit` tickets. Reads their keys alone.
///
/// # Errors
/// As `Store::scan`.
pub async fn waiting(
    store: &Handle,
    queue: &str,
    now: Time,
    limit: usize,
) -> Result<Waiting, Error> {
    let prefix = lead(queue);
    let (at, now_bytes) = (prefix.len(), sortable(now));
    let range = Range { table: Ticket::TABLE, prefix, after: None, order: Order::Up, limit };
    let tickets = store.scan(&range).await?;
    let times = tickets.iter().filter_map(|(key, _)| key.get(at..at + 8));
    let due = times.take_while(|due| *due <= now_bytes.as_slice()).count();
    let oldest = match tickets.first() {
        Some((key, _)) if due > 0 => key.get(at..at + 8).and_then(|due| due.try_into().ok()),
        _ => None,
    };
    let oldest_seconds = oldest.map_or(0, |due| seconds(due, now));
    Ok(Waiting { due, later: tickets.len() - due, oldest_seconds })
}

/// Seconds from the time in a key to `now`.
fn seconds(due: [u8; 8], now: Time) -> u64 {
    let due = (u64::from_be_bytes(due) ^ (1 << 63)).cast_signed();
    u64::try_from(now.millis().saturating_sub(due)).unwrap_or(0) / 1000
}

/// Takes a ticket until `until`: the batch fails where somebody else took it meanwhile. Gives the
/// ticket as it will stand; its revision is that of the batch's commit.
pub fn take(batch: &mut Batch, ticket: &Held<Ticket>, owner: &str, until: Time) -> Ticket {
    let taken = Ticket { due: until, owner: Some(owner.to_owned()), ..ticket.row.clone() };
    batch.expect(table::key::<Ticket>(ticket.row.key()), Expectation::At(ticket.revision));
    batch.remove(table::key::<Ticket>(ticket.row.key()));
    table::put(batch, &taken);
    taken
}

/// Removes a ticket whose work is done: the batch fails where the lease ran out and somebody else
/// took it.
pub fn done(batch: &mut Batch, ticket: &Held<Ticket>) {
    table::remove(batch, ticket);
}

/// Moves a ticket to another time and frees it: a retry, a longer lease.
pub fn postpone(
    batch: &mut Batch,
    ticket: &Held<Ticket>,
    due: Time,
    owner: Option<&str>,
) -> Ticket {
    let moved = Ticket { due, owner: owner.map(str::to_owned), ..ticket.row.clone() };
    table::remove(batch, ticket);
    table::put(batch, &moved);
    moved
}
