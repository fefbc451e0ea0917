//! The command line: what people and scripts type. It talks to a serving Ifso over HTTP, as anybody
//! could; only `serve`, `check`, `restore`, `doctor`, `rule new` and `token create --offline` touch a
//! home themselves.
//!
//! Exit codes: 0 done; 1 it did not work, or the execution did not succeed; 2 the command line is
//! wrong; 3 no Ifso answers; 75 the store cannot be used now; 130 interrupted while waiting.

pub mod failure;
pub mod moment;
pub mod row;
pub mod table;
pub mod tree;
pub mod output;
pub mod client;

mod action;
mod backup;
mod check;
mod completions;
mod deadletter;
mod definitions;
mod doctor;
mod event;
mod execution;
mod fields;
mod follow;
mod incident;
mod inquiry;
mod key;
mod noun;
mod pack;
mod restore;
mod rule;
mod watch;
mod why;
mod backtest;
mod plan;
mod policy;
mod trial;
mod rule_new;
mod run;
mod sensor;
mod serve;
mod skeleton;
mod token;
mod trace;
mod trigger;
mod user;
mod workflow;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

/// Event-driven rules for storage operations: if so, then.
#[derive(Debug, Parser)]
#[command(
    name = "ifso",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 it did not work or the execution did not succeed, \
                  2 wrong command line,\n3 no Ifso answers, 75 the store cannot be used now, 130 interrupted."
)]
struct Line {
    #[command(flatten)]
    whereabouts: Whereabouts,
    #[command(subcommand)]
    verb: Verb,
}

/// Where the Ifso is that a command talks to.
#[derive(Debug, Clone, Default, Args)]
pub struct Whereabouts {
    /// The home folder: where `packs/`, `rules/` and `sensors/` are [default: the current folder]
    /// [env: `IFSO_HOME`].
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// The data folder [default: `data` in the home].
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The address of a serving Ifso; the key for it comes from `IFSO_KEY` [default: as the home says]
    /// [env: `IFSO_URL`].
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// The API key [default: the data folder's `admin.key`] [env: `IFSO_KEY`].
    #[arg(long, global = true, hide = true)]
    pub key: Option<String>,
}

impl Whereabouts {
    /// Takes from the environment what no flag says. Clap could, but then shows flags as required.
    fn or(self, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut all = self;
        for (name, value) in environment.into_iter().filter(|(_, value)| !value.is_empty()) {
            let text = || value.to_str().map(str::to_owned);
            match name.to_str() {
                Some("IFSO_HOME") => all.home = all.home.or_else(|| Some(value.into())),
                Some("IFSO_URL") => all.url = all.url.or_else(text),
                Some("IFSO_KEY") => all.key = all.key.or_else(text),
                _ => {}
            }
        }
        all
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve a home: sensors report, rules decide, actions run.
    Serve(serve::Serve),
    /// Check a home without starting it, and say what is wrong and where.
    Check(check::Check),
    /// Run an action and wait for its result.
    Run(run::Run),
    /// Send and look up events.
    #[command(subcommand)]
    Event(event::Event),
    /// Look up, follow, repeat and cancel executions.
    #[command(subcommand)]
    Execution(execution::Execution),
    /// Show what led to an event or an execution, and what came of it.
    Trace(trace::Trace),
    /// Look up incidents, and say who is at them.
    #[command(subcommand)]
    Incident(incident::Incident),
    /// Look up and answer questions to people.
    #[command(subcommand)]
    Inquiry(inquiry::Inquiry),
    /// Look up rules.
    #[command(subcommand)]
    Rule(rule::Rule),
    /// Look up packs.
    #[command(subcommand)]
    Pack(pack::Pack),
    /// Look up actions and their parameters.
    #[command(subcommand)]
    Action(action::Action),
    /// Look workflows over, and draw them.
    #[command(subcommand)]
    Workflow(workflow::Workflow),
    /// Look up and restart sensors.
    #[command(subcommand)]
    Sensor(sensor::Sensor),
    /// Look up policies.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Look up the described kinds of events.
    #[command(subcommand)]
    Trigger(trigger::Trigger),
    /// Read and write the key-value store.
    #[command(subcommand)]
    Key(key::Key),
    /// Look up inputs that could not become events.
    #[command(subcommand)]
    Deadletter(deadletter::Deadletter),
    /// Look after users: who signs in, and what they may do.
    #[command(subcommand)]
    User(user::User),
    /// Make and remove API keys.
    #[command(subcommand)]
    Token(token::Token),
    /// Write a backup while Ifso serves.
    Backup(backup::Backup),
    /// Put a backup in the place of a store that does not exist.
    Restore(restore::Restore),
    /// Look at every record of a store without serving.
    Doctor(doctor::Doctor),
    /// Write what a rule may call as definition files for editors (`*.d.rhai`).
    Definitions(definitions::Definitions),
    /// Print completions for a shell.
    Completions(completions::Completions),
    /// Print the version.
    Version,
}

/// Does what the command line says.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match Line::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => {
            // Help and version come this way too, to stdout and with code 0.
            let printed = error.print();
            return ExitCode::from(if error.use_stderr() || printed.is_err() { 2 } else { 0 });
        }
    };
    let mut output = Output::standard();
    match verb(line, &mut output) {
        Ok(code) => code,
        Err(failure) => output.failure(&failure),
    }
}

fn verb(line: Line, output: &mut Output) -> Result<ExitCode, Failure> {
    let whereabouts = &line.whereabouts.or(std::env::vars_os());
    match line.verb {
        Verb::Serve(verb) => verb.run(whereabouts, output),
        Verb::Check(verb) => verb.run(whereabouts, output),
        Verb::Restore(verb) => verb.run(whereabouts, output),
        Verb::Doctor(verb) => verb.run(whereabouts, output),
        Verb::Token(token::Token::Create(verb)) if verb.is_offline() => {
            token::Create::recover(whereabouts, output)
        }
        Verb::Workflow(workflow::Workflow::Inspect(verb)) => verb.run(whereabouts, output),
        Verb::Rule(rule::Rule::Test(verb)) => verb.run(whereabouts, output),
        Verb::Rule(rule::Rule::Plan(verb)) => {
            let client = Client::find(whereabouts)?;
            runtime()?.block_on(verb.compare(whereabouts, &client, output))?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Rule(rule::Rule::New(verb)) => verb.run(whereabouts, output),
        Verb::Definitions(verb) => verb.run(output),
        Verb::Completions(verb) => verb.run(output),
        Verb::Version => {
            output.line(concat!("ifso ", env!("CARGO_PKG_VERSION")))?;
            Ok(ExitCode::SUCCESS)
        }
        remote => {
            let client = Client::find(whereabouts)?;
            let work = ask(remote, &client, output);
            runtime()?.block_on(work)
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::machine("no thread could be started", &error))
}

/// The verbs that ask a serving Ifso.
async fn ask(verb: Verb, client: &Client, output: &mut Output) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Run(verb) => return verb.run(client, output).await,
        Verb::Event(verb) => verb.run(client, output).await?,
        Verb::Execution(verb) => return verb.run(client, output).await,
        Verb::Workflow(workflow::Workflow::Graph(verb)) => verb.run(client, output).await?,
        Verb::Trace(verb) => verb.run(client, output).await?,
        Verb::Incident(verb) => verb.run(client, output).await?,
        Verb::Inquiry(verb) => verb.run(client, output).await?,
        Verb::Rule(verb) => verb.run(client, output).await?,
        Verb::Pack(verb) => verb.run(client, output).await?,
        Verb::Action(verb) => verb.run(client, output).await?,
        Verb::Sensor(verb) => verb.run(client, output).await?,
        Verb::Policy(verb) => verb.run(client, output).await?,
        Verb::Trigger(verb) => verb.run(client, output).await?,
        Verb::Key(verb) => verb.run(client, output).await?,
        Verb::Deadletter(verb) => verb.run(client, output).await?,
        Verb::Token(verb) => verb.run(client, output).await?,
        Verb::User(verb) => verb.run(client, output).await?,
        Verb::Backup(verb) => verb.run(client, output).await?,
        _ => unreachable!("the other verbs ask nobody"),
    }
    Ok(ExitCode::SUCCESS)
}
