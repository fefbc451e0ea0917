//! The program that is measured, and a connection to it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PACK: &str = "name: bench\ndescription: What is measured\nversion: 1.0.0\n";
const STAMP: &str = "name: stamp\ndescription: Writes the time\nrunner_type: local-shell-script\n\
                     entry_point: stamp.sh\nparameters:\n  uid: {type: string, required: true, position: 0}\n";
const STAMP_SH: &str = "#!/bin/sh\nexec date +%s.%N >\"${0%/*}/../stamps/$1\"\n";
const TRUE: &str = "name: \"true\"\ndescription: Does nothing, in a process\nrunner_type: shell\n\
                    parameters:\n  cmd: {immutable: true, default: exec /bin/true}\n";
const NOTHING: &str = "name: nothing\ndescription: Does nothing\nrunner_type: noop\n";
const RULES: &str = "\
rule(\"stamp\", #{ on: \"bench.stamp\", then: |e| run(\"bench.stamp\", #{ uid: e.uid }) });
rule(\"true\", #{ on: \"bench.true\", then: |e| run(\"bench.true\", #{}) });
rule(\"many\", #{ on: \"bench.many\", then: |e| {
    let all = [];
    for n in 0..100 { all.push(run(\"bench.nothing\", #{})); }
    all
} });
";

/// A home in a folder of its own, and an address.
pub(crate) struct Program {
    /// The home.
    pub(crate) home: PathBuf,
    address: SocketAddr,
}

impl Program {
    /// A fresh home in `folder`.
    pub(crate) fn new(folder: &Path) -> Self {
        let home = folder.to_owned();
        for inside in ["rules", "packs/bench/actions", "packs/bench/stamps"] {
            fs::create_dir_all(home.join(inside)).unwrap();
        }
        let pack = home.join("packs/bench");
        for (file, text) in [
            ("pack.yaml", PACK),
            ("actions/stamp.yaml", STAMP),
            ("actions/stamp.sh", STAMP_SH),
            ("actions/true.yaml", TRUE),
            ("actions/nothing.yaml", NOTHING),
        ] {
            fs::write(pack.join(file), text).unwrap();
        }
        fs::set_permissions(pack.join("actions/stamp.sh"), fs::Permissions::from_mode(0o755))
            .unwrap();
        fs::write(home.join("rules/bench.rhai"), RULES).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { home, address }
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&self) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ifso"))
            .args(["serve", "--listen", &self.address.to_string(), "--home"])
            .arg(&self.home)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while !lines.next().expect("it starts").unwrap().starts_with("ready ") {}
        std::thread::spawn(move || lines.for_each(drop));
        let key = fs::read_to_string(self.home.join("data/admin.key")).unwrap().trim().to_owned();
        Running { child, address: self.address, key }
    }

    /// Size of the store's file.
    pub(crate) fn store_bytes(&self) -> f64 {
        let bytes = fs::metadata(self.home.join("data/store.redb")).unwrap().len();
        f64::from(u32::try_from(bytes / 1_000_000).unwrap()) * 1e6
    }

    /// Waits for the script of `uid` and gives the time that it wrote, in milliseconds.
    pub(crate) fn stamp(&self, uid: &str) -> f64 {
        let path = self.home.join("packs/bench/stamps").join(uid);
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if let Some(seconds) = text.strip_suffix('\n') {
                return seconds.parse::<f64>().unwrap() * 1e3;
            }
            assert!(Instant::now() < patience, "{uid} never ran");
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// It runs.
pub(crate) struct Running {
    child: Child,
    address: SocketAddr,
    key: String,
}

impl Running {
    /// A connection that stays open.
    pub(crate) fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { reader: BufReader::new(stream), key: self.key.clone() }
    }

    /// Resident memory in MB.
    pub(crate) fn resident_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Waits until so many executions have succeeded, asking what costs the program next to nothing.
    pub(crate) fn wait_for_succeeded(connection: &mut Connection, wanted: usize) {
        let patience = Instant::now() + Duration::from_mins(2);
        let ended = "ifso_executions_ended_total{status=\"succeeded\"}";
        while connection.metric(ended) < crate::figure::count(wanted) {
            assert!(Instant::now() < patience, "{wanted} executions have not succeeded");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

/// An HTTP/1.1 connection that is kept.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    key: String,
}

impl Connection {
    /// Reports one event; returns when it is durable.
    pub(crate) fn post_event(&mut self, event: &Value) {
        self.call("POST", "/api/v1/events", "application/cloudevents+json", &event.to_string());
    }

    /// Reports many events in one request.
    pub(crate) fn post_events(&mut self, events: &[Value]) {
        let body = serde_json::to_string(events).unwrap();
        self.call("POST", "/api/v1/events", "application/cloudevents-batch+json", &body);
    }

    /// Reads one series of `/metrics`; 0 where it is not there yet.
    pub(crate) fn metric(&mut self, series: &str) -> f64 {
        let text = self.call("GET", "/metrics", "text/plain", "");
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    fn call(&mut self, method: &str, path: &str, content: &str, body: &str) -> String {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\
             Content-Type: {content}\r\nContent-Length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        );
        self.reader.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut head, mut length) = (String::new(), None);
        loop {
            let start = head.len();
            self.reader.read_line(&mut head).unwrap();
            let line = head[start..].trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = Some(value.parse::<usize>().unwrap());
            }
            if line.is_empty() {
                break;
            }
        }
        let length = length.unwrap_or_else(|| panic!("an answer without a length: {head}"));
        let mut answer = vec![0; length];
        self.reader.read_exact(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {head}{answer}");
        answer
    }
}
