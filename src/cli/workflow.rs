//! `ifso workflow`.

use clap::Subcommand;

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::row::safe;

/// Look at workflows.
#[derive(Debug, Subcommand)]
pub(crate) enum Workflow {
    /// Draw the graph of a workflow: what leads to what, and when.
    Graph {
        /// Its action.
        action: String,
        /// Print SVG.
        #[arg(long)]
        svg: bool,
    },
}

impl Workflow {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Graph { action, svg } => {
                let path = format!("/api/v1/workflows/{}", segment(&action));
                graph(client, output, &path, svg).await
            }
        }
    }
}

/// Prints the graph of what has this path.
pub(crate) async fn graph(
    client: &Client,
    output: &mut Output,
    path: &str,
    svg: bool,
) -> Result<(), Failure> {
    let kind = if svg { "svg" } else { "txt" };
    let drawn = client.text(&format!("{path}/graph.{kind}"), &[]).await?;
    output.text(&safe(&drawn))
}
