//! What the nouns share: listing what packs hold, and showing one thing.

use clap::Args;
use serde_json::Value;

use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::table::Column;

/// What a list of packs' content takes.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this pack.
    #[arg(long)]
    pack: Option<String>,
    /// At most so many.
    #[arg(long, short = 'n', default_value_t = 100)]
    limit: usize,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

impl List {
    /// Prints the rows of `path`.
    pub(crate) async fn run(
        self,
        client: &Client,
        output: &mut Output,
        path: &str,
        columns: &[Column],
    ) -> Result<(), Failure> {
        let query = Vec::from_iter(self.pack.map(|pack| ("pack", pack)));
        let rows = client.list(path, &query, self.limit).await?;
        output.list(self.json, columns, &rows)
    }
}

/// What showing one thing takes.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its name, as the list shows it.
    pub(crate) name: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Show {
    /// Prints the thing of that name under `path`; gives its row.
    pub(crate) async fn run(
        &self,
        client: &Client,
        output: &mut Output,
        path: &str,
        fields: &[Column],
    ) -> Result<Value, Failure> {
        let row = client.get(&format!("{path}/{}", segment(&self.name)), &[]).await?;
        output.one(self.json, fields, &row)?;
        Ok(row)
    }
}
