//! What every kind of sensor promises, tried on each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ifso::model::problem::{Problem, Severity};
use ifso::model::sensor::{Definition, HealthState};
use ifso::packs::catalog::Catalog;
use ifso::sensors::{KINDS, Kind, check};
use serde_json::{Value, json};

use super::{Station, definition, in_folder};

fn example(kind: &dyn Kind) -> Arc<Definition> {
    definition(kind.name(), kind.example())
}

/// The problems of a kind's example with one key changed.
fn with(kind: &dyn Kind, key: &str, value: Value) -> Vec<Problem> {
    let mut definition = (*example(kind)).clone();
    definition.settings[key] = value;
    check(&Arc::new(definition))
}

/// A key of the example that its kind reads.
fn key(kind: &dyn Kind) -> String {
    let settings = example(kind).settings.clone();
    let keys = settings.as_object().unwrap().keys().cloned();
    keys.filter(|key| key != "kind").max_by_key(String::len).unwrap()
}

#[test]
fn every_example_loads() {
    for kind in KINDS {
        let definition = example(*kind);
        assert_eq!(definition.kind, kind.name());
        // What an example names need not be there: that is a warning.
        let mut problems = check(&definition);
        problems.retain(|problem| problem.severity == Severity::Error);
        assert_eq!(problems, [], "{}", kind.name());
        assert!(!kind.about().is_empty());
    }
}

#[test]
fn an_unknown_key_is_answered_with_the_one_that_was_meant() {
    for kind in KINDS {
        let meant = key(*kind);
        let problems = with(*kind, &format!("{meant}s"), json!(1));
        let [problem] = &problems[..] else { panic!("{}: {problems:?}", kind.name()) };
        assert_eq!(problem.help, Some(format!("did you mean `{meant}`?")), "{}", kind.name());
        assert!(problem.message.starts_with(&format!("unknown field `{meant}s`")), "{problem}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_its_place() {
    for kind in KINDS {
        let key = key(*kind);
        let problems = with(*kind, &key, json!({ "x": { "y": [] } }));
        let [problem] = &problems[..] else { panic!("{}: {problems:?}", kind.name()) };
        let message = &problem.message;
        assert!(message.starts_with(&format!("`{key}")), "{}: {message}", kind.name());
        assert_eq!(problem.place.to_string(), format!("sensors/{}.yaml", kind.name()));
    }
}

#[tokio::test]
async fn every_kind_ends_within_a_second() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let name = kind.name();
        let station = Station::new([in_folder(name, kind.example(), folder.path().into())]);
        station.until(name, |health| health.state != HealthState::Starting).await;
        let home = station.world.tasks.drain(Duration::from_secs(1)).await;
        assert!(home, "`{name}` did not end");
    }
}

#[tokio::test]
async fn a_source_that_is_away_is_said_and_tried_again() {
    for (name, file, part) in [
        (
            "prometheus",
            "url: http://127.0.0.1:1\nquery: up",
            "`http://127.0.0.1:1/` cannot be read",
        ),
        ("poll", "url: http://127.0.0.1:1\nkey: $.id", "`http://127.0.0.1:1/` cannot be read"),
        ("file", "path: gone", "gone` cannot be watched"),
        ("process", "command: [no-such-program]", "`no-such-program` cannot be started"),
        ("webhook", "auth: bearer\nsecrets: [{ file: gone }]", "gone` cannot be read"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("kind: {name}\n{file}");
        let station = Station::new([in_folder(name, &file, folder.path().into())]);
        for restarts in 1..=3 {
            let health = station.until(name, |health| health.restarts == restarts).await;
            let health = match health.state {
                HealthState::Waiting => health,
                _ => station.until(name, |health| health.state == HealthState::Waiting).await,
            };
            let reason = health.reason.unwrap();
            assert!(reason.contains(part), "{name}: {reason}");
            station.world.manual.advance(Duration::from_secs(4));
        }
    }
}

/// As the loader shows it: the key that the user wrote, where it stands.
#[test]
fn a_wrong_setting_is_named_as_the_file_names_it() {
    for (file, expected) in [
        ("kind: cron\ncron: 61 * * * *", "2:1: `cron`: `61` is no minute"),
        (
            "kind: cron\nexpression: 1 * * * *\ntimezone: Europe/Berln",
            "3:1: `timezone`: there is no time zone `Europe/Berln`",
        ),
        ("kind: interval\ninterval: 1ms", "2:1: `interval`: expected 100ms or more"),
        ("kind: interval\nevery: 20", "2:1: `every`: `20` has no unit; write `20s`"),
        ("kind: interval\ninterval: 0.5", "2:1: `interval`: `0.5` has no unit; write `0.5s`"),
    ] {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("sensors")).unwrap();
        std::fs::write(home.path().join("sensors/x.yaml"), file).unwrap();
        std::fs::write(home.path().join("sensors/README.md"), "# No sensor").unwrap();
        let kinds = ifso::packs::Kinds {
            runners: &BTreeMap::new(),
            sensor: &check,
            hooks: &|_| Vec::new(),
            built_in: &[],
        };
        let loaded = ifso::packs::load(home.path(), kinds, &Catalog::default());
        let problems: Vec<_> = loaded.problems.iter().map(ToString::to_string).collect();
        let wanted = format!("sensors/x.yaml:{expected}");
        assert!(problems.iter().any(|one| one.starts_with(&wanted)), "{wanted}: {problems:?}");
        assert!(!problems.iter().any(|one| one.contains("README")), "{problems:?}");
    }
}
