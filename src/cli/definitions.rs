//! `ifso definitions`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::rules::definitions::definitions;

/// Write what a rule may call as definition files for editors (`*.d.rhai`).
#[derive(Debug, Args)]
pub(crate) struct Definitions {
    /// Where to [default: the folder `.rhai`, here].
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Definitions {
    pub(crate) fn run(self, output: &mut Output) -> Result<ExitCode, Failure> {
        let folder = self.folder.unwrap_or_else(|| PathBuf::from(".rhai"));
        let failed = |error| {
            Failure::machine(&format!("`{}` cannot be written", folder.display()), &error)
                .help("name a folder that this user may write")
        };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        for (name, text) in definitions() {
            let file = folder.join(name);
            std::fs::write(&file, text).map_err(failed)?;
            output.line(&file.display().to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
