//! The running loops: started downstream first, watched, and stopped upstream first.

use std::future::Future;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Error, GRACE};
use crate::tasks::Tasks;

/// The running loops, in the order in which they were started.
pub(super) struct Stages {
    tasks: Tasks,
    stages: Vec<(&'static str, CancellationToken, JoinHandle<()>)>,
}

impl Stages {
    pub(super) fn new(tasks: Tasks) -> Self {
        Self { tasks, stages: Vec::new() }
    }

    pub(super) fn add<F>(&mut self, name: &'static str, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = self.tasks.spawn(run(stop.clone()));
        self.stages.push((name, stop, task));
    }

    /// Ends when a stage ends that was not asked to.
    pub(super) async fn failed(&mut self) -> Error {
        let stages = self.stages.iter_mut().map(|(name, _, task)| {
            let name = *name;
            task.map(move |ended| (name, ended)).boxed()
        });
        let ((stage, ended), _, _) = futures_util::future::select_all(stages).await;
        let what = ended.err().map_or_else(|| "without a reason".to_owned(), |e| e.to_string());
        Error::Stage { stage, what }
    }

    /// Stops in the order of the river: first what brings work, then what does it. Attempts that
    /// survive the engine go on; the others have their time to end.
    pub(super) async fn stop(&mut self) {
        while let Some((name, stop, task)) = self.stages.pop() {
            stop.cancel();
            if !task.is_finished() && tokio::time::timeout(GRACE, task).await.is_err() {
                tracing::warn!(stage = name, "did not end in time");
            }
        }
        if !self.tasks.drain(GRACE).await {
            let running = self.tasks.running();
            tracing::warn!(running, "some work was still under way; the next start takes it up");
        }
    }
}
