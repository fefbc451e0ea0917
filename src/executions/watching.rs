//! What whoever watches a workflow asks: its outline and its parts, read in bounded looks that never
//! touch what the conductor holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::executions::flows::{self, Fault, Flows};
use crate::executions::orders::broken;
use crate::executions::{Error, Executions};
use crate::model::action::Pinned;
use crate::model::execution::Execution;
use crate::model::id::ExecutionId;
use crate::store::table::{self, Held, Rows};
use crate::store::tables::{FAILED_UNDER, OPEN_UNDER};
use crate::workflows::conduct::outline::{OUTLINE_ROWS, Outline};
use crate::workflows::definition::Definition;

/// Parts that one look reads of each kind at most: the first, the last, those under way, those that did
/// not end well. Each may hold a result of some size.
const PARTS_LIMIT: usize = 200;

/// How often a workflow's state is read again that does not fit together, before it counts as damaged.
const LOOKS: usize = 16;

/// Some parts of a workflow.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Those that were read, oldest first.
    pub rows: Vec<Execution>,
    /// Whether there are others.
    pub more: bool,
}

impl Executions {
    /// A workflow in outline; nothing for what is no workflow, or has not begun.
    ///
    /// # Errors
    /// `Store`; `Broken` where its state cannot be read.
    ///
    /// # Panics
    /// Where reading rows does: never.
    pub async fn outline(&self, id: ExecutionId) -> Result<Option<Outline>, Error> {
        let mut outline = self.look_at(id).await;
        for _ in 0..LOOKS {
            // Rows of before and after a commit do not fit together: they are read again.
            if !matches!(outline, Err(Error::Broken { .. })) {
                break;
            }
            outline = self.look_at(id).await;
        }
        outline
    }

    async fn look_at(&self, id: ExecutionId) -> Result<Option<Outline>, Error> {
        let mut rows = Vec::new();
        for kind in OUTLINE_ROWS {
            rows.extend(flows::rows_of(&self.room, id, &[*kind]).await?);
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || Outline::read(rows.into_iter()));
        match read.await.expect("reading rows does not panic") {
            Ok(outline) => Ok(Some(outline)),
            Err(damaged) => {
                let what = format!("its state cannot be read: {damaged}");
                Err(broken(id, Fault::Broken(what)))
            }
        }
    }

    /// Parts of a workflow: all of them where they are few, else those that somebody who watches wants.
    ///
    /// # Errors
    /// `Store`.
    pub async fn parts(&self, id: ExecutionId) -> Result<Parts, Error> {
        let first = self.under(id, "parent", Rows::first(PARTS_LIMIT)).await?;
        let more = first.len() == PARTS_LIMIT;
        let mut found = first;
        if more {
            found.extend(self.under(id, "parent", Rows::last(PARTS_LIMIT)).await?);
            found.extend(self.under(id, OPEN_UNDER, Rows::first(PARTS_LIMIT)).await?);
            found.extend(self.under(id, FAILED_UNDER, Rows::first(PARTS_LIMIT)).await?);
        }
        let rows: BTreeMap<ExecutionId, Execution> =
            found.into_iter().map(|held| (held.row.id, held.row)).collect();
        Ok(Parts { rows: rows.into_values().collect(), more })
    }

    async fn under(
        &self,
        id: ExecutionId,
        index: &'static str,
        rows: Rows,
    ) -> Result<Vec<Held<Execution>>, Error> {
        let store = &self.room.parts.store;
        Ok(table::find::<Execution>(store, index, &id.to_bytes(), rows).await?)
    }

    /// The definition that an execution of a workflow is pinned to.
    ///
    /// # Errors
    /// `NoWorkflow` for what is none; `Store`; `Broken` where it cannot be read.
    pub async fn definition(&self, execution: &Execution) -> Result<Arc<Definition>, Error> {
        if execution.action.workflow.is_none() {
            return Err(Error::NoWorkflow(execution.id));
        }
        let read = Flows::default().definition(&self.room, execution).await;
        read.map_err(|fault| broken(execution.id, fault))
    }
}

/// What a pinned definition says, read.
///
/// # Errors
/// Why it cannot be conducted, one sentence a line.
pub fn read(pinned: &Pinned) -> Result<Definition, String> {
    Definition::new(&pinned.definition).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        faults.join("; ")
    })
}
