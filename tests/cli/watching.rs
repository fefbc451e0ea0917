//! Watching what runs: progress, trees, graphs and traces as people see them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use ifso::model::action::Action;
use ifso::model::execution::{End, Status};
use ifso::runners::Ended;
use serde_json::{Value, json};

use crate::api::House;
use crate::cli::{ifso, told};
use crate::executions::workflows::workflow;
use crate::world::{PATIENCE, action, catalog, patient};

fn own(name: &str, runner: &str) -> Action {
    Action { runner: runner.to_owned(), runner_type: runner.to_owned(), ..action(name) }
}

async fn house(flows: impl IntoIterator<Item = Action>) -> House {
    // Time may run away from this machine: no attempt is to take too long.
    let slow = Action { timeout: Some(Duration::from_hours(24 * 365)), ..action("test.do") };
    let usual = [slow, own("core.noop", "noop"), own("core.ask", "inquiry")];
    House::new(catalog(flows.into_iter().chain(usual))).await
}

fn command(house: &House, arguments: &[&str]) -> Command {
    let mut command = ifso(arguments);
    command.env("IFSO_URL", &house.url).env("IFSO_KEY", &house.admin);
    command
}

/// What a command says, spans struck out whatever their length.
async fn say(house: &House, arguments: &[&str]) -> String {
    let mut command = command(house, arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let times =
        regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d|\d+d \d\dh").unwrap();
    times.replace_all(&told(&output), "TIME").into_owned()
}

async fn begin(house: &House, action: &str) -> String {
    let (status, made) =
        house.ask("POST", "/v1/executions", Some(json!({ "action": action }))).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().unwrap().to_owned()
}

async fn reaches(house: &House, id: &str, status: Status) {
    house.world.reaches(id.parse().unwrap(), status).await;
}

/// Time that goes on until it is stopped.
fn moving(house: &House) -> tokio::task::JoinHandle<()> {
    let clock = house.world.manual.clone();
    house.world.tasks.spawn(async move {
        loop {
            clock.advance(Duration::from_millis(1));
            tokio::task::yield_now().await;
        }
    })
}

/// An answer of the API, once it is as wanted.
async fn until(house: &House, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let patience = std::time::Instant::now() + PATIENCE;
    loop {
        let (_, row) = house.ask("GET", path, None).await;
        if wanted(&row) {
            return row;
        }
        assert!(std::time::Instant::now() < patience, "never as wanted: {row:#}");
        house.world.manual.advance(Duration::from_millis(250));
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_action_says_of_its_progress_is_kept_and_shown() {
    let house = house([]).await;
    house.world.hands.hold();
    let lines =
        "begins\n{\"progress\": 0.1}\n  {\"progress\": 0.45, \"message\": \"volume 4 of 9\"}\n";
    house.world.hands.will_print_and(lines, Ended::So(End::Succeeded));
    let id = begin(&house, "test.do").await;
    house.world.hands.began().await;
    let path = format!("/v1/executions/{id}");
    let row = until(&house, &path, |row| row["progress"].is_object()).await;
    assert_eq!(row["progress"]["progress"], 0.45);
    assert_eq!(row["progress"]["message"], "volume 4 of 9");
    let (_, list) = house.ask("GET", "/v1/executions?include_attributes=progress", None).await;
    assert_eq!(list[0]["progress"], row["progress"]);
    let shown = say(&house, &["execution", "show", &id]).await;
    assert!(shown.contains("progress  ████░░░░░░ 45 %  volume 4 of 9\n"), "{shown}");
    house.world.hands.go_on();
    reaches(&house, &id, Status::Succeeded).await;
    let (_, row) = house.ask("GET", &path, None).await;
    assert_eq!(row["progress"]["progress"], 0.45, "it goes with its execution");
}

const DEPLOY: &str = "
version: 1.0
tasks:
  build:
    action: core.noop
    next: [{when: <% succeeded() %>, do: [test, later]}]
  test:
    with: <% range(4) %>
    action: test.do
    next: [{when: <% succeeded() %>, do: ship}]
  ship:
    action: test.inner
  later:
    delay: 3600
    action: core.noop
";

const INNER: &str = "
version: 1.0
tasks:
  copy: {action: core.noop, next: [{do: sure}]}
  sure: {action: core.ask, input: {message: Switch now?}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_shown_as_a_tree_with_what_can_be_done() {
    let house = house([workflow("test.deploy", DEPLOY), workflow("test.inner", INNER)]).await;
    let id = begin(&house, "test.deploy").await;
    let tree = format!("/v1/executions/{id}/tree");
    let (_, shown) = house.ask("GET", &tree, None).await;
    assert_eq!(shown["action"], "test.deploy", "{shown}");
    until(&house, &tree, |tree| tree.to_string().contains("\"pending\"")).await;
    insta::assert_snapshot!("tree_pending", say(&house, &["execution", "show", &id]).await);
    let json = say(&house, &["execution", "show", &id, "--json"]).await;
    let row: Value = serde_json::from_str(json.split_once("stdout\n").unwrap().1).unwrap();
    assert_eq!(row["tree"]["tasks"][0]["task"], "build");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_items_those_that_failed_are_listed() {
    let flow = "
version: 1.0
tasks:
  each:
    with: <% range(300) %>
    action: test.do
";
    let house = house([workflow("test.many", flow)]).await;
    house
        .world
        .hands
        .will((0..300).map(|n| Ended::So(if n == 260 { End::Failed } else { End::Succeeded })));
    let id = begin(&house, "test.many").await;
    reaches(&house, &id, Status::Failed).await;
    let (_, tree) = house.ask("GET", &format!("/v1/executions/{id}/tree"), None).await;
    let items = &tree["tasks"][0]["items"];
    assert_eq!(
        (&items["all"], &items["done"], &items["failed"]),
        (&json!(300), &json!(300), &json!(1))
    );
    let listed = items["listed"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{items:#}");
    assert_eq!(listed[0]["status"], "failed");
    assert!(listed[0]["execution"]["id"].is_string(), "{items:#}");
}

const CHAIN: &str = "
version: 1.0
tasks:
  a: {action: test.do, next: [{when: <% succeeded() %>, do: b}]}
  b: {action: test.do}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_tells_line_by_line_what_happens_until_the_end() {
    let house = house([workflow("test.chain", CHAIN)]).await;
    house.world.hands.hold();
    house.world.hands.will_print_and("one\ntwo\n", Ended::So(End::Succeeded));
    house.world.hands.will_print_and("three\n", Ended::So(End::Failed));
    let id = begin(&house, "test.chain").await;
    house.world.hands.began().await;
    let mut tail = command(&house, &["execution", "tail", &id, "--output"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // The tail watches before anything ends.
    let first = lines.next().unwrap().unwrap();
    house.world.hands.go_on();
    let moving = moving(&house);
    let rest = tokio::task::spawn_blocking(move || {
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        (rest, tail.wait_with_output().unwrap())
    });
    let (rest, output) = rest.await.unwrap();
    moving.abort();
    let said = [vec![first], rest].concat().join("\n");
    let times = regex::Regex::new(
        r"(?m)^(\d{4}-\d\d-\d\d|[-\d]*[ ]?\d\d:\d\d(:\d\d)?) |\d+(\.\d\d s|m \d\ds)",
    )
    .unwrap();
    let said = times.replace_all(&said, "TIME ").into_owned();
    for line in ["a | one", "a | two", "TIME task a succeeded after TIME ", "b | three"] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert!(said.contains("TIME task b failed after TIME "), "{said}");
    assert!(said.contains("TIME workflow test.chain failed after TIME "), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}

const HELD: &str = "
version: 1.0
tasks:
  a: {action: test.do, on_error: pause}
";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_runs_a_workflow_is_told_that_it_stands_still_and_how_it_goes_on() {
    let house = house([workflow("test.held", HELD)]).await;
    house.world.hands.will([Ended::So(End::Failed), Ended::So(End::Succeeded)]);
    let house = std::sync::Arc::new(house);
    // No faster than this machine answers: what runs is not to fall due meanwhile.
    let asked = std::sync::Arc::clone(&house);
    let moving = house.world.tasks.spawn(async move {
        loop {
            asked.ask("GET", "/v1/executions?limit=1", None).await;
            asked.world.manual.advance(Duration::from_millis(20));
        }
    });
    let mut run = command(&house, &["run", "test.held"]).stderr(Stdio::piped()).spawn().unwrap();
    // Whoever waits in vain is ended, and the test says what was not said.
    let id = run.id().to_string();
    let watch = house.world.tasks.spawn(async move {
        patient(std::future::pending::<()>()).await;
        Command::new("kill").arg(id).status().unwrap();
    });
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    let (lines, said, step) = tokio::task::spawn_blocking(move || {
        let mut heard = Vec::new();
        let waits = lines.by_ref().inspect(|line| heard.push(line.clone()));
        let waits = waits.into_iter().find(|line| line.contains("waits (paused)"));
        let step = lines.next();
        (lines, waits.ok_or(heard), step)
    })
    .await
    .unwrap();
    let (said, step) = (said.expect("it says that it waits"), step.expect("and the next step"));
    assert!(said.contains("task `a` failed"), "{said}");
    let step = step.trim().strip_prefix("next  ").unwrap();
    let retry: Vec<&str> = step.split("  ").next().unwrap().split(' ').skip(1).collect();
    assert_eq!(retry[..2], ["execution", "retry"], "{step}");
    assert!(say(&house, &retry).await.starts_with("exit 0"));
    let rest = tokio::task::spawn_blocking(move || {
        (lines.collect::<Vec<_>>().join("\n"), run.wait().unwrap())
    });
    let (rest, status) = rest.await.unwrap();
    moving.abort();
    watch.abort();
    assert!(rest.contains("succeeded after"), "{rest}");
    assert_eq!(status.code(), Some(0));
}

const BRANCHES: &str = "
version: 1.0
tasks:
  build:
    action: test.do
    next:
      - {when: <% succeeded() %>, do: [test, scan]}
      - {when: <% failed() %>, do: fail}
  test: {action: test.do, next: [{when: <% succeeded() %>, do: ship}]}
  scan: {action: test.do, next: [{when: <% completed() %>, do: ship}]}
  ship: {join: all, action: test.do, next: [{when: <% ctx(a) < 1 %>, do: build}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_is_drawn_as_text_and_as_a_picture() {
    let loops = BRANCHES.replace("<% ctx(a) < 1 %>", "<% failed() %>");
    let start =
        loops.replace("tasks:", "tasks:\n  begin: {action: core.noop, next: [{do: build}]}");
    let house = house([workflow("test.branches", &start)]).await;
    insta::assert_snapshot!(
        "graph_of_workflow",
        say(&house, &["workflow", "graph", "test.branches"]).await
    );
    insta::assert_snapshot!(
        "graph_unknown",
        say(&house, &["workflow", "graph", "test.branch"]).await
    );
    let id = begin(&house, "test.branches").await;
    reaches(&house, &id, Status::Succeeded).await;
    insta::assert_snapshot!("graph_of_execution", say(&house, &["execution", "graph", &id]).await);
    let call = house.call("GET", &format!("/v1/executions/{id}/graph.svg"));
    let answer = call.send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "image/svg+xml; charset=utf-8");
    let svg = answer.text().await.unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains(">✓ ship</text>"), "{svg}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_up_to_the_beginning_and_down_to_the_end() {
    let house = house([workflow("test.chain", CHAIN)]).await;
    let id = begin(&house, "test.chain").await;
    reaches(&house, &id, Status::Succeeded).await;
    let (_, tree) = house.ask("GET", &format!("/v1/executions/{id}/tree"), None).await;
    let part = tree["tasks"][1]["execution"]["id"].as_str().unwrap();
    let traced = say(&house, &["trace", part]).await;
    let times = regex::Regex::new(r"(?m)^\d[-:\d]+( \d\d:\d\d)? +").unwrap();
    insta::assert_snapshot!("trace_of_part", times.replace_all(&traced, "TIME  ").into_owned());
    let (status, problem) =
        house.ask("GET", "/v1/traces/evt_00000000000000000000000000", None).await;
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
}
