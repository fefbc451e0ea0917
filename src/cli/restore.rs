//! `ifso restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::app;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::{Whereabouts, runtime};
use crate::config::{Config, Flags};

/// Put a backup in the place of a store that does not exist.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup.
    file: PathBuf,
}

impl Restore {
    pub(crate) fn run(
        self,
        whereabouts: &Whereabouts,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        let config = config(whereabouts)?;
        app::restore(&config, &self.file)?;
        output.line(&format!("restored {} into {}", self.file.display(), config.data.display()))?;
        output.note(
            "start it with `ifso serve`; its API keys are those of the backup, and \
             `ifso token create --offline` makes one where none is at hand",
        )?;
        // It is restored, whatever is wrong with the key.
        match runtime()?.block_on(app::missing_masters(&config)) {
            Ok(missing) => missing.iter().try_for_each(|name| closed(name, &config, output))?,
            Err(error) => output.notice(&error.to_string())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Says that secrets of the backup stay closed.
fn closed(master: &str, config: &Config, output: &mut Output) -> Result<(), Failure> {
    output.notice(&format!(
        "its secrets are sealed with master key {master}, which is not here; no backup holds it: put \
         that key into {} before you start, or these secrets stay closed",
        config.master
    ))
}

/// The configuration of the home that the flags name.
pub(crate) fn config(whereabouts: &Whereabouts) -> Result<Config, Failure> {
    let home = whereabouts.home.as_deref().unwrap_or(Path::new("."));
    let flags = Flags { data: whereabouts.data.clone(), ..Flags::default() };
    Ok(Config::load(home, std::env::vars(), &flags)?)
}
