//! `email`: hands one mail to a mail server. The mail's name (`Message-ID`) comes from its execution,
//! so that a receiver who is handed it twice, after a crash between the server's answer and our
//! writing it down, can drop the second.

mod letter;
mod server;

use std::time::Duration;

use async_trait::async_trait;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::letter::Letter;
use self::server::{Receipt, Server};
use super::process;
use crate::model::execution::End;
use crate::model::parameter::Parameters;
use crate::runners::{Begin, Ended, Job, Outcome, Runner, described};

/// How long a farewell to the server may take; the mail is handed over by then.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends mails.
pub(super) struct Email;

/// Why a mail was not handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// It may go well later: nobody answers, or the server asks to try again (4xx).
    Temporary(String),
    /// It would fail again: the server said no (5xx), or the mail cannot be written.
    Final(String),
}

#[async_trait]
impl Runner for Email {
    fn name(&self) -> &'static str {
        "email"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn about(&self) -> &'static str {
        "Hands one mail to a mail server; what the server puts off is tried again as the action's \
         `retry` says, what it refuses is not"
    }

    fn parameters(&self, _runner_type: &str) -> Parameters {
        let addresses = json!(["array", "string", "null"]);
        described(json!([
            ["to", { "types": addresses, "description": "To whom: a list, or a text with commas; a name may stand before an address (`Ann <ann@example.org>`)" }],
            ["cc", { "types": addresses, "description": "Who gets a copy" }],
            ["bcc", { "types": addresses, "description": "Who gets a copy without the others' seeing it" }],
            ["from", { "types": ["string", "null"], "description": "Who sends it, else `smtp.from` of the pack's configuration" }],
            ["reply_to", { "types": addresses, "description": "Where answers go" }],
            ["subject", { "types": ["string", "null"], "description": "The subject; line breaks in it become spaces" }],
            ["body", { "types": ["string", "null"], "description": "The text" }],
            ["html", { "types": ["string", "null"], "description": "The text as HTML, beside `body`" }],
            ["content_type", { "types": ["string", "null"], "description": "`text/html` where `body` is HTML" }],
            ["headers", { "types": ["object", "null"], "description": "Further headers, as `In-Reply-To`" }],
            ["attachments", { "types": addresses, "description": "Files to attach, by absolute path, 20 MiB in all" }],
            ["host", { "types": ["string", "null"], "description": "The mail server, else `smtp` of the pack's configuration with all that belongs to it" }],
            ["port", { "types": ["integer", "null"], "description": "Its port, else 587 (`starttls`), 465 (`tls`) or 25 (`none`)" }],
            ["tls", { "types": ["string", "null"], "description": "`starttls` (unless given), `tls` from the first byte on, or `none`" }],
            ["user", { "types": ["string", "null"], "description": "The name to log in with" }],
            ["password", { "types": ["string", "null"], "secret": true, "description": "The password to log in with; never sent without TLS to another machine" }],
            ["ca", { "types": ["string", "null"], "description": "A file of certificates (PEM) to trust in place of the system's" }],
            ["timeout", { "types": ["integer"], "default": 60, "description": "Seconds it may take" }],
        ]))
    }

    async fn run(&self, job: Job, stop: CancellationToken) -> Outcome {
        if job.begin == Begin::Return {
            let why = "nobody can know whether the mail was handed over before the engine ended";
            return Outcome::ended(Ended::Lost, why);
        }
        let (letter, server) = match prepare(&job).await {
            Ok(prepared) => prepared,
            Err(reason) => return failed(&Fault::Final(reason), None),
        };
        let timeout = process::timeout(&job);
        let sent = tokio::select! {
            biased;
            () = stop.cancelled() => {
                let why = "it was cancelled; the mail may have been handed over";
                return Outcome::ended(Ended::So(End::Canceled), why);
            }
            sent = tokio::time::timeout(timeout, server.send(&letter)) => sent,
        };
        match sent {
            Ok(Ok((receipt, connection))) => {
                part(connection).await;
                delivered(&receipt, &letter.id)
            }
            Ok(Err(fault)) => failed(&fault, Some(&letter.id)),
            Err(_) => {
                let why = format!("mail server `{}` took longer than {timeout:?}", server.place());
                let outcome = failed(&Fault::Temporary(why), Some(&letter.id));
                Outcome { ended: Ended::So(End::TimedOut), ..outcome }
            }
        }
    }
}

async fn prepare(job: &Job) -> Result<(Letter, Server), String> {
    let server = Server::of(job)?;
    Ok((letter::write(job).await?, server))
}

/// Says goodbye; whether it is answered changes nothing any more.
async fn part(mut connection: AsyncSmtpConnection) {
    if tokio::time::timeout(FAREWELL, connection.quit()).await.is_err() {
        tracing::debug!("A mail server took the mail and did not answer the farewell");
    }
}

/// Whoever was refused did not get it, whatever the others did; to try again would send it twice to
/// these.
fn delivered(receipt: &Receipt, id: &str) -> Outcome {
    let refused: Vec<_> =
        receipt.refused.iter().map(|(who, why)| format!("`{who}`: {why}")).collect();
    let mut result = json!({
        "message_id": id,
        "accepted": receipt.accepted,
        "refused": receipt.refused,
        "response": receipt.response,
    });
    if refused.is_empty() {
        return Outcome::succeeded(result);
    }
    let others = receipt.accepted.len();
    let reason = format!("{}; {others} others were sent it", refused.join("; "));
    result["error"] = Value::String(reason.clone());
    result["temporary"] = Value::Bool(false);
    Outcome { ended: Ended::Hopeless, result, reason: Some(reason) }
}

fn failed(fault: &Fault, id: Option<&str>) -> Outcome {
    let (ended, reason, temporary) = match fault {
        Fault::Temporary(reason) => (Ended::So(End::Failed), reason, true),
        Fault::Final(reason) => (Ended::Hopeless, reason, false),
    };
    let result = json!({ "error": reason, "temporary": temporary, "message_id": id });
    Outcome { ended, result, reason: Some(reason.clone()) }
}
