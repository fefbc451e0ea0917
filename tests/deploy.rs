//! What stands in deploy/: every file is held against the real thing that reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::{Value, json};

use crate::cli::alone::Served;
use crate::cli::{home, ifso};
use crate::parts::call::{call, until_it_listens};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&text(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output =
        output.unwrap_or_else(|error| panic!("`{program}`: {error}; `./dev test` installs it"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", told(&output));
    told(&output)
}

fn get(url: &str, path: &str) -> String {
    call(url, &format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n"))
}

/// The labels of each metric on a page, with their values.
type Page = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn page(text: &str) -> Page {
    let line = Regex::new(r"(?m)^([a-z_]+)(?:\{(.*)\})? \S+$").unwrap();
    let label = Regex::new(r#"([a-z_]+)="([^"]*)""#).unwrap();
    let mut page = Page::new();
    for found in line.captures_iter(text) {
        let metric = page.entry(found[1].to_owned()).or_default();
        for pair in label.captures_iter(found.get(2).map_or("", |labels| labels.as_str())) {
            metric.entry(pair[1].to_owned()).or_default().insert(pair[2].to_owned());
        }
    }
    page
}

/// Every `expr` in a file, wherever it stands, and what variables of a dashboard ask for.
fn expressions(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                match inner {
                    Value::String(text) if ["expr", "definition"].contains(&name.as_str()) => {
                        all.push(text.clone());
                    }
                    _ => expressions(inner, all),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, all)),
        _ => {}
    }
}

/// What is wrong with an expression: metrics and labels that are not on the page, and values that no
/// metric has.
fn strangers(expression: &str, page: &Page) -> Vec<String> {
    // What Prometheus adds.
    const SCRAPED: &[&str] = &["job", "instance"];
    let metric = Regex::new(r"\b((?:ifso|process)_[a-z_]+)(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r#"([a-z_]+)(=~|!=|=|!~)"([^"]*)""#).unwrap();
    let by = Regex::new(r"\bby \(([^)]*)\)").unwrap();
    let mut wrong = Vec::new();
    let mut known: BTreeSet<&str> = SCRAPED.iter().copied().collect();
    for found in metric.captures_iter(expression) {
        let Some(labels) = page.get(&found[1]) else {
            wrong.push(format!("there is no metric `{}`", &found[1]));
            continue;
        };
        known.extend(labels.keys().map(String::as_str));
        for pair in matcher.captures_iter(found.get(2).map_or("", |labels| labels.as_str())) {
            if SCRAPED.contains(&&pair[1]) {
                continue;
            }
            let Some(values) = labels.get(&pair[1]) else {
                wrong.push(format!("`{}` has no label `{}`", &found[1], &pair[1]));
                continue;
            };
            // Which statuses were answered is chance.
            let words = pair[3].split('|').filter(|_| &pair[3] != "5..");
            wrong.extend(
                words
                    .filter(|word| !values.contains(*word))
                    .map(|word| format!("no {}=\"{word}\" of `{}`", &pair[1], &found[1])),
            );
        }
    }
    for found in by.captures_iter(expression) {
        let labels = found[1].split(',').map(str::trim);
        wrong.extend(
            labels.filter(|label| !known.contains(label)).map(|label| format!("by `{label}`")),
        );
    }
    wrong
}

/// A served home through which something of everything went, and its metrics.
fn lived() -> (Served, tempfile::TempDir, String) {
    let home = home();
    std::fs::create_dir_all(home.path().join("sensors")).unwrap();
    std::fs::write(
        home.path().join("sensors/door.yaml"),
        "kind: webhook\nauth: none\ntrigger: a.b\n",
    )
    .unwrap();
    let served = Served::start(home.path());
    let body = "{\"x\": 1}";
    let asked = format!(
        "POST /api/v1/webhooks/door HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = until_it_listens(&served.url, &asked);
    assert!(answer.starts_with("HTTP/1.0 20"), "{answer}");
    get(&served.url, "/healthz");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let said = get(&served.url, "/metrics");
        if said.contains("ifso_events_taken_total{outcome=\"accepted\"} 1\n")
            && said.contains("ifso_queue_tickets")
            && said.contains("route=\"/metrics\"")
        {
            return (served, home, said);
        }
        assert!(Instant::now() < deadline, "{said}");
        std::thread::yield_now();
    }
}

#[test]
fn dashboard_and_alerts_name_metrics_labels_and_values_that_there_are() {
    let (served, _home, said) = lived();
    let mut page = page(&said);
    // Only what has an order knows how far behind it is.
    assert!(!page.contains_key("ifso_sensor_lag"));
    let up = page["ifso_sensor_up"].clone();
    page.insert("ifso_sensor_lag".to_owned(), up);
    let dashboard: Value = serde_json::from_str(&text(&deploy("grafana/ifso.json"))).unwrap();
    let mut all = Vec::new();
    expressions(&dashboard, &mut all);
    let panels = all.len();
    expressions(&yaml(&deploy("prometheus/ifso-rules.yml")), &mut all);
    assert!(panels > 30 && all.len() > panels + 15, "{panels} of {}", all.len());
    let wrong: Vec<String> = all
        .iter()
        .flat_map(|one| strangers(one, &page).into_iter().map(move |what| format!("{what}: {one}")))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The check itself can fail.
    let bad = "sum by (colour) (ifso_sensor_upp) + ifso_sensor_up{x=\"1\"} \
               + ifso_store_commits_total{outcome=\"lost\"}";
    assert_eq!(strangers(bad, &page).len(), 4, "{:?}", strangers(bad, &page));
    assert!(served.stop().success());
}

#[test]
fn metrics_show_the_store_its_disk_and_zeroes_before_anything_happens() {
    let (served, _home, said) = lived();
    let page = page(&said);
    for metric in ["ifso_store_bytes", "ifso_disk_free_bytes", "ifso_disk_size_bytes"] {
        let line = said.lines().find_map(|line| line.strip_prefix(&format!("{metric} "))).unwrap();
        assert!(line.parse::<f64>().unwrap() > 0.0, "{metric} {line}");
    }
    for zero in [
        "ifso_executions_ended_total{status=\"abandoned\"} 0",
        "ifso_decisions_made_total{verdict=\"quarantined\"} 0",
        "ifso_store_commits_total{outcome=\"failed\"} 0",
        "ifso_executions_open{status=\"pending\"} 0",
        "ifso_incidents_open{state=\"open\"} 0",
        "ifso_queue_tickets{queue=\"dispatch\",state=\"due\"} 0",
        "ifso_dead_letters_total{sensor=\"site.door\"} 0",
    ] {
        assert!(said.lines().any(|line| line == zero), "{zero} is not in {said}");
    }
    // What a caller asks for does not become a label.
    get(&served.url, "/nowhere/at/all");
    get(&served.url, "/api/v1/events/evt_nonsense");
    let after = get(&served.url, "/metrics");
    assert!(!after.contains("nowhere") && !after.contains("nonsense"), "{after}");
    let labels: BTreeSet<_> = page.values().flat_map(BTreeMap::keys).map(String::as_str).collect();
    let known = [
        "le", "method", "outcome", "queue", "route", "sensor", "state", "status", "verdict",
        "version",
    ];
    assert_eq!(labels.into_iter().collect::<Vec<_>>(), known);
    assert!(served.stop().success());
}

#[test]
fn prometheus_takes_the_alerts_and_plays_their_tests() {
    let (rules, tests) =
        (deploy("prometheus/ifso-rules.yml"), deploy("prometheus/ifso-rules.test.yml"));
    run("promtool", &["check", "rules", rules.to_str().unwrap()]);
    run("promtool", &["test", "rules", tests.to_str().unwrap()]);
}

#[test]
fn systemd_takes_the_unit_and_finds_it_closed() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("ifso.service");
    let program = env!("CARGO_BIN_EXE_ifso");
    std::fs::write(&unit, text(&deploy("ifso.service")).replace("/usr/bin/ifso", program)).unwrap();
    let unit = unit.to_str().unwrap();
    run("systemd-analyze", &["verify", "--man=no", unit]);
    // At most 2.0; the file says what it is with systemd 252.
    run("systemd-analyze", &["security", "--offline=true", "--threshold=20", "--no-pager", unit]);
}

#[test]
fn systemd_is_told_when_work_is_accepted() {
    let home = home();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let served = Served::start_with(home.path(), &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    let mut said = [0; 64];
    let count = socket.recv(&mut said).unwrap();
    assert_eq!(&said[..count], b"READY=1");
    assert!(served.stop().success());
}

#[test]
fn the_home_of_the_containers_is_right_and_what_they_mount_is_there() {
    let path = deploy("compose/home");
    let checked = ifso(&["check", "--strict", "--home", path.to_str().unwrap()]).output().unwrap();
    assert!(checked.status.success(), "{}", told(&checked));
    for file in ["compose.yaml", "missions/compose.yaml"] {
        let folder = deploy(file).parent().unwrap().to_owned();
        let compose = yaml(&deploy(file));
        let services = compose["services"].as_object().unwrap();
        assert!(services.len() > 4, "{file}");
        for (name, service) in services {
            let mounts = service["volumes"].as_array().into_iter().flatten();
            for mount in mounts.filter_map(Value::as_str) {
                let outside = mount.split(':').next().unwrap();
                // What `--prepare` makes, and volumes of the engine's own.
                if outside.starts_with('.') && !outside.contains(".missions") {
                    assert!(folder.join(outside).exists(), "{file}: {name}: {mount}");
                }
            }
            let image = service["image"].as_str();
            assert!(image.is_none_or(|image| image.contains(':')), "{file}: {name}: {image:?}");
            let ports = service["ports"].as_array().into_iter().flatten().filter_map(Value::as_str);
            for port in ports {
                assert!(port.starts_with("127.0.0.1:"), "{file}: {name}: {port}");
            }
        }
    }
}

#[test]
fn the_charts_values_fit_their_schema_and_it_is_of_this_version() {
    let schema: Value =
        serde_json::from_str(&text(&deploy("helm/ifso/values.schema.json"))).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let values = yaml(&deploy("helm/ifso/values.yaml"));
    let wrong: Vec<String> = schema.iter_errors(&values).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let with = |key: &str, value: Value| {
        let mut values = values.clone();
        values[key] = value;
        schema.is_valid(&values)
    };
    assert!(with("home", json!({ "rules/site.rhai": "x", "packs/p/actions/a.yaml": "y" })));
    assert!(with("secrets", json!([{ "name": "hooks", "keys": ["alertmanager"] }])));
    assert!(!with("home", json!({ "../etc/passwd": "x" })));
    assert!(!with("home", json!({ "rules/../x": "x" })));
    assert!(!with("replicas", json!(2)));
    assert!(!with("settings", json!({ "listen": "0.0.0.0:1" })));
    let chart = yaml(&deploy("helm/ifso/Chart.yaml"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    for file in ["files/ifso.json", "files/ifso-rules.yml"] {
        assert!(deploy("helm/ifso").join(file).is_file(), "{file}");
    }
}

/// Helm itself, where the machine has it: no registry of packages gives it to everybody.
#[test]
fn helm_renders_the_chart_where_there_is_helm() {
    if Command::new("helm").arg("version").output().is_err() {
        return;
    }
    let chart = deploy("helm/ifso");
    let chart = chart.to_str().unwrap();
    let more = [
        "--set=serviceMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true",
        "--set=ingress.enabled=true,masterKey.secret=key,settings.keep.events=2d",
        "--set=home.rules/a\\.rhai=x,secrets[0].name=s,secrets[0].keys[0]=k",
    ];
    run("helm", &["lint", "--strict", chart]);
    for more in [&more[..0], &more[..]] {
        let arguments = [&["template", "x", chart, "--kube-version=1.29.0"][..], more].concat();
        let said = run("helm", &arguments);
        let kinds = said.lines().filter(|line| line.starts_with("kind: ")).count();
        assert_eq!(kinds, if more.is_empty() { 4 } else { 8 }, "{said}");
        assert!(said.contains("replicas: 1") && said.contains("readOnlyRootFilesystem: true"));
    }
}

#[test]
fn every_verb_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let output = ifso(&["man", folder.path().to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let pages: BTreeSet<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for page in ["ifso.1", "ifso-serve.1", "ifso-event-list.1", "ifso-doctor.1"] {
        assert!(pages.contains(page), "{page} is not among {pages:?}");
    }
    assert!(!pages.contains("ifso-man.1"));
    let first = text(&folder.path().join("ifso.1"));
    assert!(first.contains(".TH ifso 1") && first.contains("doctor"), "{first}");
}
