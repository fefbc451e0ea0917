//! `process`: a program in any language that prints one JSON object per line. What it prints becomes
//! events, its stderr becomes log lines, and it is started again, after a pause, whenever it ends.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use crate::intake::Submission;
use crate::model::event::Report;
use crate::model::problem::Problem;
use crate::model::reference::Reference;
use crate::model::sensor::Definition;
use crate::model::time::Time;
use crate::sensors::{Context, Error, Kind, Sensor, settings, wrong};

/// See the module.
pub(super) struct Process;

const EXAMPLE: &str = "\
kind: process
command: [sensors/watch.py, --pool, gold]  # found in the pack's folder, its sensors/, or the system
trigger: storage.pool                      # of lines that name none
environment: { LOG_LEVEL: info }           # beside PATH, HOME, LANG, IFSO_SENSOR and IFSO_PACK
# Its standard input is one line: the configuration of its pack, as JSON.
# Each line is the event's data, or { \"trigger\": …, \"data\": …, \"id\": …, \"subject\": …, \"time\": … };
# lines with the same id are one event, for 24 hours.
";

/// The longest line that is read, in bytes.
const LINE_LIMIT: usize = 1024 * 1024;
/// The longest piece of stderr in one log line, in bytes.
const LOG_LIMIT: usize = 8 * 1024;
/// Lines that are handed over in one go at most.
const BATCH_LIMIT: usize = 1000;
/// How long the program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_millis(500);
/// Where programs are looked for: Ifso's own environment is not theirs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    command: Vec<String>,
    #[serde(default)]
    trigger: Option<Reference>,
    #[serde(default, alias = "env")]
    environment: BTreeMap<String, String>,
}

struct Program {
    definition: Arc<Definition>,
    settings: Settings,
}

impl Kind for Process {
    fn name(&self) -> &'static str {
        "process"
    }

    fn about(&self) -> &'static str {
        "reports what a program prints, one JSON object per line"
    }

    fn example(&self) -> &'static str {
        EXAMPLE
    }

    fn build(&self, definition: &Arc<Definition>) -> Result<Box<dyn Sensor>, Vec<Problem>> {
        let settings: Settings = settings(definition)?;
        if settings.command.first().is_none_or(String::is_empty) {
            let problem = wrong(definition, "command", "it names no program");
            return Err(vec![problem.help("write the program and its arguments as a list")]);
        }
        Ok(Box::new(Program { definition: Arc::clone(definition), settings }))
    }

    fn doubts(&self, definition: &Arc<Definition>) -> Vec<Problem> {
        let Ok(settings) = settings(definition) else { return Vec::new() };
        let program = Program { definition: Arc::clone(definition), settings };
        program.doubt().into_iter().collect()
    }
}

#[async_trait]
impl Sensor for Program {
    async fn run(&self, context: Context, stop: CancellationToken) -> Result<(), Error> {
        let (mut child, (stdin, stdout, stderr)) = self.start()?;
        let group = Group::of(&child);
        context.health.running();
        let mut lines = std::pin::pin!(self.read(&context, stdout));
        let mut log = std::pin::pin!(self.log(stderr));
        let mut telling = std::pin::pin!(configure(stdin, &context.config));
        let (mut told, mut silent) = (false, false);
        let read = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(()),
                read = &mut lines => break read,
                () = &mut log, if !silent => silent = true,
                () = &mut telling, if !told => told = true,
            }
        };
        // It is to end, its output is closed, or its events cannot be taken in.
        group.end(&mut child).await;
        if !silent {
            // Its last words; whatever else holds its stderr open is not waited for.
            drop(tokio::time::timeout(GRACE, log).await);
        }
        if stop.is_cancelled() {
            return Ok(());
        }
        read?;
        let ended = child.wait().await.map_or_else(|error| error.to_string(), |s| s.to_string());
        Err(Error::Source { what: format!("`{}` ended: {ended}", self.settings.command[0]) })
    }
}

impl Program {
    fn start(&self) -> Result<(Child, (ChildStdin, ChildStdout, ChildStderr)), Error> {
        let program = self.program();
        let failed = |what: String| Error::Source { what };
        let mut child = Command::new(&program)
            .args(&self.settings.command[1..])
            .current_dir(&self.definition.folder)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", &self.definition.folder)
            .env("LANG", "C.UTF-8")
            .env("IFSO_SENSOR", self.definition.reference.as_str())
            .env("IFSO_PACK", self.definition.reference.pack())
            .envs(&self.settings.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                failed(format!("`{}` cannot be started: {error}", program.display()))
            })?;
        match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(stdin), Some(stdout), Some(stderr)) => Ok((child, (stdin, stdout, stderr))),
            _ => Err(failed(format!("`{}` has no input or output", program.display()))),
        }
    }

    /// What keeps the program from being started as things stand.
    fn doubt(&self) -> Option<Problem> {
        let program = self.program();
        let startable = |path: &Path| path.metadata().map(|m| m.permissions().mode() & 0o111 != 0);
        let found = if program.components().count() > 1 {
            startable(&program).ok()
        } else {
            PATH.split(':').find_map(|folder| startable(&Path::new(folder).join(&program)).ok())
        };
        let (shown, file) = (&self.settings.command[0], program.display());
        let (message, help) = match found {
            Some(true) => return None,
            Some(false) => (
                format!("`command`: `{shown}` may not be executed"),
                format!("make it executable: chmod +x {file}"),
            ),
            None => (
                format!("`command`: there is no program `{shown}`"),
                "put it into the pack's folder or its `sensors/`, or write its whole path".into(),
            ),
        };
        let place = self.definition.place.clone();
        Some(Problem::warning("no_program", place, message).help(help))
    }

    /// The program in the pack's folder, in its `sensors/`, or as the system finds it.
    fn program(&self) -> PathBuf {
        let name = &self.settings.command[0];
        let folder = &self.definition.folder;
        [folder.join(name), folder.join("sensors").join(name)]
            .into_iter()
            .find(|path| path.is_file())
            .unwrap_or_else(|| name.into())
    }

    /// Reads lines until there are no more. A full intake stops the reading, and so the program.
    async fn read(&self, context: &Context, stdout: ChildStdout) -> Result<(), Error> {
        let mut reader = BufReader::with_capacity(64 * 1024, stdout);
        while let Some(first) = line(&mut reader, LINE_LIMIT).await {
            let mut lines = vec![first];
            while lines.len() < BATCH_LIMIT && reader.buffer().contains(&b'\n') {
                lines.extend(line(&mut reader, LINE_LIMIT).await);
            }
            let mut submission = Submission::default();
            for line in lines {
                self.take(context, &line, &mut submission);
            }
            if !submission.reports.is_empty() || !submission.dead_letters.is_empty() {
                context.report(submission).await?;
            }
        }
        Ok(())
    }

    fn take(&self, context: &Context, line: &Line, submission: &mut Submission) {
        if line.bytes.trim_ascii().is_empty() {
            return;
        }
        let sensor = self.definition.reference.as_str();
        let read = if line.whole {
            report(&line.bytes, sensor, self.settings.trigger.as_ref())
        } else {
            Err(format!("the line is longer than {LINE_LIMIT} bytes"))
        };
        match read {
            Ok(report) => submission.reports.push(report),
            Err(reason) => {
                let letter = context.dead_letter(sensor, "stdout", reason, &line.bytes);
                submission.dead_letters.push(letter);
            }
        }
    }

    async fn log(&self, stderr: ChildStderr) {
        let sensor = &self.definition.reference;
        let mut reader = BufReader::new(stderr);
        while let Some(line) = line(&mut reader, LOG_LIMIT).await {
            let text = String::from_utf8_lossy(&line.bytes);
            tracing::info!(%sensor, stderr = text.trim_end(), "a sensor's program says");
        }
    }
}

/// Tells the program its pack's configuration, and nothing after that. Not in the environment: that is
/// shown to whoever may look at processes, and secrets may stand in it.
async fn configure(mut stdin: ChildStdin, config: &Value) {
    let config = if config.is_null() { "{}".to_owned() } else { config.to_string() };
    if let Err(error) = stdin.write_all(format!("{config}\n").as_bytes()).await {
        // It need not read it.
        tracing::debug!(%error, "a sensor's program does not read its configuration");
    }
}

/// What a line says: data, or an envelope around them.
fn report(line: &[u8], sensor: &str, default: Option<&Reference>) -> Result<Report, String> {
    let read: Value = serde_json::from_slice(line).map_err(|error| format!("no JSON: {error}"))?;
    let Value::Object(mut map) = read else {
        return Err("a line must be one JSON object".to_owned());
    };
    let text = |map: &serde_json::Map<String, Value>, key: &str| match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("`{key}` must be a text")),
    };
    if !(map.contains_key("trigger") && map.contains_key("data")) {
        let trigger =
            default.ok_or("the line names no `trigger`, and neither does the sensor's file")?;
        return Ok(Report::new(trigger.clone(), sensor, Value::Object(map)));
    }
    let trigger = text(&map, "trigger")?.ok_or("`trigger` is empty")?;
    let trigger: Reference = trigger.parse().map_err(|error| format!("`trigger`: {error}"))?;
    let time = text(&map, "time")?.map(|text| text.parse::<Time>()).transpose();
    let time = time.map_err(|error| format!("`time`: {error}"))?;
    let (subject, id) = (text(&map, "subject")?, text(&map, "id")?);
    let mut report = Report::new(trigger, sensor, map.remove("data").unwrap_or_default());
    report.time = time;
    report.subject = subject.map(Into::into);
    report.once = id.map(|id| format!("process/{sensor}/{id}"));
    Ok(report)
}

/// One line, cut where it is longer than its limit.
struct Line {
    bytes: Vec<u8>,
    whole: bool,
}

/// The next line without its end; nothing where there are no more. A last line without an end counts.
/// Reads past what is too long without keeping it.
async fn line<R: AsyncRead + Unpin>(reader: &mut BufReader<R>, limit: usize) -> Option<Line> {
    let mut line = Line { bytes: Vec::new(), whole: true };
    let mut begun = false;
    loop {
        let piece = reader.fill_buf().await.ok().filter(|piece| !piece.is_empty());
        let Some(piece) = piece else { return begun.then_some(line) };
        begun = true;
        let end = piece.iter().position(|byte| *byte == b'\n');
        let content = &piece[..end.unwrap_or(piece.len())];
        let room = limit - line.bytes.len();
        line.whole &= content.len() <= room;
        line.bytes.extend_from_slice(&content[..content.len().min(room)]);
        let used = end.map_or(piece.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Some(line);
        }
    }
}

/// The program and everything it started. Whoever drops it has ended them all.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // Mostly nobody is left to receive it, and that is what was wanted.
            if let Err(error) = kill_process_group(pid, signal) {
                tracing::debug!(%error, "a signal reached no process");
            }
        }
    }

    /// Asks, waits a little, and then does not ask.
    async fn end(mut self, child: &mut Child) {
        self.signal(Signal::TERM);
        drop(tokio::time::timeout(GRACE, child.wait()).await);
        self.signal(Signal::KILL);
        drop(child.wait().await);
        // The number may belong to somebody else from here on.
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
