//! `ifso audit`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::row::text;
use crate::cli::table::Column;

/// Lines that an export asks for at once.
const PIECE: usize = 10_000;

/// Look up who changed what, and who was not let in.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List calls that changed something, and those that were not let in, newest first.
    #[command(visible_alias = "ls")]
    List(List),
    /// Look at every line, and name the first one that is wrong.
    Verify {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print every line as it stands, one JSON object a line: `line` is what its `hash` (SHA-256) is of.
    Export,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only calls of this user.
    #[arg(long)]
    user: Option<String>,
    /// Only calls about this thing.
    #[arg(long)]
    object: Option<String>,
    /// Only `done`, `refused`, `denied`, `counted`, `under way` or `unknown outcome`.
    #[arg(long)]
    outcome: Option<String>,
    /// Only since then: a time, or a span such as `1h`.
    #[arg(long)]
    since: Option<String>,
    /// Only until then.
    #[arg(long)]
    until: Option<String>,
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 100)]
    limit: usize,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

const COLUMNS: &[Column] = &[
    Column::new("number", |row| text(row, "number")).right(),
    Column::time("time", "timestamp"),
    Column::new("outcome", |row| text(row, "outcome")).status(),
    Column::new("user", |row| text(row, "user")),
    Column::new("from", |row| text(row, "from")),
    Column::new("what", |row| text(row, "what")).cut(20),
    Column::new("object", |row| text(row, "object")).cut(12),
    Column::new("reason", why).cut(12),
];

/// Why it was refused, or how many were.
fn why(row: &Value) -> String {
    match row["count"].as_u64() {
        Some(count) => format!("{count} more: {}", text(row, "reason")),
        None => text(row, "reason"),
    }
}

impl Audit {
    pub(crate) async fn run(
        self,
        client: &Client,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        match self {
            Self::List(list) => list.run(client, output).await?,
            Self::Verify { json } => return verify(client, output, json).await,
            Self::Export => export(client, output).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let wanted = [
            ("user", self.user),
            ("object", self.object),
            ("outcome", self.outcome),
            ("since", self.since),
            ("until", self.until),
        ];
        let query: Vec<_> =
            wanted.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
        let rows = client.list("/api/v1/audit", &query, self.limit).await?;
        output.list(self.json, COLUMNS, &rows)
    }
}

async fn verify(client: &Client, output: &mut Output, json: bool) -> Result<ExitCode, Failure> {
    let verdict = client.get("/api/v1/audit/verify", &[]).await?;
    if json {
        output.json(&verdict)?;
    }
    if verdict["sound"] == true {
        if !json {
            let (first, last) = (text(&verdict, "first"), text(&verdict, "last"));
            output.line(&format!("every line is what was written, from {first} to {last}"))?;
            output.note(&format!("hash of the last one: {}", text(&verdict, "hash")))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(format!(
        "the audit log is not what was written: {}",
        text(&verdict, "problem")
    ))
    .help("compare with an export or a backup; lines before that one are right"))
}

async fn export(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let query = [("after", after.to_string()), ("limit", PIECE.to_string())];
        let lines = client.text("/api/v1/audit/export", &query).await?;
        let mut count = 0;
        for line in lines.lines() {
            output.line(line)?;
            after = number(line).unwrap_or(u64::MAX);
            count += 1;
        }
        if count < PIECE {
            return Ok(());
        }
    }
}

/// The number of an exported line.
fn number(line: &str) -> Option<u64> {
    let outer: Value = serde_json::from_str(line).ok()?;
    let inner: Value = serde_json::from_str(outer["line"].as_str()?).ok()?;
    inner["number"].as_u64()
}
