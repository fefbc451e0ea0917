//! The composition root: the only file that knows every room.

use std::path::Path;
use std::process::ExitCode;

use crate::config::Config;

/// What is known once work is accepted.
#[derive(Debug)]
pub struct Ready {
    /// Where: `http://127.0.0.1:9101`.
    pub url: String,
    /// The first admin key, where it was made just now: to be shown once.
    pub first_key: Option<String>,
}

/// Why Ifso does not serve, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration does not allow it.
    #[error(transparent)]
    Config(#[from] crate::config::Error),
    /// The store does not open or does not work.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// The first key cannot be made.
    #[error(transparent)]
    Auth(#[from] crate::auth::Error),
    /// Something of the machine does not work.
    #[error("{what}")]
    Machine {
        /// What, with the thing in backticks.
        what: String,
        /// The next step.
        help: String,
    },
}

impl Error {
    /// The next step.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Config(error) => Some(error.help()),
            Self::Store(error) => error.help().map(str::to_owned),
            Self::Auth(error) => error.help().map(str::to_owned),
            Self::Machine { help, .. } => Some(help.clone()),
        }
    }
}

/// Serves until SIGTERM or SIGINT; calls `ready` once work is accepted.
///
/// # Errors
/// Why it could not begin, or why it ended.
#[expect(clippy::unused_async, reason = "the composition comes with the stages")]
pub async fn serve(config: Config, ready: impl FnOnce(&Ready) + Send) -> Result<(), Error> {
    let _ = ready;
    config.address()?;
    Ok(())
}

/// Puts a backup in the place of an empty data folder's store.
///
/// # Errors
/// Where the backup is none, or the data folder holds a store already.
pub fn restore(config: &Config, backup: &Path) -> Result<(), Error> {
    let _ = (config, backup);
    Ok(())
}

/// What a look at a store found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Records by table.
    pub records: Vec<(String, u64)>,
    /// What is damaged, one line each.
    pub damage: Vec<String>,
    /// Bytes of the store's file.
    pub size_bytes: u64,
}

/// Looks at every record of the store without serving.
///
/// # Errors
/// Where the store cannot be opened.
pub fn doctor(config: &Config) -> Result<Findings, Error> {
    let _ = config;
    Ok(Findings::default())
}

/// Holds running actions while the engine may come and go; `folder` is where it meets the engine.
#[must_use]
pub fn supervise(folder: &Path) -> ExitCode {
    let _ = folder;
    ExitCode::SUCCESS
}
