//! The list that every kind of runner fulfils.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ifso::model::execution::End;
use ifso::runners::{Begin, Course, Ended, Runner, Stream};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::desk::{Attempt, Desk};
use super::email::mail;
use super::http::Server;
use super::ssh::on;
use crate::parts::smtp::Smtp;
use crate::parts::sshd::Sshd;

/// What the kinds speak to.
struct Others {
    http: Server,
    smtp: Smtp,
    sshd: Sshd,
    /// Takes connections and never says a word.
    mute: std::net::TcpListener,
}

impl Others {
    async fn start() -> Self {
        let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self { http: Server::start().await, smtp: Smtp::plain(), sshd: Sshd::start(), mute }
    }
}

/// One kind, in each of the situations that every runner meets.
struct Case {
    name: &'static str,
    succeeds: Attempt,
    /// Nothing where the kind cannot fail.
    fails: Option<Attempt>,
    /// Nothing where the kind cannot take long.
    endless: Option<Attempt>,
    /// Nothing where no parameter can be bad.
    bad: Option<Attempt>,
    /// What a return finds when the engine died before it began.
    returned: Ended,
}

fn cases(desk: &Desk, others: &Others) -> Vec<Case> {
    let rhai = |name: &str, text: &str| {
        desk.attempt("rhai").at(desk.script(&format!("packs/tests/actions/{name}.rhai"), text))
    };
    let python = |name: &str, line: &str| {
        let text = format!(
            "import time\nclass A(object):\n    def __init__(self, config): pass\n    def run(self): {line}\n"
        );
        desk.attempt("python").at(desk.script(&format!("packs/tests/actions/{name}.py"), &text))
    };
    let http = |path: &str| desk.attempt("http").given("url", format!("{}{path}", others.http.url));
    let so = Ended::So(End::Succeeded);
    let mut all = vec![
        Case {
            name: "shell",
            succeeds: desk.cmd("echo yes"),
            fails: Some(desk.cmd("exit 1")),
            endless: Some(desk.cmd("while :; do sleep 1; done")),
            bad: Some(desk.attempt("shell")),
            returned: Ended::NeverBegan,
        },
        Case {
            name: "python",
            succeeds: python("yes", "return 1"),
            fails: Some(python("no", "raise ValueError('no')")),
            endless: Some(python("endless", "time.sleep(1000)")),
            bad: Some(desk.attempt("python")),
            returned: Ended::NeverBegan,
        },
        Case {
            name: "http",
            succeeds: http("/json"),
            fails: Some(http("/teapot")),
            endless: Some(http("/slow")),
            bad: Some(desk.attempt("http").given("url", "gopher://x")),
            returned: Ended::Lost,
        },
        Case {
            name: "rhai",
            succeeds: rhai("yes", "1"),
            fails: Some(rhai("no", "throw 1")),
            endless: Some(rhai("endless", "loop { }")),
            bad: Some(desk.attempt("rhai")),
            returned: so,
        },
    ];
    all.extend(senders(desk, others));
    all.extend(["noop", "announce"].map(|name| Case {
        name,
        succeeds: desk.attempt(name).given("text", "hello"),
        fails: None,
        endless: None,
        bad: None,
        returned: so,
    }));
    all.push(Case {
        name: "emit",
        succeeds: desk.attempt("emit").given("trigger", "test.happened"),
        fails: None,
        endless: None,
        bad: Some(desk.attempt("emit").given("trigger", "nonsense")),
        returned: so,
    });
    all
}

/// Those that hand something to others.
fn senders(desk: &Desk, others: &Others) -> Vec<Case> {
    let kafka = || desk.attempt("kafka").given("topic", "t");
    let migrate = |from: &str| {
        desk.script("shelf/from/file", &"x".repeat(100_000));
        let stores = json!({ "shelf": { "kind": "folder", "path": desk.data().join("shelf") } });
        let attempt = desk.attempt("migrate").config(json!({ "stores": stores }));
        attempt.given("from", from).given("to", "shelf:to")
    };
    let email = |port: u16| mail(desk, port);
    let ssh = |line: &str| on(desk, "ssh", &others.sshd).given("cmd", line);
    vec![
        Case {
            name: "kafka",
            succeeds: kafka().given("brokers", desk.brokers()),
            fails: None,
            endless: Some(kafka().given("brokers", "127.0.0.1:1")),
            bad: Some(kafka()),
            returned: Ended::Lost,
        },
        Case {
            name: "migrate",
            succeeds: migrate("shelf:from"),
            fails: Some(migrate("shelf:")),
            endless: Some(migrate("shelf:from").given("name", "endless").given("rate", 1)),
            bad: Some(migrate("nowhere:from")),
            returned: Ended::So(End::Succeeded),
        },
        Case {
            name: "email",
            succeeds: email(others.smtp.port),
            fails: Some(email(others.smtp.port).given("to", "nobody@example.org")),
            endless: Some(email(others.mute.local_addr().unwrap().port())),
            bad: Some(email(others.smtp.port).given("to", "a\r\nb")),
            returned: Ended::Lost,
        },
        Case {
            name: "ssh",
            succeeds: ssh("echo yes"),
            fails: Some(ssh("exit 1")),
            endless: Some(ssh("while :; do sleep 1; done")),
            bad: Some(ssh("").given("hosts", "-x")),
            // It begins there and then: other hosts of the attempt may have begun.
            returned: Ended::So(End::Succeeded),
        },
    ]
}

#[tokio::test]
async fn every_kind_is_on_the_list() {
    let (desk, others) = (Desk::new(), Others::start().await);
    let listed: Vec<_> = cases(&desk, &others).iter().map(|case| case.name).collect();
    // Workflows and questions are the engine's own: `executions` has their tests.
    let runs =
        |runner: &&Arc<dyn Runner>| matches!(runner.course(), Course::Attempts | Course::AtOnce);
    let known: Vec<_> = desk.runners.iter().filter(runs).map(|runner| runner.name()).collect();
    assert_eq!(listed, known);
}

#[tokio::test]
async fn names_are_unique_and_parameters_described() {
    let desk = Desk::new();
    let mut names = BTreeSet::new();
    for runner in desk.runners.iter() {
        for name in std::iter::once(runner.name()).chain(runner.aliases().iter().copied()) {
            assert!(names.insert(name), "`{name}` names two runners");
            assert!(desk.runners.find(name).is_some_and(|found| found.name() == runner.name()));
            for (parameter, described) in runner.parameters(name) {
                assert!(!described.description.is_empty(), "`{parameter}` of `{name}`");
            }
        }
        assert!(!runner.about().is_empty());
    }
}

#[tokio::test]
async fn a_success_has_no_reason_and_a_failure_has_one() {
    let (desk, others) = (Desk::new(), Others::start().await);
    for case in cases(&desk, &others) {
        let came = case.succeeds.run().await;
        assert_eq!((came.end(), came.reason()), (End::Succeeded, ""), "{}", case.name);
        for bad in [case.fails, case.bad].into_iter().flatten() {
            let came = bad.run().await;
            assert_eq!(came.end(), End::Failed, "{}: {:?}", case.name, came.outcome);
            assert!(!came.reason().is_empty(), "{}", case.name);
        }
    }
}

#[tokio::test]
async fn what_takes_too_long_times_out() {
    let (desk, others) = (Desk::new(), Others::start().await);
    for case in cases(&desk, &others) {
        let Some(endless) = case.endless else { continue };
        let came = endless.within(Duration::from_millis(400)).run().await;
        assert_eq!(came.end(), End::TimedOut, "{}: {:?}", case.name, came.outcome);
    }
}

#[tokio::test]
async fn a_stop_is_heard_before_and_during_the_attempt() {
    let (desk, others) = (Desk::new(), Others::start().await);
    for case in cases(&desk, &others) {
        let Some(endless) = case.endless else { continue };
        let stop = CancellationToken::new();
        let soon = stop.clone();
        let during = async {
            tokio::time::timeout(Duration::from_millis(300), soon.cancelled()).await.unwrap_err();
            soon.cancel();
        };
        let (came, ()) = tokio::join!(endless.clone().run_until(stop.clone()), during);
        assert_eq!(came.end(), End::Canceled, "{}: {:?}", case.name, came.outcome);
        let mut again = endless;
        again.execution = desk.ids.execution();
        assert_eq!(again.run_until(stop).await.end(), End::Canceled, "{} before", case.name);
    }
}

#[tokio::test]
async fn a_return_to_what_never_began_does_nothing_twice() {
    let (desk, others) = (Desk::new(), Others::start().await);
    for case in cases(&desk, &others) {
        let came = case.succeeds.begin(Begin::Return).run().await;
        assert_eq!(came.outcome.ended, case.returned, "{}: {:?}", case.name, came.outcome);
    }
    assert!(others.http.asked.lock().unwrap().is_empty(), "a request was made on return");
    assert!(others.smtp.mails().is_empty(), "a mail was sent on return");
}

#[tokio::test]
async fn lines_keep_their_order() {
    let desk = Desk::new();
    let came =
        desk.cmd("i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done").run().await;
    let lines: Vec<_> = (0..5000).map(|i| format!("line {i}\n")).collect();
    let expected = lines.concat();
    assert_eq!(came.said(Stream::Stdout), expected);
    assert!(came.pieces.iter().all(|piece| piece.text.ends_with('\n')), "half a line was shown");
}

#[tokio::test]
async fn a_program_that_cannot_start_says_why() {
    let desk = Desk::new();
    let script = |name: &str, text: &str| desk.script(&format!("packs/tests/actions/{name}"), text);
    let plain = script("plain.sh", "#!/bin/sh\n");
    std::fs::set_permissions(&plain, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let cases = [
        ("/no/such.sh".into(), "does not exist"),
        (script("odd.sh", "#!/no/such/shell\n"), "names an interpreter"),
        (plain, "chmod +x"),
    ];
    for (file, expected) in cases {
        let came = desk.attempt("local-shell-script").at(file).run().await;
        assert_eq!(came.end(), End::Failed);
        assert!(came.reason().contains(expected), "{}", came.reason());
    }
    let came = desk.cmd("true").given("cwd", "/no/such/folder").run().await;
    assert!(came.reason().contains("folder `/no/such/folder` does not exist"), "{}", came.reason());
    assert_eq!(came.outcome.result, json!({ "error": came.reason() }));
}
