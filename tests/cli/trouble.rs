//! A home with mistakes: what `check` says, and what the log, `/readyz` and `/metrics` of a running one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::cli::{home, ifso, told};
use crate::parts::copy;

const PATIENCE: Duration = Duration::from_secs(20);

/// A served home whose log can be waited for.
struct Heard {
    child: Child,
    address: String,
    log: Receiver<String>,
}

impl Heard {
    fn start(home: &std::path::Path) -> Self {
        Self::start_with(home, &[])
    }

    fn start_with(home: &std::path::Path, variables: &[(&str, &str)]) -> Self {
        let arguments = ["serve", "--home", home.to_str().unwrap(), "--listen", "127.0.0.1:0"];
        let mut child = ifso(&arguments)
            .env("PATH", "/usr/bin:/bin")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, log) = channel();
        let errors = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            errors.lines().map_while(Result::ok).try_for_each(|line| said.send(line))
        });
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("ready http://").unwrap().to_owned();
        Self { child, address, log }
    }

    /// The next log line with all of these words in it.
    fn says(&self, words: &[&str]) -> String {
        let mut heard = Vec::new();
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
            heard.push(line);
        }
        panic!("{words:?} was never said: {heard:#?}")
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_mistake_while_running_is_told_by_the_log_and_by_those_who_are_asked() {
    let home = home();
    let bad = home.path().join("rules/bad.rhai");
    let heard = Heard::start(home.path());
    let ready = heard.get("/readyz");
    assert!(ready.contains("\"status\":\"ready\"") && ready.contains("\"problems\":0"), "{ready}");
    std::fs::write(&bad, "rule(\"bad\", #{ on: \"a.b\", then: |e| run(\"demo.gret\") });\n")
        .unwrap();
    heard.says(&[
        "ERROR",
        "rules/bad.rhai:1:41: there is no action `demo.gret`",
        "did you mean `demo.greet`?",
    ]);
    let ready = heard.get("/readyz");
    assert!(
        ready.starts_with("HTTP/1.0 200") && ready.contains("\"status\":\"degraded\""),
        "{ready}"
    );
    assert!(ready.contains("\"problems\":1") && ready.contains("ifso check"), "{ready}");
    assert!(heard.get("/metrics").contains("\nifso_catalog_problems 1\n"));
    std::fs::remove_file(&bad).unwrap();
    heard.says(&["INFO", "problems are gone", "gone=1", "left=0"]);
    assert!(heard.get("/metrics").contains("\nifso_catalog_problems 0\n"));
}

#[test]
fn readiness_says_in_words_how_each_part_does() {
    let home = home();
    let heard = Heard::start(home.path());
    let ready = heard.get("/readyz");
    for part in ["store", "disk", "sensors", "packs"] {
        assert!(ready.contains(&format!("\"{part}\":{{\"state\":\"ok\"}}")), "{part}: {ready}");
    }
    std::fs::create_dir_all(home.path().join("sensors")).unwrap();
    let gone = crate::parts::program::free_port();
    let sensor = format!("kind: prometheus\nurl: http://127.0.0.1:{gone}\nquery: up\nevery: 1s\n");
    std::fs::write(home.path().join("sensors/gone.yaml"), sensor).unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let ready = heard.get("/readyz");
        if ready.contains("1 do not listen") {
            assert!(
                ready.contains("\"status\":\"degraded\"") && ready.contains("ifso sensor list")
            );
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{ready}");
        std::thread::yield_now();
    }
}

#[test]
fn log_lines_for_machines_are_whole_and_hold_no_keys() {
    let home = home();
    let variables = [("IFSO_LOG_FORMAT", "json"), ("IFSO_LOG", "debug")];
    let heard = Heard::start_with(home.path(), &variables);
    let key = std::fs::read_to_string(home.path().join("data/admin.key")).unwrap();
    let asked = ["run", "demo.greet", "--json"];
    let url = format!("http://{}", heard.address);
    let output = ifso(&asked).env("IFSO_KEY", key.trim()).env("IFSO_URL", url).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    std::fs::write(home.path().join("rules/bad.rhai"), "rule(\n").unwrap();
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.contains("rules/bad.rhai")) {
        lines.push(heard.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{lines:#?}")));
    }
    let secret = key.trim().split_once('.').map_or(key.trim(), |(_, secret)| secret);
    for line in &lines {
        let read: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "target", "message"] {
            assert!(read[field].is_string(), "{field}: {line}");
        }
        assert!(!line.contains(secret), "{line}");
    }
}

#[test]
fn check_refuses_settings_that_a_start_refuses() {
    for text in ["log = \"chatty\"", "listen = \"localhost\"", "[executions]\nconcurrency = 0"] {
        let home = home();
        std::fs::write(home.path().join("ifso.toml"), text).unwrap();
        let path = home.path().to_str().unwrap();
        let [checked, served] =
            ["check", "serve"].map(|verb| told(&ifso(&[verb, "--home", path]).output().unwrap()));
        assert_eq!(checked, served);
        assert!(checked.starts_with("exit 2") && checked.contains("ifso.toml:"), "{checked}");
    }
}

#[test]
fn check_knows_the_built_in_packs_and_looks_at_what_sensors_need() {
    let home = home();
    let write = |file: &str, text: &str| {
        std::fs::create_dir_all(home.path().join(file).parent().unwrap()).unwrap();
        std::fs::write(home.path().join(file), text).unwrap();
    };
    write("rules/noop.rhai", "rule(\"noop\", #{ on: \"a.b\", then: |e| run(\"core.noop\") });\n");
    write("sensors/plain.sh", "#!/bin/sh\n");
    write("sensors/p1.yaml", "kind: process\ncommand: [nowhere-to-be-found]\ntrigger: a.b\n");
    write("sensors/p2.yaml", "kind: process\ncommand: [sensors/plain.sh]\ntrigger: a.b\n");
    write("sensors/p3.yaml", "kind: process\ncommand: [sh, -c, echo]\ntrigger: a.b\n");
    write(
        "sensors/w1.yaml",
        "kind: webhook\nname: in\nauth: bearer\nsecrets: [{file: secrets/in}]\n",
    );
    write("sensors/w2.yaml", "kind: webhook\nname: in\n");
    write("sensors/w3.yaml", "kind: alertmanager\nname: in3\n");
    write("sensors/w4.yaml", "kind: alertmanager\nname: in4\n");
    let output = ifso(&["check", "--home", home.path().to_str().unwrap()]).output().unwrap();
    let said = told(&output).replace(home.path().to_str().unwrap(), "HOME");
    insta::assert_snapshot!("check_sensors", said);
}

#[test]
fn check_finds_what_is_missing_between_settings_of_the_shipped_packs() {
    let home = home();
    let packs = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packs"));
    for pack in ["notify", "objects", "storage"] {
        copy(&packs.join(pack), &home.path().join("packs").join(pack));
    }
    std::fs::create_dir(home.path().join("configs")).unwrap();
    let write = |file: &str, text: &str| std::fs::write(home.path().join(file), text).unwrap();
    write(
        "configs/objects.yaml",
        "stores:\n  old: {kind: folder}\n  new: {kind: s3, secret_key: hunter22}\n  \
         odd: {kind: s3, endpoint: 'http://s3', secret_key: [hunter22]}\n",
    );
    write(
        "configs/storage.yaml",
        "pools:\n  gold: {kind: hotpot}\n  tin: {kind: qcow2, path: srv/tin}\nevery: 5 secs\n",
    );
    write(
        "configs/notify.yaml",
        "channels:\n  ops: {action: notify.email, with: {to: [ops@example.org]}}\n  \
         chat: {action: notify.slack}\n  night: {action: notify.pagerduty}\n\
         routes: [{channels: [ops]}]\n",
    );
    write(
        "rules/alarm.rhai",
        "import \"storage/autoscale\" as s;\n\
         rule(\"alarm\", #{ on: \"a.b\", then: |e| notify(\"opps\", \"it rains\") });\n\
         s::autoscale(#{ name: \"gold\", out: 80 });\n",
    );
    let output = ifso(&["check", "--home", home.path().to_str().unwrap()]).output().unwrap();
    let said = told(&output);
    insta::assert_snapshot!("check_settings", said);
}
