//! A real folder: what is complete becomes an event, once, across restarts too.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use ifso::model::event::Event;
use serde_json::json;
use tempfile::TempDir;

use super::{Station, in_folder};

async fn station(settings: &str, prepare: impl FnOnce(&Path)) -> (Station, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    prepare(folder.path());
    let file = format!("kind: file\npath: .\nsettle: 200ms\npoll: 5m\n{settings}");
    let station = Station::new([in_folder("inbox", &file, folder.path().into())]).live();
    station.running("inbox").await;
    (station, folder)
}

fn told(events: &[Event]) -> Vec<(String, String)> {
    let part = |event: &Event, key: &str| event.data[key].as_str().unwrap().to_owned();
    events.iter().map(|event| (part(event, "change"), part(event, "name"))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[tokio::test]
async fn a_file_is_created_changed_and_removed() {
    let (station, folder) = station("", |_| {}).await;
    let path = folder.path().join("a.csv");
    fs::write(&path, "one").unwrap();
    let events = station.events_become(1).await;
    assert_eq!(events[0].trigger.as_str(), "file.created");
    let expected = json!({
        "change": "created", "path": path.to_str().unwrap(), "name": "a.csv", "size": 3,
        "modified": events[0].data["modified"],
    });
    assert_eq!(*events[0].data, expected);
    fs::write(&path, "three").unwrap();
    let events = station.events_become(2).await;
    assert_eq!((events[1].trigger.as_str(), &events[1].data["size"]), ("file.changed", &json!(5)));
    fs::remove_file(&path).unwrap();
    let events = station.events_become(3).await;
    assert_eq!(events[2].trigger.as_str(), "file.removed");
    station.until("inbox", |health| health.events == 3).await;
}

#[tokio::test]
async fn a_file_that_is_being_written_is_told_when_it_is_closed() {
    let (station, folder) = station("", |_| {}).await;
    let mut writer = File::create(folder.path().join("slow.csv")).unwrap();
    for number in 0..3 {
        writer.write_all(b"line\n").unwrap();
        // Others come and are told meanwhile, long after this one could have been.
        fs::write(folder.path().join(format!("{number}.csv")), "x").unwrap();
        station.events_become(number + 1).await;
    }
    drop(writer);
    let events = station.events_become(4).await;
    assert_eq!(
        (&events[3].data["name"], &events[3].data["size"]),
        (&json!("slow.csv"), &json!(15))
    );
}

#[tokio::test]
async fn a_file_that_is_moved_or_linked_into_place_is_told_under_its_name_only() {
    let (station, folder) = station("glob: '*.csv'", |_| {}).await;
    let (partial, whole) = (folder.path().join("a.part"), folder.path().join("a.csv"));
    fs::write(&partial, "content").unwrap();
    fs::rename(&partial, whole).unwrap();
    station.events_become(1).await;
    fs::write(folder.path().join(".hidden.csv"), "x").unwrap();
    fs::write(folder.path().join("b.part"), "x").unwrap();
    fs::hard_link(folder.path().join("b.part"), folder.path().join("b.csv")).unwrap();
    let events = station.events_become(2).await;
    assert_eq!(told(&events), pairs(&[("created", "a.csv"), ("created", "b.csv")]));
}

#[tokio::test]
async fn links_and_what_lies_deeper_are_left_alone() {
    let (station, folder) = station("", |_| {}).await;
    let path = folder.path();
    fs::create_dir(path.join("deep")).unwrap();
    fs::write(path.join("deep/a"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path.join("link")).unwrap();
    fs::write(path.join("last"), "x").unwrap();
    assert_eq!(told(&station.events_become(1).await), pairs(&[("created", "last")]));
}

#[tokio::test]
async fn a_recursive_sensor_sees_new_folders_too() {
    let (station, folder) = station("recursive: true\nglob: '**/*.csv'", |_| {}).await;
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    fs::write(folder.path().join("a/b/c.csv"), "x").unwrap();
    fs::write(folder.path().join("a/d.csv"), "x").unwrap();
    // What was made before the new folders were watched is found by the look at the whole.
    station.world.manual.advance(std::time::Duration::from_mins(6));
    let mut events = told(&station.events_become(2).await);
    events.sort();
    assert_eq!(events, pairs(&[("created", "c.csv"), ("created", "d.csv")]));
}

#[tokio::test]
async fn what_came_while_nobody_looked_is_told_once() {
    let (station, folder) = station("", |path| fs::write(path.join("old"), "x").unwrap()).await;
    fs::write(folder.path().join("a"), "x").unwrap();
    assert_eq!(told(&station.events_become(1).await), pairs(&[("created", "a")]));
    let mut world = station.world;
    for number in 0..3 {
        world.tasks.drain(std::time::Duration::from_secs(5)).await;
        fs::write(folder.path().join(format!("missed-{number}")), "x").unwrap();
        let station = Station::on(world.restart().await).live();
        station.running("inbox").await;
        let events = told(&station.events_become(number + 2).await);
        let name = format!("missed-{number}");
        assert_eq!(events[number + 1], ("created".to_owned(), name));
        world = station.world;
    }
}

#[tokio::test]
async fn what_was_there_before_the_sensor_is_told_where_the_file_says_so() {
    let (station, _folder) = station("initial: report\ntrigger: site.inbox", |path| {
        fs::write(path.join("old"), "x").unwrap();
    })
    .await;
    let events = station.events_become(1).await;
    assert_eq!(
        (events[0].trigger.as_str(), told(&events)),
        ("site.inbox", pairs(&[("created", "old")]))
    );
}
