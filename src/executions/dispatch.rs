//! Takes tickets that are due, commits the start, and only then lets the runner begin.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::executions::hold::Reins;
use crate::executions::policies::{self, Admit, Seat, usher};
use crate::executions::{Room, attempt, control, hold};
use crate::model::execution::{Execution, Status, Step, Turn};
use crate::model::time::Time;
use crate::runners::Begin;
use crate::store;
use crate::store::batch::Batch;
use crate::store::queue::{self, Ticket};
use crate::store::table::{self, Held, Rows};
use crate::store::tables::Work;

/// Tickets that are looked at in one round at most.
const ROUND: usize = 256;
/// After the store failed, how long until it is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long until an execution is looked at again whose record cannot be read.
const LATER: Duration = Duration::from_mins(1);

/// The loop behind the handle.
pub struct Dispatcher {
    room: Arc<Room>,
    /// Who takes tickets: this start of this process.
    owner: String,
    places: Arc<Semaphore>,
    /// Rings when other policies are in force.
    reloads: Option<watch::Receiver<u64>>,
}

/// What a look at the queue found.
#[derive(Default)]
struct Round {
    looked_at: usize,
    /// Whether there was one among them whose attempt this process follows.
    ours: bool,
}

/// What one round writes.
#[derive(Default)]
struct Writing<'a> {
    batch: Batch,
    starts: Vec<Start>,
    /// Places before policies that count once they are on disk.
    seats: Vec<Seat<'a>>,
    /// Executions that their policies do not let start.
    aside: Vec<Execution>,
}

/// What becomes of a ticket that is due.
enum Lot {
    Start,
    Leave,
    Drop,
}

/// One attempt that may begin.
struct Start {
    execution: Execution,
    ticket: Held<Ticket>,
    begin: Begin,
    reins: Reins,
}

impl Dispatcher {
    pub(super) fn new(room: Arc<Room>) -> Self {
        let places = Arc::new(Semaphore::new(room.parts.settings.concurrency));
        Self { owner: room.parts.ids.record().to_string(), room, places, reloads: None }
    }

    /// Has it told of every new catalog: policies may let go what waits.
    #[must_use]
    pub fn told(self, reloads: watch::Receiver<u64>) -> Self {
        Self { reloads: Some(reloads), ..self }
    }

    /// Dispatches until `stop`. Attempts that run then go on; the next start finds them.
    ///
    /// Cancel-safe between rounds: stop it by `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut reloads = self.reloads.take();
        while let Err(error) = self.take_back().await {
            // The last commit of the last start came between: look again.
            if matches!(error, store::Error::Conflict { .. }) {
                continue;
            }
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
            let more = round.as_ref().is_ok_and(|round| round.looked_at == ROUND);
            let ours = round.as_ref().is_ok_and(|round| round.ours);
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
            // A lease that ran out under its own attempt is renewed by that, not by looking again.
            let due = due.map(|due| if ours { self.soon() } else { due });
            let turn = self.room.doorway.due();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.pause(), if failed => {}
                () = std::future::ready(()), if more && !failed => {}
                woken = changes.changed(), if !failed => if woken.is_err() { return },
                () = self.room.freed.notified(), if !failed => {}
                () = self.room.doorway.changed(), if !failed => {}
                () = reloaded(&mut reloads), if !failed => {}
                () = self.sleep(turn), if turn.is_some() && !failed => {}
                () = self.sleep(due), if due.is_some() && !failed => {}
            }
        }
    }

    fn soon(&self) -> Time {
        self.room.parts.clock.now().plus(PAUSE)
    }

    async fn pause(&self) {
        self.room.parts.clock.sleep_until(self.soon()).await;
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

    /// Starts what is due, as far as there are places.
    async fn round(&self, stop: &CancellationToken) -> Result<Round, store::Error> {
        let parts = &self.room.parts;
        usher::usher(&self.room).await?;
        let places = self.places.available_permits().min(ROUND);
        if places == 0 || stop.is_cancelled() {
            return Ok(Round::default());
        }
        let now = parts.clock.now();
        let tickets = queue::due(&parts.store, queue::DISPATCH, now, places).await?;
        let mut round = Round { looked_at: tickets.len(), ours: false };
        let keys = tickets.iter().map(|ticket| match &ticket.row.work {
            Work::Dispatch(id) => id.to_bytes().to_vec(),
            _ => Vec::new(),
        });
        let executions = match table::get_many::<Execution>(&parts.store, keys).await {
            Err(error) if error.is_of_record() => return self.set_aside(tickets, now).await,
            found => found?,
        };
        let mut writing = Writing::default();
        for (ticket, execution) in tickets.into_iter().zip(executions) {
            let execution = execution.filter(|held| !held.row.status.is_done());
            let Some(held) = execution else {
                queue::done(&mut writing.batch, &ticket);
                continue;
            };
            match self.lot(&ticket, &held, &writing.starts) {
                Lot::Start => self.start(&mut writing, &ticket, held, now),
                Lot::Leave => round.ours = true,
                Lot::Drop => queue::done(&mut writing.batch, &ticket),
            }
        }
        if writing.batch.is_empty() {
            return Ok(round);
        }
        let Writing { batch, starts, seats, aside } = writing;
        // Registered before the start is on disk: whoever reads `running` there can stop it.
        for start in &starts {
            self.room.running().insert(start.execution.id, start.reins.clone());
        }
        match parts.store.commit(batch).await {
            Ok(revision) => {
                for mut start in starts {
                    start.ticket.revision = revision;
                    self.spawn(start);
                }
                seats.into_iter().for_each(Seat::keep);
                for execution in &aside {
                    control::after(&self.room, execution);
                }
                Ok(round)
            }
            Err(error) => {
                for start in &starts {
                    self.room.running().remove(&start.execution.id);
                }
                Err(error)
            }
        }
    }

    /// Puts off executions that cannot be read: they stop nothing else.
    async fn set_aside(
        &self,
        tickets: Vec<Held<Ticket>>,
        now: Time,
    ) -> Result<Round, store::Error> {
        let parts = &self.room.parts;
        let mut batch = Batch::new();
        for ticket in &tickets {
            let Work::Dispatch(id) = ticket.row.work else { continue };
            match table::get::<Execution>(&parts.store, id.to_bytes().to_vec()).await {
                Err(error) if error.is_of_record() => {
                    tracing::error!(execution = %id, %error, "an execution cannot be read");
                    queue::postpone(&mut batch, ticket, now.plus(LATER), None);
                }
                found => drop(found?),
            }
        }
        parts.store.commit(batch).await?;
        Ok(Round { looked_at: tickets.len(), ours: false })
    }

    /// What is to become of a ticket that is due. No attempt is followed twice: one whose lease ran out
    /// under it keeps its ticket, and another ticket for the same is none.
    fn lot(&self, ticket: &Held<Ticket>, held: &Held<Execution>, starts: &[Start]) -> Lot {
        let running = self.room.running();
        let follower = running.get(&held.row.id);
        if starts.iter().any(|start| start.execution.id == held.row.id) {
            return Lot::Drop;
        }
        match follower {
            None => Lot::Start,
            Some(reins) if reins.ticket != ticket.row.id && is_under_way(&held.row) => Lot::Drop,
            // It follows it still, or has just settled it.
            Some(_) => Lot::Leave,
        }
    }

    /// Writes one start, where the policies let it. An execution that was running when the engine died,
    /// or was held, is taken up where it was; one that is paused otherwise, or waits for its turn, gets a
    /// new ticket in time.
    fn start<'a>(
        &'a self,
        writing: &mut Writing<'a>,
        ticket: &Held<Ticket>,
        mut held: Held<Execution>,
        now: Time,
    ) {
        let running = is_under_way(&held.row);
        if !running && !self.may_start(writing, &mut held, now) {
            return queue::done(&mut writing.batch, ticket);
        }
        let mut execution = held.row.clone();
        if !running {
            execution.step(Step::Start, now).expect("it was asked whether it may");
            execution.attempt += 1;
            table::replace(&mut writing.batch, &held, &execution);
        }
        let until = now.plus(attempt::limit(&self.room, &execution)).plus(hold::LEASE_SLACK);
        let taken = queue::take(&mut writing.batch, ticket, &self.owner, until);
        let begin = if running { Begin::Return } else { Begin::Fresh };
        let stop = CancellationToken::new();
        if execution.status == Status::Canceling {
            stop.cancel();
        }
        let reins = Reins { stop, look: Arc::default(), ticket: taken.id };
        let ticket = Held { row: taken, revision: 0 };
        writing.starts.push(Start { execution, ticket, begin, reins });
    }

    /// Whether an execution that has not begun may start now. What its policies make of it otherwise is
    /// written.
    fn may_start<'a>(
        &'a self,
        writing: &mut Writing<'a>,
        held: &mut Held<Execution>,
        now: Time,
    ) -> bool {
        let waits = matches!(held.row.turn, Some(Turn::Waits { .. }));
        if waits || held.row.status.after(Step::Start).is_err() {
            return false;
        }
        match policies::admit(&self.room, &mut writing.batch, held, now) {
            Admit::Go(seat) => {
                writing.seats.extend(seat);
                true
            }
            Admit::Aside(execution, seat) => {
                writing.seats.extend(seat);
                writing.aside.push(*execution);
                false
            }
        }
    }

    fn spawn(&self, start: Start) {
        let Start { execution, ticket, begin, reins } = start;
        let room = Arc::clone(&self.room);
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        room.tell(&execution);
        self.room.parts.tasks.spawn(async move {
            let id = execution.id;
            attempt::carry_out(&room, execution, ticket, (begin, reins)).await;
            room.running().remove(&id);
            drop(place);
            room.freed.notify_one();
        });
    }
}

/// Until another catalog is in force.
///
/// Cancel-safe.
async fn reloaded(reloads: &mut Option<watch::Receiver<u64>>) {
    let told = match reloads {
        Some(reloads) => reloads.changed().await.is_ok(),
        None => false,
    };
    if !told {
        std::future::pending::<()>().await;
    }
}

/// Whether an attempt has begun that has not ended.
fn is_under_way(execution: &Execution) -> bool {
    execution.begun || matches!(execution.status, Status::Running | Status::Canceling)
}
