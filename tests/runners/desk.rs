//! A desk at which attempts are made: a data folder, a supervisor, and a builder for jobs.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ifso::clock::{self, Ids};
use ifso::model::action::Action;
use ifso::model::execution::End;
use ifso::model::id::ExecutionId;
use ifso::model::parameter::{Parameter, Parameters};
use ifso::model::policy::Delivery;
use ifso::runners::supervisor::{Settings, Supervisor};
use ifso::runners::{Begin, Brake, Ended, Job, Outcome, Piece, Runners, Stream, Tools};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A data folder with its own supervisor, which is ended with the desk.
pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) runners: Runners,
    pub(crate) tools: Tools,
    pub(crate) ids: Ids,
    cluster: OnceCell<MockCluster<'static, DefaultProducerContext>>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Tools)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut tools = Tools::new(Self::supervisor(folder.path()));
        tools.grace = Duration::from_millis(500);
        change(&mut tools);
        let runners = Runners::new(&tools);
        Self { folder, runners, tools, ids: Ids::new(clock::system()), cluster: OnceCell::new() }
    }

    fn supervisor(data: &Path) -> Supervisor {
        let program = env!("CARGO_BIN_EXE_ifso").into();
        Supervisor::new(Settings { program, folder: data.join("supervisor") })
    }

    /// The same data folder as a new engine sees it.
    pub(crate) fn reopened(&self) -> Runners {
        let supervisor = Self::supervisor(self.folder.path());
        Runners::new(&Tools { supervisor, ..self.tools.clone() })
    }

    /// A mock cluster that lives as long as the desk.
    pub(crate) fn brokers(&self) -> String {
        let cluster = self.cluster.get_or_init(|| MockCluster::new(1).unwrap());
        cluster.bootstrap_servers()
    }

    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// A script of the pack that this desk has.
    pub(crate) fn script(&self, name: &str, text: &str) -> std::path::PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let file = self.folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    /// An attempt by `runner`.
    pub(crate) fn attempt(&self, runner: &str) -> Attempt {
        Attempt {
            runners: self.runners.clone(),
            data: self.folder.path().to_owned(),
            execution: self.ids.execution(),
            number: 1,
            runner: runner.to_owned(),
            entry_point: None,
            parameters: Map::new(),
            described: Parameters::new(),
            config: Value::Null,
            environment: BTreeMap::new(),
            timeout: Duration::from_mins(1),
            begin: Begin::Fresh,
            brake: Brake::unused(),
        }
    }

    /// An attempt of a command line.
    pub(crate) fn cmd(&self, line: &str) -> Attempt {
        self.attempt("local-shell-cmd").given("cmd", line)
    }

    /// The supervisor's process.
    pub(crate) fn supervisor_pid(&self) -> Option<i32> {
        let folder = self.folder.path().canonicalize().unwrap().join("supervisor");
        let folder = folder.to_str().unwrap();
        processes().into_iter().find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let parts: Vec<_> = line.split(|byte| *byte == 0).collect();
            parts.get(1) == Some(&&b"supervise"[..]) && parts.get(2) == Some(&folder.as_bytes())
        })
    }

    pub(crate) fn kill_supervisor(&self) -> i32 {
        let pid = self.supervisor_pid().expect("a supervisor runs");
        kill(pid);
        until("the supervisor is dead", || !is_alive(pid));
        pid
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(pid) = self.supervisor_pid() {
            kill(pid);
        }
    }
}

/// An attempt to make.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) runners: Runners,
    data: std::path::PathBuf,
    pub(crate) execution: ExecutionId,
    pub(crate) number: u32,
    pub(crate) runner: String,
    entry_point: Option<std::path::PathBuf>,
    parameters: Map<String, Value>,
    described: Parameters,
    config: Value,
    environment: BTreeMap<String, String>,
    timeout: Duration,
    begin: Begin,
    pub(crate) brake: Brake,
}

/// What came of it.
pub(crate) struct Came {
    pub(crate) outcome: Outcome,
    pub(crate) pieces: Vec<Piece>,
}

impl Came {
    pub(crate) fn end(&self) -> End {
        match self.outcome.ended {
            Ended::So(end) => end,
            Ended::Hopeless => End::Failed,
            other => panic!("{other:?}: {:?}", self.outcome),
        }
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Value {
        assert_eq!(self.outcome.ended, Ended::So(End::Succeeded), "{:?}", self.outcome);
        self.outcome.result
    }

    pub(crate) fn reason(&self) -> &str {
        self.outcome.reason.as_deref().unwrap_or_default()
    }

    pub(crate) fn said(&self, stream: Stream) -> String {
        let pieces = self.pieces.iter().filter(|piece| piece.stream == stream);
        pieces.map(|piece| piece.text.as_str()).collect()
    }
}

impl Attempt {
    pub(crate) fn given(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn parameter(mut self, name: &str, parameter: Parameter) -> Self {
        self.described.push((name.to_owned(), parameter));
        self
    }

    pub(crate) fn at(mut self, entry_point: std::path::PathBuf) -> Self {
        self.entry_point = Some(entry_point);
        self
    }

    pub(crate) fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn begin(mut self, begin: Begin) -> Self {
        self.begin = begin;
        self
    }

    /// The same for an execution of its own.
    pub(crate) fn anew(&self, desk: &Desk) -> Self {
        let mut other = self.clone();
        other.execution = desk.ids.execution();
        other
    }

    /// The same attempt, asked for again by a new engine.
    pub(crate) fn returned(mut self, desk: &Desk) -> Self {
        self.begin = Begin::Return;
        self.runners = desk.reopened();
        self
    }

    pub(crate) fn action(&self) -> Action {
        Action {
            reference: "tests.action".parse().unwrap(),
            description: String::new(),
            enabled: true,
            runner: self.runner.clone(),
            runner_type: self.runner.clone(),
            entry_point: self.entry_point.clone(),
            folder: self.data.join("packs/tests"),
            parameters: self.described.clone(),
            output_schema: Arc::new(Value::Null),
            delivery: Delivery::default(),
            timeout: None,
            retry: None,
            pause: ifso::model::action::Pause::Never,
            tags: Vec::new(),
            notify: Value::Null,
            version: "1".into(),
            workflow: None,
            file: "packs/tests/actions/action.yaml".into(),
        }
    }

    pub(crate) fn job(&self, output: mpsc::Sender<Piece>) -> Job {
        Job {
            execution: self.execution,
            attempt: self.number,
            action: Arc::new(self.action()),
            parameters: self.parameters.clone(),
            config: Arc::new(self.config.clone()),
            environment: self.environment.clone(),
            data: self.data.clone(),
            timeout: self.timeout,
            begin: self.begin,
            output,
            brake: self.brake.clone(),
        }
    }

    /// Makes it.
    pub(crate) async fn run(self) -> Came {
        self.run_until(CancellationToken::new()).await
    }

    /// Makes it, and stops it when `stop` says so.
    pub(crate) async fn run_until(self, stop: CancellationToken) -> Came {
        self.watched(stop, |_| {}).await
    }

    /// Makes it, and shows each piece as it comes.
    pub(crate) async fn watched(
        self,
        stop: CancellationToken,
        mut see: impl FnMut(&Piece),
    ) -> Came {
        let (sender, mut receiver) = mpsc::channel(4);
        let runner = self.runners.find(&self.runner).expect("the runner exists").clone();
        let job = self.job(sender);
        let running = runner.run(job, stop);
        tokio::pin!(running);
        let mut pieces = Vec::new();
        let outcome = loop {
            tokio::select! {
                Some(piece) = receiver.recv() => {
                    see(&piece);
                    pieces.push(piece);
                }
                outcome = &mut running => break outcome,
            }
        };
        while let Ok(piece) = receiver.try_recv() {
            pieces.push(piece);
        }
        Came { outcome, pieces }
    }
}

pub(crate) fn processes() -> Vec<i32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Processes other than zombies whose command line holds `mark`.
pub(crate) fn alive_with(mark: &str) -> Vec<i32> {
    let holds = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(mark)
    };
    processes().into_iter().filter(holds).filter(|pid| is_alive(*pid)).collect()
}

pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

/// Whether a process is stopped, or will be before it comes out of the kernel.
pub(crate) fn stands(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 'D']))
}

pub(crate) fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    drop(
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)
            .map_err(|e| e.to_string()),
    );
}

/// Waits for `true`, at most ten seconds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "not within 10 s: {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
