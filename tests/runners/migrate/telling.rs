//! What is said when it cannot be done.

use ifso::model::execution::End;

use super::*;

#[tokio::test]
async fn people_learn_what_is_wrong_and_what_to_do() {
    let ends = Ends::new();
    let config = ends.config();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut config = config.clone();
        change(&mut config["stores"]["old"]);
        ends.copy("old:box", "new:box").config(config)
    };
    let attempts = [
        ends.attempt(),
        ends.copy("odl:box", "new:box"),
        ends.copy("old:bix", "new:box"),
        ends.copy("old:box", "new:bix"),
        ends.copy("old:box/a", "old:box"),
        with(&|old| old["secret_key"] = json!("wrong")),
        with(&|old| old["secret_key"] = Value::Null),
        with(&|old| old["endpoint"] = json!("elsewhere")),
        ends.copy("shelf:none", "new:box").given("operation", "move"),
        ends.attempt().given("operation", "report").given("name", "none"),
    ];
    let mut said = String::new();
    for attempt in attempts {
        let came = attempt.run().await;
        assert_eq!(came.end(), End::Failed, "{:?}", came.outcome);
        said.push_str(came.reason());
        said.push('\n');
    }
    insta::assert_snapshot!(said, @r#"
    parameter `from` is missing; say a place such as `old:photos`
    parameter `from`: there is no store `odl` in `stores` of the pack's configuration; did you mean `old`?
    there is no bucket `bix` in `old`; make it, or correct the name
    there is no bucket `bix` in `new`; make it, or correct the name
    `old:box/a` and `old:box` lie within each other; choose another `to`
    `old` does not allow it (403 Forbidden: SignatureDoesNotMatch); look at the keys in `stores.old` and at what they may do
    `stores.old` of the pack's configuration: `access_key` and `secret_key` come together; add the other
    `stores.old` of the pack's configuration: `endpoint`: `elsewhere` is no URL (relative URL without a base); write `https://host:port`
    parameter `operation`: there is no `move`; choose `copy`, `throttle` or `report`
    parameter `name`: there is no migration `none`; there is none yet
    "#);
}

#[tokio::test]
async fn a_server_that_nobody_reaches_ends_the_run_and_keeps_what_was_done() {
    let ends = Ends::new();
    let mut config = ends.config();
    config["stores"]["old"]["endpoint"] = json!("http://127.0.0.1:1");
    let came = ends.copy("old:box", "new:box").config(config).run().await;
    assert_eq!(came.end(), End::Failed);
    assert!(
        came.reason().starts_with("`old` at http://127.0.0.1:1 cannot be reached"),
        "{}",
        came.reason()
    );
    assert!(came.reason().ends_with("run it again to go on"), "{}", came.reason());
}

#[tokio::test]
async fn two_migrations_of_one_name_do_not_run_at_once() {
    let ends = Ends::new();
    ends.old.fill("box", &many(50));
    let slow = ends.copy("old:box", "new:box").given("requests", 20);
    let other = async {
        tokio::task::yield_now().await;
        ends.copy("old:box", "new:box").run().await
    };
    let stop = tokio_util::sync::CancellationToken::new();
    let (_, refused) = tokio::join!(slow.run_until(stop.clone()), async {
        let refused = other.await;
        stop.cancel();
        refused
    });
    assert!(refused.reason().starts_with("migration `old:box → new:box` runs already, as"));
    ends.copy("old:box", "new:box").run().await.succeeded();
    let elsewhere = ends.copy("old:box", "shelf:x").given("name", "old:box → new:box").run().await;
    assert!(elsewhere.reason().ends_with("give this one another `name`"), "{}", elsewhere.reason());
}

#[tokio::test]
async fn a_migration_that_nobody_began_is_begun_on_return() {
    let ends = Ends::new();
    ends.old.fill("box", &many(3));
    let result = ends.copy("old:box", "new:box").begin(Begin::Return).run().await.succeeded();
    assert_eq!(count(&result, "objects"), 3);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_a_mistake_and_no_empty_one() {
    let ends = Ends::new();
    for only_look in [false, true] {
        let came = ends.copy("shelf:none", "new:box").given("dry_run", only_look).run().await;
        assert_eq!(came.end(), End::Failed, "{:?}", came.outcome);
        let path = ends.shelf().join("none");
        let said = format!("there is no folder `{}`; make it, or correct the name", path.display());
        assert_eq!(came.reason(), said);
    }
}
