//! `ifso run`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::fields;
use crate::cli::follow::Wait;
use crate::cli::output::Output;

/// Run an action and wait for its result; fails unless it succeeds.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The action: `pack.name`.
    action: String,
    /// Parameters as `name=value`, read as the action says (`ifso action show`), or `name:=json`.
    parameters: Vec<String>,
    /// Begin so many milliseconds later.
    #[arg(long, value_name = "MILLISECONDS")]
    delay: Option<u64>,
    /// Let an attempt take so many seconds at most.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Requests with the same key are one execution.
    #[arg(long, value_name = "KEY")]
    once: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

impl Run {
    pub(crate) async fn run(
        self,
        client: &Client,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        let parameters = parameters(client, &self.action, &self.parameters).await?;
        let body = json!({
            "action": self.action,
            "parameters": parameters,
            "delay": self.delay,
            "timeout": self.timeout,
        });
        let row = client.post_once("/api/v1/executions", &body, self.once.as_deref()).await?;
        self.wait.until_done(client, output, row).await
    }
}

/// What the arguments give to an action.
pub(crate) async fn parameters(
    client: &Client,
    action: &str,
    arguments: &[String],
) -> Result<Map<String, Value>, Failure> {
    let fields = fields::split(arguments)?;
    if fields.is_empty() {
        return Ok(Map::new());
    }
    let view = format!("/api/v1/actions/views/parameters/{}", segment(action));
    let described = client.get(&view, &[]).await?["parameters"].take();
    fields::typed(fields, &described)
}
