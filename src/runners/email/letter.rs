//! A mail from the parameters that describe it. No value becomes a header of its own: what holds a
//! line break is refused, or becomes a space in the subject.

use std::path::Path;

use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, Subject};
use lettre::message::{Attachment, Mailbox, Mailboxes, Message, MultiPart, SinglePart};
use serde_json::Value;

use crate::runners::{Job, process};

/// The most that is attached to one mail; servers seldom take more.
const ATTACHED_BYTES: u64 = 20 << 20;

/// Whom one mail may go to; servers take a hundred at least (RFC 5321, section 4.5.3.1.8).
const RECIPIENTS: usize = 100;

/// Headers that are written here, and not by `headers`.
const OURS: &[&str] = &[
    "bcc",
    "cc",
    "date",
    "from",
    "message-id",
    "mime-version",
    "reply-to",
    "sender",
    "subject",
    "to",
];

/// A mail that is ready to be sent.
pub(super) struct Letter {
    /// What names it: `<exe_…@example.org>`.
    pub(super) id: String,
    /// Who is told when it cannot be delivered.
    pub(super) from: Address,
    /// Who gets it, each once.
    pub(super) to: Vec<Address>,
    /// Headers and text as they are sent.
    pub(super) text: Vec<u8>,
}

/// Writes the mail that `job` wants.
///
/// # Errors
/// Which parameter cannot be used, for people.
pub(super) async fn write(job: &Job) -> Result<Letter, String> {
    let attached = attached(job).await?;
    let from = sender(job)?;
    let id = format!("<{}@{}>", job.execution, from.email.domain());
    let mut all = Vec::new();
    let mut mail = Message::builder().from(from.clone()).message_id(Some(id.clone()));
    for name in ["to", "cc", "bcc"] {
        for mailbox in mailboxes(job, name)? {
            if !all.contains(&mailbox.email) {
                all.push(mailbox.email.clone());
            }
            mail = match name {
                "to" => mail.to(mailbox),
                "cc" => mail.cc(mailbox),
                // Nobody sees who gets it besides.
                _ => mail,
            };
        }
    }
    if all.is_empty() {
        return Err("nobody is to get the mail; say `to`".to_owned());
    }
    if all.len() > RECIPIENTS {
        return Err(format!("{} people are to get one mail; {RECIPIENTS} may", all.len()));
    }
    for mailbox in mailboxes(job, "reply_to")? {
        mail = mail.reply_to(mailbox);
    }
    mail = mail.header(Subject::from(one_line(given(job, "subject").unwrap_or_default())));
    for header in headers(job)? {
        mail = mail.raw_header(header);
    }
    // The envelope says who gets it; the builder wants one, and the headers may name nobody.
    let envelope = lettre::address::Envelope::new(Some(from.email.clone()), all.clone());
    let mail = mail.envelope(envelope.map_err(|error| error.to_string())?);
    let mail = match parts(job, attached) {
        Content::One(part) => mail.singlepart(part),
        Content::Several(parts) => mail.multipart(parts),
    };
    let mail = mail.map_err(|error| format!("the mail cannot be written: {error}"))?;
    Ok(Letter { id, from: from.email, to: all, text: mail.formatted() })
}

/// A parameter that is a text and not empty.
fn given<'a>(job: &'a Job, name: &str) -> Option<&'a str> {
    job.parameters.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn sender(job: &Job) -> Result<Mailbox, String> {
    let configured = || job.config.get("smtp")?.get("from")?.as_str();
    let from = given(job, "from").or_else(configured).ok_or_else(|| {
        let pack = job.action.reference.pack();
        format!(
            "nobody sends the mail; say `from`, or `smtp: {{from: …}}` in `configs/{pack}.yaml`"
        )
    })?;
    let mut read = read_mailboxes("from", from)?;
    match (read.pop(), read.is_empty()) {
        (Some(mailbox), true) => Ok(mailbox),
        _ => Err(format!("parameter `from`: {from:?} is not one address")),
    }
}

/// The texts of a parameter that may be a list.
fn texts(job: &Job, name: &str) -> Vec<String> {
    match job.parameters.get(name) {
        Some(Value::Array(items)) => items.iter().map(process::text).collect(),
        Some(Value::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    }
}

fn mailboxes(job: &Job, name: &str) -> Result<Vec<Mailbox>, String> {
    let mut all = Vec::new();
    for text in texts(job, name) {
        all.extend(read_mailboxes(name, &text)?);
    }
    Ok(all)
}

fn read_mailboxes(name: &str, text: &str) -> Result<Vec<Mailbox>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    if text.contains(char::is_control) {
        return Err(format!(
            "parameter `{name}`: {text:?} holds a line break or control character"
        ));
    }
    let read: Mailboxes = text.trim().parse().map_err(|_| {
        format!("parameter `{name}`: {text:?} is no address; write `ann@example.org` or `Ann <ann@example.org>`")
    })?;
    Ok(read.into_iter().collect())
}

/// The subject stays one line whatever an event brings: an alert must not fail for its line break.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn headers(job: &Job) -> Result<Vec<HeaderValue>, String> {
    let mut all = vec![header("X-Ifso-Execution", &job.execution.to_string())?];
    let given = job.parameters.get("headers").and_then(Value::as_object).into_iter().flatten();
    for (name, value) in given {
        let small = name.to_ascii_lowercase();
        if OURS.contains(&small.as_str())
            || small.starts_with("content-")
            || small.starts_with("x-ifso-")
        {
            return Err(format!(
                "parameter `headers`: `{name}` is not written by hand; \
                 addresses and subject have parameters of their own"
            ));
        }
        all.push(header(name, &process::text(value))?);
    }
    Ok(all)
}

fn header(name: &str, value: &str) -> Result<HeaderValue, String> {
    if value.contains(char::is_control) {
        return Err(format!(
            "parameter `headers`: the value of {name:?} holds a line break or a control character"
        ));
    }
    // RFC 5322, section 2.2.
    let plain = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
    let name = plain
        .then(|| HeaderName::new_from_ascii(name.to_owned()).ok())
        .flatten()
        .ok_or_else(|| format!("parameter `headers`: {name:?} cannot be a header's name"))?;
    Ok(HeaderValue::new(name, value.to_owned()))
}

enum Content {
    One(SinglePart),
    Several(MultiPart),
}

fn parts(job: &Job, attached: Vec<SinglePart>) -> Content {
    let body = given(job, "body").unwrap_or_default().to_owned();
    let is_html = given(job, "content_type")
        .is_some_and(|kind| kind.trim().to_ascii_lowercase().starts_with("text/html"));
    let text = match given(job, "html") {
        Some(html) if !is_html && !body.is_empty() => {
            Content::Several(MultiPart::alternative_plain_html(body, html.to_owned()))
        }
        Some(html) => Content::One(SinglePart::html(html.to_owned())),
        None if is_html => Content::One(SinglePart::html(body)),
        None => Content::One(SinglePart::plain(body)),
    };
    if attached.is_empty() {
        return text;
    }
    let all = match text {
        Content::One(part) => MultiPart::mixed().singlepart(part),
        Content::Several(parts) => MultiPart::mixed().multipart(parts),
    };
    Content::Several(attached.into_iter().fold(all, MultiPart::singlepart))
}

async fn attached(job: &Job) -> Result<Vec<SinglePart>, String> {
    let paths = texts(job, "attachments");
    let paths = paths.iter().flat_map(|text| text.split(',')).map(str::trim);
    let (mut all, mut total) = (Vec::new(), 0);
    for path in paths.filter(|path| !path.is_empty()) {
        let wrong = |why: String| format!("parameter `attachments`: `{path}` {why}");
        if !Path::new(path).is_absolute() {
            return Err(wrong("is not an absolute path".to_owned()));
        }
        let file = tokio::fs::canonicalize(path).await;
        let file = file.map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let ours = tokio::fs::canonicalize(&job.data).await;
        // Keys and everything remembered lie there: a value that names one must not post it.
        if ours.is_ok_and(|ours| file.starts_with(ours)) {
            return Err(wrong("is Ifso's own, and is not sent".to_owned()));
        }
        let size = tokio::fs::metadata(&file).await;
        total += size.map_err(|error| wrong(format!("cannot be read: {error}")))?.len();
        if total > ATTACHED_BYTES {
            return Err(wrong(format!("makes the attachments longer than {ATTACHED_BYTES} bytes")));
        }
        let content = tokio::fs::read(&file).await;
        let content = content.map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
        let kind = ContentType::parse("application/octet-stream").expect("it is a media type");
        all.push(Attachment::new(one_line(&name)).body(content, kind));
    }
    Ok(all)
}
