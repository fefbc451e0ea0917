//! What a person may want of one workflow beyond pause, resume and cancel: that a failed task is done
//! again, skipped or given up, or that tasks of a workflow that is over are done again.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::executions::flows::{self, Fault, Flows};
use crate::executions::turn::Glimpse;
use crate::executions::{Error, Executions};
use crate::model::cause::Cause;
use crate::model::execution::{Execution, Status, Step};
use crate::model::id::ExecutionId;
use crate::model::workflow::{Again, Order};
use crate::packs::parameters;
use crate::store::batch::Batch;
use crate::store::tables::Work;
use crate::store::{self, queue, table};
use crate::workflows::conduct::{self, Command, Flow, Happening, TaskView};

/// What to do about a task that failed.
#[derive(Debug, Clone, PartialEq)]
pub enum Remedy {
    /// Do it again.
    Retry {
        /// Parameters that differ.
        parameters: Option<Map<String, Value>>,
    },
    /// Go on as if it had succeeded.
    Skip {
        /// The result that it shall have.
        result: Value,
    },
    /// Give up.
    Abort,
}

impl Remedy {
    /// What was done, in words.
    const fn done(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "failed task tried again",
            Self::Skip { .. } => "failed task skipped",
            Self::Abort => "given up",
        }
    }
}

impl Executions {
    /// The tasks of a workflow that have begun, in that order; nothing for what is no workflow, or has
    /// not begun.
    ///
    /// # Errors
    /// `Store`; `Broken` where its state cannot be read.
    pub async fn tasks(&self, execution: &Execution) -> Result<Option<Vec<TaskView>>, Error> {
        Ok(self.flow(execution).await?.map(|flow| flow.tasks().collect()))
    }

    async fn flow(&self, execution: &Execution) -> Result<Option<Flow>, Error> {
        let under = Flows::default().take(&self.room, execution).await;
        Ok(under.map_err(|fault| broken(execution.id, fault))?.map(|under| under.flow))
    }

    /// Remedies the task that holds a paused workflow; `task` names it where several could be meant.
    ///
    /// # Errors
    /// `NotFound`; `Refused` where the workflow does not wait for that; `Store`.
    pub async fn remedy(
        &self,
        id: ExecutionId,
        task: Option<&str>,
        remedy: Remedy,
        user: &str,
    ) -> Result<Execution, Error> {
        let store = &self.room.parts.store;
        loop {
            let held = table::get::<Execution>(store, id.to_bytes().to_vec()).await?;
            let held = held.ok_or(Error::NotFound(id))?;
            let under = Flows::default().take(&self.room, &held.row).await;
            let Some(mut under) = under.map_err(|fault| broken(id, fault))? else {
                return Err(Error::NoWorkflow(id));
            };
            let entry = failed(&under.flow, task).ok_or_else(|| Error::NoFailedTask {
                execution: id,
                task: task.map(str::to_owned),
            });
            let (happening, order) = match remedy.clone() {
                Remedy::Retry { parameters } => {
                    let entry = entry?;
                    let happening = Happening::Retry { entry, parameters: parameters.clone() };
                    (happening, Order::Retry { entry, parameters })
                }
                Remedy::Skip { result } => {
                    let entry = entry?;
                    let happening = Happening::Skip { entry, result: result.clone() };
                    (happening, Order::Skip { entry, result })
                }
                Remedy::Abort => {
                    let reason = format!("given up by `{user}`");
                    (Happening::Abort { reason: reason.clone() }, Order::Abort { reason })
                }
            };
            let again = matches!(order, Order::Retry { .. });
            // Tried on a copy: whoever asks is told at once where it cannot be done.
            let glimpse = Glimpse { now: self.room.parts.clock.now() };
            let commands =
                conduct::conduct(&under.definition, &mut under.flow, happening, &glimpse)
                    .map_err(|refused| Error::Refused { execution: id, refused })?;
            if again {
                self.fits(&commands)?;
            }
            let now = self.room.parts.clock.now();
            let mut execution = held.row.clone();
            execution.step(Step::Resume, now)?;
            execution.reason = Some(format!("{} by `{user}`", remedy.done()));
            // What a person gives instead of the workflow may be what its action keeps secret.
            execution.secret |= matches!(remedy, Remedy::Retry { parameters: Some(_) });
            let mut batch = Batch::new();
            table::replace(&mut batch, &held, &execution);
            let ticket = self.room.parts.ids.record();
            queue::push(&mut batch, queue::CONDUCT, now, ticket, Work::Order(id, order));
            match store.commit(batch).await {
                Ok(_) => {}
                Err(store::Error::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            self.room.tell(&execution);
            return Ok(execution);
        }
    }

    /// Whether actions take what they would be given, so that whoever asks is told before it is tried.
    fn fits(&self, commands: &[Command]) -> Result<(), Error> {
        let catalog = self.room.parts.catalog.load();
        for command in commands {
            let Command::Run { action, parameters: given, .. } = command else { continue };
            let known = action.parse().ok().and_then(|name| catalog.actions.get(&name));
            let Some(action) = known else { continue };
            parameters::check(&self.room.accepts(action), given).map_err(|problems| {
                let problems = problems.iter().map(ToString::to_string).collect();
                Error::BadParameters { problems }
            })?;
        }
        Ok(())
    }

    /// Makes a new execution of a workflow that is over, which begins with what the old one had: these
    /// tasks are done again, and what follows from them; no task named means all that failed.
    ///
    /// # Errors
    /// `NotFound`; `NoWorkflow`; `Refused` where it is not over or has no such tasks; `Store`.
    pub async fn rerun(
        &self,
        id: ExecutionId,
        tasks: Vec<Again>,
        user: &str,
        context: Map<String, Value>,
    ) -> Result<Execution, Error> {
        let old = self.get(id).await?.ok_or(Error::NotFound(id))?;
        let under = Flows::default().take(&self.room, &old).await;
        let Some(mut under) = under.map_err(|fault| broken(id, fault))? else {
            return Err(Error::NoWorkflow(id));
        };
        let again = tasks.iter().cloned().map(crate::executions::turn::again).collect();
        let glimpse = Glimpse { now: self.room.parts.clock.now() };
        let tried = Happening::Rerun { tasks: again };
        conduct::conduct(&under.definition, &mut under.flow, tried, &glimpse)
            .map_err(|refused| Error::Refused { execution: id, refused })?;
        let now = self.room.parts.clock.now();
        let mut copy = fresh(&old, self.room.parts.ids.execution(), now);
        copy.parent = None;
        copy.part = None;
        user.clone_into(&mut copy.user);
        copy.cause = Cause::User(user.to_owned());
        copy.context.extend(context);
        copy.context.insert("re-run".to_owned(), json!({ "ref": id, "tasks": tasks }));
        let mut batch = Batch::new();
        table::create(&mut batch, &copy);
        let rows = flows::rows(&self.room, id).await?;
        let rows = rows.into_iter().map(|(row, content)| (row, Some(content)));
        flows::write(&mut batch, (copy.id, copy.secret), rows);
        let (ticket, work) = (self.room.parts.ids.record(), Order::Rerun { tasks });
        queue::push(&mut batch, queue::CONDUCT, now, ticket, Work::Order(copy.id, work));
        self.room.parts.store.commit(batch).await?;
        self.room.parts.metrics.requested(1);
        self.room.tell(&copy);
        Ok(copy)
    }
}

/// An execution of the same action with the same parameters, as it is when it is new.
pub(super) fn fresh(old: &Execution, id: ExecutionId, now: crate::model::time::Time) -> Execution {
    Execution {
        id,
        status: Status::Requested,
        attempt: 0,
        created: now,
        started: None,
        ended: None,
        result: Value::Null,
        reason: None,
        holds: BTreeMap::new(),
        log: vec![(now, Status::Requested)],
        links: Vec::new(),
        ..old.clone()
    }
}

/// The task that holds the workflow, else the one that failed last; or last under this name.
fn failed(flow: &Flow, task: Option<&str>) -> Option<u32> {
    let named = |view: &TaskView| task.is_none_or(|task| view.name.as_ref() == task);
    let failed = |view: &TaskView| {
        matches!(view.status, Status::Failed | Status::Timeout | Status::Abandoned)
    };
    let last = |meant: &dyn Fn(&TaskView) -> bool| {
        flow.tasks().filter(|view| named(view) && meant(view)).map(|view| view.place.entry).last()
    };
    last(&|view| view.held).or_else(|| last(&failed))
}

pub(super) fn broken(execution: ExecutionId, fault: Fault) -> Error {
    match fault {
        Fault::Store(error) => Error::Store(error),
        Fault::Broken(what) => Error::Broken { execution, what },
    }
}
