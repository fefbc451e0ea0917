//! `ssh`: a command line or a script of the pack on other machines, by OpenSSH's client. Each host
//! has a client of its own in the supervisor, so what runs there outlives the engine; and a host whose
//! key nobody vouches for is never spoken to.

mod client;
mod orders;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::client::{Client, Host, LOG};
use self::orders::{Orders, Reader, Sudo};
use super::process::{self, Finished};
use super::shell;
use super::supervisor::protocol::{AttemptId, Program};
use crate::model::execution::End;
use crate::model::id::ExecutionId;
use crate::model::parameter::Parameters;
use crate::runners::{Begin, Brake, Ended, Job, Outcome, Runner, Tools, described};

/// Hosts at one time: each has a client and its buffers.
const AT_ONCE: usize = 50;

/// Hosts of one execution.
const HOSTS: usize = 1000;

/// The longest script.
const SCRIPT_BYTES: u64 = 4 << 20;

/// Hosts that a reason names.
const NAMED: usize = 3;

/// Lines of the client's that a reason holds; the cause comes first.
const SAID: usize = 3;

/// Runs command lines and scripts on other machines.
pub(super) struct Ssh {
    tools: Tools,
    /// How many clients an attempt has, until its outcome is stored.
    parts: Mutex<HashMap<(ExecutionId, u32), u16>>,
}

/// What came of one host.
struct Done {
    host: Host,
    came: Result<Finished, Outcome>,
}

impl Ssh {
    pub(super) fn new(tools: &Tools) -> Self {
        Self { tools: tools.clone(), parts: Mutex::default() }
    }
}

#[async_trait]
impl Runner for Ssh {
    fn name(&self) -> &'static str {
        "ssh"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["remote-shell-cmd", "remote-shell-script"]
    }

    fn about(&self) -> &'static str {
        "Runs a command line, or a script of the pack, on other machines, by OpenSSH's client; \
         keys of hosts are always checked"
    }

    fn parameters(&self, runner_type: &str) -> Parameters {
        let theirs = runner_type.starts_with("remote-");
        let folder = if theirs { json!("/tmp") } else { Value::Null };
        let mut all = described(json!([
            ["hosts", { "types": ["string", "array"], "required": true, "description": "Where: a list, or a text with commas; each `name`, `name:port` or `user@name`" }],
            ["username", { "types": ["string", "null"], "description": "Who logs in, else as OpenSSH's settings say" }],
            ["private_key", { "types": ["string", "null"], "secret": true, "description": "The key to log in with: its text, or the absolute path of its file" }],
            ["passphrase", { "types": ["string", "null"], "secret": true, "description": "What opens the key" }],
            ["password", { "types": ["string", "null"], "secret": true, "description": "A password to log in with, where there is no key" }],
            ["port", { "types": ["integer", "null"], "description": "The port, where a host names none" }],
            ["known_hosts", { "types": ["string", "null"], "description": "The file of keys that hosts must show, else ~/.ssh/known_hosts of Ifso's user and the machine's" }],
            ["host_key_checking", { "types": ["string", "null"], "description": "`yes` (unless given), or `accept-new`: a host that is unknown is believed, and its key is kept" }],
            ["bastion_host", { "types": ["string", "null"], "description": "A host to go through, with the same login" }],
            ["cwd", { "types": ["string", "null"], "default": folder, "description": "Where it starts, else where the login does" }],
            ["env", { "types": ["object", "null"], "description": "Variables it finds in its environment" }],
            ["kwarg_op", { "types": ["string"], "default": "--", "description": "What stands before the name of an argument" }],
            ["parallel", { "types": ["boolean", "integer"], "default": true, "description": "Whether the hosts work at once (50 of them), one after another, or so many at once" }],
            ["sudo", { "types": ["boolean"], "default": false, "description": "Whether it runs as root, through sudo" }],
            ["sudo_password", { "types": ["string", "null"], "secret": true, "description": "The password that sudo asks for" }],
            ["timeout", { "types": ["integer"], "default": 60, "description": "Seconds it may take on each host" }],
        ]));
        if theirs {
            all.extend(described(json!([
                ["dir", { "types": ["string", "null"], "description": "Not used: no file is left on a host" }],
            ])));
        }
        if runner_type == "remote-shell-script" {
            all.extend(described(json!([
                ["content_version", { "types": ["string", "null"], "description": "Not used" }],
                ["debug", { "types": ["boolean", "null"], "description": "Not used" }],
            ])));
        } else {
            all.extend(described(json!([
                ["cmd", { "types": ["string", "null"], "description": "The command line, for sh, or bash where StackStorm's name of the runner is used" }],
            ])));
        }
        all
    }

    fn survives(&self) -> bool {
        true
    }

    async fn run(&self, job: Job, stop: CancellationToken) -> Outcome {
        match self.programs(&job).await {
            Ok(programs) => {
                let all = self.all(&job, programs, &stop).await;
                outcome(all, &job)
            }
            Err(reason) => Outcome::failed(reason),
        }
    }

    async fn release(&self, execution: ExecutionId, attempt: u32) {
        for part in 0..self.forget(execution, attempt) {
            self.tools.release(AttemptId::part(execution, attempt, part)).await;
        }
    }
}

impl Ssh {
    /// One program for each host.
    async fn programs(&self, job: &Job) -> Result<Vec<(Host, Program)>, String> {
        let hosts = hosts(job)?;
        let client = Client::of(job)?;
        let orders = self.orders(job).await?;
        // Where the values begin on standard input; no value can know it beforehand.
        let call = orders.call(&job.execution.to_string())?;
        let mut environment = self.tools.environment(job);
        environment.extend(client.variables());
        let program = |host: &Host| {
            let (file, arguments) = client.program(host, &call);
            Program {
                file,
                arguments,
                environment: environment.clone(),
                folder: None,
                input: Some(call.input.clone()),
                files: client.files(),
                answer: Some(LOG.to_owned()),
                timeout_ms: process::millis(process::timeout(job)),
                grace_ms: process::millis(self.tools.grace),
                limits: self.tools.limits,
            }
        };
        let each = hosts.into_iter().map(|host| {
            let program = program(&host);
            (host, program)
        });
        Ok(each.collect())
    }

    async fn orders(&self, job: &Job) -> Result<Orders, String> {
        let runner = self.parameters(&job.action.runner_type);
        let own = process::own_parameters(job, &runner);
        let text = |name: &str| job.parameters.get(name).and_then(Value::as_str);
        let mut variables = process::declared(job)?;
        variables.insert("IFSO_EXECUTION_ID".to_owned(), job.execution.to_string());
        variables.insert("IFSO_ATTEMPT".to_owned(), job.attempt.to_string());
        let (body, reader, arguments) = if let Some(file) = &job.action.entry_point {
            let script = script(file).await?;
            let reader = Reader::of(&script);
            (script, reader, shell::arguments(job, &own))
        } else {
            let line = shell::line(job, &own)?;
            variables.extend(shell::variables(&own, &line).map_err(|_| {
                "a parameter that the command line names is too big for a variable, or holds a NUL byte"
            })?);
            let theirs = job.action.runner_type == "remote-shell-cmd";
            let reader =
                if theirs { Reader::Bash } else { Reader::Shell(vec!["/bin/sh".to_owned()]) };
            (line, reader, Vec::new())
        };
        let password = text("sudo_password").filter(|password| !password.is_empty());
        let sudo = match (job.parameters.get("sudo"), password) {
            (Some(Value::Bool(true)), Some(password)) => Sudo::Password(password.to_owned()),
            (Some(Value::Bool(true)), None) => Sudo::Silent,
            _ => Sudo::No,
        };
        let folder = text("cwd").filter(|folder| !folder.is_empty()).map(str::to_owned);
        let name = job.action.reference.name().to_owned();
        Ok(Orders { body, reader, name, arguments, variables, folder, sudo })
    }

    fn remember(&self, job: &Job, count: u16) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.insert((job.execution, job.attempt), count);
    }

    fn forget(&self, execution: ExecutionId, attempt: u32) -> u16 {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.remove(&(execution, attempt)).unwrap_or(0)
    }

    /// Carries all of them to their ends, some at once.
    async fn all(
        &self,
        job: &Job,
        programs: Vec<(Host, Program)>,
        stop: &CancellationToken,
    ) -> Vec<Done> {
        let count = u16::try_from(programs.len()).expect("hosts are counted");
        self.remember(job, count);
        let named = count > 1;
        let each = programs.into_iter().zip(0..).map(|((host, program), part)| async move {
            let id = AttemptId::part(job.execution, job.attempt, part);
            let came = self.one(job, (id, program), stop, named.then_some(&host)).await;
            Done { host, came }
        });
        // In the hosts' own order, whoever ends first.
        stream::iter(each).buffered(at_once(job)).collect().await
    }

    /// Carries one to its end. On return, a host that surely never began has its first start now.
    async fn one(
        &self,
        job: &Job,
        (id, program): (AttemptId, Program),
        stop: &CancellationToken,
        named: Option<&Host>,
    ) -> Result<Finished, Outcome> {
        let (sender, mut pieces) = mpsc::channel(4);
        let carried = async {
            let mut job = Job { output: sender, brake: Brake::unused(), ..job.clone() };
            let came = self.tools.carry_out_as(id, &job, program.clone(), stop).await;
            match came {
                Err(outcome)
                    if outcome.ended == Ended::NeverBegan && job.begin == Begin::Return =>
                {
                    job.begin = Begin::Fresh;
                    self.tools.carry_out_as(id, &job, program, stop).await
                }
                came => came,
            }
        };
        let told = async {
            while let Some(piece) = pieces.recv().await {
                let text = match named {
                    Some(host) => labelled(&host.given, &piece.text),
                    None => piece.text,
                };
                job.say(piece.stream, text).await;
            }
        };
        tokio::join!(carried, told).0
    }
}

fn at_once(job: &Job) -> usize {
    match job.parameters.get("parallel") {
        Some(Value::Bool(false)) => 1,
        Some(Value::Number(number)) => {
            number.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(1).clamp(1, AT_ONCE)
        }
        _ => AT_ONCE,
    }
}

/// The hosts that are meant, each once.
fn hosts(job: &Job) -> Result<Vec<Host>, String> {
    let given = job.parameters.get("hosts").map(process::text).unwrap_or_default();
    let mut all: Vec<Host> = Vec::new();
    for host in given.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        let host = Host::parse(host).map_err(|why| format!("parameter `hosts`: {why}"))?;
        if !all.contains(&host) {
            all.push(host);
        }
    }
    if all.is_empty() {
        return Err("parameter `hosts` names no host; say where".to_owned());
    }
    if all.len() > HOSTS {
        return Err(format!("parameter `hosts` names {} hosts; {HOSTS} may be", all.len()));
    }
    Ok(all)
}

async fn script(file: &std::path::Path) -> Result<String, String> {
    let shown = file.display();
    let wrong = |error: std::io::Error| format!("script `{shown}` cannot be read: {error}");
    let size = tokio::fs::metadata(file).await.map_err(wrong)?.len();
    if size > SCRIPT_BYTES {
        return Err(format!("script `{shown}` is longer than {SCRIPT_BYTES} bytes"));
    }
    tokio::fs::read_to_string(file).await.map_err(wrong)
}

/// Each line with its host before it.
fn labelled(host: &str, text: &str) -> String {
    text.split_inclusive('\n').flat_map(|line| [host, ": ", line]).collect()
}

/// StackStorm's result: what each host gave, and failure where any failed. Its own of all time-outs:
/// only where every host took too long.
fn outcome(all: Vec<Done>, job: &Job) -> Outcome {
    let (mut result, mut why, mut ends) = (Map::new(), Vec::new(), Vec::new());
    let count = all.len();
    for Done { host, came } in all {
        let finished = match came {
            Ok(finished) => finished,
            // Nobody knows what became of it, or there was no room: so it is with the whole attempt.
            Err(outcome) if count == 1 || outcome.ended == Ended::Lost => return outcome,
            Err(outcome) => {
                let reason = outcome.reason.unwrap_or_default();
                let canceled = outcome.ended == Ended::So(End::Canceled);
                ends.push(if canceled { End::Canceled } else { End::Failed });
                result.insert(host.given.clone(), unreached(&reason));
                why.push(format!("`{}`: {reason}", host.given));
                continue;
            }
        };
        let (value, reason) = one_result(&finished, &host, job);
        ends.push(finished.end());
        result.insert(host.given.clone(), value);
        why.extend(reason.map(|reason| format!("`{}`: {reason}", host.given)));
    }
    let every = |end| ends.iter().all(|one| *one == end);
    let end = if every(End::Succeeded) {
        End::Succeeded
    } else if ends.contains(&End::Canceled) {
        End::Canceled
    } else if every(End::TimedOut) {
        End::TimedOut
    } else {
        End::Failed
    };
    let failed = why.len();
    let more =
        if failed > NAMED { format!("; and {} more", failed - NAMED) } else { String::new() };
    why.truncate(NAMED);
    let reason = match (end, count) {
        (End::Succeeded, _) => None,
        (_, 1) => why.pop(),
        _ => Some(format!("{failed} of {count} hosts failed: {}{more}", why.join("; "))),
    };
    Outcome { ended: Ended::So(end), result: Value::Object(result), reason }
}

fn unreached(reason: &str) -> Value {
    json!({
        "succeeded": false,
        "failed": true,
        "return_code": 255,
        "stdout": "",
        "stderr": "",
        "error": reason,
    })
}

fn one_result(finished: &Finished, host: &Host, job: &Job) -> (Value, Option<String>) {
    let succeeded = finished.end() == End::Succeeded;
    let mut result = json!({
        "succeeded": succeeded,
        "failed": !succeeded,
        "return_code": finished.code(),
        "stdout": shell::parsed(&finished.stdout),
        "stderr": shell::parsed(&finished.stderr),
    });
    // 255 is the client's own code, and may be the program's too: then the client has nothing to say.
    let log = finished.exit.answer.as_deref().filter(|_| finished.exit.code == 255);
    let trouble = log.filter(|log| !log.trim().is_empty()).map(|log| explained(log, host, job));
    let reason = trouble.clone().or_else(|| finished.reason(process::timeout(job)));
    if let Some(trouble) = trouble {
        result["error"] = Value::String(trouble);
    }
    (result, reason)
}

/// What the client could not do, with the next step.
fn explained(log: &str, host: &Host, job: &Job) -> String {
    let client = Client::of(job);
    let (file, port) = client.map_or((None, None), |client| (client.known_hosts, client.port));
    let file = file.unwrap_or_else(|| "~/.ssh/known_hosts".to_owned());
    let known_as = host.known_as(port);
    let lines = log.lines().map(str::trim).filter(|line| !line.is_empty());
    let said = lines.take(SAID).collect::<Vec<_>>().join("; ");
    if log.contains("HOST IDENTIFICATION HAS CHANGED") {
        let shown = log.lines().find(|line| line.starts_with("SHA256:")).unwrap_or_default();
        return format!(
            "its key is not the one that `{file}` has: it was set up anew, or somebody stands between. \
             Compare the fingerprint {shown} with the host's own (`ssh-keygen -lf` of its key there); \
             if it is right, `ssh-keygen -f {file} -R '{known_as}'` and add the new key"
        );
    }
    if log.contains("Host key verification failed") {
        let port = known_as.rsplit_once("]:").map_or("22", |(_, port)| port);
        let name = known_as.trim_start_matches('[').split("]:").next().unwrap_or_default();
        return format!(
            "its key is unknown. Add it: `ssh-keyscan -p {port} {name} >> {file}`, and compare the \
             fingerprint with the host's own; or say `host_key_checking: accept-new`"
        );
    }
    if log.contains("Permission denied") {
        return format!(
            "it does not let the login in: {said}. Give `private_key`, and put its public half into \
             `~/.ssh/authorized_keys` of the user there"
        );
    }
    said
}
