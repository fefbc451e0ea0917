//! Migrations through the real program: pack objects between two S3 servers that share no code, in
//! windows, throttled, held by outages and people, and killed in the middle.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::write;
use crate::cli::ifso;
use crate::parts::copy;
use crate::parts::s3::{ACCESS_KEY, Files, Moto, SECRET_KEY, SIGNED, Tree};

/// Small objects of a story: enough that nothing is over before it is paused.
const SMALL: usize = 1500;
/// Bytes of a large object, in parts of `PART`.
const LARGE: usize = 20 << 20;
const PART: &str = "5MiB";
/// Bytes a second, so that it lasts long enough to be disturbed.
const RATE: &str = "6MiB";
/// How long something may take to come about on a slow machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// The hours of a window that is open now, or closed.
fn hours(open: bool) -> (i64, i64) {
    let hour = ifso::clock::system().now().millis() / 3_600_000 + if open { 0 } else { 9 };
    ((hour + 23) % 24, (hour + 2) % 24)
}

/// Rules about migration `move`, with a window of these hours.
fn rules((from, to): (i64, i64)) -> String {
    format!(
        r#"
import "objects/migration" as migration;
migration::nightly(#{{
    name: "move", from: "old:old", to: "new:new",
    limits: #{{ part_size: "{PART}", rate: "{RATE}" }},
    window: #{{ from: {from}, to: {to}, zone: "UTC" }},
}});
migration::outage(#{{ name: "move", when: |e| e.labels.alertname == "StorageDown" }});
migration::throttle(#{{
    name: "move", on: "test.latency", reading: |e| e.ms, after: "10ms",
    above: 20, slow: #{{ rate: "64KiB", concurrency: 1 }},
    below: 8,  fast: #{{ rate: 0, concurrency: 8 }},
}});
"#
    )
}

/// A served home with the pack, from one server to the other.
struct Site {
    home: tempfile::TempDir,
    program: Mutex<Option<(Child, String)>>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Site {
    /// Starts it with these stores and rules.
    fn new(stores: &Value, rules: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/objects");
        copy(&pack, &home.path().join("packs/objects"));
        write(home.path(), "configs/objects.yaml", &json!({ "stores": stores }).to_string());
        write(home.path(), "rules/site.rhai", rules);
        let site = Self { home, program: Mutex::default() };
        site.start();
        site
    }

    fn start(&self) {
        let mut child = ifso(&["serve", "--listen", "127.0.0.1:0"])
            .env("IFSO_HOME", self.home.path())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.home.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("ready ").unwrap_or_else(|| panic!("{line}")).to_owned();
        *self.program.lock().unwrap() = Some((child, url));
    }

    /// `kill -9`, as everything here ends.
    fn kill(&self) {
        if let Some((mut child, _)) = self.program.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What a command prints as JSON.
    fn ifso(&self, arguments: &[&str]) -> Value {
        let said = self.does(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{arguments:?}: {said}"))
    }

    /// What a command prints, which has to succeed.
    fn does(&self, arguments: &[&str]) -> String {
        let url = self.program.lock().unwrap().as_ref().unwrap().1.clone();
        let mut command = ifso(arguments);
        let output = command.env("IFSO_URL", url).env("IFSO_HOME", self.home.path()).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}{errors}");
        said
    }

    /// Reports an event.
    fn event(&self, trigger: &str, data: &Value) {
        self.ifso(&["event", "send", trigger, "--payload", &data.to_string()]);
    }

    /// The newest execution of an action, with what it says of itself; null where there is none.
    fn newest(&self, action: &str) -> Value {
        let rows = self.ifso(&["execution", "list", "--all", "--limit", "1", "--action", action]);
        let Some(id) = rows[0]["id"].as_str().map(str::to_owned) else { return Value::Null };
        self.ifso(&["execution", "show", &id])
    }

    /// How many executions of an action there are, attempts not counted.
    fn count(&self, action: &str) -> usize {
        let rows = self.ifso(&["execution", "list", "--all", "--action", action]);
        rows.as_array().unwrap().len()
    }

    /// The newest execution of an action, as soon as `fits` says that it is as it should be.
    fn until(&self, action: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let begin = std::time::Instant::now();
        loop {
            let found = self.newest(action);
            if !found.is_null() && fits(&found) {
                return found;
            }
            assert!(begin.elapsed() < PATIENCE, "{action} never {what}: {found:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The migration, in progress.
    fn moves(&self) -> Value {
        self.until("objects.migrate", "moves", |one| one["status"] == "running" && part(one) > 0.0)
    }

    /// Gives the window these hours, and lets the clock look at it.
    fn window(&self, hours: (i64, i64)) {
        write(self.home.path(), "rules/site.rhai", &rules(hours));
        let about = format!("Migration move between {} and {} o'clock", hours.0, hours.1);
        let begin = std::time::Instant::now();
        while self.ifso(&["rule", "show", "site.move-window"])["description"] != *about {
            assert!(begin.elapsed() < PATIENCE, "rules are never read again");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.event("objects.clock", &json!({}));
    }

    /// The execution of this id, as soon as `fits` says that it is as it should be.
    fn stands(&self, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let begin = std::time::Instant::now();
        loop {
            let found = self.ifso(&["execution", "show", id]);
            if fits(&found) {
                return found;
            }
            assert!(begin.elapsed() < PATIENCE, "it is never {what}: {found:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn reaches(&self, id: &str, status: &str) -> Value {
        self.stands(id, status, |one| one["status"] == status)
    }
}

/// Objects of all kinds: many small ones, an empty one, odd keys, and three in parts.
fn objects(small: usize) -> Tree {
    let mut tree = Tree::new();
    for number in 0..small {
        let content = format!("object {number} ").repeat(1 + number % 300);
        tree.insert(format!("small/{}/{number}", number % 17), content.into_bytes());
    }
    tree.insert("empty".to_owned(), Vec::new());
    // moto cuts keys off at a semicolon; `runners::migrate` has one between two other servers.
    for odd in ["a b+c%41", "ä/€ – 長い.txt", "q&a=1'y", "dot.", "UPPER/lower"] {
        tree.insert(odd.to_owned(), odd.as_bytes().to_vec());
    }
    for number in 0..3_u8 {
        // No two parts are alike, nor two objects.
        let mut state = u64::from(number) + 1;
        let content = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_le_bytes()
        });
        let content: Vec<u8> = content.take(LARGE / 8).flatten().collect();
        tree.insert(format!("large/{number}"), [content, vec![number]].concat());
    }
    tree
}

fn s3(endpoint: &str) -> Value {
    json!({ "kind": "s3", "endpoint": endpoint, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY })
}

/// That two trees are the same, naming what is not.
fn same(was: &Tree, is: &Tree) {
    let missing: Vec<_> = was.keys().filter(|key| !is.contains_key(*key)).collect();
    let more: Vec<_> = is.keys().filter(|key| !was.contains_key(*key)).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing {missing:?}, more {more:?}");
    let other: Vec<_> = was.iter().filter(|(key, content)| is[*key] != **content).collect();
    assert!(other.is_empty(), "differ: {:?}", other.iter().map(|(key, _)| key).collect::<Vec<_>>());
}

/// How far an execution is, from 0 to 1.
fn part(execution: &Value) -> f64 {
    execution["progress"]["progress"].as_f64().unwrap_or_default()
}

/// `SIGKILL` and a new start, so many times, each after it has got on a bit.
fn killed(site: &Site, times: usize) {
    for _ in 0..times {
        let before = part(&site.moves());
        site.until("objects.migrate", "gets on", |one| {
            one["status"] != "running" || part(one) > before
        });
        site.kill();
        site.start();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_is_held_by_its_window_outages_and_people_each_for_itself() {
    let given = objects(SMALL);
    let (files, moto) = (Files::start(&["old"]), Moto::start(&["new"]).await);
    files.fill("old", &given);
    let stores = json!({ "old": s3(&files.endpoint), "new": s3(&moto.endpoint) });
    let site = Site::new(&stores, &rules(hours(true)));
    let alert = |status: &str| {
        let labels = json!({ "alertname": "StorageDown" });
        let alert = json!({ "status": status, "fingerprint": "f1", "labels": labels });
        site.event("prometheus.alert", &alert);
    };
    let window = |open: bool| site.window(hours(open));
    site.event("objects.clock", &json!({}));
    site.moves();
    let id = site.newest("objects.migration")["id"].as_str().unwrap().to_owned();
    let holds = |reasons: &[&str]| {
        let reasons = reasons.join("; ");
        site.stands(&id, &reasons, |one| one["status"] == "paused" && one["reason"] == *reasons);
    };

    // An outage, in which the window closes, and Ifso dies.
    alert("firing");
    holds(&["by rule `site.move-outage`"]);
    site.until("objects.migrate", "stands still", |one| one["status"] == "paused");
    files.calls();
    window(false);
    holds(&["by rule `site.move-outage`", "by rule `site.move-window`"]);
    site.kill();
    site.start();
    alert("resolved");
    holds(&["by rule `site.move-window`"]);
    // After the start it was looked whether the bucket is there, and nothing else.
    let calls = files.calls().into_iter().filter(|call| !call.contains("max-keys=1"));
    assert_eq!(calls.collect::<Vec<_>>(), [""; 0]);
    window(true);
    site.moves();

    // A person has paused it: neither window nor outage lets it go.
    site.does(&["execution", "pause", &id]);
    holds(&["paused by `admin`"]);
    window(false);
    alert("firing");
    window(true);
    alert("resolved");
    holds(&["paused by `admin`"]);
    site.does(&["execution", "resume", &id]);

    // Slow while the array is, with gaps in which nothing changes.
    for ms in [30, 25] {
        site.event("test.latency", &json!({ "ms": ms }));
    }
    site.until("objects.throttle", "slows it", |one| one["status"] == "succeeded");
    let slow = site.newest("objects.throttle")["id"].clone();
    site.event("test.latency", &json!({ "ms": 15 }));
    assert_eq!(site.newest("objects.throttle")["id"], slow);
    killed(&site, 1);
    site.event("test.latency", &json!({ "ms": 5 }));
    site.until("objects.throttle", "lets it run", |one| one["id"] != slow);
    killed(&site, 2);

    site.reaches(&id, "succeeded");
    // A look and a copy: nothing was begun anew.
    assert_eq!(site.count("objects.migrate"), 2);
    same(&given, &moto.tree("new").await);
    same(&given, &files.tree("old"));
}

/// What a server that needs no reckoning with signatures says of an object, asked without waiting for
/// anybody: nothing where there is none.
fn asked(endpoint: &str, address: &str) -> Option<Vec<u8>> {
    let host = endpoint.strip_prefix("http://").unwrap();
    let mut line = std::net::TcpStream::connect(host).unwrap();
    write!(line, "GET {address} HTTP/1.0\r\nHost: {host}\r\nAuthorization: {SIGNED}\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    line.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    answer.starts_with(b"HTTP/1.1 200").then(|| answer[end + 4..].to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_a_size_a_person_agrees_and_nothing_is_removed_before_its_copy_is_there() {
    let given = objects(300);
    let (files, moto) = (Files::start(&["old"]), Moto::start(&["new"]).await);
    files.fill("old", &given);
    let stores = json!({ "old": s3(&files.endpoint), "new": s3(&moto.endpoint) });
    let site = Site::new(&stores, "");
    let limits = json!({ "part_size": PART, "rate": "16MiB" });
    let limits = format!("limits:={limits}");
    let order = ["name=move", "from=old:old", "to=new:new", "remove_source=true", &limits];
    let run = |more: &[&str]| {
        let order = [&["run", "objects.migration", "--async"], &order[..], more].concat();
        site.ifso(&order)["id"].as_str().unwrap().to_owned()
    };
    let id = run(&["approve_above=10 MB"]);
    let question = site.until("core.ask", "asks", |one| one["status"] == "pending");
    // Nothing was touched; and a second one of the name is none.
    assert_eq!(moto.keys("new").await, [""; 0]);
    let second = run(&[]);
    let refused = site.until("objects.migration", "is refused", |one| one["status"] == "canceled");
    assert_eq!(refused["id"], *second);

    let (bucket, endpoint) = (files.bucket("old"), moto.endpoint.clone());
    let early = Arc::new(Mutex::new(Vec::new()));
    let seen = early.clone();
    files.watch(Box::new(move |method, address| {
        let Some(key) = address.strip_prefix("/old/").filter(|_| method == "DELETE") else {
            return;
        };
        let key = key.split('?').next().unwrap();
        let path = percent_encoding::percent_decode_str(key).decode_utf8().unwrap();
        let was = std::fs::read(bucket.join(&*path)).ok();
        // One that is gone already is removed again after a kill.
        if was.is_some() && was != asked(&endpoint, &format!("/new/{key}")) {
            seen.lock().unwrap().push(key.to_owned());
        }
    }));
    let asked = question["id"].as_str().unwrap();
    site.does(&["inquiry", "respond", asked, "approved=true"]);
    killed(&site, 3);
    site.reaches(&id, "succeeded");
    assert_eq!(*early.lock().unwrap(), [""; 0]);
    same(&given, &moto.tree("new").await);
    same(&Tree::new(), &files.tree("old"));
    let removed = files.calls().iter().filter(|call| call.starts_with("DELETE")).count();
    assert!(removed >= given.len(), "{removed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_from_the_other_server_is_whole_after_kills() {
    let given = objects(300);
    let (moto, files) = (Moto::start(&["old"]).await, Files::start(&["new"]));
    moto.fill("old", &given).await;
    let stores = json!({ "old": s3(&moto.endpoint), "new": s3(&files.endpoint) });
    let site = Site::new(&stores, "");
    let limits = format!("limits:={}", json!({ "part_size": PART, "rate": "16MiB" }));
    let order = ["name=move", "from=old:old", "to=new:new", &limits];
    let order = [&["run", "objects.migration", "--async"], &order[..]].concat();
    let id = site.ifso(&order)["id"].as_str().unwrap().to_owned();
    site.moves();
    killed(&site, 3);
    site.reaches(&id, "succeeded");
    same(&given, &files.tree("new"));
    same(&given, &moto.tree("old").await);
}
