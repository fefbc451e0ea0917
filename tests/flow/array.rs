//! Pack `opensds` through the real program, on volumes that are real: what is written to them is read
//! back, arrays die, and hosts go on with the copy.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::ifso;
use crate::parts::array::{Array, failure, uri, use_volume};
use crate::parts::copy;
use crate::world::figure;

/// Whatever a test waits for comes sooner.
const PATIENCE: Duration = Duration::from_mins(2);

/// A home with the pack, its cloud, and the program on it.
struct Site {
    home: tempfile::TempDir,
    array: Array,
    child: Child,
    url: String,
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Starts the program on a home; gives its address.
fn serve(home: &Path) -> (Child, String) {
    let mut child = ifso(&["serve", "--listen", "127.0.0.1:0"])
        .env("IFSO_HOME", home)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("ready ").unwrap_or_else(|| panic!("{line}")).to_owned();
    (child, url)
}

impl Site {
    async fn new(delay: f32) -> Self {
        let home = tempfile::tempdir().unwrap();
        copy(&source("packs/opensds"), &home.path().join("packs/opensds"));
        let array = Array::start(delay).await;
        std::fs::create_dir(home.path().join("configs")).unwrap();
        let config = format!("endpoint: {}\ntenant: demo\n", array.url());
        std::fs::write(home.path().join("configs/opensds.yaml"), config).unwrap();
        std::fs::create_dir(home.path().join("rules")).unwrap();
        std::fs::copy(
            source("packs/opensds/etc/site_down.rhai"),
            home.path().join("rules/site_down.rhai"),
        )
        .unwrap();
        let (child, url) = serve(home.path());
        Self { home, array, child, url }
    }

    /// Power goes away and comes back.
    fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.url) = serve(self.home.path());
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let mut command = ifso(arguments);
        let output =
            command.env("IFSO_URL", &self.url).env("IFSO_HOME", self.home.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!said.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        said
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let said = self.ask(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"))
    }

    /// Runs an action of the pack to its end; gives how it ended, with what result, and why.
    fn run(&self, action: &str, parameters: &[&str]) -> (String, Value, String) {
        let action = format!("opensds.{action}");
        ended(&self.json(&[&["run", &action], parameters].concat()))
    }

    /// What a workflow of the pack gives, which has to end well.
    fn output(&self, workflow: &str, parameters: &[&str]) -> Value {
        let (status, mut result, reason) = self.run(workflow, parameters);
        assert_eq!(status, "succeeded", "{workflow}: {reason}");
        result["output"].take()
    }

    fn begin(&self, action: &str, parameters: &[&str]) -> String {
        let action = format!("opensds.{action}");
        self.ask(&[&["run", "--async", &action], parameters].concat()).trim().to_owned()
    }

    /// Follows an execution to its end.
    fn end(&self, id: &str) -> (String, Value, String) {
        self.ask(&["execution", "tail", id]);
        ended(&self.json(&["execution", "show", id]))
    }

    /// Answers the one question that is open, once it is.
    async fn answer(&self, given: &[&str]) -> String {
        let open = || {
            let open = self.json(&["inquiry", "list"]);
            open.as_array().unwrap().first().map(|first| first["id"].as_str().unwrap().to_owned())
        };
        let id = until(async || open()).await;
        let message = self.json(&["inquiry", "show", &id])["message"].as_str().unwrap().to_owned();
        self.ask(&[&["inquiry", "respond", &id], given].concat());
        message
    }
}

fn ended(row: &Value) -> (String, Value, String) {
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    (text("status"), row["result"].clone(), text("reason"))
}

/// Looks until there is something.
async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let found = async {
        loop {
            looks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("what is waited for comes")
}

const FIRST: [&str; 3] = ["name=first", "size:=1", "host_id=host-1"];

#[tokio::test]
async fn a_volume_is_provisioned_once_and_holds_what_is_written() {
    let site = Site::new(0.2).await;
    let made = site.output("provision-volume", &FIRST);
    use_volume(&made["attachment"], &["write -P 65 0 1M".into()]);
    let again = site.output("provision-volume", &FIRST);
    assert_eq!(again["volume_id"], made["volume_id"]);
    assert_eq!(uri(&again["attachment"]), uri(&made["attachment"]));
    use_volume(&again["attachment"], &["read -P 65 0 1M".into()]);
    assert_eq!(site.array.changes().await, ["POST /volumes", "POST /attachments"]);
    // The same name and something else is nobody's wish.
    let larger = ["name=first", "size:=2", "host_id=host-1"];
    let (status, _, reason) = site.run("provision-volume", &larger);
    assert_eq!(status, "failed");
    assert!(reason.contains("is there already, with size 1 where 2 is wanted"), "{reason}");
    assert_eq!(site.array.counts().await, (1, 1, 0));
    // Nobody reaches a volume that was taken from its host.
    let volume = format!("volume_id={}", made["volume_id"].as_str().unwrap());
    assert_eq!(site.run("fence-volume", &[&volume]).1["result"]["fenced"], true);
    let mut reach = Command::new("qemu-io");
    reach.args(["-f", "raw", uri(&made["attachment"]), "-c", "quit"]);
    assert!(!reach.output().unwrap().status.success());
    // And only then can it grow.
    let (status, result, reason) = site.run("extend-volume", &[&volume, "size:=2"]);
    assert_eq!((status.as_str(), &result["result"]["size"]), ("succeeded", &json!(2)), "{reason}");
}

#[tokio::test]
async fn a_pool_is_chosen_by_what_it_offers() {
    let site = Site::new(0.0).await;
    assert_eq!(site.run("create-volume", &["name=held", "size:=10"]).0, "succeeded");
    let chosen = |given: &[&str]| {
        let (status, result, reason) = site.run("select-pool", &[&["size:=1"], given].concat());
        let name = result["result"]["name"].as_str().map(str::to_owned);
        name.ok_or_else(|| format!("{status} {reason}"))
    };
    let thin = r#"{"extras.dataStorage.provisioningPolicy": "s== thin", "name": "<in> ^pool-az"}"#;
    assert_eq!(chosen(&[&format!("where:={thin}")]).unwrap(), "pool-az2");
    assert_eq!(chosen(&["prefer=least_free"]).unwrap(), "pool-az1");
    assert_eq!(chosen(&["host_id=host-1"]).unwrap(), "pool-az1");
    let none = chosen(&[r#"where:={"freeCapacity": ">= 95", "name": "<or> pool-az1 <or> x"}"#]);
    let none = none.unwrap_err();
    assert!(none.contains("pool-az1: `freeCapacity` is 90, wanted is >= 95"), "{none}");
    assert!(none.contains("pool-az2: `name` is pool-az2"), "{none}");
}

#[tokio::test]
async fn what_fails_leaves_nothing_and_spares_what_was_there() {
    let site = Site::new(0.0).await;
    for (what, how) in [
        ("attachment", "error"),
        ("attachment", "refuse"),
        ("volume", "error"),
        ("volume", "refuse"),
    ] {
        site.array.control("fail", &failure(what, how)).await;
        let (status, _, reason) = site.run("provision-volume", &FIRST);
        assert_eq!(status, "failed", "{what} {how}");
        let said = if how == "refuse" { "500: the array has a bad day" } else { "in state error" };
        assert!(reason.contains(said), "{what} {how}: {reason}");
        assert_eq!(site.array.counts().await, (0, 0, 0), "{what} {how}");
    }
    assert_eq!(site.run("create-volume", &["name=first", "size:=1"]).0, "succeeded");
    site.array.control("fail", &failure("attachment", "error")).await;
    assert_eq!(site.run("provision-volume", &FIRST).0, "failed");
    assert_eq!(site.array.counts().await, (1, 0, 0));
    let (status, _, reason) = site.run("delete-volume", &["name=first"]);
    assert_eq!(status, "succeeded", "{reason}");
    // Cancelled while the array is at it, or refused by a person: the same.
    site.array.control("delay", &json!({ "what": "volume", "seconds": 1 })).await;
    let id = site.begin("provision-volume", &FIRST);
    until(async || (site.array.counts().await.0 == 1).then_some(())).await;
    site.ask(&["execution", "cancel", &id]);
    assert_eq!(site.end(&id).0, "canceled");
    assert_eq!(site.array.counts().await, (0, 0, 0));
    let id = site.begin("provision-volume", &[&FIRST[..], &["approve_above:=0"]].concat());
    assert_eq!(site.answer(&["approved:=false"]).await, "May volume `first` have 1 GB on host-1?");
    assert_eq!(site.end(&id).0, "failed");
    assert_eq!(site.array.counts().await, (0, 0, 0));
}

#[tokio::test]
async fn a_kill_in_the_middle_makes_nothing_twice() {
    let mut site = Site::new(0.5).await;
    let id = site.begin("provision-volume", &FIRST);
    for calls in 1..=2 {
        let array = &site.array;
        until(async || (array.changes().await.len() >= calls).then_some(())).await;
        site.crash();
    }
    let (status, result, reason) = site.end(&id);
    assert_eq!(status, "succeeded", "{reason}");
    use_volume(&result["output"]["attachment"], &["write -P 66 0 64k".into()]);
    assert_eq!(site.array.changes().await, ["POST /volumes", "POST /attachments"]);
}

/// Writes blocks of 64 KiB one after the other, each with a pattern of its own, as a program on a host
/// does; gives how many were acknowledged when the volume went away. Calls `midway` after some.
async fn write_until_it_dies(attachment: &Value, midway: impl Future<Output = ()>) -> u64 {
    const SOME: u64 = 200;
    let mut writer = Command::new("qemu-io")
        .args(["-f", "raw", uri(attachment)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut orders = writer.stdin.take().unwrap();
    let mut answers = BufReader::new(writer.stdout.take().unwrap()).lines();
    let (some, enough) = tokio::sync::oneshot::channel();
    let writing = tokio::task::spawn_blocking(move || {
        let mut some = Some(some);
        for block in 0.. {
            if block == SOME {
                some.take().unwrap().send(()).unwrap();
            }
            let order = block_command("write", block);
            // The volume has an end too, and is far from it.
            if writeln!(orders, "{order}").is_err() {
                return block;
            }
            let mut heard = answers.by_ref().map_while(Result::ok);
            let wrote = heard.find(|line| line.contains("wrote") || line.contains("failed"));
            if !wrote.is_some_and(|line| line.contains("wrote 65536/65536")) {
                return block;
            }
        }
        unreachable!("blocks do not end")
    });
    enough.await.unwrap();
    midway.await;
    let acknowledged = writing.await.unwrap();
    drop(writer.kill());
    drop(writer.wait());
    assert!(acknowledged >= SOME, "{acknowledged}");
    acknowledged
}

fn block_command(verb: &str, block: u64) -> String {
    format!("{verb} -P {} {}k 64k", block % 250 + 1, block * 64 % (1 << 20))
}

#[tokio::test]
async fn a_host_in_another_zone_goes_on_with_every_acknowledged_write() {
    let site = Site::new(0.0).await;
    let zones = ["zone=az1", "copy_zone=az2"];
    // Its first two Python actions begin at once, in a home that never ran one: that once failed one of them.
    let made = site.output("replicate-volume", &[&FIRST[..], &zones].concat());
    assert_eq!(made["replication"]["replicationStatus"], "enabled");
    let first = json!({ "zone": "az1" });
    let kill = site.array.control("kill", &first);
    let acknowledged = write_until_it_dies(&made["attachment"], kill).await;
    let began = Instant::now();
    let auto = ["name=first", "host_id=host-2", "auto:=true", "unfenced:=true"];
    let over = site.output("failover", &auto);
    let took = began.elapsed().as_secs_f32();
    figure(&format!(
        "failover: {acknowledged} acknowledged writes kept, {took:.1} s to a usable copy"
    ));
    assert_eq!(over["fence"]["fenced"], false);
    assert_eq!(over["replication"]["replicationStatus"], "failed_over");
    let read: Vec<String> = (0..acknowledged).map(|block| block_command("read", block)).collect();
    use_volume(&over["attachment"], &read);
    use_volume(&over["attachment"], &["write -P 255 512M 1M".into()]);
    // The way back waits for the array, and brings along what was written meanwhile.
    let id = site.begin("failback", &["name=first", "host_id=host-1", "auto:=true"]);
    site.array.control("start", &json!({ "zone": "az1" })).await;
    let (status, result, reason) = site.end(&id);
    assert_eq!(status, "succeeded", "{reason}");
    assert_eq!(result["output"]["replication"]["replicationStatus"], "enabled");
    let back = &result["output"]["attachment"];
    use_volume(back, &read);
    use_volume(back, &["read -P 255 512M 1M".into()]);
    assert_eq!(site.array.counts().await, (2, 1, 1));
}

#[tokio::test]
async fn a_site_that_two_find_down_is_left_after_one_question() {
    let site = Site::new(0.0).await;
    let (db, log) = (["name=db"], ["name=log"]);
    for name in [&db, &log] {
        let rest = ["size:=1", "host_id=host-1", "zone=az1", "copy_zone=az2"];
        site.output("replicate-volume", &[&name[..], &rest].concat());
    }
    site.array.control("kill", &json!({ "zone": "az1" })).await;
    for by in ["by=here", "by=here", "by=there"] {
        site.ask(&["event", "send", "opensds.site_down", "zone=az1", by]);
    }
    let asked = site.answer(&["approved:=true", "unfenced:=true"]).await;
    assert!(asked.starts_with("Zone az1 is down. Fail over to host-2: "), "{asked}");
    let sites = site.json(&["execution", "list", "--action", "opensds.failover-site"]);
    let sites = sites.as_array().unwrap();
    assert_eq!(sites.len(), 1, "{sites:?}");
    let (status, _, reason) = site.end(sites[0]["id"].as_str().unwrap());
    assert_eq!(status, "succeeded", "{reason}");
    let used = site.run("list-attachment", &["host_id=host-2"]).1;
    assert_eq!(used["result"].as_array().unwrap().len(), 2, "{used}");
}

#[tokio::test]
async fn a_failover_that_fails_is_held_and_goes_on_there() {
    let site = Site::new(0.0).await;
    let zones = ["zone=az1", "copy_zone=az2"];
    let made = site.output("replicate-volume", &[&FIRST[..], &zones].concat());
    use_volume(&made["attachment"], &["write -P 68 0 1M".into()]);
    site.array.control("fail", &failure("failover", "error")).await;
    let id = site.begin("failover", &["name=first", "host_id=host-2"]);
    let asked = site.answer(&["approved:=true"]).await;
    assert!(asked.starts_with("Fail over `first` (sync, enabled) to host-2?"), "{asked}");
    let held = async || {
        let status = ended(&site.json(&["execution", "show", &id])).0;
        assert!(["running", "pausing", "paused"].contains(&status.as_str()), "{status}");
        (status == "paused").then_some(())
    };
    until(held).await;
    // The array that lost its role was alive: its host has it no more, whatever happened since.
    assert_eq!(site.array.counts().await, (2, 0, 1));
    site.ask(&["execution", "resume", &id]);
    let (status, result, reason) = site.end(&id);
    assert_eq!(status, "succeeded", "{reason}");
    use_volume(&result["output"]["attachment"], &["read -P 68 0 1M".into()]);
}

#[tokio::test]
async fn a_copy_that_may_lag_tells_how_far_it_is_behind() {
    let site = Site::new(0.0).await;
    let apart = ["zone=az1", "copy_zone=az2", "mode=async"];
    let made = site.output("replicate-volume", &[&FIRST[..], &apart].concat());
    let pair = format!("replication_id={}", made["replication"]["id"].as_str().unwrap());
    let lag = || {
        let told = site.run("get-replication", &[&pair]).1;
        let told = &told["result"]["primaryReplicationDriverData"]["lagBytes"];
        told.as_str().unwrap_or_else(|| panic!("{told}")).parse::<u64>().unwrap()
    };
    assert_eq!(site.run("update-replication", &[&pair, "bandwidth:=8"]).0, "succeeded");
    use_volume(&made["attachment"], &["write -P 67 0 64M".into()]);
    assert!(lag() > 1 << 20, "{}", lag());
    assert_eq!(site.run("update-replication", &[&pair, "bandwidth:=0"]).0, "succeeded");
    until(async || (lag() == 0).then_some(())).await;
}

#[tokio::test]
async fn workflows_for_the_pack_of_old_go_on() {
    let site = Site::new(0.0).await;
    let old = source("tests/workflows/opensds/actions");
    let legacy = site.home.path().join("packs/legacy");
    copy(&old.join("workflows"), &legacy.join("actions/workflows"));
    for name in ["provision_volume.yaml", "migration_bucket.yaml", "data_analysis.yaml"] {
        std::fs::copy(old.join(name), legacy.join("actions").join(name)).unwrap();
    }
    let pack = "name: legacy\ndescription: Old ones\nversion: 1.0.0\nauthor: somebody\n";
    std::fs::write(legacy.join("pack.yaml"), pack).unwrap();
    let there = async || ifso_has(&site, "legacy.data-analysis");
    until(there).await;
    for bucket in ["bucket_name=here", "bucket_name=there"] {
        assert_eq!(site.run("create-bucket", &[bucket, "backend_name=near"]).0, "succeeded");
    }
    let put = ["bucket_name=here", "key=a/b", "text=hello"];
    assert_eq!(site.run("put-object", &put).0, "succeeded");
    let (_, port) = site.array.url().rsplit_once(':').unwrap();
    let port = format!("port={port}");
    let cloud = ["ip_addr=127.0.0.1", &port, "tenant_id=demo", "auth_token=secret"];
    let analysis = json!({ "url": format!("{}/analyses", site.array.url()), "bucket": "lab" });
    let analysis = format!("analysis_args:={analysis}");
    let moved = ["name=move", "description=d", "destBackend=x", "remainSource:=false"];
    let buckets = ["srcBucketName=here", "destBucketName=there"];
    let analysed = ["name=count", "src_bucket_name=there", "dest_bucket_name=lab"];
    let engine = ["dest_backend_name=far", "analysis_engine_type=count", &analysis];
    for (workflow, given) in [
        ("legacy.provision-volume", FIRST.to_vec()),
        ("legacy.migration-bucket", [&moved[..], &buckets].concat()),
        ("legacy.data-analysis", [analysed, engine].concat()),
    ] {
        let (status, _, reason) =
            ended(&site.json(&[&["run", workflow], &given[..], &cloud].concat()));
        assert_eq!(status, "succeeded", "{workflow}: {reason}");
    }
    let found = site.run("get-object", &["bucket_name=lab", "key=output/count.json"]).1;
    assert_eq!(found["result"]["text"], r#"{"objects": 1, "bytes": 5}"#);
    assert_eq!(site.run("get-object", &["bucket_name=here", "key=a/b"]).0, "failed");
    assert!(site.array.state().await["tokens"].as_array().unwrap().contains(&json!("secret")));
}

fn ifso_has(site: &Site, action: &str) -> Option<()> {
    let actions = site.json(&["action", "list"]);
    let known = actions.as_array().unwrap().iter().any(|row| row.to_string().contains(action));
    known.then_some(())
}
