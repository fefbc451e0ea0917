//! What people and rules may do to an execution that is under way.

use crate::executions::{Error, Executions};
use crate::model::execution::{Execution, Status, Step};
use crate::model::id::ExecutionId;
use crate::store::batch::Batch;
use crate::store::{self, table};

impl Executions {
    /// Stops an execution: one that waits is over at once, one that runs when its action has ended.
    ///
    /// # Errors
    /// `NotFound`; `Illegal` where it is over already; `Store`.
    pub async fn cancel(&self, id: ExecutionId, user: &str) -> Result<Execution, Error> {
        let parts = &self.room.parts;
        loop {
            let held = table::get::<Execution>(&parts.store, id.to_bytes().to_vec()).await?;
            let held = held.ok_or(Error::NotFound(id))?;
            let mut execution = held.row.clone();
            execution.step(Step::Cancel, parts.clock.now())?;
            execution.reason = Some(format!("canceled by `{user}`"));
            let mut batch = Batch::new();
            table::replace(&mut batch, &held, &execution);
            match parts.store.commit(batch).await {
                Ok(_) => {}
                Err(store::Error::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            if execution.status == Status::Canceling
                && let Some(stop) = self.room.running().get(&id)
            {
                stop.cancel();
            }
            self.room.tell(&execution);
            return Ok(execution);
        }
    }
}
