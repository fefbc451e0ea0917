//! What goes on beside an attempt while it runs: it is held and let go as people want it, and its ticket
//! stays taken for as long as it takes.
//!
//! What is wanted stands in the store, so an engine that died between the wish and the deed finds it
//! there: whoever follows an attempt looks at its execution, brings about what that says, and writes
//! when it is so.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::executions::{Room, control};
use crate::model::execution::{Execution, Status, Step};
use crate::model::id::RecordId;
use crate::runners::{Begin, Brake, Outcome};
use crate::store;
use crate::store::batch::Batch;
use crate::store::queue::{self, Ticket};
use crate::store::table::{self, Held};

/// How long a ticket stays taken beyond the attempt's own time, and by how much that is put off for one
/// that takes longer: held, or not begun yet. The embedded store has one owner, which takes everything
/// back when it starts; the lease only matters where several nodes share one.
pub(super) const LEASE_SLACK: Duration = Duration::from_mins(5);

/// After the store failed, how long until it is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// What leads an attempt that this process follows.
#[derive(Clone)]
pub(super) struct Reins {
    /// Ends it.
    pub(super) stop: CancellationToken,
    /// Rings when its execution is to be held or let go.
    pub(super) look: Arc<Notify>,
    /// Its ticket: another one for the same execution is none.
    pub(super) ticket: RecordId,
}

/// The other end of a runner's brake.
pub(super) struct Lever {
    wanted: watch::Sender<bool>,
    stands: watch::Receiver<Option<bool>>,
    /// Whether something is wanted that is not so yet.
    waits: bool,
}

impl Lever {
    /// Until an attempt that was to be held or let go may be so.
    ///
    /// Cancel-safe.
    async fn moved(&mut self) {
        // A runner that has let go of its brake has nothing more to say but its outcome.
        if !self.waits || self.stands.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A brake and its lever.
pub(super) fn brake() -> (Brake, Lever) {
    let (wanted, want) = watch::channel(false);
    let (stand, stands) = watch::channel(None);
    (Brake { wanted: want, stands: Arc::new(stand) }, Lever { wanted, stands, waits: false })
}

/// What is to be done beside an attempt.
enum Turn {
    Over(Outcome),
    Look,
    Renew,
}

/// Follows an attempt to its outcome.
///
/// Not cancel-safe: a commit may be under way. Whoever drops it leaves the attempt to the next start.
pub(super) async fn accompany(
    room: &Room,
    (execution, ticket): (&Execution, &mut Held<Ticket>),
    (reins, mut lever, begin): (&Reins, Lever, Begin),
    running: impl Future<Output = Outcome>,
) -> Outcome {
    let clock = &room.parts.clock;
    tokio::pin!(running);
    if begin == Begin::Return {
        reins.look.notify_one();
    }
    let mut leased = true;
    loop {
        let renewal = ticket.row.due.minus(LEASE_SLACK);
        let turn = tokio::select! {
            biased;
            outcome = &mut running => Turn::Over(outcome),
            () = reins.look.notified() => Turn::Look,
            () = lever.moved() => Turn::Look,
            () = clock.sleep_until(renewal), if leased => Turn::Renew,
        };
        // What is written here is written to its end before the outcome may be settled.
        let done = match turn {
            Turn::Over(outcome) => return outcome,
            Turn::Look => look(room, execution, &mut lever).await,
            Turn::Renew => renew(room, ticket).await.map(|ours| leased = ours),
        };
        if let Err(error) = done {
            tracing::error!(execution = %execution.id, %error, "what is wanted of it cannot be read");
            tokio::select! {
                biased;
                outcome = &mut running => return outcome,
                () = clock.sleep_until(clock.now().plus(PAUSE)) => reins.look.notify_one(),
            }
        }
    }
}

/// What an execution wants of its attempt, and what follows from how that stands: pure.
fn weigh(status: Status, stands: Option<bool>) -> (bool, Option<Step>) {
    match (status, stands) {
        (Status::Pausing, Some(true)) => (true, Some(Step::Quiet)),
        (Status::Pausing | Status::Paused, _) => (true, None),
        (Status::Resuming, Some(false)) => (false, Some(Step::Start)),
        _ => (false, None),
    }
}

async fn look(room: &Room, execution: &Execution, lever: &mut Lever) -> Result<(), store::Error> {
    let parts = &room.parts;
    loop {
        let key = execution.id.to_bytes().to_vec();
        let Some(held) = table::get::<Execution>(&parts.store, key).await? else { return Ok(()) };
        let (want, step) = weigh(held.row.status, *lever.stands.borrow_and_update());
        lever.waits = matches!(held.row.status, Status::Pausing | Status::Resuming);
        lever.wanted.send_if_modified(|wanted| std::mem::replace(wanted, want) != want);
        let Some(step) = step else { return Ok(()) };
        let now = parts.clock.now();
        let mut moved = held.row.clone();
        moved.step(step, now).expect("it was weighed where it stands");
        let mut batch = Batch::new();
        table::replace(&mut batch, &held, &moved);
        control::told(room, &mut batch, &moved, now);
        match parts.store.commit(batch).await {
            Ok(_) => {
                room.tell(&moved);
                return Ok(());
            }
            Err(store::Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Keeps the ticket for longer. Says whether it is still ours.
async fn renew(room: &Room, ticket: &mut Held<Ticket>) -> Result<bool, store::Error> {
    let until = room.parts.clock.now().plus(LEASE_SLACK * 2);
    let mut batch = Batch::new();
    let owner = ticket.row.owner.clone();
    let row = queue::postpone(&mut batch, ticket, until, owner.as_deref());
    match room.parts.store.commit(batch).await {
        Ok(revision) => {
            *ticket = Held { row, revision };
            Ok(true)
        }
        Err(store::Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
