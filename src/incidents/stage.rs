//! The loop that keeps incidents: takes what is due, lets it happen, and writes all that follows in one
//! commit. Whoever acknowledges writes the same way, and the store says who was first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::incidents::Room;
use crate::incidents::decide::Happening;
use crate::incidents::turn::{Input, Turn};
use crate::model::cause::Cause;
use crate::model::id::IncidentId;
use crate::model::incident::{Incident, Lead};
use crate::model::notices::Plan;
use crate::model::time::Time;
use crate::store::queue::{self, Ticket};
use crate::store::table::{self, Held, Rows};
use crate::store::tables::{LIVE, Work};
use crate::store::{self};

/// Tickets that one round takes at most: so many happenings share a commit.
const ROUND: usize = 256;
/// Incidents that one commit looks at when the plan has changed.
const STEP: usize = 256;
/// After the store failed, how long until it is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// When a ticket is looked at again that a damaged record stops: somebody may have restored it.
const LATER: Duration = Duration::from_mins(10);

/// The loop behind the handle.
pub struct Stage {
    room: Arc<Room>,
    reloads: Option<watch::Receiver<u64>>,
    /// The plan by which all incidents were looked at.
    plan: Option<Arc<Plan>>,
}

impl Stage {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { room, reloads: None, plan: None }
    }

    /// Is told of new catalogs: another plan may have other people to tell.
    #[must_use]
    pub fn told(mut self, reloads: watch::Receiver<u64>) -> Self {
        self.reloads = Some(reloads);
        self
    }

    /// Keeps incidents until `stop`.
    ///
    /// Cancel-safe between rounds: stop it by `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.room.parts.store.changes();
        let mut reloads = self.reloads.take();
        loop {
            changes.mark_unchanged();
            let taken = match self.adopt().await {
                Ok(()) => self.round().await,
                Err(error) => Err(error),
            };
            let due = queue::next_due(&self.room.parts.store, queue::INCIDENTS).await;
            let (failed, more) = match (&taken, &due) {
                (Err(store::Error::Conflict { .. }), _) => (false, true),
                (Err(error), _) | (_, Err(error)) => {
                    tracing::error!(%error, "incidents cannot be kept");
                    (true, false)
                }
                (Ok(taken), _) => (false, *taken == ROUND),
            };
            let due = due.ok().flatten();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.sleep(Some(self.room.parts.clock.now().plus(PAUSE))), if failed => {}
                () = std::future::ready(()), if more && !failed => {}
                woken = changes.changed(), if !failed => if woken.is_err() { return },
                () = reloaded(&mut reloads), if !failed => {}
                () = self.sleep(due), if due.is_some() && !failed => {}
            }
        }
    }

    async fn sleep(&self, due: Option<Time>) {
        if let Some(due) = due {
            self.room.parts.clock.sleep_until(due).await;
        }
    }

    /// Looks at every incident that is not over, where the plan is another one than it was.
    async fn adopt(&mut self) -> Result<(), store::Error> {
        let plan = Arc::clone(&self.room.parts.catalog.load().notices);
        if self.plan.as_ref().is_some_and(|known| **known == *plan) {
            return Ok(());
        }
        let mut after = None;
        loop {
            let rows = Rows::first(STEP).after(after.take());
            let found = table::find::<Incident>(&self.room.parts.store, LIVE, b"", rows).await?;
            after = found.last().map(|held| table::Row::key(&held.row));
            let whole = found.len() < STEP;
            let lead = |one: &Incident| one.lead.clone();
            let looks: Vec<Input> = found
                .into_iter()
                .map(|held| Input::One(held.row.id, Happening::Look, lead(&held.row)))
                .collect();
            self.room.carry_out(&[], looks).await?;
            if whole {
                self.plan = Some(plan);
                return Ok(());
            }
        }
    }

    /// Takes what is due. Says how many tickets were taken.
    async fn round(&mut self) -> Result<usize, store::Error> {
        let room = &self.room;
        let now = room.parts.clock.now();
        let tickets = queue::due(&room.parts.store, queue::INCIDENTS, now, ROUND).await?;
        if tickets.is_empty() {
            return Ok(0);
        }
        match room.carry_out(&tickets, Vec::new()).await {
            Err(error) if error.is_of_record() => self.one_by_one(&tickets, now).await?,
            done => done?,
        }
        Ok(tickets.len())
    }

    /// A record that is damaged stops what needs it and nothing else.
    async fn one_by_one(&self, tickets: &[Held<Ticket>], now: Time) -> Result<(), store::Error> {
        for ticket in tickets {
            let one = std::slice::from_ref(ticket);
            let Err(error) = self.room.carry_out(one, Vec::new()).await else { continue };
            if !error.is_of_record() {
                return Err(error);
            }
            tracing::error!(ticket = %ticket.row.id, %error, "an incident cannot be kept");
            let mut batch = store::batch::Batch::new();
            queue::postpone(&mut batch, ticket, now.plus(LATER), None);
            self.room.parts.store.commit(batch).await?;
        }
        Ok(())
    }
}

async fn reloaded(reloads: &mut Option<watch::Receiver<u64>>) {
    if let Some(reloads) = reloads
        && reloads.changed().await.is_ok()
    {
        return;
    }
    // Nobody reloads, or will any more.
    std::future::pending::<()>().await;
}

impl Room {
    /// Lets happen what these tickets say, and this beside it, in one commit.
    pub(super) async fn carry_out(
        &self,
        tickets: &[Held<Ticket>],
        beside: Vec<Input>,
    ) -> Result<(), store::Error> {
        let now = self.parts.clock.now();
        let mut turn = Turn::new(self, now);
        for ticket in tickets {
            if let Work::Incident(word) = &ticket.row.work {
                turn.take(Input::Word((**word).clone())).await?;
            }
            queue::done(&mut turn.batch, ticket);
        }
        for input in beside {
            turn.take(input).await?;
        }
        turn.end().await?;
        if turn.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut turn.batch);
        self.parts.store.commit(batch).await?;
        self.parts.executions.placed(&turn.placed);
        Ok(())
    }

    /// The same for what a person wants of some incidents, whoever else writes meanwhile.
    pub(super) async fn act(
        &self,
        ids: &[IncidentId],
        happening: &Happening,
        user: &str,
    ) -> Result<(), store::Error> {
        let lead = Lead { cause: Cause::User(user.to_owned()), hops: 0 };
        loop {
            let inputs =
                ids.iter().map(|id| Input::One(*id, happening.clone(), lead.clone())).collect();
            match self.carry_out(&[], inputs).await {
                Err(store::Error::Conflict { .. }) => {}
                done => return done,
            }
        }
    }
}
