//! Without anybody to talk to: help, mistakes, and a home of one's own.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cli::{home, ifso, told};

/// A served home; ended with the test, by its own process id.
pub struct Served {
    child: Child,
    pub url: String,
}

impl Served {
    pub fn start(home: &std::path::Path) -> Self {
        let home = home.to_str().unwrap();
        let mut child = ifso(&["serve", "--home", home, "--listen", "127.0.0.1:0"])
            .env("PATH", "/usr/bin:/bin")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("ready ").map(str::to_owned);
        let Some(url) = url else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("not ready: {line}{said}");
        };
        Self { child, url }
    }

    /// SIGTERM, and how it ended.
    pub fn stop(mut self) -> std::process::ExitStatus {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not stop");
            std::thread::yield_now();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Already ended where the test went well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn mistakes_are_answered_with_the_next_step() {
    let cases: &[(&str, &[&str])] = &[
        ("unknown_verb", &["serv"]),
        ("unknown_noun_verb", &["rule", "lst"]),
        ("missing_argument", &["run"]),
        ("no_home", &["check", "--home", "/nonexistent/home"]),
        ("nobody_answers", &["rule", "list", "--url", "http://127.0.0.1:1"]),
        ("no_such_parameter_form", &["event", "send", "a.b", "x", "--url", "http://127.0.0.1:1"]),
    ];
    for (name, arguments) in cases {
        let output = ifso(arguments).output().unwrap();
        insta::assert_snapshot!(*name, told(&output));
    }
}

#[test]
fn every_verb_has_help() {
    let help = ifso(&["--help"]).output().unwrap();
    insta::assert_snapshot!("help", told(&help));
    for verb in [
        "serve",
        "check",
        "run",
        "event",
        "execution",
        "rule",
        "pack",
        "action",
        "workflow",
        "sensor",
        "trigger",
        "key",
        "deadletter",
        "token",
        "user",
        "backup",
        "restore",
        "doctor",
        "completions",
        "version",
    ] {
        let output = ifso(&[verb, "--help"]).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 100, "{verb}");
    }
}

#[test]
fn completions_name_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let output = ifso(&["completions", shell]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("deadletter"), "{shell}");
    }
}

#[test]
fn a_wrong_setting_stops_the_start_and_names_its_place() {
    let home = home();
    std::fs::write(home.path().join("ifso.toml"), "lisen = \"127.0.0.1:1\"\n").unwrap();
    let output = ifso(&["serve", "--home", home.path().to_str().unwrap()]).output().unwrap();
    insta::assert_snapshot!("wrong_setting", told(&output));
}

#[test]
fn an_address_that_others_reach_needs_consent() {
    let home = home();
    let path = home.path().to_str().unwrap();
    let output = ifso(&["serve", "--home", path, "--listen", "0.0.0.0:0"]).output().unwrap();
    insta::assert_snapshot!("exposed", told(&output));
}

#[test]
fn check_fails_on_errors_only() {
    let home = home();
    let path = home.path().to_str().unwrap();
    let good = ifso(&["check", "--home", path]).output().unwrap();
    assert_eq!(good.status.code(), Some(0), "{}", told(&good));
    std::fs::write(home.path().join("rules/bad.rhai"), "rule(\"x\", #{ on: 1 });\n").unwrap();
    let bad = ifso(&["check", "--home", path, "--json"]).output().unwrap();
    assert_eq!(bad.status.code(), Some(1), "{}", told(&bad));
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&bad.stdout).unwrap();
    assert!(rows.iter().any(|row| row["severity"] == "error" && row["line"] == 1), "{rows:?}");
}

#[test]
fn an_event_sent_by_hand_becomes_an_action_and_sigterm_ends_it_well() {
    let home = home();
    let path = home.path().to_str().unwrap();
    let served = Served::start(home.path());
    let key = home.path().join("data/admin.key");
    assert_eq!(mode(&key), 0o600);
    let there = std::fs::read_to_string(home.path().join("data/url")).unwrap();
    assert_eq!(there.trim(), served.url);

    let sent = ifso(&["event", "send", "demo.came", "who=ann", "--home", path]).output().unwrap();
    assert!(sent.status.success(), "{}", told(&sent));
    let tail =
        ifso(&["run", "demo.greet", "env={\"WHO\": \"bob\"}", "--home", path]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&tail.stdout), "hello bob\n", "{}", told(&tail));
    let listed = ifso(&["execution", "list", "--rule", "site.greet", "--json", "--home", path])
        .output()
        .unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(rows.len(), 1, "{}", told(&listed));

    let status = served.stop();
    assert_eq!(status.code(), Some(0));
    assert!(!home.path().join("data/url").exists());
    let gone = ifso(&["rule", "list", "--home", path]).output().unwrap();
    assert_eq!(gone.status.code(), Some(3), "{}", told(&gone));
}

/// What a command says of this home.
fn say(home: &std::path::Path, arguments: &[&str]) -> String {
    let arguments = [arguments, &["--home", home.to_str().unwrap()]].concat();
    let said = told(&ifso(&arguments).output().unwrap());
    said.replace(home.to_str().unwrap(), "HOME")
}

fn mode(path: &std::path::Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777
}

#[test]
fn whoever_has_the_data_folder_gets_a_key() {
    let home = home();
    let home = home.path();
    insta::assert_snapshot!("offline_no_store", say(home, &["token", "create", "--offline"]));
    let served = Served::start(home);
    let busy = say(home, &["token", "create", "--offline"]);
    assert!(busy.starts_with("exit 75") && busy.contains("in use by another process"), "{busy}");
    served.stop();
    let key = home.join("data/admin.key");
    std::fs::remove_file(&key).unwrap();
    insta::assert_snapshot!("offline", say(home, &["token", "create", "--offline"]));
    assert_eq!(mode(&key), 0o600);
    let served = Served::start(home);
    let list = say(home, &["token", "list"]);
    assert_eq!(list.matches("admin  admin").count(), 2, "{list}");
    served.stop();
}

#[test]
fn a_served_home_says_where_things_stand() {
    let home = home();
    let home = home.path();
    std::fs::create_dir(home.join("sensors")).unwrap();
    std::fs::write(home.join("sensors/hook.yaml"), "kind: webhook\nauth: none\n").unwrap();
    let served = Served::start(home);
    insta::assert_snapshot!("rule_disable", say(home, &["rule", "disable", "site.greet"]));
    let unknown = say(home, &["sensor", "show", "hok"]);
    assert!(unknown.contains("did you mean `site.hook`?"), "{unknown}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !say(home, &["sensor", "show", "site.hook"]).contains("/api/v1/webhooks/hook") {
        assert!(Instant::now() < deadline, "the webhook is not shown");
    }
    let sensors = say(home, &["sensor", "list"]);
    assert!(sensors.contains("/api/v1/webhooks/hook"), "{sensors}");
    let rules = say(home, &["rule", "list"]);
    assert!(rules.contains("ERRORS"), "{rules}");
    served.stop();
}

#[test]
fn a_backup_is_private_and_its_path_is_named_where_it_fails() {
    let home = home();
    let home = home.path();
    let served = Served::start(home);
    let backup = home.join("a.bak");
    let made = say(home, &["backup", backup.to_str().unwrap()]);
    let bytes = backup.metadata().unwrap().len();
    let bytes = u32::try_from(bytes).map(f64::from).unwrap();
    let size = format!("HOME/a.bak ({:.1} MiB)", bytes / 1_048_576.0);
    assert!(made.contains(&size), "{made} {bytes}");
    assert_eq!((mode(&backup), mode(&home.join("data/store.redb"))), (0o600, 0o600));
    insta::assert_snapshot!("backup_no_folder", say(home, &["backup", "/nonexistent/x.bak"]));
    insta::assert_snapshot!("backup_refused", say(home, &["backup", "/proc/x.bak"]));
    served.stop();
}

#[test]
fn looking_at_bad_stores_names_what_is_left_to_do() {
    let home = home();
    let home = home.path();
    insta::assert_snapshot!("doctor_no_store", say(home, &["doctor"]));
    let bad = home.join("bad.bak");
    std::fs::write(&bad, "this is no store").unwrap();
    insta::assert_snapshot!("restore_bad", say(home, &["restore", bad.to_str().unwrap()]));
    insta::assert_snapshot!("restore_nothing", say(home, &["restore", "/nonexistent.bak"]));
    std::fs::create_dir_all(home.join("data")).unwrap();
    std::fs::write(home.join("data/store.redb"), "this is no store").unwrap();
    insta::assert_snapshot!("doctor_bad", say(home, &["doctor"]));
}

#[test]
fn notes_and_answers_in_one_file_keep_their_lines() {
    let home = home();
    let both = std::fs::File::create(home.path().join("both")).unwrap();
    let mut command = ifso(&["check", "--home", home.path().to_str().unwrap()]);
    command.stdout(both.try_clone().unwrap()).stderr(both);
    assert!(command.status().unwrap().success());
    let text = std::fs::read_to_string(home.path().join("both")).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0], "no problems\n");
    assert!(lines[1].ends_with(" 1 rule, 0 sensors\n"), "{text}");
}

#[test]
fn a_rule_is_begun_from_what_is_known_of_its_trigger() {
    let home = home();
    let home = home.path();
    let file = home.join("rules/new.rhai");
    let trigger = "core.st2.webhook";
    let printed = say(home, &["rule", "new", trigger]);
    assert!(printed.contains("//   e.headers"), "{printed}");
    say(home, &["rule", "new", trigger, "mine", "--write", file.to_str().unwrap()]);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains("rule(\"mine\", #{"), "{written}");
    assert!(say(home, &["check"]).contains("no problems"));
    let again = say(home, &["rule", "new", trigger, "--write", file.to_str().unwrap()]);
    assert!(again.contains("exists already"), "{again}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    let unknown = say(home, &["rule", "new", "core.st2.webhok"]);
    assert!(unknown.contains("did you mean `core.st2.webhook`?"), "{unknown}");
    let served = Served::start(home);
    say(home, &["event", "send", "x.seen", "level:=7"]);
    let sampled = say(home, &["rule", "new", "x.seen"]);
    assert!(sampled.contains("|e| e.level >= 7"), "{sampled}");
    served.stop();
}

#[test]
fn definitions_for_editors_name_every_function() {
    let home = home();
    let folder = home.path().join("defs");
    say(home.path(), &["definitions", folder.to_str().unwrap()]);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let all = read("__static__.d.rhai");
    for function in
        ["fn run(action: string, parameters: map) -> Effect;", "fn words(text: string) -> array;"]
    {
        assert!(all.contains(function), "{function}");
    }
    assert!(all.contains("/// > run("), "the documentation comes along");
    assert!(read("ifso.d.rhai").contains("`cooldown`"));
}
