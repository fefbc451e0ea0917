//! The states of workflows: in memory while something happens to them, in the store always.

use std::collections::HashMap;
use std::sync::Arc;

use crate::executions::Room;
use crate::model::execution::Execution;
use crate::model::id::ExecutionId;
use crate::model::time::Time;
use crate::store::batch::Batch;
use crate::store::tables::Definition as Kept;
use crate::store::{self, Key, Order, Range, table};
use crate::workflows::conduct::Flow;
use crate::workflows::definition::Definition;

/// The table of their rows: the execution's id, then whatever the workflow calls its row.
const TABLE: &str = "flows";
/// The execution's id, before the workflow's own key.
const ID_BYTES: usize = 16;
/// Rows that one look reads.
const PAGE: usize = 4096;
/// Workflows in memory at most; more are read again when something happens to them.
const FLOWS_LIMIT: usize = 2048;
/// Definitions in memory at most.
const DEFINITIONS_LIMIT: usize = 512;

/// One workflow under way.
pub(super) struct Under {
    pub(super) definition: Arc<Definition>,
    pub(super) flow: Flow,
    /// When its ticket wakes it.
    pub(super) wake: Option<Time>,
    /// The round that last used it.
    used: u64,
}

impl Under {
    /// One that begins.
    pub(super) fn begun(definition: Arc<Definition>, flow: Flow) -> Self {
        Self { definition, flow, wake: None, used: 0 }
    }
}

/// Why a workflow cannot go on.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The store cannot be read now: tried again.
    Store(store::Error),
    /// This workflow is broken for good: it ends as failed.
    Broken(String),
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Self {
        match error {
            error if error.is_of_record() => Self::Broken(error.to_string()),
            error => Self::Store(error),
        }
    }
}

/// The workflows that are in memory.
#[derive(Default)]
pub(super) struct Flows {
    under: HashMap<ExecutionId, Under>,
    definitions: HashMap<Arc<str>, Arc<Definition>>,
    round: u64,
}

impl Flows {
    /// Takes one out, to be put back by `keep`: from memory, or else from the store. Nothing where it
    /// has not begun.
    pub(super) async fn take(
        &mut self,
        room: &Room,
        execution: &Execution,
    ) -> Result<Option<Under>, Fault> {
        if let Some(under) = self.under.remove(&execution.id) {
            return Ok(Some(under));
        }
        let rows = rows(room, execution.id).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let definition = self.definition(room, execution).await?;
        let flow = Flow::restore(rows.into_iter())
            .map_err(|error| Fault::Broken(format!("its state cannot be read: {error}")))?;
        let wake = flow.wake();
        Ok(Some(Under { definition, flow, wake, used: self.round }))
    }

    /// Keeps one in memory.
    pub(super) fn keep(&mut self, id: ExecutionId, mut under: Under) {
        under.used = self.round;
        self.under.insert(id, under);
    }

    /// Forgets what is in memory of one: the store knows it better.
    pub(super) fn forget(&mut self, id: ExecutionId) {
        self.under.remove(&id);
    }

    /// Ends a round: what was not used for the longest makes room.
    pub(super) fn tidy(&mut self) {
        self.round += 1;
        if self.under.len() > FLOWS_LIMIT {
            let mut used: Vec<u64> = self.under.values().map(|under| under.used).collect();
            let middle = used.len() / 2;
            let (_, bound, _) = used.select_nth_unstable(middle);
            let bound = *bound;
            self.under.retain(|_, under| under.used > bound);
        }
    }

    /// The definition that an execution is pinned to.
    pub(super) async fn definition(
        &mut self,
        room: &Room,
        execution: &Execution,
    ) -> Result<Arc<Definition>, Fault> {
        let missing = || {
            let action = &execution.action.reference;
            Fault::Broken(format!("action `{action}` has no workflow; `ifso check` says why"))
        };
        let pinned = execution.action.workflow.as_ref().ok_or_else(missing)?;
        if let Some(known) = self.definitions.get(&pinned.hash) {
            return Ok(Arc::clone(known));
        }
        let key = pinned.hash.as_bytes().to_vec();
        let kept = table::get::<Kept>(&room.parts.store, key).await?.ok_or_else(missing)?;
        let read = Definition::new(&kept.row.definition).map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Fault::Broken(faults.join("; "))
        })?;
        if self.definitions.len() >= DEFINITIONS_LIMIT {
            self.definitions.clear();
        }
        let read = Arc::new(read);
        self.definitions.insert(Arc::clone(&pinned.hash), Arc::clone(&read));
        Ok(read)
    }
}

/// All rows of a workflow.
pub(super) async fn rows(
    room: &Room,
    id: ExecutionId,
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, store::Error> {
    rows_of(room, id, &[]).await
}

/// The rows of a workflow whose own keys begin so.
pub(super) async fn rows_of(
    room: &Room,
    id: ExecutionId,
    lead: &[u8],
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, store::Error> {
    let prefix = [id.to_bytes().as_slice(), lead].concat();
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let prefix = prefix.clone();
        let range = Range { table: TABLE, prefix, after, order: Order::Up, limit: PAGE };
        let found = room.parts.store.scan(&range).await?;
        let whole = found.len() < PAGE;
        after = found.last().map(|(key, _)| key.clone());
        let own = |(mut key, row): (Vec<u8>, store::Record)| (key.split_off(ID_BYTES), row.bytes);
        rows.extend(found.into_iter().map(own));
        if whole {
            return Ok(rows);
        }
    }
}

/// Writes rows of a workflow, or removes them; they are secret where its execution is.
pub(super) fn write(
    batch: &mut Batch,
    (id, secret): (ExecutionId, bool),
    changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
) {
    for (row, content) in changes {
        let key = Key { table: TABLE, bytes: [id.to_bytes().as_slice(), &row].concat() };
        match content {
            Some(content) if secret => batch.put_secret(key, content),
            Some(content) => batch.put(key, content),
            None => batch.remove(key),
        }
    }
}
