//! The interpreter of a pack: its own virtual environment where it requires libraries, else the
//! machine's Python in a version that the pack wants. An environment is made once, and visibly.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crc_fast::{CrcAlgorithm, checksum};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::model::execution::End;
use crate::runners::{Ended, Job, Outcome, Stream, Tools};

/// How long one environment may take: some packages compile.
const MAKING: Duration = Duration::from_mins(15);

/// Lines of an installer that a failure shows.
const LAST_LINES: usize = 5;

/// An environment without this file is half made, and made anew.
const COMPLETE: &str = ".complete";

/// Makes environments, one at a time.
pub(super) struct Virtualenvs {
    tools: Tools,
    making: Arc<Mutex<()>>,
}

/// What `pack.yaml` says about Python; everything else in it is not our concern.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    python_versions: Vec<Version>,
}

/// YAML's `3` and `"3.9"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Version {
    Text(String),
    Number(f64),
}

impl Version {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

impl Virtualenvs {
    pub(super) fn new(tools: &Tools) -> Self {
        Self { tools: tools.clone(), making: Arc::default() }
    }

    /// The interpreter for an action of the job's pack; makes the pack's environment where it is missing.
    pub(super) async fn interpreter(
        &self,
        job: &Job,
        stop: &CancellationToken,
    ) -> Result<PathBuf, Outcome> {
        let path = self.tools.environment.get("PATH").map(String::as_str).unwrap_or_default();
        let python = python(&job.action.folder, path).map_err(Outcome::failed)?;
        let file = job.action.folder.join("requirements.txt");
        let required = match tokio::fs::read_to_string(&file).await {
            Ok(required) if required.lines().any(is_requirement) => required,
            Ok(_) => return Ok(python),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(python),
            Err(error) => {
                let file = file.display();
                return Err(Outcome::failed(format!("`{file}` cannot be read: {error}")));
            }
        };
        let name = digest(&[&required, &python.to_string_lossy()]);
        let name = format!("{}-{name}", job.action.reference.pack());
        let folder = job.data.join("virtualenvs").join(name);
        let ready = folder.join("bin/python");
        if folder.join(COMPLETE).exists() {
            return Ok(ready);
        }
        let making = Making { tools: &self.tools, job, python, folder };
        tokio::select! {
            () = stop.cancelled() => {
                Err(Outcome::ended(Ended::So(End::Canceled), "it was cancelled"))
            }
            made = async {
                let _one = self.making.lock().await;
                making.make(&file).await
            } => made.map(|()| ready).map_err(Outcome::failed),
        }
    }
}

/// Whether a line of `requirements.txt` asks for something.
fn is_requirement(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// The machine's interpreter: the first version that the pack wants and `PATH` has, else any.
fn python(pack: &Path, path: &str) -> Result<PathBuf, String> {
    let text = std::fs::read_to_string(pack.join("pack.yaml")).unwrap_or_default();
    // What is wrong with the file is for the packs' room to say.
    let wanted: Wanted = serde_saphyr::from_str(&text).unwrap_or_default();
    let versions = wanted.python_versions.iter().map(Version::text);
    let names = versions.map(|version| format!("python{version}")).chain(["python3".to_owned()]);
    let on_path = |name: &String| {
        path.split(':').map(|folder| Path::new(folder).join(name)).find(|file| file.is_file())
    };
    names.collect::<Vec<_>>().iter().find_map(on_path).ok_or_else(|| {
        format!("there is no `python3` on the PATH `{path}`; install Python 3 to run this action")
    })
}

/// A short name for some texts.
pub(super) fn digest(texts: &[&str]) -> String {
    format!("{:016x}", checksum(CrcAlgorithm::Crc64Nvme, texts.join("\0").as_bytes()))
}

/// One environment that is being made.
struct Making<'a> {
    tools: &'a Tools,
    job: &'a Job,
    python: PathBuf,
    folder: PathBuf,
}

impl Making<'_> {
    async fn make(&self, requirements: &Path) -> Result<(), String> {
        if self.folder.join(COMPLETE).exists() {
            return Ok(());
        }
        let pack = self.job.action.reference.pack();
        let say = format!("virtual environment of pack `{pack}`: is being made, this once\n");
        self.job.say(Stream::Stderr, say).await;
        tracing::info!(%pack, folder = %self.folder.display(), "A virtual environment is being made");
        let work = async {
            if self.folder.exists() {
                tokio::fs::remove_dir_all(&self.folder).await.map_err(|error| error.to_string())?;
            }
            let folder = self.folder.as_os_str();
            // The machine's own packages stay visible: packs leave out what StackStorm always had.
            let venv = ["-m", "venv", "--system-site-packages"].map(AsRef::as_ref);
            self.step(&self.python, &[&venv[..], &[folder]].concat()).await?;
            let pip = ["-m", "pip", "install", "--no-input", "--progress-bar", "off", "-r"];
            let pip: Vec<_> =
                pip.iter().map(AsRef::as_ref).chain([requirements.as_os_str()]).collect();
            self.step(&self.folder.join("bin/python"), &pip).await?;
            let complete = tokio::fs::write(self.folder.join(COMPLETE), "").await;
            complete.map_err(|error| error.to_string())
        };
        let made = timeout(MAKING, work).await;
        let made = made.unwrap_or_else(|_| Err(format!("it took longer than {MAKING:?}")));
        let end = if made.is_ok() { "is ready" } else { "could not be made" };
        let say = format!("virtual environment of pack `{pack}`: {end}\n");
        self.job.say(Stream::Stderr, say).await;
        made.map_err(|why| {
            let file = requirements.display();
            format!(
                "the virtual environment of pack `{pack}` could not be made from `{file}`: {why}"
            )
        })
    }

    /// Runs one step; its lines are shown as they come.
    async fn step(&self, program: &Path, arguments: &[&std::ffi::OsStr]) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("`{}`: {error}", program.display());
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(&self.tools.environment)
            .envs(&self.tools.installing)
            .current_dir(&self.job.data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (out, err) = tokio::join!(self.show(out), self.show(err));
        let status = child.wait().await.map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        Err(format!("{status}: {}", [out, err].concat().join(" / ")))
    }

    /// Shows the lines of one stream; gives back the last of them.
    async fn show(&self, stream: Option<impl AsyncRead + Unpin>) -> Vec<String> {
        let mut last = Vec::new();
        let Some(stream) = stream else { return last };
        let mut lines = BufReader::new(stream).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line = String::from_utf8_lossy(&line).into_owned();
            self.job.say(Stream::Stderr, format!("{line}\n")).await;
            if last.len() == LAST_LINES {
                last.remove(0);
            }
            last.push(line);
        }
        last
    }
}
