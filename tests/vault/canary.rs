//! No secret is found in what Ifso leaves behind: not in the data folder, a backup, the log, an answer
//! or the audit log, in any form in which programs spell it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ifso::store::redb::{Redb, Settings};
use ifso::store::tables::TABLES;
use ifso::store::{Order, Range, Store};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::cli::ifso;
use crate::flow::write;

/// In a key, in a parameter, in an event, in an answer, in a configuration.
const CANARIES: [&str; 5] = [
    "canarykey-7f/3a+9c",
    "canarygiven-51d8e2",
    "canaryevent-b3/04+aa",
    "canaryanswer-e9/c1+77",
    "canaryconfig-20fe4d",
];
const KEY: &str = CANARIES[0];
const GIVEN: &str = CANARIES[1];
const EVENT: &str = CANARIES[2];
const ANSWER: &str = CANARIES[3];
const CONFIG: &str = CANARIES[4];

const ACTION: &str = "
description: Prints what it should not.
runner_type: local-shell-cmd
enabled: true
parameters:
  cmd:
    immutable: true
    default: 'echo \"$P_password\"; printf %s \"$P_password\" | base64; printf %s \"$P_password\" | od -An -tx1 | tr -d \" \"; echo \"$P_stored\" >&2; echo \"$P_configured\"; exit $P_code'
  password: {type: string, secret: true}
  stored: {type: string, secret: true, default: '{{ st2kv.system.canary | decrypt_kv }}'}
  configured: {type: string, default: '{{ config_context.token }}'}
  code: {type: integer, default: 0}
";

const WORKFLOW: &str = "
version: 1.0
input: [password]
vars:
  - kept: <% st2kv('system.canary', decrypt => true) %>
tasks:
  first:
    action: demo.print password=<% ctx().password %>
    next:
      - publish: [again: <% ctx().kept %>]
        do: second
  second:
    action: demo.print password=<% ctx().again %> code=3
";

const RULES: &str = r#"
rule("seen", #{ on: "demo.came", hold: "1h", when: |e| e.n > 0, then: |e| log("held") });
rule("react", #{ on: "demo.came", then: |e| run("demo.print", #{ password: e.password, code: e.n }) });
rule("lookup", #{ on: "demo.came", then: |e| run("demo.print", #{ stored: key("canary") }) });
"#;

fn home(folder: &Path) {
    write(
        folder,
        "packs/demo/pack.yaml",
        "name: demo\ndescription: Shows.\nversion: 1.0.0\nauthor: me\n",
    );
    write(folder, "packs/demo/config.schema.yaml", "token: {type: string, secret: true}\n");
    write(folder, "packs/demo/actions/print.yaml", &format!("name: print{ACTION}"));
    write(
        folder,
        "packs/demo/actions/flow.yaml",
        "name: flow\ndescription: Two.\nrunner_type: orquesta\nentry_point: workflows/flow.yaml\n\
         parameters: {password: {type: string, secret: true}}\n",
    );
    write(folder, "packs/demo/actions/workflows/flow.yaml", WORKFLOW);
    write(
        folder,
        "packs/demo/triggers/came.yaml",
        "name: came\ndescription: Comes.\npayload_schema: {type: object, properties: {n: {type: integer}, \
         password: {type: string, secret: true}}}\n",
    );
    write(folder, "rules/site.rhai", RULES);
    // The configuration is the home's own file; what Ifso stores of it is what this is about.
    write(folder, "configs/demo.yaml", &format!("token: {CONFIG}\n"));
}

/// The program, serving.
struct Serving {
    child: Child,
    url: String,
    key: String,
}

impl Serving {
    fn start(folder: &Path) -> Self {
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut command = ifso(&["serve", "--listen", "127.0.0.1:0", "--log", "debug"]);
        command.arg("--home").arg(folder.join("home")).arg("--data").arg(folder.join("data"));
        command.env("PATH", "/usr/bin:/bin").env("HOME", folder);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("ready ")?.to_owned()));
        let url = ready.unwrap_or_else(|| panic!("{}", read(&folder.join("log"))));
        let key = read(&folder.join("data/admin.key")).trim().to_owned();
        Self { child, url: url.split_whitespace().next().unwrap().to_owned(), key }
    }

    fn cli(&self, arguments: &[&str]) -> Command {
        let mut command = ifso(arguments);
        command.env("IFSO_URL", &self.url).env("IFSO_KEY", &self.key);
        command
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        let client = crate::sensors::client();
        let method = method.parse().unwrap();
        let mut call = client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key);
        if let Some(body) = body {
            call = call.json(&body);
        }
        let answer = call.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Runs an action to its end and gives its row.
    async fn run(&self, action: &str, parameters: Value) -> Value {
        let body = json!({ "action": action, "parameters": parameters });
        let (status, text) = self.ask("POST", "/api/v1/executions", Some(body)).await;
        assert_eq!(status, 201, "{text}");
        let row: Value = serde_json::from_str(&text).unwrap();
        let path = format!("/api/v1/executions/{}?wait=60", row["id"].as_str().unwrap());
        serde_json::from_str(&self.ask("GET", &path, None).await.1).unwrap()
    }

    fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Every form in which a canary may show, and by which it is known.
fn forms(canary: &str) -> Vec<Vec<u8>> {
    let hex = ifso::store::table::hex(canary.as_bytes());
    let url: String = canary
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let mut forms = vec![canary.to_owned(), hex.clone(), hex.to_uppercase(), url];
    for shift in 0..3_usize {
        let text = STANDARD.encode([vec![b'x'; shift].as_slice(), canary.as_bytes()].concat());
        // Letters that the canary alone decides.
        forms.push(text[4..text.len() - 4].to_owned());
    }
    forms.into_iter().map(String::into_bytes).collect()
}

fn search(place: &str, bytes: &[u8]) {
    for canary in CANARIES {
        for form in forms(canary) {
            let hit = bytes.windows(form.len()).position(|part| part == form);
            if let Some(at) = hit {
                let around = &bytes[at.saturating_sub(200)..(at + 200).min(bytes.len())];
                panic!("{place} shows {canary} at {at}: {}", String::from_utf8_lossy(around));
            }
        }
    }
}

fn search_folder(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            search_folder(&path);
        } else if path.is_file() {
            search(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
}

/// What the store holds, with what is compressed unpacked: a file that is searched does not show it.
async fn search_store(path: &Path) {
    let store = Redb::open(path, Settings::default()).unwrap();
    let mut seen = 0;
    for (table, _) in TABLES {
        let range =
            Range { table, prefix: Vec::new(), after: None, order: Order::Up, limit: 100_000 };
        for (key, record) in store.scan(&range).await.unwrap() {
            seen += 1;
            search(table, &key);
            search(table, &record.bytes);
            let magic = [0x28, 0xB5, 0x2F, 0xFD];
            if let Some(at) = record.bytes.windows(4).position(|part| part == magic) {
                search(table, &zstd::stream::decode_all(&record.bytes[at..]).unwrap());
            }
        }
    }
    assert!(seen > 20, "{seen} records");
}

/// The newest execution of an action that waits for an answer.
async fn answer(serving: &Serving) {
    let schema = json!({ "type": "object", "properties": {
        "code": { "type": "string", "secret": true, "required": true },
    }});
    let body = json!({ "action": "core.ask", "parameters": { "schema": schema } });
    let (status, text) = serving.ask("POST", "/api/v1/executions", Some(body)).await;
    assert_eq!(status, 201, "{text}");
    let id = serde_json::from_str::<Value>(&text).unwrap()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/inquiries/{id}");
    let body = json!({ "response": { "code": ANSWER } });
    let mut tries = tokio::time::interval(std::time::Duration::from_millis(20));
    // It is asked a moment after it was requested.
    for _ in 0..500 {
        tries.tick().await;
        if serving.ask("PUT", &path, Some(body.clone())).await.0 == 200 {
            return;
        }
    }
    panic!("nobody asked");
}

async fn settled(serving: &Serving, count: usize) {
    let mut tries = tokio::time::interval(std::time::Duration::from_millis(20));
    for _ in 0..1500 {
        tries.tick().await;
        let path = "/api/v1/executions?limit=1000&include_attributes=status,action";
        let (_, text) = serving.ask("GET", path, None).await;
        let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
        let over =
            |row: &Value| ["succeeded", "failed"].iter().any(|status| row["status"] == *status);
        if rows.len() >= count && rows.iter().all(over) {
            return;
        }
    }
    panic!("something never ended");
}

/// Lets secrets through everything that works with them, well and badly.
async fn act(serving: &Serving) {
    let well = serving.run("demo.print", json!({ "password": GIVEN })).await;
    assert_eq!(well["status"], "succeeded", "{well}");
    assert!(well["result"]["stdout"].as_str().unwrap().contains("********"), "{well}");
    let badly = serving.run("demo.print", json!({ "password": GIVEN, "code": 3 })).await;
    assert_eq!(badly["status"], "failed", "{badly}");
    let flow = serving.run("demo.flow", json!({ "password": GIVEN })).await;
    assert_eq!(flow["status"], "failed", "{flow}");
    for n in [0, 3] {
        let data = json!({ "trigger": "demo.came", "data": { "n": n, "password": EVENT } });
        assert_eq!(serving.ask("POST", "/api/v1/events", Some(data)).await.0 / 100, 2);
    }
    answer(serving).await;
    // Three by hand, two of the flow, two for each event, the question.
    settled(serving, 10).await;
}

/// Searches what callers are told.
async fn look(serving: &Serving) {
    for path in [
        "/api/v1/executions?limit=1000",
        "/api/v1/events?limit=1000",
        "/api/v1/keys?scope=all",
        "/api/v1/keys/canary",
        "/api/v1/inquiries",
        "/api/v1/audit?limit=1000",
        "/api/v1/audit/export",
        "/api/v1/rules",
        "/api/v1/packs",
        "/api/v1/configs",
        "/api/v1/deadletters",
        "/metrics",
    ] {
        search(path, serving.ask("GET", path, None).await.1.as_bytes());
    }
    let rows: Vec<Value> =
        serde_json::from_str(&serving.ask("GET", "/api/v1/executions?limit=1000", None).await.1)
            .unwrap();
    for row in rows {
        let id = row["id"].as_str().unwrap();
        for part in ["", "/output", "/tree", "/tasks"] {
            let path = format!("/api/v1/executions/{id}{part}");
            search(&path, serving.ask("GET", &path, None).await.1.as_bytes());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_in_anything_that_ifso_leaves_behind() {
    let folder = tempfile::tempdir().unwrap();
    home(&folder.path().join("home"));
    let serving = Serving::start(folder.path());
    let mut set = serving.cli(&["secret", "set", "canary"]);
    let mut child =
        set.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{KEY}\n").as_bytes())
        .unwrap();
    let set = child.wait_with_output().unwrap();
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    let shown = serving.cli(&["secret", "show", "canary"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout).trim(), KEY);

    act(&serving).await;
    look(&serving).await;
    let backup = folder.path().join("backup.redb");
    let made = serving.ask("POST", "/api/v1/backup", Some(json!({ "file": backup }))).await;
    assert_eq!(made.0, 201, "{}", made.1);
    let (status, rotated) = serving.ask("POST", "/api/v1/vault/rotate", None).await;
    assert_eq!(status, 200, "{rotated}");
    let shown = serving.cli(&["secret", "show", "canary"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout).trim(), KEY);
    serving.stop();

    search_folder(&folder.path().join("data"));
    search("the log", &fs::read(folder.path().join("log")).unwrap());
    search("the backup", &fs::read(&backup).unwrap());
    search_store(&backup).await;
    search_store(&folder.path().join("data/store.redb")).await;

    // Without the master key a restored backup says so, and with it opens.
    let other = folder.path().join("other");
    let mut restore = ifso(&["restore"]);
    restore.arg(&backup).arg("--home").arg(folder.path().join("home")).arg("--data").arg(&other);
    let said = String::from_utf8(restore.output().unwrap().stderr).unwrap();
    assert!(said.contains("master key mk_"), "{said}");
}
