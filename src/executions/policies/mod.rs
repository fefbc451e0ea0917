//! Policies: whether an execution may start now, has to wait for its turn, or is one too many.
//!
//! An execution takes a place before each policy of its action when it is about to start, and gives them
//! back when it is over, waits to be tried again, or is paused before it began. What has begun keeps its
//! places until then, also while it is paused or waits for a person. Where everybody stands is in the
//! executions themselves (`Execution::turn`); `Line` is what follows from that, in memory.

mod concurrency;
mod rate;
pub(super) mod retry;
pub(super) mod usher;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::Notify;

use crate::executions::policies::concurrency::{Limit, Line, Verdict, Want};
use crate::executions::{Room, control, settle};
use crate::model::execution::{End, Execution, Status, Step, Turn};
use crate::model::id::ExecutionId;
use crate::model::policy::{Excess, Policy, Rule};
use crate::model::time::Time;
use crate::packs::catalog::{Catalog, Governs};
use crate::store::batch::Batch;
use crate::store::table::{self, Held};
use crate::store::tables::Taken;

/// The policies' part of the room.
#[derive(Default)]
pub(super) struct Doorway {
    line: Mutex<Line>,
    /// Whether the line may lack somebody: it is read again.
    stale: AtomicBool,
    /// Rings when somebody may be called.
    changed: Notify,
    /// The policies by which those who wait do so; nothing before the store was read.
    by: tokio::sync::Mutex<Option<Governs>>,
}

impl Doorway {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An execution has moved: whoever had a place may have given it back.
    pub(super) fn told(&self, execution: &Execution) {
        let has = matches!(execution.turn, Some(Turn::Has { .. }));
        let waits = matches!(execution.turn, Some(Turn::Waits { .. }));
        if self.line().doubt(execution.id, has, waits) {
            self.changed.notify_one();
        }
    }

    /// Until somebody may be called.
    ///
    /// Cancel-safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// When somebody may be called because time has passed.
    pub(super) fn due(&self) -> Option<Time> {
        self.line().due()
    }
}

/// What was given to an execution in memory; it is taken back unless it is said to be on disk.
pub(super) struct Seat<'a> {
    doorway: &'a Doorway,
    id: ExecutionId,
    stamp: u64,
}

impl Seat<'_> {
    /// It is on disk.
    pub(super) fn keep(self) {
        let known = self.doorway.line().keep(self.id, self.stamp);
        if !known {
            self.doorway.stale.store(true, Ordering::Relaxed);
        }
        self.doorway.changed.notify_one();
    }

    /// As `keep`, where it is not certain that the execution was written with it: the store is asked.
    pub(super) fn keep_in_doubt(self) {
        let (doorway, id) = (self.doorway, self.id);
        self.keep();
        doorway.line().doubt(id, false, false);
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.doorway.line().undo(self.id, self.stamp);
    }
}

/// The answer to an execution that is about to start.
pub(super) enum Admit<'a> {
    /// It may, once that is on disk; no policy has anything to say where there is no seat.
    Go(Option<Seat<'a>>),
    /// It may not: what becomes of it is written, and its ticket is not needed any more.
    Aside(Box<Execution>, Option<Seat<'a>>),
}

/// Asks whether `held`, which is about to start, may. Where it may, it has its places in `held.row`, and
/// is to be written by the caller; where it may not, that is written into the batch here. `ready` must
/// have been waited for.
pub(super) fn admit<'a>(
    room: &'a Room,
    batch: &mut Batch,
    held: &mut Held<Execution>,
    now: Time,
) -> Admit<'a> {
    if matches!(held.row.turn, Some(Turn::Has { .. })) {
        return Admit::Go(None);
    }
    let wants = wants(&room.parts.catalog.load(), &held.row);
    if wants.is_empty() {
        return Admit::Go(None);
    }
    let doorway = &room.doorway;
    let id = held.row.id;
    let mut line = doorway.line();
    match line.ask(&wants, now) {
        Verdict::Go => {
            let gates: Vec<_> = wants.iter().map(|want| Arc::clone(&want.gate)).collect();
            let stamp = line.take(id, gates.clone(), now);
            remember(&mut line, batch, (id, &gates), now);
            held.row.turn = Some(Turn::Has { gates });
            Admit::Go(Some(Seat { doorway, id, stamp }))
        }
        Verdict::Wait(want, other) => {
            let stamp = line.wait(id, &wants, now);
            drop(line);
            let mut waits = held.row.clone();
            waits.step(Step::Delay, now).expect("what may start may wait");
            waits.turn = Some(Turn::Waits { since: now });
            waits.reason = Some(reason(&want, other));
            table::replace(batch, held, &waits);
            Admit::Aside(Box::new(waits), Some(Seat { doorway, id, stamp }))
        }
        Verdict::Refuse(want) => {
            drop(line);
            Admit::Aside(Box::new(refused(room, batch, held, (&want, now))), None)
        }
    }
}

fn refused(
    room: &Room,
    batch: &mut Batch,
    held: &Held<Execution>,
    (want, now): (&Want, Time),
) -> Execution {
    let mut refused = held.row.clone();
    refused.step(Step::Cancel, now).expect("what may start may be canceled");
    if refused.status == Status::Canceling {
        refused.step(Step::End(End::Canceled), now).expect("nothing of it runs");
    }
    refused.reason = Some(format!("{}, and cancels what is more", lets(want)));
    table::replace(batch, held, &refused);
    control::told(room, batch, &refused, now);
    settle::report(room, &refused, batch, now);
    refused
}

fn lets(want: &Want) -> String {
    let policy = &want.policy;
    match want.limit {
        Limit::AtOnce(most) => format!("policy `{policy}` lets {most} run at once"),
        Limit::Within(most, per) => format!("policy `{policy}` lets {most} start within {per:?}"),
    }
}

fn reason(want: &Want, other: Option<ExecutionId>) -> String {
    match (want.limit, other) {
        (Limit::AtOnce(_), Some(other)) => format!("{}: it waits for `{other}`", lets(want)),
        (Limit::AtOnce(_), None) => format!("{}: it waits for its turn", lets(want)),
        (Limit::Within(..), _) => format!("{}: it waits for its time", lets(want)),
    }
}

/// Writes which starts count from now on, and forgets those that no longer do.
fn remember(
    line: &mut Line,
    batch: &mut Batch,
    (execution, gates): (ExecutionId, &[Arc<str>]),
    now: Time,
) {
    for gate in gates {
        let row = |at, execution| Taken { gate: Arc::clone(gate), at, execution };
        for (at, old) in line.prune(gate, now) {
            batch.remove(table::key::<Taken>(table::Row::key(&row(at, old))));
        }
        if line.counts_starts(gate) {
            table::put(batch, &row(now, execution));
        }
    }
}

/// What the policies in force want of an execution.
fn wants(catalog: &Catalog, execution: &Execution) -> Vec<Want> {
    let Some(policies) = catalog.governs.get(&execution.action.reference) else {
        return Vec::new();
    };
    policies.iter().filter_map(|policy| want(catalog, policy, execution)).collect()
}

fn want(catalog: &Catalog, policy: &Policy, execution: &Execution) -> Option<Want> {
    let (gate, limit, excess) = match &policy.rule {
        Rule::Concurrency { threshold, attributes, excess } => {
            let values = values(catalog, attributes, execution);
            (gate(policy, &values), Limit::AtOnce(*threshold as usize), excess)
        }
        Rule::Rate { limit, per, excess } => {
            (gate(policy, &[]), Limit::Within(*limit as usize, *per), excess)
        }
        Rule::Retry(_) => return None,
    };
    let refuses = *excess == Excess::Cancel;
    Some(Want { gate, limit, refuses, policy: policy.reference.clone() })
}

/// The values of the parameters that count: given, or the default.
fn values(catalog: &Catalog, attributes: &[String], execution: &Execution) -> Vec<Value> {
    let accepts = catalog.accepts.get(&execution.action.reference);
    let default = |name: &String| {
        let known = accepts?.iter().find(|(known, _)| known == name)?;
        known.1.default.clone()
    };
    let value = |name: &String| execution.given.get(name).cloned().or_else(|| default(name));
    attributes.iter().map(|name| value(name).unwrap_or_default()).collect()
}

/// The name of what is counted together. It says nothing of the values: they may be secret.
fn gate(policy: &Policy, values: &[Value]) -> Arc<str> {
    if values.is_empty() {
        return policy.reference.as_str().into();
    }
    let text = Value::from(values).to_string();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    format!("{} {}", policy.reference, table::hex(&digest.as_ref()[..16])).into()
}
