//! `python`: StackStorm's Python actions. A shim of ours takes the place of StackStorm's modules; the
//! action gets its parameters and configuration over standard input and gives its result in a file,
//! so that nothing it prints can be mistaken for one.

mod virtualenv;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use self::virtualenv::Virtualenvs;
use super::process::{self, Finished};
use super::supervisor::protocol::{AttemptId, Program};
use crate::model::execution::End;
use crate::model::id::ExecutionId;
use crate::model::parameter::Parameters;
use crate::runners::{Begin, Ended, Job, Outcome, Runner, Tools, described};

/// What stands between an action and its interpreter.
const SHIM: &str = include_str!("shim.py");

/// The file in the attempt's own folder into which the shim writes the result.
const ANSWER: &str = "result.json";

/// Runs Python actions.
pub(super) struct Python {
    tools: Tools,
    virtualenvs: Virtualenvs,
}

impl Python {
    pub(super) fn new(tools: &Tools) -> Self {
        Self { tools: tools.clone(), virtualenvs: Virtualenvs::new(tools) }
    }

    /// What `run` is called with. StackStorm's actions get all that they declare, None for what nobody
    /// gave: many have no default for it.
    fn given(&self, job: &Job) -> Map<String, Value> {
        let runner = self.parameters("python-script");
        let mut given = process::own_parameters(job, &runner);
        if job.action.runner_type == "python-script" {
            let own = job.action.parameters.iter().map(|(name, _)| name);
            for name in own.filter(|name| runner.iter().all(|(known, _)| known != *name)) {
                given.entry(name).or_insert(Value::Null);
            }
        }
        given
    }
}

/// What the shim leaves in its file.
#[derive(Deserialize)]
struct Answer {
    status: Option<bool>,
    result: Value,
}

#[async_trait]
impl Runner for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["python-script"]
    }

    fn about(&self) -> &'static str {
        "Runs a Python class with a method `run`, in the virtual environment of its pack"
    }

    fn parameters(&self, _runner_type: &str) -> Parameters {
        described(json!([
            ["env", { "types": ["object", "null"], "description": "Variables it finds in its environment; PYTHONPATH is not among them" }],
            ["log_level", { "types": ["string"], "default": "DEBUG", "description": "From which level on `self.logger` writes to standard error" }],
            ["timeout", { "types": ["integer"], "default": 600, "description": "Seconds it may take, the making of a virtual environment not counted" }],
            ["content_version", { "types": ["string", "null"], "description": "Not used" }],
            ["debug", { "types": ["boolean", "null"], "description": "Not used" }],
        ]))
    }

    fn survives(&self) -> bool {
        true
    }

    async fn run(&self, job: Job, stop: CancellationToken) -> Outcome {
        let program = match self.program(&job, &stop).await {
            Ok(program) => program,
            Err(outcome) => return outcome,
        };
        match self.tools.carry_out(&job, program, &stop).await {
            Ok(finished) => outcome(&finished, &job),
            Err(outcome) => outcome,
        }
    }

    async fn release(&self, execution: ExecutionId, attempt: u32) {
        self.tools.release(AttemptId { execution, attempt }).await;
    }
}

impl Python {
    async fn program(&self, job: &Job, stop: &CancellationToken) -> Result<Program, Outcome> {
        let file = job.action.entry_point.as_deref().ok_or_else(|| {
            let action = &job.action.reference;
            Outcome::failed(format!(
                "action `{action}` names no Python file; give it an `entry_point`"
            ))
        })?;
        let interpreter = if job.begin == Begin::Fresh {
            if !file.is_file() {
                let file = file.display();
                return Err(Outcome::failed(format!("Python file `{file}` does not exist")));
            }
            self.virtualenvs.interpreter(job, stop).await?
        } else {
            // What began needs no interpreter to be found again.
            PathBuf::from("python3")
        };
        let shim = shim(&job.data, job.execution).map_err(|error| {
            Outcome::failed(format!("the shim for Python actions cannot be written: {error}"))
        })?;
        let mut environment = self.tools.environment(job);
        environment.extend(process::declared(job).map_err(Outcome::failed)?);
        if let Some(folder) = interpreter.parent().filter(|_| interpreter.is_absolute()) {
            let path = environment.get("PATH").cloned().unwrap_or_default();
            environment.insert("PATH".to_owned(), format!("{}:{path}", folder.display()));
        }
        let order = json!({
            "file": file,
            "folder": job.action.folder,
            "pack": job.action.reference.pack(),
            "parameters": self.given(job),
            "config": &*job.config,
            "log_level": job.parameters.get("log_level").and_then(Value::as_str).unwrap_or("DEBUG"),
        });
        let arguments = ["-E", "-s", "-u"].map(str::to_owned).into_iter();
        Ok(Program {
            file: interpreter.to_string_lossy().into_owned(),
            arguments: arguments.chain([shim.to_string_lossy().into_owned()]).collect(),
            environment,
            folder: None,
            input: Some(order.to_string()),
            files: std::collections::BTreeMap::new(),
            answer: Some(ANSWER.to_owned()),
            timeout_ms: process::millis(process::timeout(job)),
            grace_ms: process::millis(self.tools.grace),
            limits: self.tools.limits,
        })
    }
}

/// StackStorm's result for Python actions.
fn outcome(finished: &Finished, job: &Job) -> Outcome {
    let answer = finished.exit.answer.as_deref().map(serde_json::from_str::<Answer>).transpose();
    let (answer, unreadable) = match answer {
        Ok(answer) => (answer, None),
        Err(error) => (None, Some(format!("its result cannot be read: {error}"))),
    };
    let mut end = finished.end();
    let said_no = answer.as_ref().is_some_and(|answer| answer.status == Some(false));
    let mut reason = finished.reason(process::timeout(job)).or(unreadable);
    // A result that is too large or unreadable must not pass for none.
    let bad = reason.is_some() || said_no;
    if end == End::Succeeded && bad {
        end = End::Failed;
        reason = reason
            .or_else(|| answer.as_ref().and_then(|answer| said(&answer.result)))
            .or_else(|| Some("it returned (False, …)".to_owned()));
    }
    let result = json!({
        "result": answer.map(|answer| answer.result),
        "exit_code": finished.code(),
        "stdout": finished.stdout,
        "stderr": finished.stderr,
    });
    Outcome { ended: Ended::So(end), result, reason }
}

/// What an action says itself of why it failed: its result, or `error` of it, where that is a text.
fn said(result: &Value) -> Option<String> {
    let text = result.as_str().or_else(|| result["error"].as_str())?;
    (!text.trim().is_empty()).then(|| text.to_owned())
}

/// The shim's file, one for each version of it, written when it is first needed. Python keeps no
/// compiled form of a program's first file, so that file only imports it. Each of several that are the
/// first at once writes a file aside that is its own; whichever comes last puts the same in its place.
fn shim(data: &Path, execution: ExecutionId) -> std::io::Result<PathBuf> {
    let folder = data.join("python").join(virtualenv::digest(&[SHIM]));
    let first = folder.join("run_action.py");
    if !first.exists() {
        std::fs::create_dir_all(&folder)?;
        let aside = folder.join(format!("new-{execution}"));
        std::fs::write(&aside, SHIM)?;
        std::fs::rename(&aside, folder.join("ifso_shim.py"))?;
        std::fs::write(&aside, "import sys\nimport ifso_shim\nsys.exit(ifso_shim.start())\n")?;
        std::fs::rename(&aside, &first)?;
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two that were the first at once once wrote aside to one file, and one of them failed.
    #[test]
    fn several_may_be_the_first_at_once() {
        // Once is not enough for them to meet.
        for _ in 0..100 {
            let data = tempfile::tempdir().unwrap();
            let here = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                for number in 0..4 {
                    let (data, here) = (data.path(), &here);
                    scope.spawn(move || {
                        here.wait();
                        let file = shim(data, ExecutionId::from_bits(number)).unwrap();
                        assert!(file.with_file_name("ifso_shim.py").exists());
                    });
                }
            });
        }
    }
}
