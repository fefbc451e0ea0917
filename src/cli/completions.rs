//! `ifso completions`.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Line;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// Print completions for a shell.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, output: &mut Output) -> Result<ExitCode, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Line::command(), "ifso", &mut script);
        output.text(&String::from_utf8_lossy(&script))?;
        Ok(ExitCode::SUCCESS)
    }
}
