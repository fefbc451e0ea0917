//! From asked to accepted.

use std::sync::Arc;

use serde_json::Value;

use crate::executions::{Error, Executions, Request};
use crate::model::execution::{Execution, Status, Step};
use crate::model::problem::nearest;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::packs::parameters;
use crate::store::batch::Batch;
use crate::store::tables::{Requested, Work};
use crate::store::{self, queue, table};

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
        let mut execution = self.checked(&request, now)?;
        let mut batch = Batch::new();
        if request.delay.is_some() {
            execution.step(Step::Delay, now)?;
        }
        table::create(&mut batch, &execution);
        let due = now.plus(request.delay.unwrap_or_default());
        let work = Work::Dispatch(execution.id);
        queue::push(&mut batch, queue::DISPATCH, due, parts.ids.record(), work);
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

    fn checked(&self, request: &Request, now: Time) -> Result<Execution, Error> {
        let catalog = self.room.parts.catalog.load();
        let Some(action) = catalog.actions.get(&request.action) else {
            let names = catalog.actions.keys().map(Reference::as_str);
            return Err(Error::NoSuchAction {
                name: request.action.clone(),
                nearest: nearest(request.action.as_str(), names).map(str::to_owned),
            });
        };
        if !action.enabled {
            return Err(Error::Disabled(request.action.clone()));
        }
        parameters::check(&self.room.accepts(action), &request.parameters).map_err(|problems| {
            Error::BadParameters { problems: problems.iter().map(ToString::to_string).collect() }
        })?;
        Ok(Execution {
            id: self.room.parts.ids.execution(),
            action: Arc::clone(action),
            given: request.parameters.clone(),
            cause: request.cause.clone(),
            hops: 0,
            parent: None,
            part: None,
            user: request.user.clone(),
            status: Status::Requested,
            attempt: 0,
            timeout_ms: request
                .timeout
                .map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
            created: now,
            started: None,
            ended: None,
            result: Value::Null,
            reason: None,
            log: vec![(now, Status::Requested)],
            context: request.context.clone(),
        })
    }
}

/// What a request asks, in a form that is the same for the same request.
fn digest(request: &Request) -> String {
    let text = serde_json::to_string(&(&request.action, &request.parameters))
        .expect("names and JSON are plain data");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    store::table::hex(digest.as_ref())
}
