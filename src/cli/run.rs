//! `ifso run`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::fields;
use crate::cli::follow::Wait;
use crate::cli::moment::Here;
use crate::cli::output::Output;
use crate::model::span;

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
    /// Begin after a span: `30s`, `1h 30m`.
    #[arg(long = "in", value_name = "SPAN", conflicts_with_all = ["delay", "at"])]
    after: Option<String>,
    /// Begin at a time: `18:30` (the next one), `2026-11-21 18:30`, `2026-11-21T18:30:00+01:00`; without an
    /// offset in your time zone.
    #[arg(long, value_name = "TIME", conflicts_with = "delay")]
    at: Option<String>,
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
        let delay = self.delay(output.here())?;
        let parameters = parameters(client, &self.action, &self.parameters).await?;
        let body = json!({
            "action": self.action,
            "parameters": parameters,
            "delay": delay,
            "timeout": self.timeout,
        });
        let row = client.post_once("/api/v1/executions", &body, self.once.as_deref()).await?;
        self.wait.until_done(client, output, row).await
    }
}

impl Run {
    /// How long to wait before it begins, in milliseconds.
    fn delay(&self, here: &Here) -> Result<Option<u64>, Failure> {
        let wait = match (&self.after, &self.at) {
            (Some(span), _) => span::parse(span).map_err(|error| {
                let message = format!("`--in`: {error}");
                Failure::usage(message).help("write it like `30s`, `15m` or `1h 30m`")
            })?,
            (None, Some(text)) => {
                let help = "write it like `18:30`, `2026-11-21 18:30` or `2026-11-21T18:30:00Z`";
                let time = here.read(text).ok_or_else(|| {
                    Failure::usage(format!("`--at`: `{text}` is no point in time")).help(help)
                })?;
                here.until(time).ok_or_else(|| {
                    let whole = here.whole(time);
                    Failure::usage(format!("`--at`: {whole} is over")).help("name a time to come")
                })?
            }
            (None, None) => return Ok(self.delay),
        };
        Ok(Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
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
