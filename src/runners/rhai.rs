//! `rhai`: a script of the pack, evaluated under limits. It sees `parameters` and `config`, and its
//! last value is the result; it has no file, network or clock.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use rhai::{Dynamic, Engine, EvalAltResult, Scope};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::process;
use crate::model::execution::End;
use crate::model::parameter::Parameters;
use crate::runners::{Ended, Job, Outcome, Piece, Runner, Stream, described};
use crate::script::convert::{to_dynamic, to_json};
use crate::script::fault::Fault;
use crate::script::limits::{DECIDING, Limits};

/// The longest script.
const LONGEST: u64 = 1 << 20;

/// Text that `print` may leave.
const LONGEST_OUTPUT: usize = 1 << 20;

/// An action may work longer than a rule decides, and hold more. How long says its time-out.
const WORKING: Limits = Limits {
    operations: 50_000_000,
    call_levels: 32,
    string_bytes: 1 << 20,
    array_items: 10_000,
    map_items: 10_000,
    ..DECIDING
};

/// Evaluates scripts.
pub(super) struct Rhai;

#[async_trait]
impl Runner for Rhai {
    fn name(&self) -> &'static str {
        "rhai"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn about(&self) -> &'static str {
        "Evaluates a Rhai script of the pack: `parameters` and `config` in, its last value out"
    }

    fn parameters(&self, _runner_type: &str) -> Parameters {
        described(json!([
            ["timeout", { "types": ["integer"], "default": 60, "description": "Seconds it may take" }],
        ]))
    }

    // A script touches nothing outside: after the death of an engine it is simply evaluated again.
    async fn run(&self, job: Job, stop: CancellationToken) -> Outcome {
        let Some(file) = job.action.entry_point.clone() else {
            let action = &job.action.reference;
            return Outcome::failed(format!(
                "action `{action}` names no script; give it an `entry_point`"
            ));
        };
        let own = process::own_parameters(&job, &self.parameters("rhai"));
        let timeout = process::timeout(&job);
        let script = Script {
            file,
            parameters: Value::Object(own),
            config: (*job.config).clone(),
            deadline: Instant::now() + timeout,
            stop: Arc::default(),
            output: job.output.clone(),
        };
        let halt = script.stop.clone();
        let evaluating = tokio::task::spawn_blocking(move || script.evaluate());
        tokio::pin!(evaluating);
        let evaluated = tokio::select! {
            evaluated = &mut evaluating => evaluated,
            () = stop.cancelled() => {
                halt.store(true, Ordering::Relaxed);
                evaluating.await
            }
        };
        evaluated.unwrap_or_else(|error| Outcome::failed(format!("the script crashed: {error}")))
    }
}

/// One evaluation.
struct Script {
    file: PathBuf,
    parameters: Value,
    config: Value,
    deadline: Instant,
    stop: Arc<AtomicBool>,
    output: mpsc::Sender<Piece>,
}

impl Script {
    /// What came of it. What it prints goes out line by line.
    fn evaluate(&self) -> Outcome {
        let file = self.file.display();
        let size = std::fs::metadata(&self.file).map(|meta| meta.len());
        let text = match size {
            Ok(size) if size > LONGEST => {
                let why = format!("script `{file}` is longer than {LONGEST} bytes");
                return Outcome::failed(why);
            }
            Ok(_) => std::fs::read_to_string(&self.file),
            Err(error) => Err(error),
        };
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                let why = format!("script `{file}` cannot be read: {error}");
                return Outcome::failed(why);
            }
        };
        let engine = self.engine();
        let mut scope = Scope::new();
        scope.push_constant_dynamic("parameters", to_dynamic(&self.parameters));
        scope.push_constant_dynamic("config", to_dynamic(&self.config));
        match engine.eval_with_scope::<Dynamic>(&mut scope, &text) {
            Err(error) => self.failed(&error),
            Ok(value) => match to_json(&value) {
                Ok(result) => Outcome::succeeded(json!({ "result": result })),
                Err(error) => Outcome::failed(format!("the result of `{file}`: {error}")),
            },
        }
    }

    /// The engine of the script room, with room for work that an event has not.
    fn engine(&self) -> Engine {
        let (mut engine, _) = crate::script::engine(&WORKING);
        let (output, printed_bytes) = (self.output.clone(), AtomicUsize::new(0));
        engine.on_print(move |line| {
            let before = printed_bytes.fetch_add(line.len() + 1, Ordering::Relaxed);
            if before + line.len() < LONGEST_OUTPUT {
                // Nobody listening is no error. A full channel is emptied by whoever stores output.
                let text = format!("{line}\n");
                drop(output.blocking_send(Piece { stream: Stream::Stdout, text }));
            }
        });
        let (stop, deadline) = (self.stop.clone(), self.deadline);
        engine.on_progress(move |operations| {
            // The clock is asked every thousand operations only: that takes microseconds.
            let look = operations.is_multiple_of(1024);
            let over = look && (stop.load(Ordering::Relaxed) || Instant::now() >= deadline);
            over.then_some(Dynamic::UNIT)
        });
        engine
    }

    fn failed(&self, error: &EvalAltResult) -> Outcome {
        if matches!(error, EvalAltResult::ErrorTerminated(..)) {
            let (end, why) = if self.stop.load(Ordering::Relaxed) {
                (End::Canceled, "it was cancelled")
            } else {
                (End::TimedOut, "it took longer than it may")
            };
            return Outcome::ended(Ended::So(end), why);
        }
        let file = self.file.to_string_lossy();
        let fault = Fault::of(error, &file);
        let line = fault.line.unwrap_or_default();
        let column = fault.column.unwrap_or_default();
        Outcome::failed(format!("{file}:{line}:{column}: {}", fault.message))
    }
}
