//! Held, stopped and slowed while it runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ifso::model::execution::End;
use ifso::runners::Brake;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_migration_stands_still_and_goes_on() {
    let ends = Ends::new();
    let given = many(400);
    ends.old.fill("box", &given);
    let mut attempt = ends.copy("old:box", "new:box").given("requests", 400);
    let (wanted, want) = watch::channel(false);
    let (stand, mut stands) = watch::channel(None);
    attempt.brake = Brake { wanted: want, stands: Arc::new(stand) };
    let story = async {
        // Whoever let it go before the last death hears that it goes.
        stands.wait_for(|stands| *stands == Some(false)).await.unwrap();
        let first = asked(&ends.new, 20).await;
        wanted.send_replace(true);
        stands.wait_for(|stands| *stands == Some(true)).await.unwrap();
        let before = first + ends.new.calls().len();
        assert!(before < 390 && !ends.old.calls().is_empty(), "{before}");
        // Another one comes to its end meanwhile.
        write(&ends.shelf().join("a"), &many(50));
        ends.copy("shelf:a", "shelf:b").run().await.succeeded();
        assert_eq!((ends.new.calls().len(), ends.old.calls().len()), (0, 0));
        wanted.send_replace(false);
        stands.wait_for(|stands| *stands == Some(false)).await.unwrap();
    };
    // Its time stands still with it.
    let (came, ()) = tokio::join!(attempt.run(), story);
    assert_eq!(count(&came.succeeded(), "objects"), 400);
    assert_eq!(difference(&ends.new.tree("box"), &given), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_holds_and_can_be_changed_while_it_runs() {
    let ends = Ends::new();
    ends.old.fill("box", &tree(&[("1", 9 << 20), ("2", 9 << 20), ("3", 9 << 20), ("4", 9 << 20)]));
    let attempt = ends.copy("old:box", "new:box").given("name", "slow").given("rate", "2MiB");
    let began = Instant::now();
    let (tells, mut told) = watch::channel(0);
    let story = async {
        told.wait_for(|lines| *lines > 1).await.unwrap();
        let throttle = ends.attempt().given("operation", "throttle").given("name", "slow");
        // By whoever is in the same process, as rules are.
        let mut throttle = throttle.given("rate", "200MiB");
        throttle.runners = ends.desk.runners.clone();
        throttle.run().await.succeeded()
    };
    let heard = |_: &_| tells.send_modify(|lines| *lines += 1);
    let (came, told) = tokio::join!(attempt.watched(CancellationToken::new(), heard), story);
    let took = began.elapsed();
    let lines = lines(&came);
    came.succeeded();
    // At 2 MiB/s it would take 18 s.
    assert!(took < Duration::from_secs(15), "{took:?}");
    let first = lines[0]["rate"].as_u64().unwrap();
    assert!(first < 4 << 20, "{first} of {lines:#?}");
    assert_eq!(told["migrations"][0]["running"], true);
    assert_eq!(told["migrations"][0]["limits"]["rate"], 200 << 20);
    assert_eq!(ends.report().await["limits"]["rate"], 200 << 20);
}

#[tokio::test]
async fn a_limit_set_while_it_ran_holds_when_it_goes_on() {
    let ends = Ends::new();
    ends.old.fill("box", &many(5));
    let attempt = ends.copy("old:box", "new:box").given("name", "slow").given("requests", 2);
    assert!(tokio::time::timeout(Duration::from_millis(300), attempt.clone().run()).await.is_err());
    let throttle = ends.attempt().given("operation", "throttle").given("requests", 5000);
    let told = throttle.run().await.succeeded();
    assert_eq!(told["migrations"][0]["running"], false);
    let began = Instant::now();
    attempt.returned(&ends.desk).run().await.succeeded();
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_window_that_ends_is_gone_on_with_by_the_next() {
    let ends = Ends::new();
    let given = many(200);
    ends.old.fill("box", &given);
    let order = || ends.copy("old:box", "new:box").given("name", "nightly");
    let stop = CancellationToken::new();
    let (came, ()) = tokio::join!(order().given("requests", 200).run_until(stop.clone()), async {
        asked(&ends.new, 30).await;
        stop.cancel();
    });
    assert_eq!(came.end(), End::Canceled);
    assert_eq!(
        came.reason(),
        "it was cancelled; another of the same name goes on where it stopped"
    );
    let first = count(&came.outcome.result, "objects");
    assert!((1..200).contains(&first), "{first}");
    let timed = order().given("requests", 200).within(Duration::from_millis(300)).run().await;
    assert_eq!(timed.end(), End::TimedOut);
    let result = order().run().await.succeeded();
    let second = count(&timed.outcome.result, "objects");
    assert_eq!(first + second + count(&result, "objects"), 200);
    assert_eq!(count(&result, "skipped"), first + second);
    assert_eq!(difference(&ends.new.tree("box"), &given), [""; 0]);
}
