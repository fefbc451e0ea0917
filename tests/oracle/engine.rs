//! The program under test, as a process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

use super::http::{Fate, Request};

use crate::parts::copy;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ifso");

/// A home, a data folder and an address: what stays when the process goes.
pub(crate) struct Site {
    /// The home.
    pub(crate) home: PathBuf,
    /// The data folder.
    pub(crate) data: PathBuf,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Site {
    /// A copy of the oracle's home in `folder`, with a free port.
    pub(crate) fn new(folder: &Path) -> Self {
        let home = folder.join("home");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/home"), &home);
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { home, data: folder.join("data"), address: free }
    }

    /// Starts the program.
    pub(crate) fn start(&self) -> Engine {
        self.spawn(Command::new(PROGRAM), false)
    }

    /// Starts it under strace, which makes one of its system calls fail or be its last.
    pub(crate) fn start_with(&self, call: &str, fault: &str) -> Engine {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"]);
        strace.arg(format!("inject={call}:{fault}")).arg(PROGRAM);
        self.spawn(strace, true)
    }

    fn spawn(&self, mut command: Command, traced: bool) -> Engine {
        let path = self.home.join("../engine.log");
        let log = File::options().create(true).append(true).open(&path).unwrap();
        command.arg("serve").arg("--home").arg(&self.home).arg("--data").arg(&self.data);
        command.args(["--listen", &self.address.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Engine { child, lines, log: path, address: self.address, traced }
    }

    /// Takes the schedule away, so that nothing new comes by itself.
    pub(crate) fn end_schedule(&self) {
        fs::remove_file(self.home.join("sensors/tick.yaml")).unwrap();
    }

    /// The key of the first start.
    pub(crate) fn key(&self) -> String {
        let path = self.data.join("admin.key");
        let text = fs::read_to_string(&path);
        text.unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    }

    /// A call with the key; anything but success fails the test.
    pub(crate) fn get(&self, path: &str) -> Value {
        let bearer = format!("Bearer {}", self.key());
        let headers = &[("Authorization", bearer.as_str())];
        match (Request { method: "GET", path, headers, body: "" }).send(self.address) {
            Fate::Answered(answer) if answer.is_success() => answer.json(),
            Fate::Answered(answer) => panic!("GET {path}: {} {}", answer.status, answer.body),
            Fate::NotSent | Fate::Unknown => panic!("GET {path}: no answer"),
        }
    }
}

/// Sends a signal; says whether there was somebody to take it.
fn send(pid: Pid, signal: Signal) -> bool {
    kill_process(pid, signal).is_ok()
}

/// A running process.
pub(crate) struct Engine {
    child: Child,
    lines: Receiver<String>,
    log: PathBuf,
    address: SocketAddr,
    traced: bool,
}

impl Engine {
    /// Waits for the line `ready …`, at most `patience`. Says whether it came.
    pub(crate) fn ready_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with("ready ") => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// As `ready_within`, and shows the log where it did not come.
    pub(crate) fn must_be_ready(&self, patience: Duration, story: &str) {
        if !self.ready_within(patience) {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(30).collect();
            let end: Vec<&str> = end.into_iter().rev().collect();
            panic!("{story}: not ready within {patience:?}; its log ends:\n{}", end.join("\n"));
        }
    }

    /// `kill -9`, of this process alone. Fails where it had ended by itself.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let end = log.lines().last().unwrap_or_default();
        assert_eq!(status.signal(), Some(9), "it ended by itself, with {status}: {end}");
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// `kill -9`, where it still runs; under strace the program, not strace.
    pub(crate) fn end(mut self) {
        let id = self.child.id();
        let children = format!("/proc/{id}/task/{id}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let traced = children.split_whitespace().next().filter(|_| self.traced);
        let program = traced.and_then(|word| word.parse().ok()).map(Pid::from_raw);
        // Either may end by itself meanwhile; waiting tells. strace would wait for the supervisor too,
        // with signals blocked: when it is killed, the kernel lets go of what it traced.
        if let Some(program) = program.flatten() {
            send(program, Signal::KILL);
        }
        drop(self.child.kill());
        self.child.wait().unwrap();
        // Its threads end one by one; the address is free when the last has.
        while TcpListener::bind(self.address).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM; gives the exit code where it ends within `patience`.
    pub(crate) fn stop(mut self, patience: Duration) -> Option<i32> {
        assert!(send(Pid::from_child(&self.child), Signal::TERM), "it had ended");
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).unwrap();
        let patience = Timespec::try_from(patience).unwrap();
        let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience)).unwrap();
        if ended == 0 {
            self.child.kill().unwrap();
        }
        let status = self.child.wait().unwrap();
        status.code().filter(|_| ended > 0)
    }
}

/// A test that fails leaves no engine behind.
impl Drop for Engine {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
