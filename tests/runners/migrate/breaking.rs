//! Whatever breaks off: nothing is missing, nothing is doubled, nothing is removed too early.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ifso::model::execution::End;
use rand::RngExt;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_dies_twenty_times_loses_nothing_and_removes_nothing_early() {
    let ends = Ends::new();
    let mut given = many(1500);
    given.extend(tree(&[("large/one", 23 << 20), ("large/two", (15 << 20) + 1), ("empty", 0)]));
    ends.old.fill("box", &given);
    // Before a source is removed, its copy is there.
    let (all, target) = (given.clone(), ends.new.bucket("box"));
    let early = Arc::new(AtomicUsize::new(0));
    let counted = early.clone();
    ends.old.watch(Box::new(move |method, address| {
        let path = address.split('?').next().unwrap();
        if method == "DELETE" {
            let key = percent_encoding::percent_decode_str(path.strip_prefix("/box/").unwrap());
            let key = key.decode_utf8().unwrap().into_owned();
            let there = std::fs::read(target.join(&key)).ok();
            counted.fetch_add(usize::from(there.as_ref() != all.get(&key)), Ordering::SeqCst);
        }
    }));
    let order = ends.copy("old:box", "new:box").given("remove_source", true);
    let mut attempt = order.given("part_size", "5MiB").given("rate", "40MiB");
    for death in 0..20 {
        let life = Duration::from_millis(rand::rng().random_range(5..250));
        let ended = tokio::time::timeout(life, attempt.clone().run()).await;
        assert!(ended.is_err() || death > 5, "it was over before it could die");
        attempt = attempt.returned(&ends.desk);
    }
    let result = attempt.given("rate", 0).run().await.succeeded();
    assert_eq!(difference(&ends.new.tree("box"), &given), [""; 0]);
    assert_eq!(ends.old.tree("box").len(), 0, "{result}");
    assert_eq!(early.load(Ordering::SeqCst), 0);
    let report = ends.report().await;
    assert_eq!(report["removed"]["objects"], given.len(), "{report}");
    assert_eq!(report["stage"], "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_costs_the_parts_in_flight_at_most() {
    let ends = Ends::new();
    let given = tree(&[("large", 60 << 20)]);
    ends.old.fill("box", &given);
    let attempt = ends.copy("old:box", "new:box").given("part_size", "5MiB");
    let attempt = attempt.given("concurrency", 1).given("rate", "30MiB");
    assert!(
        tokio::time::timeout(Duration::from_millis(1200), attempt.clone().run()).await.is_err()
    );
    attempt.returned(&ends.desk).run().await.succeeded();
    assert_eq!(difference(&ends.new.tree("box"), &given), [""; 0]);
    let calls = ends.new.calls();
    let parts = calls.iter().filter(|call| call.contains("partNumber")).count();
    assert!((12..=14).contains(&parts), "{parts} for 12 parts");
}

#[tokio::test]
async fn what_changed_or_came_in_meanwhile_is_copied_by_the_second_pass() {
    let ends = Ends::new();
    let mut given = many(20);
    ends.old.fill("box", &given);
    let source = ends.old.bucket("box");
    let fresh = tree(&[("00/object 00000", 77), ("later", 3)]);
    given.extend(fresh.clone());
    let once = std::sync::Once::new();
    // The last object in order is copied when the first one is long there.
    ends.new.watch(Box::new(move |method, address| {
        if method == "PUT" && address.starts_with("/box/06/") {
            once.call_once(|| write(&source, &fresh));
        }
    }));
    let attempt = ends.copy("old:box", "new:box").given("concurrency", 1);
    let result = attempt.run().await.succeeded();
    assert_eq!(difference(&ends.new.tree("box"), &given), [""; 0]);
    assert_eq!(result["second_pass"], json!({ "objects": 2, "bytes": 80 }));
}

#[tokio::test]
async fn a_source_that_changed_after_its_copy_is_copied_again_before_it_goes() {
    let ends = Ends::new();
    let mut given = many(10);
    ends.old.fill("box", &given);
    let source = ends.old.bucket("box");
    let fresh = tree(&[("06/object 00006", 9)]);
    given.extend(fresh.clone());
    let once = std::sync::Once::new();
    ends.old.watch(Box::new(move |method, _| {
        if method == "DELETE" {
            once.call_once(|| write(&source, &fresh));
        }
    }));
    let attempt = ends.copy("old:box", "new:box").given("remove_source", true);
    let result = attempt.given("concurrency", 1).run().await.succeeded();
    assert_eq!(difference(&ends.new.tree("box"), &given), [""; 0]);
    assert_eq!((ends.old.tree("box").len(), count(&result, "removed")), (0, 10));
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_costs_time_only() {
    let ends = Ends::new();
    let given = many(60);
    ends.old.fill("box", &given);
    ends.new.down(true);
    let (run, back) = tokio::join!(ends.copy("old:box", "new:box").run(), async {
        // Asked, refused, and asked again.
        asked(&ends.new, 2).await;
        ends.new.down(false);
    });
    let ((), result) = (back, run.succeeded());
    assert_eq!(count(&result, "objects"), 60);
    assert_eq!(difference(&ends.new.tree("box"), &given), [""; 0]);
}

#[tokio::test]
async fn what_fails_is_told_and_tried_again_by_the_next_run() {
    let ends = Ends::with_moto().await;
    let moto = ends.moto.as_ref().unwrap();
    let given = tree(&[("a", 1), ("b/", 5), ("c//d", 1), ("good", 3)]);
    moto.fill("box", &given).await;
    let attempt = ends.copy("moto:box", "shelf:x").given("name", "to the shelf");
    let came = attempt.run().await;
    assert_eq!(came.end(), End::Failed);
    let failed = |result: &Value| {
        let failures = result["failures"].as_array().unwrap().iter();
        failures.map(|failure| failure["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(failed(&came.outcome.result), ["b/", "c//d"]);
    assert!(came.reason().starts_with("2 objects could not be copied, the first is `b/`"));
    assert_eq!(failed(&ends.report().await), ["b/", "c//d"]);
    // The next one of this name leaves the bad ones out, and copies nothing twice.
    let again = ends.copy("moto:box", "shelf:x").given("name", "to the shelf");
    let came = again.clone().run().await;
    assert_eq!((came.end(), count(&came.outcome.result, "skipped")), (End::Failed, 2));
    assert_eq!(count(&came.outcome.result, "objects"), 0);
    let others = again.given("exclude", json!(["b/", "**//**"])).run().await;
    assert_eq!(count(&others.outcome.result, "objects"), 0);
}

#[tokio::test]
async fn a_copy_that_went_away_is_made_again_by_the_next_run() {
    let ends = Ends::new();
    let mut given = many(5);
    ends.old.fill("box", &given);
    ends.copy("old:box", "new:box").run().await.succeeded();
    std::fs::remove_file(ends.new.bucket("box").join("03/object 00003")).unwrap();
    let fresh = tree(&[("fresh", 1)]);
    ends.old.fill("box", &fresh);
    given.extend(fresh);
    let result = ends.copy("old:box", "new:box").run().await.succeeded();
    assert_eq!((count(&result, "objects"), count(&result, "skipped")), (2, 4));
    assert_eq!(difference(&ends.new.tree("box"), &given), [""; 0]);
}
