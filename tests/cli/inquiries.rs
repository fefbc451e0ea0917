//! Questions on the command line: looked up, and answered in one line or field by field.

use std::io::Write;
use std::process::Stdio;

use ifso::model::execution::Status;
use serde_json::json;

use crate::api::inquiries::{asks, house};
use crate::cli::talking::{command, say};
use crate::cli::told;

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_listed_shown_and_answered_in_one_line() {
    let house = house().await;
    insta::assert_snapshot!("inquiry_none", say(&house, &["inquiry", "list"]).await);
    let path = asks(&house, "Grow it by 20 %?").await;
    let id = path.rsplit('/').next().unwrap();
    insta::assert_snapshot!("inquiry_list", say(&house, &["inquiry", "list"]).await);
    insta::assert_snapshot!("inquiry_show", say(&house, &["inquiry", "show", id]).await);
    let respond = ["inquiry", "respond", id];
    let wrong = [&respond[..], &["approve=perhaps", "size_gib=0"]].concat();
    insta::assert_snapshot!("inquiry_wrong", say(&house, &wrong).await);
    let right = [&respond[..], &["approve=yes", "size_gib=20", "pin=1234"]].concat();
    insta::assert_snapshot!("inquiry_answered", say(&house, &right).await);
    insta::assert_snapshot!("inquiry_again", say(&house, &right).await);
    let shown = say(&house, &["inquiry", "show", id, "--json"]).await;
    assert!(shown.contains("********") && !shown.contains("1234\""), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_answer_each_field_is_asked_until_it_fits() {
    let house = house().await;
    let path = asks(&house, "Grow it by 20 %?").await;
    let id = path.rsplit('/').next().unwrap();
    let mut command = command(&house, &["inquiry", "respond", id]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let typed = "\nperhaps\nyes\n0\n\n1234\n\n";
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    insta::assert_snapshot!("inquiry_asked", told(&output.await.unwrap()));
    let (_, row) = house.ask("GET", &path, None).await;
    let shown = json!({ "approve": true, "size_gib": 10, "pin": "********" });
    assert_eq!((&row["status"], &row["response"]), (&json!("succeeded"), &shown));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_held_workflow_says_how_it_goes_on() {
    let house = house().await;
    let path = asks(&house, "Grow it?").await;
    let id = path.rsplit('/').next().unwrap();
    let (_, row) = house.ask("GET", &path, None).await;
    let flow = row["parent"].as_str().unwrap();
    house.world.reaches(flow.parse().unwrap(), Status::Paused).await;
    let none = say(&house, &["inquiry", "respond", id]).await;
    assert!(none.contains("nothing was typed for `approve`"), "{none}");
    let respond = ["inquiry", "respond", id, "--json", "{\"approve\": false}"];
    let said = say(&house, &respond).await;
    assert!(said.contains("its workflow goes on"), "{said}");
    house.world.reaches(flow.parse().unwrap(), Status::Succeeded).await;
}
