//! From asked to accepted.

use crate::executions::control;
use crate::executions::draft::{self, Draft};
use crate::executions::{Error, Executions, Request};
use crate::model::execution::{Execution, Step};
use crate::store::batch::Batch;
use crate::store::tables::Requested;
use crate::store::{self, table};

impl Executions {
    /// Accepts a request; it is on disk when this returns.
    ///
    /// # Errors
    /// Everything that `Error` knows but `NotFound` and `Illegal`.
    pub async fn request(&self, request: Request) -> Result<Execution, Error> {
        let parts = &self.room.parts;
        if let Some(before) = self.before(&request).await? {
            return Ok(before);
        }
        let now = parts.clock.now();
        let draft = Draft {
            action: &request.action,
            parameters: &request.parameters,
            user: &request.user,
            cause: request.cause.clone(),
            timeout: request.timeout,
            context: &request.context,
            hops: 0,
            part: None,
        };
        let mut execution = draft::accept(&self.room, draft, now)?;
        let mut batch = Batch::new();
        if request.delay.is_some() {
            execution.step(Step::Delay, now)?;
        }
        let due = now.plus(request.delay.unwrap_or_default());
        draft::put_in_line(&self.room, &mut batch, &execution, due);
        if let Some(once) = &request.once {
            let digest = digest(&request);
            table::create(
                &mut batch,
                &Requested { once: once.clone(), digest, execution: execution.id, at: now },
            );
        }
        match parts.store.commit(batch).await {
            Ok(_) => {}
            // The only thing that can be there already is the caller's key: somebody was faster.
            Err(store::Error::Conflict { .. }) => {
                let before = self.before(&request).await?;
                return before.ok_or(Error::NotFound(execution.id));
            }
            Err(error) => return Err(error.into()),
        }
        parts.metrics.requested(1);
        self.room.tell(&execution);
        Ok(execution)
    }

    /// Adds a request to a commit of somebody else, in whose name it cannot be refused: what cannot run
    /// is an execution that has failed. `placed` says, after the commit, that it is there.
    pub fn place(&self, batch: &mut Batch, request: &Request, hops: u16) -> Execution {
        let now = self.room.parts.clock.now();
        let draft = Draft {
            action: &request.action,
            parameters: &request.parameters,
            user: &request.user,
            cause: request.cause.clone(),
            timeout: request.timeout,
            context: &request.context,
            hops,
            part: None,
        };
        let execution = draft::accept_or_fail(&self.room, draft, now);
        if execution.status.is_done() {
            table::create(batch, &execution);
        } else {
            draft::put_in_line(&self.room, batch, &execution, now);
        }
        execution
    }

    /// Tells whoever watches of executions that were placed, once they are on disk.
    pub fn placed(&self, executions: &[Execution]) {
        self.room.parts.metrics.requested(executions.len());
        for execution in executions {
            control::after(&self.room, execution);
        }
    }

    /// What the caller's key became before, if anything.
    async fn before(&self, request: &Request) -> Result<Option<Execution>, Error> {
        let Some(once) = &request.once else { return Ok(None) };
        let key = once.as_bytes().to_vec();
        let Some(held) = table::get::<Requested>(&self.room.parts.store, key).await? else {
            return Ok(None);
        };
        let execution = held.row.execution;
        if held.row.digest != digest(request) {
            return Err(Error::OnceAgain { once: once.clone(), execution });
        }
        self.get(execution).await?.map(Some).ok_or(Error::NotFound(execution))
    }
}

/// What a request asks, in a form that is the same for the same request.
fn digest(request: &Request) -> String {
    let text = serde_json::to_string(&(&request.action, &request.parameters))
        .expect("names and JSON are plain data");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    store::table::hex(digest.as_ref())
}
