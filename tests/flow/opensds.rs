//! The three workflows of SODA's pack, written for Mistral, through the real program against a storage
//! cloud that answers as theirs does.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::cli::ifso;
use crate::parts::copy;
use crate::parts::hotpot::{HOST, Hotpot};
use crate::sensors::serve;

/// A served home with the pack, and the cloud that it works on.
struct Site {
    home: tempfile::TempDir,
    child: Child,
    url: String,
    cloud: Hotpot,
    port: String,
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Site {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workflows/opensds");
        copy(&pack, &home.path().join("packs/opensds"));
        let cloud = Hotpot::default();
        let address = serve(cloud.router()).await;
        let (_, port) = address.split_once(':').unwrap();
        let mut child = ifso(&["serve", "--listen", "127.0.0.1:0"])
            .env("IFSO_HOME", home.path())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = line.await.unwrap().unwrap();
        let url = line.trim().strip_prefix("ready ").unwrap_or_else(|| panic!("{line}")).to_owned();
        let port = port.to_owned();
        Self { home, child, url, cloud, port }
    }

    /// Runs a workflow to its end; gives where it stands then and its result.
    async fn run(&self, workflow: &str, parameters: &[(&str, Value)]) -> (String, Value) {
        let usual = [
            ("ip_addr", json!("127.0.0.1")),
            ("port", json!(self.port)),
            ("tenant_id", json!("tenant")),
            ("auth_token", json!("a-token")),
        ];
        let given = usual.iter().chain(parameters).map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            value => format!("{name}:={value}"),
        });
        let given: Vec<String> = given.collect();
        let mut arguments = vec!["run", workflow, "--json"];
        arguments.extend(given.iter().map(String::as_str));
        let mut command = ifso(&arguments);
        command.env("IFSO_URL", &self.url).env("IFSO_HOME", self.home.path());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let row: Value = serde_json::from_str(&said)
            .unwrap_or_else(|_| panic!("{said}\n{}", String::from_utf8_lossy(&output.stderr)));
        (row["status"].as_str().unwrap().to_owned(), row["result"].clone())
    }
}

#[tokio::test]
async fn a_volume_is_provisioned() {
    let site = Site::new().await;
    let wanted = |name: &str, host: &str| {
        [("name", json!(name)), ("size", json!(5)), ("host_id", json!(host))]
    };
    let (status, result) = site.run("opensds.provision-volume", &wanted("v1", HOST)).await;
    assert_eq!(status, "succeeded", "{result}");
    let tagline = result["output"]["tagline"].as_str().unwrap();
    assert!(tagline.ends_with("is attached to host-1\n"), "{tagline}");
    site.cloud.look(|cloud| {
        let volume = cloud.volumes.values().next().unwrap();
        assert_eq!((&volume["status"], &volume["size"]), (&json!("inUse"), &json!(5)));
        assert_eq!(volume["description"], "Volume creation");
        assert_eq!(cloud.attachments.values().next().unwrap()["attachMode"], "rw");
        assert!(cloud.tokens.iter().all(|token| token == "a-token"));
    });
    // A failure anywhere fails the workflow, and nothing after it begins.
    for (name, host, failed) in
        [("broken", HOST, "create_volume"), ("v2", "nobody", "attach_volume")]
    {
        let (status, result) = site.run("opensds.provision-volume", &wanted(name, host)).await;
        assert_eq!(status, "failed", "{result}");
        assert_eq!(result["errors"][0]["task_id"], failed, "{result}");
    }
    assert_eq!(site.cloud.look(|cloud| cloud.attachments.len()), 1);
}

#[tokio::test]
async fn a_bucket_is_migrated() {
    let site = Site::new().await;
    let parameters = [
        ("name", json!("move")),
        ("description", json!("a move")),
        ("destBackend", json!("far")),
        ("srcBucketName", json!("here")),
        ("destBucketName", json!("there")),
        ("remainSource", json!(true)),
    ];
    let (status, result) = site.run("opensds.migration-bucket", &parameters).await;
    assert_eq!(status, "succeeded", "{result}");
    let tagline = result["output"]["tagline"].as_str().unwrap();
    assert!(tagline.ends_with("the migration is succeed\n"), "{tagline}");
    site.cloud.look(|cloud| {
        let plan = &cloud.plans.values().next().unwrap()["wanted"];
        assert_eq!(plan["RemainSource"], true);
        assert_eq!((&plan["Name"], &plan["userId"]), (&json!("move"), &json!(null)));
        assert_eq!(plan["DestConn"]["BucketName"], "there");
        cloud.migration_fails = true;
    });
    let (status, result) = site.run("opensds.migration-bucket", &parameters).await;
    assert_eq!((status.as_str(), &result["errors"][0]["task_id"]), ("failed", &json!("follow")));
}

#[tokio::test]
async fn a_bucket_is_brought_and_analysed() {
    let site = Site::new().await;
    let engine = format!("http://127.0.0.1:{}/analyses", site.port);
    let wanted = |from: &str, to: &str| {
        [
            ("name", json!("count")),
            ("src_bucket_name", json!(from)),
            ("dest_bucket_name", json!(to)),
            ("dest_backend_name", json!("far")),
            ("analysis_engine_type", json!("test")),
            ("analysis_args", json!({ "url": engine, "steps": [1, 2] })),
        ]
    };
    let changes = || site.cloud.look(|cloud| std::mem::take(&mut cloud.changes));
    let (status, result) = site.run("opensds.data-analysis", &wanted("here", "there")).await;
    assert_eq!(status, "succeeded", "{result}");
    let mut done = changes();
    // The plan is removed while the analysis goes on.
    let removed = done.iter().position(|change| change.starts_with("DELETE")).unwrap();
    assert_eq!(done.remove(removed), "DELETE /v1/tenant/plans/plan-1");
    let in_order = [
        "PUT /v1/s3/there",
        "POST /v1/tenant/plans",
        "POST /v1/tenant/plans/plan-1/run",
        "POST /analyses",
        "PUT /v1/s3/there/?load",
    ];
    assert_eq!(done, in_order);
    site.cloud.look(|cloud| {
        assert_eq!(cloud.buckets["there"], "far");
        assert!(cloud.plans.is_empty());
        let analysis = cloud.analyses.values().next().unwrap();
        assert_eq!(analysis["args"]["steps"], json!([1, 2]));
    });
    // What is there already is analysed where it is.
    let (status, result) = site.run("opensds.data-analysis", &wanted("there", "there")).await;
    assert_eq!(status, "succeeded", "{result}");
    assert_eq!(changes(), ["POST /analyses", "PUT /v1/s3/there/?load"]);
    // A migration that fails is cleared away, and nothing is analysed.
    site.cloud.look(|cloud| cloud.migration_fails = true);
    let (status, result) = site.run("opensds.data-analysis", &wanted("here", "there")).await;
    assert_eq!(status, "succeeded", "{result}");
    assert_eq!(result["output"]["tagline"], "the plan is removed\n");
    assert!(changes().iter().all(|change| !change.starts_with("POST /analyses")));
}
