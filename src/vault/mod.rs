//! Secrets: sealed where they are kept, opened when they are read, struck out of whatever leaves the
//! house.
//!
//! `Sealed` stands before the store and seals every record that says of itself that it holds a secret
//! (`store::table::Row::is_secret`); nobody else knows that records are sealed. `Vault` has the master
//! key, which is never in the store, and changes it.

pub mod master;
pub mod redact;
mod seal;
mod sealed;
mod reseal;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::model::time::Time;
use crate::store::batch::Batch;
use crate::store::table::{self, Rows};
use crate::store::tables::Master as Used;
use crate::store::{self, Handle};

pub use master::{Source, Text};
pub use reseal::Resealed;
pub use seal::is_sealed;

use master::Ring;
use sealed::Sealed;

/// Names of master keys that a store has at most.
const MASTERS_LIMIT: usize = 1000;

/// The master keys, and the store behind them. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    source: Source,
    /// The store as it is, seals and all.
    store: Handle,
    ring: Arc<ArcSwap<Ring>>,
    /// One change of the key at a time.
    changing: Mutex<()>,
}

/// Why there is no master key, or no new one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read or written.
    #[error("the master key's file `{path}` cannot be read or written: {what}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        what: String,
    },
    /// Others may read it.
    #[error("the master key's file `{path}` can be read by others (mode {mode:o})")]
    Open {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// It is no key.
    #[error("{place} holds no master key: {what}")]
    NoKey {
        /// Where it was looked for.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// Whoever gives the key has to give the new one, too.
    #[error("the master key comes from {place}, which Ifso cannot write")]
    Given {
        /// Where it comes from.
        place: String,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// The next step for whoever can act.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::File { .. } => "look at the file's owner and rights".to_owned(),
            Self::Open { path, .. } => format!("`chmod 600 {path}`; who could read it may have it"),
            Self::NoKey { .. } => {
                "a master key is 64 hexadecimal digits on a line, as `openssl rand -hex 32` \
                                   writes them; take the one that was used before"
                    .to_owned()
            }
            Self::Given { .. } => {
                "write a new key there as the first line, leave the old one as the \
                                   second, and start Ifso again: it seals everything anew by itself"
                    .to_owned()
            }
            Self::Store(error) => return error.help().map(str::to_owned),
        })
    }
}

/// How the master key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The name of the key with which records are sealed now.
    pub master: String,
    /// Where it comes from, in words.
    pub source: String,
    /// Names of earlier keys that are known here, and in use until everything is sealed anew.
    pub earlier: Vec<String>,
    /// Names of keys with which records were sealed, and which are not known here.
    pub missing: Vec<String>,
}

impl Vault {
    /// The vault before `store`: its key is read, or made where there is none yet. What was sealed with
    /// a key that is not here stays closed and stops nothing else; `standing` tells of it.
    ///
    /// # Errors
    /// Where the key cannot be read or made, or is none, or others may read it; `Store`.
    pub async fn open(source: Source, store: Handle, now: Time) -> Result<Self, Error> {
        let ring = source.ring()?;
        let vault = Self {
            inner: Arc::new(Inner {
                source,
                store,
                ring: Arc::new(ArcSwap::from_pointee(ring)),
                changing: Mutex::new(()),
            }),
        };
        vault.note(now).await?;
        Ok(vault)
    }

    /// The store as the rooms see it: nothing in it is sealed.
    #[must_use]
    pub fn store(&self) -> Handle {
        Arc::new(Sealed {
            store: Arc::clone(&self.inner.store),
            ring: Arc::clone(&self.inner.ring),
        })
    }

    /// How the master key stands.
    ///
    /// # Errors
    /// As `Store::scan`.
    pub async fn standing(&self) -> Result<Standing, store::Error> {
        let ring = self.inner.ring.load_full();
        let names: Vec<String> = ring.names().collect();
        let used = used(&self.inner.store).await?;
        Ok(Standing {
            master: ring.current().name(),
            source: self.inner.source.to_string(),
            earlier: names.iter().skip(1).cloned().collect(),
            missing: used.into_iter().filter(|name| !names.contains(name)).collect(),
        })
    }

    /// Tells the log of master keys that are missing, and what to do.
    ///
    /// # Errors
    /// As `Store::scan`.
    pub async fn tell_of_missing(&self) -> Result<(), store::Error> {
        let Standing { source, missing, .. } = self.standing().await?;
        for master in missing {
            tracing::error!(
                master,
                source,
                "a master key is missing: secrets sealed with it stay closed, all else works; add \
                 the line with that key behind the first one, and start Ifso again"
            );
        }
        Ok(())
    }

    /// Goes on with a change of the master key that was cut short, then waits for the end.
    pub async fn run(self, stop: CancellationToken) {
        if self.is_behind().await.unwrap_or(true) {
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = self.reseal() => done,
            };
            match done {
                Ok(Resealed { resealed, sealed, closed }) => {
                    tracing::info!(resealed, sealed, closed, "a change of the master key is over");
                }
                Err(error) => tracing::error!(%error, "a change of the master key is not over"),
            }
        }
        stop.cancelled().await;
    }

    /// Whether records wait to be sealed with the present key: it was changed, and not to the end.
    ///
    /// # Errors
    /// As `Store::scan`.
    pub async fn is_behind(&self) -> Result<bool, store::Error> {
        let ring = self.inner.ring.load_full();
        let used = used(&self.inner.store).await?;
        Ok(ring.names().skip(1).any(|name| used.contains(&name)))
    }

    /// Makes a new master key and seals everything with it, batch by batch. Whenever it is cut short,
    /// the next start, or another call, goes on: the file holds both keys until it is over. Gives the
    /// name of the new key beside what was done.
    ///
    /// # Errors
    /// `Given` where the key is not in a file of ours; `File`; `Store`.
    pub async fn rotate(&self, now: Time) -> Result<(String, Resealed), Error> {
        let _one = self.inner.changing.lock().await;
        // An earlier change that was cut short comes to its end first.
        self.reseal_all().await?;
        let ring = self.inner.source.grown(&self.inner.ring.load())?;
        let master = ring.current().name();
        let old = self.inner.ring.swap(Arc::new(ring));
        self.note(now).await?;
        // A commit under way may still seal with the old key: it holds that ring until it is written.
        // None takes longer than an fsync, and no new one begins with it.
        while Arc::strong_count(&old) > 1 {
            tokio::task::yield_now().await;
        }
        Ok((master, self.reseal_all().await?))
    }

    /// Seals everything with the present key, what is not sealed yet and should be too; then earlier
    /// keys are put aside.
    ///
    /// # Errors
    /// `File`; `Store`.
    pub async fn reseal(&self) -> Result<Resealed, Error> {
        let _one = self.inner.changing.lock().await;
        self.reseal_all().await
    }

    async fn reseal_all(&self) -> Result<Resealed, Error> {
        let ring = self.inner.ring.load_full();
        let done = reseal::all(&self.inner.store, &ring).await?;
        let mut batch = Batch::new();
        for name in ring.names().skip(1) {
            let row = Used { name, since: Time::from_millis(0) };
            batch.remove(table::key::<Used>(table::Row::key(&row)));
        }
        if !batch.is_empty() {
            self.inner.store.commit(batch).await?;
            if let Some(ring) = self.inner.source.shrunk(&ring)? {
                self.inner.ring.store(Arc::new(ring));
            }
        }
        Ok(done)
    }

    /// Writes down the name of the present key.
    async fn note(&self, now: Time) -> Result<(), store::Error> {
        let name = self.inner.ring.load().current().name();
        if used(&self.inner.store).await?.contains(&name) {
            return Ok(());
        }
        let mut batch = Batch::new();
        table::put(&mut batch, &Used { name, since: now });
        self.inner.store.commit(batch).await.map(drop)
    }
}

/// Names of the keys with which records of a store may be sealed.
///
/// # Errors
/// As `Store::scan`.
pub async fn used(store: &Handle) -> Result<Vec<String>, store::Error> {
    let rows = table::scan::<Used>(store, Rows::first(MASTERS_LIMIT)).await?;
    Ok(rows.into_iter().map(|held| held.row.name).collect())
}

/// Names of master keys with which records of a store may be sealed, and which `source` has not.
///
/// # Errors
/// Where the source cannot be read; `Store`.
pub async fn missing(source: &Source, store: &Handle) -> Result<Vec<String>, Error> {
    let known = source.names()?;
    Ok(used(store).await?.into_iter().filter(|name| !known.contains(name)).collect())
}
