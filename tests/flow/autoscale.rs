//! Pools that grow on disk: the pack `storage` as it ships, through the real program, on qcow2 and ext4
//! images, directories and volumes of an array.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::cli::ifso;
use crate::flow::write;
use crate::parts::prometheus;
use crate::sensors::{eventually, serve};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// A served home with the pack and some pools.
struct Site {
    home: tempfile::TempDir,
    child: Child,
    url: String,
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Site {
    /// `{home}` in the configuration is the home.
    fn new(config: &str) -> Self {
        Self::with(config, |_| {})
    }

    fn with(config: &str, prepare: impl FnOnce(&Path)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/storage");
        std::fs::create_dir(home.path().join("packs")).unwrap();
        std::os::unix::fs::symlink(pack, home.path().join("packs/storage")).unwrap();
        let config = config.replace("{home}", home.path().to_str().unwrap());
        write(home.path(), "configs/storage.yaml", &config);
        prepare(home.path());
        let (child, url) = start(home.path());
        Self { home, child, url }
    }

    /// The program dies, and is started again.
    fn dies(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.url) = start(self.home.path());
    }

    fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    /// What a command says in JSON.
    fn ask(&self, arguments: &[&str]) -> Value {
        let mut command = ifso(arguments);
        command.env("IFSO_URL", &self.url).env("IFSO_HOME", self.home.path()).arg("--json");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&said)
            .unwrap_or_else(|_| panic!("{said}\n{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Runs an action to its end.
    fn run(&self, action: &str, parameters: &[&str]) -> Value {
        self.ask(&[&["run", action], parameters].concat())
    }

    /// What events of a trigger said, oldest first.
    fn told(&self, trigger: &str) -> Vec<Value> {
        let events = self.ask(&["event", "list", "--trigger", trigger]);
        let mut data: Vec<_> =
            events.as_array().unwrap().iter().map(|event| event["data"].clone()).collect();
        data.reverse();
        data
    }

    async fn tells(&self, trigger: &str, count: usize) -> Vec<Value> {
        let told = eventually(|| Some(self.told(trigger)).filter(|told| told.len() >= count)).await;
        let told = told.unwrap_or_else(|| panic!("{trigger}: {:?}", self.told(trigger)));
        assert_eq!(told.len(), count, "{told:?}");
        told
    }

    fn status(&self, pool: &str) -> Value {
        self.run("storage.autoscale_status", &[])["result"]["result"][pool].clone()
    }
}

fn start(home: &Path) -> (Child, String) {
    let mut child = ifso(&["serve", "--listen", "127.0.0.1:0"])
        .env("IFSO_HOME", home)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("ready ").unwrap_or_else(|| panic!("{line}")).to_owned();
    (child, url)
}

/// What a program of the system prints.
fn tool(program: &str, arguments: &[&str]) -> String {
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    let output = Command::new(program).args(arguments).env("PATH", path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

fn qcow2(path: &Path, size: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    tool("qemu-img", &["create", "-q", "-f", "qcow2", path.to_str().unwrap(), size]);
}

/// Writes into an image as its guest would.
fn fill(path: &Path, from: u64, bytes: u64) {
    let write = format!("write -q {from} {bytes}");
    tool("qemu-io", &["-f", "qcow2", "-c", &write, path.to_str().unwrap()]);
}

fn virtual_size(path: &Path) -> u64 {
    let said = tool("qemu-img", &["info", "--output=json", path.to_str().unwrap()]);
    serde_json::from_str::<Value>(&said).unwrap()["virtual-size"].as_u64().unwrap()
}

/// An ext4 file system with one file in it.
fn ext4(path: &Path, size: u64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().set_len(size).unwrap();
    let image = path.to_str().unwrap();
    tool("mkfs.ext4", &["-q", image]);
    let note = path.with_extension("note");
    std::fs::write(&note, "kept").unwrap();
    let write = format!("write {} note", note.display());
    tool("debugfs", &["-w", "-R", &write, image]);
}

/// Its size, as its own tools say, once they have found nothing wrong with it.
fn sound(path: &Path) -> u64 {
    let image = path.to_str().unwrap();
    tool("e2fsck", &["-fn", image]);
    assert_eq!(tool("debugfs", &["-R", "cat note", image]), "kept");
    let said = tool("dumpe2fs", &["-h", image]);
    let field = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    field("Block count:") * field("Block size:")
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

/// What a run of `storage.scale_pool` gave.
fn output(execution: &Value) -> &Value {
    assert_eq!(execution["status"], "succeeded", "{execution}");
    &execution["result"]["output"]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_pool_grows_on_disk_up_to_its_limit() {
    let config = "pools:
  gold: {kind: qcow2, path: '{home}/gold.qcow2', max: 1200MiB}
  scratch: {kind: ext4, path: '{home}/scratch.img'}
  share: {kind: directory, path: '{home}/share', min: 10MiB, max: 1GiB}
";
    let site = Site::with(config, |home| {
        qcow2(&home.join("gold.qcow2"), "1G");
        ext4(&home.join("scratch.img"), 64 * MIB);
        std::fs::create_dir(home.join("share")).unwrap();
        std::fs::write(home.join("share/file"), vec![1; 8 << 20]).unwrap();
    });
    let grown = site.run("storage.scale_pool", &["pool=gold", "adjustment:=10"]);
    assert_eq!(output(&grown)["changed"], true);
    assert_eq!(virtual_size(&site.path("gold.qcow2")), 1126 * MIB, "102.4 MiB are 102 whole ones");
    let grown = site.run("storage.scale_pool", &["pool=gold", "adjustment:=10"]);
    assert_eq!(output(&grown)["limit"], "max");
    assert_eq!(virtual_size(&site.path("gold.qcow2")), 1200 * MIB);
    let kept = site.run("storage.scale_pool", &["pool=gold", "adjustment:=10"]);
    assert_eq!(output(&kept)["changed"], false);
    assert_eq!(output(&kept)["reason"], "it has 1.172 GiB and may have 1.172 GiB at most");
    assert_eq!(site.status("gold")["state"], "at_max");
    let refused = site.run("storage.scale_pool", &["pool=gold", "adjustment:=-10"]);
    let why =
        "a pool of kind qcow2 is never made smaller: a guest's file system would lose its end";
    assert_eq!(output(&refused)["reason"], why);

    let image = site.path("scratch.img");
    for (change, size) in [("12MiB", 76 * MIB), ("2GiB", 76 * MIB + 2 * GIB)] {
        let change = format!("adjustment={change}");
        output(
            &site.run("storage.scale_pool", &["pool=scratch", "adjustment_type=change", &change]),
        );
        assert_eq!((sound(&image), length(&image)), (size, size));
    }

    let quota = || std::fs::read_to_string(site.path("share/.quota")).unwrap();
    output(
        &site.run(
            "storage.scale_pool",
            &["pool=share", "adjustment_type=exact", "adjustment=100MiB"],
        ),
    );
    assert_eq!(quota(), format!("{}\n", 100 * MIB));
    output(&site.run("storage.scale_pool", &["pool=share", "adjustment:=-95"]));
    assert_eq!(quota(), format!("{}\n", 10 * MIB), "its `min`");
    let too_little = site.run("storage.set_quota", &["pool=share", "size_bytes:=1048576"]);
    assert_eq!(too_little["reason"], "pool `share` uses 8 MiB, more than 1 MiB", "{too_little}");
    assert_eq!(site.tells("storage.autoscale_done", 8).await.len(), 8);
    assert_eq!(site.told("storage.autoscale_failed"), [json!(null); 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_growth_that_fails_is_taken_back_and_told() {
    let config = "pools: {scratch: {kind: ext4, path: '{home}/scratch.img'}}";
    let site = Site::with(config, |home| ext4(&home.join("scratch.img"), 64 * MIB));
    let image = site.path("scratch.img");
    // Blocks of 1 KiB, counted in 32 bits: resize2fs refuses once the image is already larger.
    let wanted = ["pool=scratch", "adjustment_type=exact", "adjustment=8TiB"];
    let failed = site.run("storage.scale_pool", &wanted);
    assert_eq!(failed["status"], "failed", "{failed}");
    assert_eq!((sound(&image), length(&image)), (64 * MIB, 64 * MIB));
    let told = site.tells("storage.autoscale_failed", 1).await.remove(0);
    let error = told["error"].as_str().unwrap();
    assert!(error.starts_with("task `grow_ext4` failed: `resize2fs` failed with 1"), "{error}");
    let status = site.status("scratch");
    assert_eq!((&status["state"], &status["reason"]), (&json!("failed"), &told["error"]));
    // Nothing of it is in the way of the next one.
    output(&site.run("storage.scale_pool", &["pool=scratch"]));
    assert_eq!(sound(&image), 76 * MIB);
    assert!(!site.path("scratch.img.undo").exists());
}

/// Waits until the image is larger than its file system: it is being grown.
async fn growing(image: &Path, before: u64) {
    let larger = eventually(|| (length(image) > before).then_some(())).await;
    larger.expect("it begins to grow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_in_the_middle_of_growing_changes_nothing() {
    let config = "pools: {scratch: {kind: ext4, path: '{home}/scratch.img'}}";
    let mut site = Site::with(config, |home| ext4(&home.join("scratch.img"), 64 * MIB));
    let image = site.path("scratch.img");
    let wanted = ["pool=scratch", "adjustment_type=exact", "adjustment=50GiB", "--async"];
    site.run("storage.scale_pool", &wanted);
    growing(&image, 64 * MIB).await;
    site.dies();
    let done = site.tells("storage.autoscale_done", 1).await.remove(0);
    assert_eq!((&done["changed"], &done["new_bytes"]), (&json!(true), &json!(50 * GIB)));
    assert_eq!((sound(&image), length(&image)), (50 * GIB, 50 * GIB));
    assert_eq!(site.told("storage.autoscale_started").len(), 1);
}

/// The process that resizes this image.
fn resizer(image: &Path) -> Option<Pid> {
    let wanted = image.to_str().unwrap();
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let it = words[0].ends_with("resize2fs") && words.iter().any(|word| word == wanted);
        it.then(|| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))?
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_growth_that_is_killed_halfway_leaves_the_pool_as_it_was() {
    let config = "pools: {scratch: {kind: ext4, path: '{home}/scratch.img'}}";
    let site = Site::with(config, |home| ext4(&home.join("scratch.img"), 64 * MIB));
    let image = site.path("scratch.img");
    let wanted = ["pool=scratch", "adjustment_type=exact", "adjustment=200GiB", "--async"];
    site.run("storage.scale_pool", &wanted);
    // It has written somewhere: what it overwrote is in the undo file.
    let undo = site.path("scratch.img.undo");
    let begun = eventually(|| {
        let written = std::fs::metadata(&undo).is_ok_and(|meta| meta.len() > MIB);
        resizer(&image).filter(|_| written)
    });
    kill_process(begun.await.expect("it resizes"), Signal::KILL).unwrap();
    let told = site.tells("storage.autoscale_failed", 1).await.remove(0);
    assert!(told["error"].as_str().unwrap().contains("`resize2fs` failed with -9"), "{told}");
    assert_eq!((sound(&image), length(&image)), (64 * MIB, 64 * MIB));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_second_is_told_so() {
    let config = "pools: {scratch: {kind: ext4, path: '{home}/scratch.img'}}";
    let site = Site::with(config, |home| ext4(&home.join("scratch.img"), 64 * MIB));
    let ask = || site.run("storage.scale_pool", &["pool=scratch", "adjustment:=100", "--async"]);
    let all: Vec<Value> = (0..10).map(|_| ask()).collect();
    let done = site.tells("storage.autoscale_done", 1).await.remove(0);
    assert_eq!(done["new_bytes"], 128 * MIB);
    let end =
        |execution: &Value| site.ask(&["execution", "show", execution["id"].as_str().unwrap()]);
    let canceled: Vec<Value> =
        all.iter().map(end).filter(|end| end["status"] == "canceled").collect();
    assert_eq!(canceled.len(), 9, "{canceled:?}");
    let why = "policy `storage.one_at_a_time` lets 1 run at once, and cancels what is more";
    assert!(canceled.iter().all(|end| end["reason"] == why), "{canceled:?}");
    assert_eq!(sound(&site.path("scratch.img")), 128 * MIB);
}

/// A volume as an array shows it, and whether its extensions work.
#[derive(Clone)]
struct Array(Arc<Mutex<(Value, bool)>>);

async fn show(State(Array(volume)): State<Array>) -> Json<Value> {
    let mut held = volume.lock().unwrap();
    let answer = held.0.clone();
    // What is under way is over when it is asked for again.
    if held.0["status"] == "extending" {
        held.0["status"] = json!("available");
        if held.1 {
            held.0["size"] = held.0["wanted"].clone();
        }
    }
    Json(answer)
}

async fn extend(State(Array(volume)): State<Array>, Json(wanted): Json<Value>) -> StatusCode {
    let mut held = volume.lock().unwrap();
    held.0["status"] = json!("extending");
    held.0["wanted"] = wanted["newSize"].clone();
    StatusCode::ACCEPTED
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_of_hotpot_is_extended_and_a_silent_failure_is_noticed() {
    let volume = json!({ "id": "v1", "status": "available", "size": 10 });
    let array = Array(Arc::new(Mutex::new((volume, true))));
    let router = Router::new()
        .route("/v1beta/admin/block/volumes/v1", get(show))
        .route("/v1beta/admin/block/volumes/v1/resize", post(extend))
        .with_state(array.clone());
    let address = serve(router).await;
    let config = format!(
        "hotpot: {{url: 'http://{address}'}}\npools: {{vol: {{kind: hotpot, volume: v1}}}}"
    );
    let site = Site::new(&config);
    let grown = site.run("storage.scale_pool", &["pool=vol", "adjustment:=25"]);
    assert_eq!(output(&grown)["new_bytes"], 12 * GIB, "2.5 GiB are 2 whole ones");
    array.0.lock().unwrap().1 = false;
    let failed = site.run("storage.scale_pool", &["pool=vol"]);
    let why =
        "task `grow_volume` failed: hotpot did not extend volume `v1`: it is available with 12 GiB";
    assert_eq!((&failed["status"], &failed["reason"]), (&json!("failed"), &json!(why)));
    array.0.lock().unwrap().0["status"] = json!("inUse");
    let failed = site.run("storage.scale_pool", &["pool=vol"]);
    assert!(
        failed["reason"].as_str().unwrap().contains("volume `v1` is inUse; only an available one"),
        "{failed}"
    );
}

const RULE: &str = r#"rule("grow", #{
    on: "storage.pool_capacity",
    when: |e| e.pool == "gold" && e.used_pct >= 80,
    until: |e| e.used_pct < 80,
    per: |e| e.pool,
    then: |e| run("storage.scale_pool", #{ pool: e.pool, adjustment: 50, rule: "site.grow" }),
});"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_sees_a_pool_fill_and_it_grows_once() {
    let image = Arc::new(Mutex::new(PathBuf::new()));
    let seen = Arc::clone(&image);
    let metrics = Router::new().route("/metrics", get(move || std::future::ready(exported(&seen))));
    let target = serve(metrics).await;
    let server = prometheus::start(&target, &[]).await;
    let sensor = format!(
        "kind: prometheus\nurl: {}\nevery: 1s\ntrigger: storage.pool_series\nquery: pool_used_bytes\nwith:\n  \
         total_bytes: pool_size_bytes\n  full_in: predict_linear(pool_free_bytes[1m], 0) / -deriv(pool_free_bytes[1m])\n",
        server.url
    );
    let config =
        "every: 1h\npools:\n  gold: {kind: qcow2, path: '{home}/gold.qcow2', labels: {pool: p1}}\n";
    let site = Site::with(config, |home| {
        qcow2(&home.join("gold.qcow2"), "100M");
        *image.lock().unwrap() = home.join("gold.qcow2");
        write(home, "sensors/pools.yaml", &sensor);
        write(home, "rules/grow.rhai", RULE);
    });
    let path = site.path("gold.qcow2");
    let half = eventually(|| {
        site.told("storage.pool_capacity").into_iter().find(|e| e["source"] == "prometheus")
    });
    assert_eq!(half.await.expect("Prometheus is asked")["used_pct"], 0.0);
    fill(&path, 0, 90 * MIB);
    let done = site.tells("storage.autoscale_done", 1).await.remove(0);
    assert_eq!((&done["rule"], &done["new_bytes"]), (&json!("site.grow"), &json!(150 * MIB)));
    assert_eq!(virtual_size(&path), 150 * MIB);
    let calm = eventually(|| {
        let told = site.told("storage.pool_capacity");
        told.into_iter().find(|event| event["used_pct"] == 60.0)
    });
    let calm = calm.await.expect("Prometheus sees the new size");
    assert_eq!((&calm["pool"], &calm["total_bytes"]), (&json!("gold"), &json!(157_286_400.0)));
    assert_eq!(site.told("storage.autoscale_started").len(), 1);
}

/// The image as an exporter would measure it.
fn exported(image: &Mutex<PathBuf>) -> String {
    let path = image.lock().unwrap().clone();
    if !path.exists() {
        return String::new();
    }
    let path = path.to_str().unwrap();
    let listed = tool("qemu-img", &["map", "-U", "--output=json", path]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let data = listed.as_array().unwrap().iter().filter(|part| part["data"] == true);
    let used: u64 = data.map(|part| part["length"].as_u64().unwrap()).sum();
    let info = tool("qemu-img", &["info", "-U", "--output=json", path]);
    let size = serde_json::from_str::<Value>(&info).unwrap()["virtual-size"].as_u64().unwrap();
    let free = size - used;
    format!(
        "pool_used_bytes{{pool=\"p1\"}} {used}\npool_size_bytes{{pool=\"p1\"}} {size}\npool_free_bytes{{pool=\"p1\"}} {free}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_workflow_emits_has_to_fit_its_trigger() {
    let site = Site::new("every: 1h");
    let good = site.run(
        "core.emit",
        &["trigger=storage.autoscale_failed", r#"payload:={"pool":"p","error":"x"}"#],
    );
    assert_eq!(good["status"], "succeeded", "{good}");
    let told = site.tells("storage.autoscale_failed", 1).await.remove(0);
    assert_eq!(told, json!({ "pool": "p", "error": "x" }));
    let bad = site.run(
        "core.inject_trigger",
        &["trigger=storage.autoscale_failed", r#"payload:={"pool":1}"#],
    );
    assert_eq!(bad["status"], "failed");
    let reason = bad["reason"].as_str().unwrap();
    assert!(reason.contains("does not fit trigger `storage.autoscale_failed`"), "{reason}");
}

/// The block of the pack's README that begins with this line, without it.
fn shown(first: &str) -> String {
    let readme = include_str!("../../packs/storage/README.md");
    let (_, block) = readme.split_once(&format!("\n{first}\n")).expect(first);
    block.split_once("\n```").unwrap().0.to_owned()
}

#[test]
fn what_the_readme_shows_is_right() {
    let home = tempfile::tempdir().unwrap();
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs/storage");
    std::fs::create_dir(home.path().join("packs")).unwrap();
    std::os::unix::fs::symlink(pack, home.path().join("packs/storage")).unwrap();
    for (mark, file) in [
        ("#", "configs/storage.yaml"),
        ("//", "rules/pools.rhai"),
        ("//", "rules/forecast.rhai"),
        ("#", "tests/pools.yaml"),
    ] {
        write(home.path(), file, &shown(&format!("{mark} {file}")));
    }
    for arguments in [["check"].as_slice(), &["rule", "test"]] {
        let output = ifso(arguments).arg("--home").arg(home.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !said.contains("warning"), "{said}");
    }
}
