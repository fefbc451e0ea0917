//! `ifso rule new`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::app;
use crate::cli::Whereabouts;
use crate::cli::client::{Client, segment};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::restore::config;
use crate::cli::row::text;
use crate::cli::{runtime, skeleton};
use crate::model::problem::nearest;
use crate::model::reference::Reference;

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The trigger that it is to listen to: `pack.name`.
    trigger: String,
    /// Its name [default: the trigger's].
    name: Option<String>,
    /// Write it into a new file; one that exists is let be.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// What is known of a trigger.
#[derive(Default)]
struct Known {
    about: String,
    schema: Option<Value>,
    sample: Option<Value>,
    /// The trigger that was probably meant.
    near: Option<String>,
}

impl New {
    pub(crate) fn run(
        self,
        whereabouts: &Whereabouts,
        output: &mut Output,
    ) -> Result<ExitCode, Failure> {
        let trigger: Reference = self
            .trigger
            .parse()
            .map_err(|error| Failure::usage(format!("{error}")).help("see `ifso trigger list`"))?;
        let name = self.name.unwrap_or_else(|| trigger.name().replace('.', "-"));
        if Reference::new("site", &name).is_err() {
            let message = format!("`{name}` is no name for a rule");
            return Err(Failure::usage(message).help("use letters, digits, `_` and `-`"));
        }
        let known = known(&trigger, whereabouts);
        let schema = known.schema.clone().unwrap_or_default();
        let rule = skeleton::rule(&trigger, &name, &known.about, &schema, known.sample.as_ref());
        match &self.write {
            Some(file) => {
                write(file, &rule)?;
                output.line(&file.display().to_string())?;
            }
            None => output.text(&rule)?,
        }
        if known.schema.is_none() && known.sample.is_none() {
            let meant = known.near.map(|near| format!("; did you mean `{near}`?"));
            let meant = meant.unwrap_or_default();
            output.note(&format!(
                "no pack describes `{trigger}`, and no event of it is kept{meant}"
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write(file: &Path, rule: &str) -> Result<(), Failure> {
    let made = std::fs::File::create_new(file).and_then(|mut file| file.write_all(rule.as_bytes()));
    made.map_err(|error| {
        let shown = file.display();
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return Failure::usage(format!("`{shown}` exists already"))
                .help("name another file, or leave `--write` out and copy what is printed");
        }
        Failure::machine(&format!("`{shown}` cannot be written"), &error)
    })
}

/// What a serving Ifso knows of the trigger, else what the home describes.
fn known(trigger: &Reference, whereabouts: &Whereabouts) -> Known {
    let mut known = Known::default();
    // Nobody has to serve: whatever goes wrong here only leaves fewer words in the rule.
    if let (Ok(client), Ok(runtime)) = (Client::find(whereabouts), runtime()) {
        runtime.block_on(ask(trigger, &client, &mut known));
    }
    if known.schema.is_some() {
        return known;
    }
    let Ok(catalog) = config(whereabouts).and_then(|config| Ok(app::catalog(&config)?)) else {
        return known;
    };
    if let Some(described) = catalog.triggers.get(trigger) {
        known.about.clone_from(&described.description);
        known.schema = Some(described.payload_schema.as_ref().clone());
    } else {
        let names = catalog.triggers.keys().map(Reference::as_str);
        known.near = nearest(trigger.as_str(), names).map(str::to_owned);
    }
    known
}

async fn ask(trigger: &Reference, client: &Client, known: &mut Known) {
    let path = format!("/api/v1/triggertypes/{}", segment(trigger.as_str()));
    if let Ok(Some(row)) = client.look(&path, &[]).await {
        known.about = text(&row, "description");
        known.schema = Some(row["payload_schema"].clone());
    }
    let query = [("trigger", trigger.to_string())];
    if let Ok(rows) = client.list("/api/v1/events", &query, 1).await {
        known.sample = rows.first().map(|row| row["data"].clone());
    }
}
