//! When keys and users last called: noted in memory, written down once a minute, so that no call waits
//! for the disk.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::auth::{Caller, Keys, Via};
use crate::model::time::Time;
use crate::store::batch::Batch;
use crate::store::people::Used;
use crate::store::{self, table};

/// How often it is written down; what happened since then a crash forgets.
const EVERY: Duration = Duration::from_mins(1);

/// What was used since it was written down last. Only keys that work get in, so there are no more than
/// keys, tokens' users and users.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    noted: HashMap<String, Time>,
}

impl Uses {
    pub(crate) fn note(&mut self, caller: &Caller, now: Time) {
        match caller.via {
            Via::Key(id) => {
                self.noted.insert(id.to_string(), now);
            }
            // Running actions are no people.
            Via::Action(_) => return,
            Via::Token(_) => {}
        }
        self.noted.insert(Used::user(&caller.user), now);
    }
}

impl Keys {
    /// Writes down once a minute what was used, until `stop`, and then once more.
    ///
    /// Cancel-safe: what was not written is not lost to the next.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let next = self.clock.now().plus(EVERY);
            let stopped = tokio::select! {
                biased;
                () = stop.cancelled() => true,
                () = self.clock.sleep_until(next) => false,
            };
            if let Err(error) = self.note_uses().await {
                tracing::warn!(%error, "when keys were last used could not be written down");
            }
            if stopped {
                return;
            }
        }
    }

    /// Writes down what was used since the last time.
    ///
    /// # Errors
    /// As `Store::commit`.
    pub async fn note_uses(&self) -> Result<(), store::Error> {
        let noted = {
            let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut uses.noted)
        };
        if noted.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for (what, at) in noted {
            table::put(&mut batch, &Used { what, at });
        }
        self.store.commit(batch).await.map(drop)
    }
}
