//! Command lines and scripts on other machines, which are servers on loopback.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ifso::model::execution::End;
use ifso::model::parameter::Parameter;
use ifso::runners::Stream;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::desk::{Attempt, Desk, alive_with, until};
use crate::parts::program::free_port;
use crate::parts::sshd::Sshd;

/// An attempt on `host` that may log in there.
pub(crate) fn on(desk: &Desk, runner: &str, host: &Sshd) -> Attempt {
    desk.attempt(runner)
        .given("hosts", host.host())
        .given("private_key", host.path("key").to_str().unwrap())
        .given("known_hosts", host.path("known_hosts").to_str().unwrap())
        .given("cwd", "/tmp")
        .given("kwarg_op", "--")
}

fn cmd(desk: &Desk, host: &Sshd, line: &str) -> Attempt {
    on(desk, "remote-shell-cmd", host).given("cmd", line)
}

#[tokio::test]
async fn a_command_line_gives_its_output_and_code_by_host() {
    let (desk, host) = (Desk::new(), Sshd::start());
    let line = r#"pwd; echo "$WHO" >&2; echo "$P_pool"; cat; [[ $IFSO_EXECUTION_ID == exe_* ]]"#;
    let came = cmd(&desk, &host, line)
        .given("env", json!({ "WHO": "it's $HOME" }))
        .given("pool", "$(id); 'x'\n\"y\"")
        .run()
        .await;
    assert_eq!(came.said(Stream::Stdout), "/tmp\n$(id); 'x'\n\"y\"\n");
    let expected = json!({
        "succeeded": true, "failed": false, "return_code": 0,
        "stdout": "/tmp\n$(id); 'x'\n\"y\"", "stderr": "it's $HOME",
    });
    assert_eq!(came.succeeded(), json!({ host.host(): expected }));
    let came = cmd(&desk, &host, "echo '{\"a\": 1}'; echo no such pool >&2; exit 255").run().await;
    let result = &came.outcome.result[host.host()];
    assert_eq!((&result["return_code"], &result["stdout"]["a"]), (&json!(255), &json!(1)));
    assert_eq!(
        came.reason(),
        format!("`{}`: it ended with exit code 255: no such pool", host.host())
    );
}

#[tokio::test]
async fn a_script_is_read_by_its_own_interpreter_and_leaves_nothing() {
    let (desk, host) = (Desk::new(), Sshd::start());
    let python = "#!/usr/bin/env python3\nimport sys, json\njson.dump(sys.argv[1:], sys.stdout)\n";
    let shell = "#!/bin/bash -e\ncat\nfor a in \"$@\"; do printf '[%s]' \"$a\"; done\n";
    let cases = [
        ("a.py", python, json!(["--name=it's\n$(id)", "x; id"])),
        ("a.sh", shell, json!("[--name=it's\n$(id)][x; id]")),
    ];
    for (name, text, expected) in cases {
        let came = on(&desk, "remote-shell-script", &host)
            .at(desk.script(&format!("packs/tests/actions/{name}"), text))
            .parameter("name", Parameter::default())
            .parameter("first", Parameter { position: Some(0), ..Parameter::default() })
            .given("name", "it's\n$(id)")
            .given("first", "x; id")
            .run()
            .await;
        assert_eq!(came.succeeded()[host.host()]["stdout"], expected);
    }
}

/// Each waits until the other has come: one after another they would wait for ever.
#[tokio::test]
async fn several_hosts_work_at_once_and_one_failure_fails_all() {
    let (desk, one, two) = (Desk::new(), Sshd::start(), Sshd::start());
    two.trust(&one);
    let known = desk.data().join("known");
    std::fs::write(&known, one.text("known_hosts") + &two.text("known_hosts")).unwrap();
    let meet = desk.data().join("meet");
    std::fs::create_dir(&meet).unwrap();
    let line = format!(
        "cd {} && touch ${{SSH_CONNECTION##* }} && until [ $(ls | wc -l) = 2 ]; do sleep 0.05; done; \
         echo met; [ ${{SSH_CONNECTION##* }} = {} ]",
        meet.display(),
        one.port,
    );
    let both = cmd(&desk, &one, &line)
        .given("hosts", json!([one.host(), two.host(), one.host()]))
        .given("known_hosts", known.to_str().unwrap());
    let came = both.clone().run().await;
    let result = &came.outcome.result;
    assert_eq!(came.end(), End::Failed);
    assert_eq!(result.as_object().unwrap().len(), 2, "{result}");
    assert_eq!(
        (&result[one.host()]["succeeded"], &result[one.host()]["stdout"]),
        (&json!(true), &json!("met"))
    );
    assert_eq!(
        (&result[two.host()]["return_code"], &result[two.host()]["stdout"]),
        (&json!(1), &json!("met"))
    );
    let why = format!("1 of 2 hosts failed: `{}`: it ended with exit code 1", two.host());
    assert_eq!(came.reason(), why);
    let said = came.said(Stream::Stdout);
    assert!(said.contains(&format!("{}: met\n", one.host())), "{said}");

    std::fs::remove_dir_all(&meet).unwrap();
    std::fs::create_dir(&meet).unwrap();
    let alone = both.anew(&desk).given("parallel", false).given("timeout", 5);
    let came = alone.run().await;
    // The first waits in vain; the second finds what it left.
    assert_eq!(came.outcome.result[one.host()]["return_code"], -9);
    assert_eq!(came.outcome.result[two.host()]["stdout"], "met");
}

#[tokio::test]
async fn a_host_whose_key_is_unknown_or_changed_is_never_spoken_to() {
    let (desk, host) = (Desk::new(), Sshd::start());
    let ran = desk.data().join("ran");
    let mine = desk.data().join("mine");
    std::fs::write(&mine, "").unwrap();
    let attempt = cmd(&desk, &host, &format!("touch {}", ran.display()))
        .given("known_hosts", mine.to_str().unwrap());
    let again = || attempt.anew(&desk);
    let came = again().run().await;
    let expected = format!("`ssh-keyscan -p {} 127.0.0.1 >> {}`", host.port, mine.display());
    assert!(came.reason().contains(&expected), "{}", came.reason());
    assert_eq!(
        came.outcome.result[host.host()]["error"].as_str(),
        Some(came.reason().split_once("`: ").unwrap().1)
    );
    assert!(!ran.exists());

    again().given("host_key_checking", "accept-new").run().await.succeeded();
    assert!(std::fs::read_to_string(&mine).unwrap().contains("ssh-ed25519"));
    again().run().await.succeeded();
    std::fs::remove_file(&ran).unwrap();

    let port = host.port;
    let (text, private) = (host.text("authorized_keys"), host.text("key"));
    drop(host);
    let other = Sshd::at(port);
    std::fs::write(other.path("authorized_keys"), text).unwrap();
    for checking in ["yes", "accept-new"] {
        let came = again()
            .given("private_key", &*private)
            .given("host_key_checking", checking)
            .run()
            .await;
        assert_eq!(came.end(), End::Failed);
        let expected = format!("`ssh-keygen -f {} -R '[127.0.0.1]:{port}'`", mine.display());
        assert!(came.reason().contains(&expected), "{}", came.reason());
        assert!(came.reason().contains("SHA256:"), "{}", came.reason());
    }
    assert!(!ran.exists());
    let off = again().given("host_key_checking", "no").run().await;
    assert!(off.reason().contains("expected `yes` or `accept-new`"), "{}", off.reason());
}

/// A key given as text lies in a file that only its owner reads, until the client is done.
#[tokio::test]
async fn a_key_as_text_is_kept_private_and_forgotten() {
    let (desk, host) = (Desk::new(), Sshd::start());
    let look = format!("stat -c %a {}/supervisor/spool/*/tmp/identity", desk.data().display());
    let attempt = cmd(&desk, &host, &look)
        .given("private_key", host.text("locked").trim())
        .given("passphrase", "open sesame");
    let result = attempt.clone().run().await.succeeded();
    assert_eq!(result[host.host()]["stdout"], 600);
    let came = attempt.anew(&desk).given("passphrase", "wrong").run().await;
    assert!(came.reason().contains("does not let the login in"), "{}", came.reason());
    let left = std::process::Command::new("grep")
        .args(["-rlE", "PRIVATE KEY|sesame"])
        .arg(desk.data())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "the key is still there");
}

#[tokio::test]
async fn sudo_and_its_password_never_show_in_a_command_line() {
    let (desk, host) = (Desk::new(), Sshd::start());
    let attempt =
        cmd(&desk, &host, "echo $IFSO_SUDO \"$P_x\"; cat; ps -eo args | grep -c '[s]3cret'")
            .given("x", "a'b")
            .given("sudo", true);
    let result = attempt.clone().run().await;
    assert_eq!(result.outcome.result[host.host()]["stdout"], "yes a'b\n0");
    let asked = attempt.anew(&desk).given("sudo_password", "it's s3cret");
    let result = asked.run().await;
    assert_eq!(result.outcome.result[host.host()]["stdout"], "yes a'b\n0");
    assert_eq!(host.text("bin/password"), "it's s3cret\n");
}

#[tokio::test]
async fn what_is_stopped_or_too_slow_ends_on_the_host() {
    let (desk, host) = (Desk::new(), Sshd::start());
    let begun = AtomicBool::new(false);
    let mark = format!("100{}", host.port);
    let line = format!("sleep {mark} & echo begun; wait");
    let stop = CancellationToken::new();
    let stopped = cmd(&desk, &host, &line).watched(stop.clone(), |_| {
        begun.store(true, Ordering::Relaxed);
        stop.cancel();
    });
    assert_eq!(stopped.await.end(), End::Canceled);
    assert!(begun.load(Ordering::Relaxed));
    let gone = || alive_with(&format!("sleep\0{mark}")).is_empty();
    until("the cancelled program has ended on the host", gone);
    let slow = cmd(&desk, &host, &line).within(Duration::from_secs(5)).run().await;
    assert_eq!(slow.end(), End::TimedOut);
    assert_eq!(slow.said(Stream::Stdout), "begun\n");
    until("the slow program has ended on the host", gone);
}

#[tokio::test]
async fn what_runs_on_hosts_outlives_the_engine() {
    let (desk, one, two) = (Desk::new(), Sshd::start(), Sshd::start());
    two.trust(&one);
    let known = desk.data().join("known");
    std::fs::write(&known, one.text("known_hosts") + &two.text("known_hosts")).unwrap();
    let go = desk.data().join("go");
    let line = format!(
        "echo begun; until [ -e {} ]; do sleep 0.05; done; echo ${{SSH_CONNECTION##* }} >> {}",
        go.display(),
        desk.data().join("done").display(),
    );
    let attempt = cmd(&desk, &one, &line)
        .given("hosts", json!([one.host(), two.host()]))
        .given("known_hosts", known.to_str().unwrap());
    let (tells, hears) = tokio::sync::watch::channel(0);
    let running = attempt.clone().watched(CancellationToken::new(), |_| {
        tells.send_modify(|count| *count += 1);
    });
    let mut both = hears;
    tokio::select! {
        _ = running => panic!("it ended"),
        begun = both.wait_for(|count| *count == 2) => drop(begun.unwrap()),
    }
    std::fs::write(&go, "").unwrap();
    let result = attempt.returned(&desk).run().await.succeeded();
    for host in [&one, &two] {
        assert_eq!(result[host.host()]["stdout"], "begun");
    }
    let done = std::fs::read_to_string(desk.data().join("done")).unwrap();
    assert_eq!(done.lines().count(), 2, "{done}");
}

#[tokio::test]
async fn a_bastion_stands_between() {
    let (desk, bastion, host) = (Desk::new(), Sshd::start(), Sshd::start());
    bastion.trust(&host);
    let known = desk.data().join("known hosts %h");
    std::fs::write(&known, bastion.text("known_hosts") + &host.text("known_hosts")).unwrap();
    let attempt = cmd(&desk, &host, "echo through")
        .given("known_hosts", known.to_str().unwrap())
        .given("private_key", host.text("key"))
        .given("bastion_host", bastion.host());
    let result = attempt.clone().run().await.succeeded();
    assert_eq!(result[host.host()]["stdout"], "through");
    assert!(bastion.log().contains("Accepted publickey"), "{}", bastion.log());
    let away = attempt.anew(&desk).given("bastion_host", format!("127.0.0.1:{}", free_port()));
    assert!(away.run().await.reason().contains("Connection refused"), "no bastion was asked");
}

#[tokio::test]
async fn the_pack_configures_the_login() {
    let (desk, host) = (Desk::new(), Sshd::start());
    let config = json!({ "ssh": {
        "private_key": host.path("key"), "known_hosts": host.path("known_hosts"), "port": host.port,
    } });
    let short = desk.attempt("ssh").given("hosts", "127.0.0.1").given("cmd", "echo hi");
    let result = short.config(config).run().await.succeeded();
    assert_eq!(result["127.0.0.1"]["stdout"], "hi");
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_next_step() {
    let (desk, host) = (Desk::new(), Sshd::start());
    let nobody = format!("127.0.0.1:{}", free_port());
    let cases = [
        (cmd(&desk, &host, "true").given("hosts", nobody), "Connection refused"),
        (cmd(&desk, &host, "true").given("hosts", " , "), "names no host"),
        (cmd(&desk, &host, "true").given("hosts", "-oProxyCommand=id"), "is no host; write"),
        (cmd(&desk, &host, "true").given("username", "-x"), "cannot be the name of a user"),
        (cmd(&desk, &host, "true").given("private_key", "/no/key"), "there is no file `/no/key`"),
        (cmd(&desk, &host, "true").given("private_key", "x"), "neither a key nor the path"),
        (cmd(&desk, &host, "true").given("known_hosts", "/x\" y"), "no absolute path"),
        (cmd(&desk, &host, "true").given("cwd", "/no/folder"), "/no/folder"),
        (cmd(&desk, &host, " "), "has neither a command line"),
        (cmd(&desk, &host, "echo {{ x }}").given("x", "1"), "write \"$P_x\" in its place"),
        (
            cmd(&desk, &host, "true").given("env", json!({ "a b": "1" })),
            "no shell knows a variable",
        ),
        (
            cmd(&desk, &host, "true").given("env", json!({ "LD_PRELOAD": "x" })),
            "may not set `LD_PRELOAD`",
        ),
    ];
    for (attempt, expected) in cases {
        let came = attempt.run().await;
        assert_eq!(came.end(), End::Failed, "{expected}");
        assert!(came.reason().contains(expected), "{}", came.reason());
        assert!(came.outcome.result != Value::Null);
    }
}
