//! `shell`: a command line that the author wrote, or a script of the pack. Parameters reach both as
//! arguments, environment and a file; never as part of the line.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::process::{self, Finished};
use super::supervisor::protocol::{AttemptId, Program};
use crate::model::id::ExecutionId;
use crate::model::parameter::Parameters;
use crate::runners::{Ended, Job, Outcome, Runner, Tools, described};

/// A variable longer than this cannot be handed to any program (`MAX_ARG_STRLEN`).
const LONGEST_VARIABLE: usize = 128 << 10;

/// Runs command lines and scripts.
pub(super) struct Shell {
    tools: Tools,
}

impl Shell {
    pub(super) fn new(tools: &Tools) -> Self {
        Self { tools: tools.clone() }
    }
}

#[async_trait]
impl Runner for Shell {
    fn name(&self) -> &'static str {
        "shell"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["local-shell-cmd", "local-shell-script"]
    }

    fn about(&self) -> &'static str {
        "Runs a command line, or a script of the pack, on this machine"
    }

    fn parameters(&self, runner_type: &str) -> Parameters {
        let mut all = described(json!([
            ["cwd", { "types": ["string", "null"], "description": "Where it starts; else in an empty folder of its own" }],
            ["env", { "types": ["object", "null"], "description": "Variables it finds in its environment" }],
            ["kwarg_op", { "types": ["string"], "default": "--", "description": "What stands before the name of an argument" }],
            ["sudo", { "types": ["boolean"], "default": false, "description": "Whether it runs as root, through sudo" }],
            ["sudo_password", { "types": ["string", "null"], "secret": true, "description": "The password that sudo asks for" }],
            ["timeout", { "types": ["integer"], "default": 60, "description": "Seconds it may take" }],
        ]));
        if runner_type == "local-shell-script" {
            all.extend(described(json!([
                ["content_version", { "types": ["string", "null"], "description": "Not used" }],
                ["debug", { "types": ["boolean", "null"], "description": "Not used" }],
            ])));
        } else {
            all.extend(described(json!([
                ["cmd", { "types": ["string", "null"], "description": format!("The command line, for {}", shell_of(runner_type)) }],
            ])));
        }
        all
    }

    fn survives(&self) -> bool {
        true
    }

    async fn run(&self, job: Job, stop: CancellationToken) -> Outcome {
        let program = match self.program(&job) {
            Ok(program) => program,
            Err(reason) => return Outcome::failed(reason),
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

impl Shell {
    fn program(&self, job: &Job) -> Result<Program, String> {
        let runner = self.parameters(&job.action.runner_type);
        let own = process::own_parameters(job, &runner);
        let mut environment = self.tools.environment(job);
        environment.extend(process::declared(job)?);
        let (file, arguments) = if let Some(script) = &job.action.entry_point {
            let script = script.to_str().ok_or("the script's path is no text")?.to_owned();
            (script, arguments(job, &own))
        } else {
            let line = line(job, &own)?;
            environment.extend(variables(&own, &line)?);
            (shell_of(&job.action.runner_type).to_owned(), vec!["-c".to_owned(), line])
        };
        let mut files = BTreeMap::new();
        if !own.is_empty() {
            files.insert("parameters.json".to_owned(), Value::Object(own).to_string());
        }
        let place = job.parameters.get("cwd").and_then(Value::as_str).filter(|cwd| !cwd.is_empty());
        let (file, arguments, input) = with_sudo(job, file, arguments);
        Ok(Program {
            file,
            arguments,
            environment,
            folder: place.map(Into::into),
            input,
            files,
            answer: None,
            timeout_ms: process::millis(process::timeout(job)),
            grace_ms: process::millis(self.tools.grace),
            limits: self.tools.limits,
        })
    }
}

/// What reads a command line: StackStorm's is written for bash, and its packs rely on that.
fn shell_of(runner_type: &str) -> &'static str {
    if runner_type == "local-shell-cmd" { "/bin/bash" } else { "/bin/sh" }
}

/// The command line, which is the author's or the caller's own, and holds no parameter's value.
pub(super) fn line(job: &Job, own: &Map<String, Value>) -> Result<String, String> {
    let line = job.parameters.get("cmd").and_then(Value::as_str).unwrap_or_default();
    if line.trim().is_empty() {
        return Err(format!(
            "action `{}` has neither a command line (`cmd`) nor a script (`entry_point`)",
            job.action.reference
        ));
    }
    let templated = line.split("{{").skip(1).find_map(|rest| {
        let name = rest.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        own.contains_key(name).then_some(name)
    });
    match templated {
        Some(name) => Err(format!(
            "`cmd` of action `{}` holds the template `{{{{ {name} }}}}`; values are never pasted into a \
             command line: write \"$P_{name}\" in its place",
            job.action.reference
        )),
        None => Ok(line.to_owned()),
    }
}

/// Each parameter as a variable `P_<name>`, where its name can be one's. All of them, whatever their
/// names, stand in the file `$IFSO_PARAMETERS`.
pub(super) fn variables(
    own: &Map<String, Value>,
    line: &str,
) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in own {
        let fits = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fits || name.is_empty() {
            continue;
        }
        let variable = format!("P_{name}");
        let value = process::text(value);
        let wanted = line.contains(&variable);
        if value.len() + variable.len() + 2 > LONGEST_VARIABLE || value.contains('\0') {
            if wanted {
                return Err(format!(
                    "parameter `{name}` is too big for the variable `${variable}`, or holds a NUL byte; \
                     read it from the JSON file \"$IFSO_PARAMETERS\""
                ));
            }
            continue;
        }
        variables.insert(variable, value);
    }
    Ok(variables)
}

/// A script's arguments, in StackStorm's order and form: by name, then those that have a position.
pub(super) fn arguments(job: &Job, own: &Map<String, Value>) -> Vec<String> {
    let mut placed: Vec<_> = job
        .action
        .parameters
        .iter()
        .filter_map(|(name, parameter)| Some((parameter.position?, name)))
        .filter(|(_, name)| own.contains_key(*name) || is_own(job, name))
        .collect();
    placed.sort_unstable();
    let mut arguments = Vec::new();
    let operator = job.parameters.get("kwarg_op").and_then(Value::as_str).unwrap_or("--");
    let in_order = job.action.parameters.iter().map(|(name, _)| name);
    let rest =
        own.keys().filter(|name| job.action.parameters.iter().all(|(known, _)| known != *name));
    for name in in_order.chain(rest) {
        if placed.iter().any(|(_, known)| *known == name) {
            continue;
        }
        match own.get(name) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(Value::Bool(true)) => arguments.push(format!("{operator}{name}")),
            Some(value) => arguments.push(format!("{operator}{name}={}", process::text(value))),
        }
    }
    let values = placed.iter().map(|(_, name)| own.get(*name));
    arguments.extend(values.map(|value| value.map(process::text).unwrap_or_default()));
    arguments
}

/// Whether the action itself has the parameter, rather than its runner.
fn is_own(job: &Job, name: &str) -> bool {
    !job.parameters.contains_key(name)
}

fn with_sudo(
    job: &Job,
    file: String,
    arguments: Vec<String>,
) -> (String, Vec<String>, Option<String>) {
    if job.parameters.get("sudo") != Some(&Value::Bool(true)) {
        return (file, arguments, None);
    }
    let password = job.parameters.get("sudo_password").and_then(Value::as_str);
    // Without a password it must not wait for one.
    let asking: &[&str] = if password.is_some() { &["-S", "-p", ""] } else { &["-n"] };
    let mut all: Vec<_> = asking.iter().copied().map(str::to_owned).collect();
    all.extend(["-E".to_owned(), "--".to_owned(), file]);
    all.extend(arguments);
    ("sudo".to_owned(), all, password.map(|password| format!("{password}\n")))
}

/// StackStorm's result: the last newline is cut off, what is JSON is parsed.
fn outcome(finished: &Finished, job: &Job) -> Outcome {
    let succeeded = finished.end() == crate::model::execution::End::Succeeded;
    let result = json!({
        "succeeded": succeeded,
        "failed": !succeeded,
        "return_code": finished.code(),
        "stdout": parsed(&finished.stdout),
        "stderr": parsed(&finished.stderr),
    });
    Outcome {
        ended: Ended::So(finished.end()),
        result,
        reason: finished.reason(process::timeout(job)),
    }
}

pub(super) fn parsed(output: &str) -> Value {
    let output = output.strip_suffix('\n').unwrap_or(output);
    let output = output.strip_suffix('\r').unwrap_or(output);
    serde_json::from_str(output).unwrap_or_else(|_| Value::String(output.to_owned()))
}
