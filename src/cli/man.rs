//! `ifso man`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};

use crate::cli::Line;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// Write the manual pages, one for each verb.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Where to: a folder such as `/usr/share/man/man1`.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub(crate) fn run(self, output: &mut Output) -> Result<ExitCode, Failure> {
        let failed = |error| {
            Failure::machine(&format!("`{}` cannot be written", self.folder.display()), &error)
                .help("name a folder that this user may write")
        };
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        clap_mangen::generate_to(Line::command(), &self.folder).map_err(failed)?;
        output.note(&format!("`man -l {}`", self.folder.join("ifso.1").display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
