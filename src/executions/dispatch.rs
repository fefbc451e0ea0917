//! Takes tickets that are due, commits the start, and only then lets the runner begin.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::executions::Room;
use crate::executions::attempt;
use crate::model::execution::{Execution, Status, Step};
use crate::model::time::Time;
use crate::runners::Begin;
use crate::store;
use crate::store::batch::Batch;
use crate::store::queue::{self, Ticket};
use crate::store::table::{self, Held, Rows};
use crate::store::tables::Work;

/// Tickets that are looked at in one round at most.
const ROUND: usize = 256;
/// How long a ticket stays taken beyond the attempt's own time. The embedded store has one owner,
/// which takes everything back when it starts; the lease only matters where several nodes share one.
const LEASE_SLACK: Duration = Duration::from_mins(5);
/// After the store failed, how long until it is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// The loop behind the handle.
pub struct Dispatcher {
    room: Arc<Room>,
    /// Who takes tickets: this start of this process.
    owner: String,
    places: Arc<Semaphore>,
}

/// One attempt that may begin.
struct Start {
    execution: Execution,
    ticket: Held<Ticket>,
    begin: Begin,
    stop: CancellationToken,
}

impl Dispatcher {
    pub(super) fn new(room: Arc<Room>) -> Self {
        let places = Arc::new(Semaphore::new(room.parts.settings.concurrency));
        Self { owner: room.parts.ids.record().to_string(), room, places }
    }

    /// Dispatches until `stop`. Attempts that run then go on; the next start finds them.
    ///
    /// Cancel-safe between rounds: stop it by `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while let Err(error) = self.take_back().await {
            tracing::error!(%error, "executions of the last start cannot be read");
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.pause() => {}
            }
        }
        let mut changes = self.room.parts.store.changes();
        loop {
            changes.mark_unchanged();
            let round = self.round(&stop).await;
            let more = round.as_ref().is_ok_and(|started| *started == ROUND);
            let due = self.next_due().await;
            let failed = match round.and(due.clone()) {
                Ok(_) => false,
                Err(store::Error::Conflict { .. }) => continue,
                Err(error) => {
                    tracing::error!(%error, "executions cannot be dispatched");
                    true
                }
            };
            let due = due.ok().flatten().filter(|_| self.places.available_permits() > 0);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.pause(), if failed => {}
                () = std::future::ready(()), if more && !failed => {}
                woken = changes.changed(), if !failed => if woken.is_err() { return },
                () = self.room.freed.notified(), if !failed => {}
                () = self.sleep(due), if due.is_some() && !failed => {}
            }
        }
    }

    async fn pause(&self) {
        let clock = &self.room.parts.clock;
        clock.sleep_until(clock.now().plus(PAUSE)).await;
    }

    async fn sleep(&self, due: Option<Time>) {
        if let Some(due) = due {
            self.room.parts.clock.sleep_until(due).await;
        }
    }

    async fn next_due(&self) -> Result<Option<Time>, store::Error> {
        queue::next_due(&self.room.parts.store, queue::DISPATCH).await
    }

    /// Frees what earlier starts of the process had taken: the embedded store has one owner, so
    /// nobody else can be working on it.
    async fn take_back(&self) -> Result<(), store::Error> {
        let parts = &self.room.parts;
        let mut after = None;
        loop {
            let rows = Rows::first(ROUND).under(format!("{}\0", queue::DISPATCH)).after(after);
            let page = table::scan::<Ticket>(&parts.store, rows).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(table::Row::key(&last.row));
            let mut batch = Batch::new();
            let now = parts.clock.now();
            let others = |ticket: &&Held<Ticket>| {
                ticket.row.owner.as_ref().is_some_and(|owner| *owner != self.owner)
            };
            for ticket in page.iter().filter(others) {
                queue::postpone(&mut batch, ticket, now, None);
            }
            if !batch.is_empty() {
                parts.store.commit(batch).await?;
            }
        }
    }

    /// Starts what is due, as far as there are places. Says how many tickets were looked at.
    async fn round(&self, stop: &CancellationToken) -> Result<usize, store::Error> {
        let parts = &self.room.parts;
        let places = self.places.available_permits().min(ROUND);
        if places == 0 || stop.is_cancelled() {
            return Ok(0);
        }
        let now = parts.clock.now();
        let tickets = queue::due(&parts.store, queue::DISPATCH, now, places).await?;
        let looked_at = tickets.len();
        let keys = tickets.iter().map(|ticket| match &ticket.row.work {
            Work::Dispatch(id) => id.to_bytes().to_vec(),
            _ => Vec::new(),
        });
        let executions = table::get_many::<Execution>(&parts.store, keys).await?;
        let mut batch = Batch::new();
        let mut starts = Vec::new();
        for (ticket, execution) in tickets.into_iter().zip(executions) {
            match execution {
                Some(held) if !held.row.status.is_done() => {
                    starts.extend(self.start(&mut batch, &ticket, &held, now));
                }
                _ => queue::done(&mut batch, &ticket),
            }
        }
        if batch.is_empty() {
            return Ok(looked_at);
        }
        // Registered before the start is on disk: whoever reads `running` there can stop it.
        for start in &starts {
            self.room.running().insert(start.execution.id, start.stop.clone());
        }
        match parts.store.commit(batch).await {
            Ok(revision) => {
                for mut start in starts {
                    start.ticket.revision = revision;
                    self.spawn(start);
                }
                Ok(looked_at)
            }
            Err(error) => {
                for start in &starts {
                    self.room.running().remove(&start.execution.id);
                }
                Err(error)
            }
        }
    }

    /// Writes one start into the batch. An execution that was running when the engine died is taken
    /// up where it was; a paused one keeps its ticket for later.
    fn start(
        &self,
        batch: &mut Batch,
        ticket: &Held<Ticket>,
        held: &Held<Execution>,
        now: Time,
    ) -> Option<Start> {
        let mut execution = held.row.clone();
        let running = matches!(execution.status, Status::Running | Status::Canceling);
        if !running {
            if execution.step(Step::Start, now).is_err() {
                queue::done(batch, ticket);
                return None;
            }
            execution.attempt += 1;
            table::replace(batch, held, &execution);
        }
        let until = now.plus(attempt::limit(&self.room, &execution)).plus(LEASE_SLACK);
        let taken = queue::take(batch, ticket, &self.owner, until);
        let begin = if running { Begin::Return } else { Begin::Fresh };
        let stop = CancellationToken::new();
        if execution.status == Status::Canceling {
            stop.cancel();
        }
        Some(Start { execution, ticket: Held { row: taken, revision: 0 }, begin, stop })
    }

    fn spawn(&self, start: Start) {
        let Start { execution, ticket, begin, stop } = start;
        let room = Arc::clone(&self.room);
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        room.tell(&execution);
        self.room.parts.tasks.spawn(async move {
            let id = execution.id;
            attempt::carry_out(&room, execution, ticket, begin, stop).await;
            room.running().remove(&id);
            drop(place);
            room.freed.notify_one();
        });
    }
}
