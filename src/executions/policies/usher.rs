//! Calls those who waited: hears who has left, gives places to the next, and lines them up to start.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::executions::policies::concurrency::{Called, Line};
use crate::executions::policies::{remember, wants};
use crate::executions::{Room, draft};
use crate::model::execution::{Execution, Step, Turn};
use crate::model::id::ExecutionId;
use crate::store;
use crate::store::batch::Batch;
use crate::store::table::{self, Held, Rows};
use crate::store::tables::{TURN, Taken};

/// Executions and starts that one look reads at most.
const PAGE: usize = 1024;

/// Until the line is what the store says, under the policies in force. Cheap where it is already.
///
/// # Errors
/// As the store's.
pub(in crate::executions) async fn ready(room: &Room) -> Result<(), store::Error> {
    let doorway = &room.doorway;
    let mut by = doorway.by.lock().await;
    let governs = Arc::clone(&room.parts.catalog.load().governs);
    let stale = doorway.stale.swap(false, Ordering::Relaxed);
    if !stale && by.as_ref().is_some_and(|by| Arc::ptr_eq(by, &governs) || **by == *governs) {
        return Ok(());
    }
    let line = match read(room).await {
        Ok(line) => line,
        Err(error) => {
            doorway.stale.store(true, Ordering::Relaxed);
            return Err(error);
        }
    };
    let before = std::mem::replace(&mut *doorway.line(), line);
    doorway.line().inherit(before);
    doorway.changed.notify_one();
    *by = Some(governs);
    Ok(())
}

/// The line as the store knows it.
async fn read(room: &Room) -> Result<Line, store::Error> {
    let store = &room.parts.store;
    let mut line = Line::default();
    let mut after = None;
    loop {
        let rows = Rows::first(PAGE).after(after.take());
        let page = table::find::<Execution>(store, TURN, &[], rows).await?;
        for held in &page {
            stand(room, &mut line, &held.row);
        }
        let Some(last) = page.last().filter(|_| page.len() == PAGE) else { break };
        after = Some(table::Row::key(&last.row));
    }
    loop {
        let page = table::scan::<Taken>(store, Rows::first(PAGE).after(after.take())).await?;
        for Held { row, .. } in &page {
            line.remember(&row.gate, row.at, row.execution);
        }
        let Some(last) = page.last().filter(|_| page.len() == PAGE) else { return Ok(line) };
        after = Some(table::Row::key(&last.row));
    }
}

/// Puts one execution where it says that it stands.
fn stand(room: &Room, line: &mut Line, execution: &Execution) {
    let wants = wants(&room.parts.catalog.load(), execution);
    let stamp = match &execution.turn {
        Some(Turn::Has { gates }) => {
            for want in &wants {
                line.limit(want);
            }
            line.hold(execution.id, gates.clone())
        }
        Some(Turn::Waits { since }) => line.wait(execution.id, &wants, *since),
        None => return,
    };
    line.keep(execution.id, stamp);
}

/// Gives free places to those who wait for them, and lines them up.
///
/// # Errors
/// As the store's; whoever was to be called waits on.
pub(in crate::executions) async fn usher(room: &Room) -> Result<(), store::Error> {
    ready(room).await?;
    let doorway = &room.doorway;
    let now = room.parts.clock.now();
    let timed = doorway.due().is_some_and(|due| due <= now);
    if !timed && !doorway.line().is_open() {
        return Ok(());
    }
    settle_doubts(room).await?;
    let called = doorway.line().call(now);
    if called.is_empty() {
        return Ok(());
    }
    let keys = called.iter().map(|one| one.id.to_bytes().to_vec());
    let found = table::get_many::<Execution>(&room.parts.store, keys).await;
    let written = match found {
        Ok(found) => line_up(room, &called, found).await,
        Err(error) => Err(error),
    };
    match written {
        Ok(moved) => {
            for one in &called {
                let known = doorway.line().keep(one.id, one.stamp);
                doorway.stale.fetch_or(!known, Ordering::Relaxed);
            }
            // Who was called and does not wait any more has left meanwhile.
            let gone = called.iter().filter(|one| moved.iter().all(|held| held.id != one.id));
            gone.for_each(|one| doorway.line().leave_since(one.id, one.stamp));
            for execution in &moved {
                room.tell(execution);
            }
            doorway.changed.notify_one();
            Ok(())
        }
        Err(error) => {
            // The store knows best who waits for what.
            doorway.stale.store(true, Ordering::Relaxed);
            let mut line = doorway.line();
            for one in &called {
                line.undo(one.id, one.stamp);
            }
            doorway.changed.notify_one();
            Err(error)
        }
    }
}

/// Writes that those who were called have their places.
async fn line_up(
    room: &Room,
    called: &[Called],
    found: Vec<Option<Held<Execution>>>,
) -> Result<Vec<Execution>, store::Error> {
    let now = room.parts.clock.now();
    let mut batch = Batch::new();
    let mut moved = Vec::new();
    for (one, held) in called.iter().zip(found) {
        let waits = |held: &Held<Execution>| matches!(held.row.turn, Some(Turn::Waits { .. }));
        let Some(held) = held.filter(waits) else { continue };
        let mut next = held.row.clone();
        if next.step(Step::Schedule, now).is_err() {
            continue;
        }
        next.turn = Some(Turn::Has { gates: one.gates.clone() });
        next.reason = None;
        table::replace(&mut batch, &held, &next);
        draft::line_up(room, &mut batch, &next, now);
        remember(&mut room.doorway.line(), &mut batch, (one.id, &one.gates), now);
        moved.push(next);
    }
    if !batch.is_empty() {
        room.parts.store.commit(batch).await?;
    }
    Ok(moved)
}

/// Asks the store of whom it was heard that they may have left.
async fn settle_doubts(room: &Room) -> Result<(), store::Error> {
    let doubts = room.doorway.line().doubts();
    let keys = doubts.iter().map(|(id, _)| id.to_bytes().to_vec());
    let found = match table::get_many::<Execution>(&room.parts.store, keys).await {
        Ok(found) => found,
        Err(error) => {
            let mut line = room.doorway.line();
            for (id, _) in doubts {
                line.doubt(id, false, false);
            }
            return Err(error);
        }
    };
    let mut line = room.doorway.line();
    for ((id, stamp), held) in doubts.into_iter().zip(found) {
        if held.is_none_or(|held| !stands(&line, id, &held.row)) {
            line.leave_since(id, stamp);
        }
    }
    Ok(())
}

/// Whether the store says of a member what the line says.
fn stands(line: &Line, id: ExecutionId, execution: &Execution) -> bool {
    match execution.turn {
        Some(Turn::Has { .. }) => !line.waits(id),
        Some(Turn::Waits { .. }) => line.waits(id),
        None => false,
    }
}
