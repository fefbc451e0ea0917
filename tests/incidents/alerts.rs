//! The rules of pack `notify`, as it is: what Alertmanager and delfin report becomes incidents.

use std::path::Path;
use std::time::Duration;

use ifso::model::incident::{Severity, State};
use ifso::packs::catalog::Catalog;
use ifso::packs::{self, Kinds, RunnerType, Runners};
use serde_json::{Value, json};

use super::home::{incidents, messages, rests};
use crate::parts::copy;
use crate::world::{World, report};

const PLAN: &str = "\
channels: {ops: {action: test.mail, with: {to: ops@x}}}
routes: [{channels: [ops]}]
group_wait: 30s
ignored: [Watchdog]
";
const MAIL: &str = "name: mail\nrunner_type: hands\ndescription: tells\nparameters:\n  \
                    to: {type: string}\n  subject: {type: string}\n  text: {type: string}\n";

/// A home with the pack as it is, and a channel of the test's own.
fn engine() -> World {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let pack = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packs/notify"));
    copy(pack, &home.join("packs/notify"));
    std::fs::create_dir_all(home.join("packs/test/actions")).unwrap();
    std::fs::create_dir_all(home.join("configs")).unwrap();
    let manifest = "name: test\ndescription: tests\nversion: 1.0.0\nauthor: nobody\n";
    std::fs::write(home.join("packs/test/pack.yaml"), manifest).unwrap();
    std::fs::write(home.join("packs/test/actions/mail.yaml"), MAIL).unwrap();
    std::fs::write(home.join("configs/notify.yaml"), PLAN).unwrap();
    let known = |name: &str| {
        let short = name.split('-').next().unwrap_or(name).to_owned();
        (name.to_owned(), RunnerType { name: short, parameters: Vec::new() })
    };
    let names = ["hands", "email", "http-request", "python-script", "kafka"];
    let runners: Runners = names.map(known).into();
    let kinds =
        Kinds { runners: &runners, sensor: &|_| Vec::new(), hooks: &|_| Vec::new(), built_in: &[] };
    let catalog = packs::load(home, kinds, &Catalog::default());
    assert_eq!(catalog.errors(), 0, "{:#?}", catalog.problems);
    World::new(catalog)
}

fn alert(status: &str, labels: &Value) -> Value {
    json!({
        "status": status,
        "fingerprint": labels["alertname"],
        "labels": labels,
        "annotations": { "summary": "pool p1 is nearly full" },
    })
}

async fn hear(world: &World, all: impl IntoIterator<Item = Value>) {
    let reports = all.into_iter().map(|data| report("prometheus.alert", data)).collect();
    world.report(reports).await;
    rests(world).await;
}

#[tokio::test]
async fn an_alert_is_an_incident_until_it_is_resolved() {
    let world = engine();
    let labels = json!({ "alertname": "PoolNearlyFull", "severity": "page" });
    hear(&world, [alert("firing", &labels), alert("firing", &labels)]).await;
    let watchdog = json!({ "alertname": "Watchdog", "severity": "none" });
    hear(&world, [alert("firing", &watchdog)]).await;
    let all = incidents(&world).await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].failure.title, "pool p1 is nearly full");
    assert_eq!((all[0].failure.severity, all[0].count), (Severity::Critical, 2));
    hear(&world, [alert("resolved", &labels)]).await;
    assert_eq!(incidents(&world).await[0].state, State::Resolved);
    assert_eq!(messages(&world).await.len(), 2);
}

/// An alert as delfin pushes it: its number and time are new with each report.
fn delfin(number: u32, location: &str, category: &str) -> Value {
    alert(
        "firing",
        &json!({
            "alert_id": "0xA1", "alert_name": "Link state down", "severity": "Critical",
            "category": category, "location": location, "storage_id": "s1",
            "storage_name": "array one", "occur_time": number.to_string(),
            "sequence_number": number.to_string(),
        }),
    )
}

#[tokio::test]
async fn alerts_of_delfin_are_known_by_storage_alert_and_location() {
    let world = engine();
    for number in 0..5 {
        hear(&world, (0..40).map(|port| delfin(number, &format!("port {port}"), "Fault"))).await;
    }
    world.manual.advance(Duration::from_secs(30));
    rests(&world).await;
    let all = incidents(&world).await;
    assert_eq!(all.len(), 40);
    assert!(all.iter().all(|one| one.count == 5), "repeats only count");
    assert_eq!(all[0].failure.title, "Link state down on array one");
    let told = messages(&world).await;
    assert_eq!(told, [("ops".to_owned(), "opened".to_owned(), 40)]);
    // What Alertmanager calls resolved, since nobody reported for a while, is not over.
    let mut stale = delfin(9, "port 0", "Fault");
    stale["status"] = json!("resolved");
    hear(&world, [stale]).await;
    assert_eq!(incidents(&world).await[0].state, State::Open);
    hear(&world, (0..40).map(|port| delfin(10, &format!("port {port}"), "Recovery"))).await;
    world.manual.advance(Duration::from_secs(30));
    rests(&world).await;
    let told = messages(&world).await;
    assert_eq!(told[1..], [("ops".to_owned(), "recovered".to_owned(), 40)]);
}
