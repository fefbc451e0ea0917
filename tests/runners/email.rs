//! Mails, to a mail server that keeps what it gets.

use ifso::model::execution::End;
use ifso::runners::Ended;
use serde_json::{Value, json};

use super::desk::{Attempt, Desk};
use crate::parts::program::free_port;
use crate::parts::smtp::Smtp;

/// A mail to the server at `port`, which speaks plainly.
pub(crate) fn mail(desk: &Desk, port: u16) -> Attempt {
    desk.attempt("email")
        .given("host", "127.0.0.1")
        .given("port", port)
        .given("tls", "none")
        .given("from", "Ifso <ifso@example.org>")
        .given("to", "ann@example.org")
        .given("subject", "Pool p is full")
        .given("body", "Look at it.\n")
}

fn header<'a>(mail: &'a Value, name: &str) -> Option<&'a str> {
    let all = mail["headers"].as_array().unwrap();
    let mut found = all.iter().filter(|header| header[0] == name);
    let value = found.next()?[1].as_str();
    assert!(found.next().is_none(), "two headers `{name}` in {mail}");
    value
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written() {
    let (desk, server) = (Desk::new(), Smtp::plain());
    let attempt = mail(&desk, server.port)
        .given("to", json!(["Ann Öst <ann@example.org>", "bob@example.org"]))
        .given("cc", "\"Coe, C.\" <coe@example.org>, ann@example.org")
        .given("bcc", json!(["eve@example.org"]))
        .given("reply_to", "ops@example.org")
        .given("subject", "Pool „größer“ is\r\nfull")
        .given("body", "Zeile ä\n.\nlast")
        .given("html", "<b>ä</b>")
        .given("headers", json!({ "In-Reply-To": "<a@b>", "X-Pool": "größer" }));
    let execution = attempt.execution;
    let result = attempt.run().await.succeeded();
    let [mail] = &server.mails()[..] else { panic!("{:?}", server.mails()) };
    let all = ["ann@example.org", "bob@example.org", "coe@example.org", "eve@example.org"];
    assert_eq!((&mail["from"], &mail["to"]), (&json!("ifso@example.org"), &json!(all)));
    assert_eq!(header(mail, "To"), Some("Ann Öst <ann@example.org>, bob@example.org"));
    assert_eq!(header(mail, "Cc"), Some("\"Coe, C.\" <coe@example.org>, ann@example.org"));
    assert_eq!(header(mail, "Bcc"), None);
    assert_eq!(header(mail, "Reply-To"), Some("ops@example.org"));
    assert_eq!(header(mail, "Subject"), Some("Pool „größer“ is full"));
    assert_eq!(header(mail, "In-Reply-To"), Some("<a@b>"));
    assert_eq!(header(mail, "X-Pool"), Some("größer"));
    assert_eq!(header(mail, "X-Ifso-Execution"), Some(&*execution.to_string()));
    let id = format!("<{execution}@example.org>");
    assert_eq!((header(mail, "Message-ID"), &result["message_id"]), (Some(&*id), &json!(id)));
    assert_eq!(mail["text"].as_str().unwrap().trim_end(), "Zeile ä\n.\nlast");
    assert_eq!(mail["html"].as_str().unwrap().trim_end(), "<b>ä</b>");
    assert_eq!(result["accepted"], json!(all));
}

#[tokio::test]
async fn the_pack_configures_the_server_and_its_password_goes_nowhere_else() {
    let desk = Desk::new();
    let server = Smtp::at(free_port(), &json!({ "secured": true, "login": ["ifso", "s3cret"] }));
    let config = json!({ "smtp": {
        "host": "127.0.0.1", "port": server.port, "from": "ifso@example.org",
        "user": "ifso", "password": "s3cret", "ca": server.certificate(),
    } });
    let short = || desk.attempt("email").given("to", "ann@example.org").given("body", "hi");
    short().config(config.clone()).run().await.succeeded();
    let [mail] = &server.mails()[..] else { panic!("{:?}", server.mails()) };
    assert_eq!((&mail["encrypted"], &mail["user"]), (&json!(true), &json!("ifso")));

    let other = Smtp::at(free_port(), &json!({}));
    let away = short().config(config).given("host", "127.0.0.1").given("port", other.port);
    away.given("tls", "none").run().await.succeeded();
    assert_eq!(other.mails()[0]["user"], Value::Null);
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_keeps_the_mail_back() {
    let desk = Desk::new();
    let server = Smtp::at(free_port(), &json!({ "whole": true }));
    let attempt = mail(&desk, server.port).given("tls", "tls");
    let came = attempt.clone().run().await;
    assert_eq!((came.end(), &came.outcome.result["temporary"]), (End::Failed, &json!(true)));
    assert!(came.reason().to_lowercase().contains("certificate"), "{}", came.reason());
    assert!(server.mails().is_empty());
    let ca = server.certificate().to_str().unwrap().to_owned();
    attempt.given("ca", ca).run().await.succeeded();
    assert_eq!(server.mails()[0]["encrypted"], true);
}

#[tokio::test]
async fn a_mail_that_was_put_off_keeps_its_name() {
    let desk = Desk::new();
    let server = Smtp::at(free_port(), &json!({ "put_off": 1 }));
    let mut attempt = mail(&desk, server.port);
    let came = attempt.clone().run().await;
    assert_eq!(came.outcome.ended, Ended::So(End::Failed));
    assert_eq!(came.outcome.result["temporary"], true);
    assert!(came.reason().contains("puts the mail off: 451 4.3.0 not now"), "{}", came.reason());
    attempt.number = 2;
    let again = attempt.run().await.succeeded();
    assert_eq!(again["message_id"], came.outcome.result["message_id"]);
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_down_delays_and_never_loses() {
    let desk = Desk::new();
    let port = free_port();
    let mut attempt = mail(&desk, port);
    let came = attempt.clone().run().await;
    assert_eq!(
        (came.outcome.ended, &came.outcome.result["temporary"]),
        (Ended::So(End::Failed), &json!(true))
    );
    assert!(came.reason().contains("Connection refused"), "{}", came.reason());
    let server = Smtp::at(port, &json!({}));
    attempt.number = 2;
    attempt.run().await.succeeded();
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn what_the_server_refuses_is_not_tried_again_and_others_get_theirs() {
    let (desk, server) = (Desk::new(), Smtp::plain());
    let came = mail(&desk, server.port).given("to", "nobody@example.org").run().await;
    assert_eq!(came.outcome.ended, Ended::Hopeless);
    assert!(
        came.reason().contains("`nobody@example.org`: 550 5.1.1 no such mailbox"),
        "{}",
        came.reason()
    );
    assert!(server.mails().is_empty());

    let to = json!(["nobody@example.org", "ann@example.org"]);
    let came = mail(&desk, server.port).given("to", to).run().await;
    assert_eq!(came.outcome.ended, Ended::Hopeless);
    let result = &came.outcome.result;
    assert_eq!(
        (&result["accepted"], &result["temporary"]),
        (&json!(["ann@example.org"]), &json!(false))
    );
    assert_eq!(result["refused"]["nobody@example.org"], "550 5.1.1 no such mailbox");
    assert_eq!(server.mails()[0]["to"], json!(["ann@example.org"]));
}

#[tokio::test]
async fn where_one_is_put_off_nobody_is_sent_it_yet() {
    let (desk, server) = (Desk::new(), Smtp::plain());
    let to = json!(["ann@example.org", "later@example.org"]);
    let came = mail(&desk, server.port).given("to", to).run().await;
    assert_eq!(
        (came.outcome.ended, &came.outcome.result["temporary"]),
        (Ended::So(End::Failed), &json!(true))
    );
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_wrong_password_and_one_in_the_open_are_told() {
    let desk = Desk::new();
    let server = Smtp::at(free_port(), &json!({ "secured": true, "login": ["ifso", "right"] }));
    let ca = server.certificate().to_str().unwrap().to_owned();
    let attempt = mail(&desk, server.port)
        .given("tls", "starttls")
        .given("ca", ca)
        .given("user", "ifso")
        .given("password", "wrong");
    let came = attempt.clone().run().await;
    assert_eq!(came.outcome.ended, Ended::Hopeless);
    assert!(came.reason().contains("refuses the login of `ifso`: 535"), "{}", came.reason());
    let open = attempt.given("host", "mail.example.org").given("tls", "none").run().await;
    assert!(open.reason().contains("unencrypted; say `tls: starttls`"), "{}", open.reason());
}

/// Whatever stands in a value, the mail has the headers it has, and the server is told of one mail.
#[tokio::test]
async fn no_value_becomes_a_header_or_a_command() {
    let (desk, server) = (Desk::new(), Smtp::plain());
    let nasty = [
        "x\r\nBcc: eve@example.org",
        "x\nX-Evil: 1\n\nbody",
        "x\r\n.\r\nQUIT\r\n",
        "=?utf-8?q?x=0D=0ABcc:_eve@example.org?=",
        "\u{2028}X-Evil: 1",
        "x\u{b}X-Evil: 1\u{c}\u{85}y",
        "\0\u{1b}[31m",
    ];
    let plain = mail(&desk, server.port).run().await.succeeded();
    assert!(plain["message_id"].is_string());
    let names = |mail: &Value| -> Vec<String> {
        let all = mail["headers"].as_array().unwrap();
        let mut all: Vec<_> = all.iter().map(|header| header[0].to_string()).collect();
        all.sort();
        all
    };
    let expected = names(&server.mails()[0]);
    for text in nasty {
        mail(&desk, server.port).given("subject", text).given("body", text).run().await.succeeded();
        let mails = server.mails();
        let got = mails.last().unwrap();
        assert_eq!(names(got), expected, "{text:?}: {got}");
        assert_eq!(got["to"], json!(["ann@example.org"]));
    }
    assert_eq!(server.mails().len(), nasty.len() + 1);
    for text in &nasty[..3] {
        for name in ["to", "from", "cc", "reply_to"] {
            for value in [format!("a@example.org{text}"), format!("{text} <a@example.org>")] {
                let came = mail(&desk, server.port).given(name, value).run().await;
                assert_eq!(came.outcome.ended, Ended::Hopeless, "{name}: {text:?}");
            }
        }
        let bad =
            [json!({ "X-A": text }), json!({ (*text): "a" }), json!({ "Bcc": "eve@example.org" })];
        for headers in bad {
            let came = mail(&desk, server.port).given("headers", headers).run().await;
            assert!(came.reason().starts_with("parameter `headers`"), "{}", came.reason());
        }
    }
    assert_eq!(server.mails().len(), nasty.len() + 1, "a bad one was sent");
}

#[tokio::test]
async fn files_are_attached_and_ifsos_own_never() {
    let (desk, server) = (Desk::new(), Smtp::plain());
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report ä.csv");
    std::fs::write(&report, "pool,used\np,90\n").unwrap();
    let attempt = mail(&desk, server.port);
    attempt.clone().given("attachments", json!([report])).run().await.succeeded();
    assert_eq!(server.mails()[0]["attachments"], json!({ "report ä.csv": "pool,used\np,90\n" }));
    assert_eq!(server.mails()[0]["text"], "Look at it.\n");
    let key = desk.data().join("admin.key");
    std::fs::write(&key, "k").unwrap();
    let came = attempt.given("attachments", key.to_str().unwrap()).run().await;
    assert!(came.reason().contains("is Ifso's own"), "{}", came.reason());
}

#[tokio::test]
async fn what_is_missing_is_said_with_the_next_step() {
    let desk = Desk::new();
    let nothing = desk.attempt("email");
    let cases = [
        (
            nothing.clone(),
            "no mail server is known; say `host`, or `smtp: {host: …}` in `configs/tests.yaml`",
        ),
        (nothing.given("host", "h"), "nobody sends the mail; say `from`"),
        (mail(&desk, 1).given("to", json!([])), "nobody is to get the mail; say `to`"),
        (mail(&desk, 1).given("to", "ann"), "\"ann\" is no address"),
        (mail(&desk, 1).given("to", "a@b.example junk"), "is no address"),
        (mail(&desk, 1).given("tls", "ssl"), "expected `starttls`, `tls` or `none`"),
    ];
    for (attempt, expected) in cases {
        let came = attempt.run().await;
        assert_eq!(came.outcome.ended, Ended::Hopeless);
        assert!(came.reason().contains(expected), "{}", came.reason());
    }
}
