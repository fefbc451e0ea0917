//! Users from the command line: the password comes on the standard input, never as an argument.

use std::io::Write;
use std::process::Stdio;

use super::talking::{command, say};
use super::told;
use crate::api::House;
use crate::world::catalog;

/// The same with this on the standard input.
async fn typed(house: &House, arguments: &[&str], text: &'static str) -> String {
    let mut command = command(house, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = move || {
        let mut child = command.spawn().unwrap();
        // Who refuses at once reads nothing.
        drop(child.stdin.take().unwrap().write_all(text.as_bytes()));
        told(&child.wait_with_output().unwrap())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_looked_after_from_the_command_line() {
    let house = House::new(catalog([])).await;
    let create = ["user", "create", "ann", "--grant", "run pack:storage"];
    let mut story = typed(&house, &create, "correct horse\n").await;
    let steps: [(&[&str], &str); 13] = [
        (&["user", "create", "ben", "--role", "operator"], "short\n"),
        (&["user", "create", "ben"], ""),
        (&["user", "create", "ben", "--no-password"], ""),
        (&["user", "passwd", "ann"], "battery staple\n"),
        (&["user", "passwd", "ann", "--own"], "wrong\nbattery staple\n"),
        (&["user", "change", "ann", "--role", "operator", "--no-grants"], ""),
        (&["user", "change", "ann", "--grant", "run everything"], ""),
        (&["user", "disable", "ben"], ""),
        (&["user", "list"], ""),
        (&["user", "enable", "ben"], ""),
        (&["user", "delete", "ben"], ""),
        (&["user", "show", "ann"], ""),
        (&["user", "show", "ben"], ""),
    ];
    for (arguments, text) in steps {
        let said = typed(&house, arguments, text).await;
        story.extend(["\n$ ifso ", &arguments.join(" "), "\n", &said]);
    }
    insta::assert_snapshot!("users", story);
    let status = crate::auth::sign_in(&house, "ann", "battery staple").await.0;
    assert_eq!(status, 201);
    let all = say(&house, &["user", "list", "--json"]).await;
    assert!(!all.contains("argon2"), "{all}");
}
