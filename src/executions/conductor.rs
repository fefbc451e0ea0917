//! The loop that conducts workflows: takes what has happened to them, asks the second brain what comes
//! next, and writes both in one commit. Only this loop changes the state of a workflow.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::executions::control::{self, Wanted};
use crate::executions::flows::{self, Fault, Flows};
use crate::executions::policies::{self, Admit, Seat, usher};
use crate::executions::turn::{self, Around, Beginning, Case, Follows, Input};
use crate::executions::{Room, inquiries, templates};
use crate::model::execution::{Execution, Status, Turn, Wish};
use crate::model::id::ExecutionId;
use crate::model::time::Time;
use crate::model::workflow::Order;
use crate::packs::parameters;
use crate::runners::Course;
use crate::store::batch::Batch;
use crate::store::queue::{self, Ticket};
use crate::store::table::{self, Held, Rows};
use crate::store::tables::Work;
use crate::store::{self};

/// Tickets that one round takes at most: so many workflows share a commit.
const ROUND: usize = 256;
/// After the store failed, how long until it is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// When a ticket is looked at again that a damaged record stops: somebody may have restored it.
const LATER: Duration = Duration::from_mins(10);

/// The loop behind the handle.
pub struct Conductor {
    room: Arc<Room>,
    flows: Flows,
}

/// Parts by the workflow that is done again, their task and item.
type Earlier = HashMap<(ExecutionId, Arc<str>, Option<u32>), Execution>;

impl Conductor {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { room, flows: Flows::default() }
    }

    /// Conducts until `stop`.
    ///
    /// Cancel-safe between rounds: stop it by `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut changes = self.room.parts.store.changes();
        loop {
            changes.mark_unchanged();
            let round = self.round().await;
            let more = matches!(round, Ok(taken) if taken == ROUND);
            let due = queue::next_due(&self.room.parts.store, queue::CONDUCT).await;
            let failed = match round.and(due.clone()) {
                Ok(_) => false,
                Err(store::Error::Conflict { .. }) => {
                    if stop.is_cancelled() {
                        return;
                    }
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "workflows cannot be conducted");
                    true
                }
            };
            let due = due.ok().flatten();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.sleep(Some(self.room.parts.clock.now().plus(PAUSE))), if failed => {}
                () = std::future::ready(()), if more && !failed => {}
                woken = changes.changed(), if !failed => if woken.is_err() { return },
                () = self.sleep(due), if due.is_some() && !failed => {}
            }
        }
    }

    async fn sleep(&self, due: Option<Time>) {
        if let Some(due) = due {
            self.room.parts.clock.sleep_until(due).await;
        }
    }

    /// Takes what is due. Says how many tickets were taken.
    async fn round(&mut self) -> Result<usize, store::Error> {
        let room = Arc::clone(&self.room);
        let now = room.parts.clock.now();
        let tickets = queue::due(&room.parts.store, queue::CONDUCT, now, ROUND).await?;
        if tickets.is_empty() {
            return Ok(0);
        }
        match self.carry_out(&tickets, now).await {
            Err(error) if error.is_of_record() => self.one_by_one(&tickets, now).await?,
            done => done?,
        }
        Ok(tickets.len())
    }

    /// A record that is damaged stops what needs it and nothing else: each ticket has a round of its
    /// own, and the one that fails is looked at again later.
    async fn one_by_one(
        &mut self,
        tickets: &[Held<Ticket>],
        now: Time,
    ) -> Result<(), store::Error> {
        for ticket in tickets {
            let Err(error) = self.carry_out(std::slice::from_ref(ticket), now).await else {
                continue;
            };
            if !error.is_of_record() {
                return Err(error);
            }
            tracing::error!(ticket = %ticket.row.id, %error, "a workflow cannot go on");
            let mut batch = Batch::new();
            queue::postpone(&mut batch, ticket, now.plus(LATER), None);
            self.room.parts.store.commit(batch).await?;
        }
        Ok(())
    }

    /// Carries out what these tickets say, in one commit.
    async fn carry_out(&mut self, tickets: &[Held<Ticket>], now: Time) -> Result<(), store::Error> {
        let room = Arc::clone(&self.room);
        usher::ready(&room).await?;
        let mut turned = Turned::default();
        for ticket in tickets {
            if let Work::Steer { wish, selector, why } = &ticket.row.work {
                let moved = control::steer_all(&room, selector, *wish, why).await?;
                tracing::info!(executions = moved.len(), wish = wish.word(), %why, "steered");
            }
        }
        let happened = happened(&room, tickets).await?;
        let keys = happened.keys().map(|id| id.to_bytes().to_vec());
        let found = table::get_many::<Execution>(&room.parts.store, keys).await?;
        let mut cases = Vec::new();
        let mut asked = Vec::new();
        for ((id, inputs), held) in happened.into_iter().zip(found) {
            let Some(mut held) = held.filter(|held| !held.row.status.is_done()) else {
                self.flows.forget(id);
                continue;
            };
            if !turned.lets(&room, &mut held, (&inputs, now)) {
                continue;
            }
            match control::course(&room, &held.row) {
                Course::Workflow => cases.push(self.case(held, inputs).await?),
                _ => asked.push(held),
            }
        }
        let earlier = earlier(&room, &cases).await?;
        let (cases, mut follows) = turns(&room, now, (cases, earlier)).await;
        for held in asked {
            inquiries::look(&room, &held, now, &mut follows).await?;
        }
        follows.batch.merge(turned.batch);
        follows.moved.extend(turned.aside);
        let written = self.write(tickets, &mut follows, now).await;
        for case in cases {
            match (&written, case.under) {
                (Ok(()), Some(under)) if !over(&follows, case.held.row.id) => {
                    self.flows.keep(case.held.row.id, under);
                }
                // What is in memory is ahead of the store, or over.
                _ => self.flows.forget(case.held.row.id),
            }
        }
        self.flows.tidy();
        written?;
        turned.seats.into_iter().for_each(Seat::keep_in_doubt);
        room.parts.metrics.requested(follows.requested);
        for execution in &follows.moved {
            control::after(&room, execution);
        }
        Ok(())
    }

    /// One commit: what follows from all turns, and the tickets that led to it.
    async fn write(
        &mut self,
        tickets: &[Held<Ticket>],
        follows: &mut Follows,
        now: Time,
    ) -> Result<(), store::Error> {
        let room = &self.room;
        for (parent, place) in std::mem::take(&mut follows.stops) {
            for held in control::open_under(room, parent).await? {
                if held.row.part.as_ref().map(turn::place) == Some(place) {
                    let wanted = Wanted {
                        wish: Wish::Cancel,
                        hold: None,
                        why: "stopped by its workflow",
                        now,
                    };
                    let stopped = control::steered(room, &mut follows.batch, &held, wanted);
                    follows.moved.extend(stopped.ok());
                }
            }
        }
        for id in &follows.wiped {
            let rows = flows::rows(room, *id).await?;
            flows::write(
                &mut follows.batch,
                (*id, false),
                rows.into_iter().map(|(row, _)| (row, None)),
            );
        }
        for (from, to, secret) in std::mem::take(&mut follows.copied) {
            let rows = flows::rows(room, from).await?;
            let rows = rows.into_iter().map(|(row, content)| (row, Some(content)));
            flows::write(&mut follows.batch, (to, secret), rows);
        }
        let mut batch = std::mem::take(&mut follows.batch);
        for ticket in tickets {
            // A workflow may have put its own ticket back under the same key.
            let key = table::key::<Ticket>(table::Row::key(&ticket.row));
            let again = batch.writes.get(&key).cloned().flatten();
            queue::done(&mut batch, ticket);
            // It wakes the workflow, and says no more.
            if let Some(again) = again {
                batch.put(key, again);
            }
        }
        room.parts.store.commit(batch).await.map(|_| ())
    }

    /// One workflow with everything that its turn needs.
    async fn case(
        &mut self,
        held: Held<Execution>,
        inputs: Vec<Input>,
    ) -> Result<Case, store::Error> {
        let room = Arc::clone(&self.room);
        let mut case = Case { held, under: None, beginning: None, inputs, broken: None };
        let prepared = match self.flows.take(&room, &case.held.row).await {
            Ok(Some(under)) => {
                case.under = Some(under);
                return Ok(case);
            }
            Ok(None) if may_begin(case.held.row.status, &case.inputs) => {
                self.beginning(&case.held.row).await.map(Some)
            }
            Ok(None) => Ok(None),
            Err(fault) => Err(fault),
        };
        match prepared {
            Ok(beginning) => case.beginning = beginning,
            Err(Fault::Store(error)) => return Err(error),
            Err(Fault::Broken(reason)) => case.broken = Some(reason),
        }
        Ok(case)
    }

    async fn beginning(&mut self, execution: &Execution) -> Result<Beginning, Fault> {
        let room = Arc::clone(&self.room);
        let definition = self.flows.definition(&room, execution).await?;
        let inputs = inputs(&room, execution).await?;
        let limit = execution.timeout_ms.map(Duration::from_millis);
        let limit = limit.or(execution.action.timeout);
        let deadline = limit.map(|limit| room.parts.clock.now().plus(limit));
        Ok(Beginning { definition, inputs, deadline })
    }
}

/// What the policies said in one round.
#[derive(Default)]
struct Turned<'a> {
    batch: Batch,
    seats: Vec<Seat<'a>>,
    aside: Vec<Execution>,
}

impl<'a> Turned<'a> {
    /// Whether the policies have nothing against an execution that may be about to begin.
    fn lets(
        &mut self,
        room: &'a Room,
        held: &mut Held<Execution>,
        (inputs, now): (&[Input], Time),
    ) -> bool {
        if held.row.begun || !may_begin(held.row.status, inputs) {
            return true;
        }
        if matches!(held.row.turn, Some(Turn::Waits { .. })) {
            return false;
        }
        match policies::admit(room, &mut self.batch, held, now) {
            Admit::Go(seat) => {
                self.seats.extend(seat);
                true
            }
            Admit::Aside(execution, seat) => {
                self.seats.extend(seat);
                self.aside.push(*execution);
                false
            }
        }
    }
}

/// Whether a workflow may begin now: its turn has come, or it was held before it began.
fn may_begin(status: Status, inputs: &[Input]) -> bool {
    let turn = inputs.iter().any(|input| matches!(input, Input::Turn));
    match status {
        Status::Requested | Status::Delayed | Status::Scheduled => turn,
        status => status == Status::Resuming,
    }
}

fn over(follows: &Follows, id: ExecutionId) -> bool {
    follows.wiped.contains(&id)
        || follows.moved.iter().any(|moved| moved.id == id && moved.status.is_done())
}

/// The workflow's inputs: what was given, over the defaults of its action.
async fn inputs(room: &Room, execution: &Execution) -> Result<Map<String, Value>, Fault> {
    let catalog = room.parts.catalog.load_full();
    let config = catalog.configs.get(execution.action.reference.pack()).cloned();
    let config = config.unwrap_or_else(|| Arc::new(Value::Object(Map::new())));
    let made = templates::render(room, execution, config).await?.map_err(Fault::Broken)?;
    parameters::check(&made.accepts, &execution.given).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Fault::Broken(problems.join("; "))
    })
}

/// What the tickets say, in their order, by the execution that it happened to.
async fn happened(
    room: &Room,
    tickets: &[Held<Ticket>],
) -> Result<BTreeMap<ExecutionId, Vec<Input>>, store::Error> {
    let moved = tickets.iter().filter_map(|ticket| match &ticket.row.work {
        Work::Moved(part) => Some(*part),
        _ => None,
    });
    let keys = moved.map(|part| part.to_bytes().to_vec());
    let parts = table::get_many::<Execution>(&room.parts.store, keys).await?;
    let mut parts: HashMap<ExecutionId, Execution> =
        parts.into_iter().flatten().map(|held| (held.row.id, held.row)).collect();
    let mut happened: BTreeMap<ExecutionId, Vec<Input>> = BTreeMap::new();
    for ticket in tickets {
        match &ticket.row.work {
            Work::Dispatch(id) => happened.entry(*id).or_default().push(Input::Turn),
            Work::Conduct(id) => drop(happened.entry(*id).or_default()),
            Work::Order(id, order) => {
                happened.entry(*id).or_default().push(Input::Order(order.clone()));
            }
            // Two moves of one part are one: it is read as it stands now.
            Work::Moved(id) => {
                if let Some(part) = parts.remove(id)
                    && let Some(parent) = part.parent
                {
                    happened.entry(parent).or_default().push(Input::Moved(Box::new(part)));
                }
            }
            Work::Steer { .. } | Work::Report(_) | Work::Ended(_) | Work::Incident(_) => {}
        }
    }
    Ok(happened)
}

/// The parts that failed and were workflows themselves, of workflows that are done again.
async fn earlier(room: &Room, cases: &[Case]) -> Result<Earlier, store::Error> {
    let mut earlier = Earlier::new();
    for case in cases {
        let rerun = |input: &Input| matches!(input, Input::Order(Order::Rerun { .. }));
        let old = case.held.row.context.get("re-run").and_then(|rerun| rerun["ref"].as_str());
        let Some(old) = old.and_then(|id| id.parse::<ExecutionId>().ok()) else { continue };
        if !case.inputs.iter().any(rerun) {
            continue;
        }
        let rows = Rows::first(control::PARTS_LIMIT);
        let store = &room.parts.store;
        for held in table::find::<Execution>(store, "parent", &old.to_bytes(), rows).await? {
            let part = held.row;
            let is_flow = control::course(room, &part) == Course::Workflow;
            if let Some(at) = part.part.clone().filter(|_| is_flow) {
                let key = (case.held.row.id, at.task, at.item);
                if part.status == Status::Succeeded {
                    earlier.remove(&key);
                } else {
                    earlier.insert(key, part);
                }
            }
        }
    }
    Ok(earlier)
}

/// The turns of one round, away from the threads that wait for sockets.
async fn turns(
    room: &Arc<Room>,
    now: Time,
    (mut cases, earlier): (Vec<Case>, Earlier),
) -> (Vec<Case>, Follows) {
    let room = Arc::clone(room);
    let store = tokio::runtime::Handle::current();
    let turned = tokio::task::spawn_blocking(move || {
        let around = Around { room: &room, now, store, opened: Cell::new(false) };
        let mut follows = Follows { earlier, ..Follows::default() };
        for case in &mut cases {
            turn::alone(&around, case, &mut follows);
        }
        (cases, follows)
    });
    turned.await.expect("a turn does not panic")
}
