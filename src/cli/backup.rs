//! `ifso backup`.

use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use serde_json::json;

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::row::text;

/// Write a backup while Ifso serves.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write, on the machine where Ifso serves; it must not exist yet.
    file: PathBuf,
}

impl Backup {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let file = std::path::absolute(&self.file)
            .map_err(|error| Failure::machine("the path cannot be made absolute", &error))?;
        let body = json!({ "file": file });
        let made = client.call(Method::POST, "/api/v1/backup", &[], Some(&body)).await?;
        let size = mebibytes(made["size_bytes"].as_f64().unwrap_or_default());
        output.line(&format!("wrote {} ({size})", text(&made, "file")))
    }
}

/// `16.1 MiB`.
fn mebibytes(bytes: f64) -> String {
    const MEBIBYTE: f64 = 1_048_576.0;
    format!("{:.1} MiB", bytes / MEBIBYTE)
}
