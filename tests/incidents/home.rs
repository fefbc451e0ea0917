//! A home with a pack `notify` of the test's own, whose messages the test's hands deliver.

use std::path::Path;
use std::sync::Arc;

use ifso::model::execution::Execution;
use ifso::model::incident::Incident;
use ifso::packs::catalog::Catalog;
use ifso::packs::{self, Kinds, RunnerType, Runners};
use ifso::store::queue;
use ifso::store::table::{self, Rows};

use crate::world::{World, patient};

const PACK: &str = "name: notify\ndescription: for tests\nversion: 1.0.0\nauthor: nobody\n";
const SCHEMA: &str = "channels: {type: object}\nroutes: {type: array}\nquiet: {type: object}\n\
                      group_wait: {type: string}\nflap: {type: object}\n";
const MAIL: &str = r"
name: mail
runner_type: hands
description: tells
retry: {count: 50, delay: 1m}
parameters:
  to: {type: string}
  subject: {type: string}
  text: {type: string, required: true}
  link: {type: string, secret: true}
  notice: {type: object}
";

/// `ops` at once, `lead` after 15 minutes.
pub const PLAN: &str = "\
channels:
  ops: {action: notify.mail, with: {to: ops@example.org}}
  lead: {action: notify.mail, with: {to: lead@example.org}}
routes:
  - levels: [{channels: [ops]}, {after: 15m, channels: [lead]}]
group_wait: 30s
";

pub const RULES: &str = r#"
rule("alerts", #{
    on:   "test.alert",
    then: |e| if e.status == "resolved" { resolve(e.key, #{ reason: "the sensor says so" }) } else {
        incident(e.key, #{ title: `${e.key} is broken`, severity: "major", group: e.group })
    },
});
rule("say", #{ on: "test.say", then: |e| notify(e.channel, e.text) });
"#;

fn write(home: &Path, file: &str, text: &str) {
    let file = home.join(file);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

/// Reads such a home; its problems are in the catalog.
pub fn load(plan: &str, previous: &Catalog) -> Catalog {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    write(home, "packs/notify/pack.yaml", PACK);
    write(home, "packs/notify/config.schema.yaml", SCHEMA);
    write(home, "packs/notify/actions/mail.yaml", MAIL);
    write(home, "calendars/night.yaml", "zone: UTC\nopen:\n  - {from: \"22:00\", to: \"06:00\"}\n");
    if !plan.is_empty() {
        write(home, "configs/notify.yaml", plan);
    }
    write(home, "rules/site.rhai", RULES);
    let hands = RunnerType { name: "hands".to_owned(), parameters: Vec::new() };
    let runners: Runners = [("hands".to_owned(), hands)].into();
    let kinds =
        Kinds { runners: &runners, sensor: &|_| Vec::new(), hooks: &|_| Vec::new(), built_in: &[] };
    packs::load(home, kinds, previous)
}

/// An engine on such a home.
pub fn engine(plan: &str) -> World {
    let catalog = load(plan, &Catalog::default());
    assert_eq!(catalog.errors(), 0, "{:#?}", catalog.problems);
    World::new(catalog)
}

/// Another plan comes into force.
pub fn reload(world: &World, plan: &str) {
    let catalog = load(plan, &world.catalog.load());
    world.catalog.store(Arc::new(catalog));
}

/// Waits until nobody has anything to do at this time.
pub async fn rests(world: &World) {
    let mut changes = world.store.changes();
    let rest = async {
        loop {
            changes.mark_unchanged();
            let now = world.manual.clock().now();
            let mut busy = false;
            for line in [queue::INTAKE, queue::INCIDENTS, queue::DISPATCH] {
                let due = queue::next_due(&world.store, line).await.unwrap();
                busy |= due.is_some_and(|due| due <= now);
            }
            // What runs has no ticket that is due.
            let runs = table::find::<Execution>(&world.store, "status", b"running", Rows::first(1));
            busy |= !runs.await.unwrap().is_empty();
            if !busy {
                return;
            }
            changes.changed().await.unwrap();
        }
    };
    if patient(rest).await.is_none() {
        let now = world.manual.clock().now();
        let mut left = Vec::new();
        for line in [queue::INTAKE, queue::INCIDENTS, queue::DISPATCH] {
            left.extend(queue::due(&world.store, line, now, 3).await.unwrap());
        }
        panic!("nobody came to rest: {left:#?}");
    }
}

/// All messages so far, oldest first: to whom, what, how many incidents.
pub async fn messages(world: &World) -> Vec<(String, String, u64)> {
    let told = deliveries(world).await.into_iter().map(|execution| {
        let text = |name: &str| execution.given[name].as_str().unwrap().to_owned();
        let notice = &execution.context["notice"];
        let kind = notice["kind"].as_str().unwrap().to_owned();
        let to = text("to").split('@').next().unwrap().to_owned();
        (to, kind, notice["count"].as_u64().unwrap_or_default())
    });
    told.collect()
}

/// The executions that deliver, oldest first.
pub async fn deliveries(world: &World) -> Vec<Execution> {
    let rows = table::scan::<Execution>(&world.store, Rows::first(10_000)).await.unwrap();
    rows.into_iter().map(|held| held.row).collect()
}

/// All incidents, oldest first.
pub async fn incidents(world: &World) -> Vec<Incident> {
    let rows = table::scan::<Incident>(&world.store, Rows::first(10_000)).await.unwrap();
    rows.into_iter().map(|held| held.row).collect()
}
