//! What a caller is told when something does not work: always the same three fields.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::model::problem::nearest;
use crate::{auth, executions, intake, store};

/// An answer that is no success: `{"faultstring", "code", "help"}`.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    help: Option<String>,
    details: Option<serde_json::Value>,
    retry_after_seconds: Option<u64>,
}

impl Problem {
    /// A problem of `status` with a stable `code`.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, help: None, details: None, retry_after_seconds: None }
    }

    /// 400: the call itself is wrong.
    pub fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 404, for `what` (`rule`) called `name`.
    #[must_use]
    pub fn unknown(what: &str, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("no {what} is called `{name}`"))
    }

    /// The same, with the nearest of the `names` that there are.
    #[must_use]
    pub fn unknown_among<'a>(
        what: &str,
        name: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let problem = Self::unknown(what, name);
        match meant(name, names) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("`ifso {what} list` shows the ones there are")),
        }
    }

    /// 403: the key is good, but not for this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// 409: it does not fit what is there.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// The same with the next step beside it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with facts beside it.
    #[must_use]
    pub fn details(mut self, details: serde_json::Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The same with the seconds after which to come again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The status it answers with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// The name that was meant, where one is near enough; its pack may have been left out.
fn meant<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let names: Vec<&str> = names.into_iter().collect();
    if name.contains('.') {
        return nearest(name, names);
    }
    let short = |whole: &&'a str| whole.split_once('.').map_or(*whole, |(_, name)| name);
    let near = nearest(name, names.iter().map(short))?;
    names.iter().find(|whole| short(whole) == near).copied()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "faultstring": self.message,
            "code": self.code,
            "help": self.help,
        });
        if let Some(details) = self.details {
            body["details"] = details;
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The whole chain of an error, once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// Seconds after which a full queue is likely to have room.
const BUSY_SECONDS: u64 = 1;
/// Seconds after which a full disk or a failed one is worth another try.
const STORE_SECONDS: u64 = 10;

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        use StatusCode as S;
        let (status, code) = match &error {
            store::Error::Conflict { .. } => (S::CONFLICT, "conflict"),
            store::Error::Exists { .. } => (S::CONFLICT, "file_exists"),
            store::Error::Full { .. } => (S::INSUFFICIENT_STORAGE, "disk_full"),
            store::Error::Damaged { .. } => (S::INTERNAL_SERVER_ERROR, "record_damaged"),
            _ => (S::SERVICE_UNAVAILABLE, "store_unavailable"),
        };
        // Paths are for the log, not for callers.
        let message = match &error {
            store::Error::Full { .. } => "the disk is full".to_owned(),
            store::Error::Io { .. } | store::Error::Broken { .. } => {
                "the store cannot be read or written".to_owned()
            }
            other => other.to_string(),
        };
        if status.is_server_error() {
            tracing::error!(error = %error, "the store did not do as a call asked");
        }
        let problem = Self::new(status, code, message);
        let problem = if error.is_passing() { problem.retry_after(STORE_SECONDS) } else { problem };
        match error.help() {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}

impl From<intake::Refusal> for Problem {
    fn from(refusal: intake::Refusal) -> Self {
        match refusal {
            intake::Refusal::Store(error) => error.into(),
            intake::Refusal::Busy => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", refusal.to_string())
                    .help("send it again after the seconds in `Retry-After`")
                    .retry_after(BUSY_SECONDS)
            }
            intake::Refusal::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", refusal.to_string())
                    .help("send it again; nothing of it was taken in")
                    .retry_after(BUSY_SECONDS)
            }
        }
    }
}

impl From<auth::Error> for Problem {
    fn from(error: auth::Error) -> Self {
        use StatusCode as S;
        use auth::Error as E;
        let (help, message) = (error.help(), error.to_string());
        let problem = match error {
            E::Store(error) => return error.into(),
            E::NoSuchRole { .. } => Self::bad("no_such_role", message),
            E::BadGrant(_) | E::ManyGrants { .. } => Self::bad("bad_grant", message),
            E::BadName { .. } => Self::bad("bad_name", message),
            E::BadPassword { .. } => Self::bad("bad_password", message),
            E::BadTtl { .. } => Self::bad("bad_ttl", message),
            E::Stronger | E::OwnRights => Self::forbidden(message),
            E::NoSuchUser { .. } => Self::new(S::NOT_FOUND, "not_found", message),
            E::UserExists { .. } => Self::conflict("user_exists", message),
            E::ManyUsers => Self::conflict("too_many_users", message),
            E::LastAdmin => Self::conflict("last_admin", message),
            E::Slowed { seconds } => {
                Self::new(S::TOO_MANY_REQUESTS, "slowed", message).retry_after(seconds)
            }
            E::Busy => Self::new(S::TOO_MANY_REQUESTS, "busy", message).retry_after(BUSY_SECONDS),
            E::File { .. } => Self::new(S::INTERNAL_SERVER_ERROR, "key_file", message),
            E::Hashing { .. } => Self::new(S::INTERNAL_SERVER_ERROR, "hashing", message),
            E::Missing | E::Wrong | E::Disabled | E::Expired | E::WrongPassword => Self::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                format!("Unauthorized - {message}."),
            ),
        };
        match help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}

impl From<executions::Error> for Problem {
    fn from(error: executions::Error) -> Self {
        use executions::Error as E;
        let help = error.help();
        let message = chain(&error);
        let problem = match error {
            E::Store(error) => return error.into(),
            E::NoSuchAction { .. } => Self::bad("no_such_action", message),
            E::Disabled(_) => Self::bad("action_disabled", message),
            E::BadParameters { problems } => {
                Self::bad("bad_parameters", message).details(json!({ "problems": problems }))
            }
            E::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "not_found", message),
            E::OnceAgain { execution, .. } => Self::conflict(
                "key_reused",
                format!("this `Idempotency-Key` was used for another request, {execution}"),
            ),
            E::Illegal(_) => Self::conflict("illegal_move", message),
            E::NoWorkflow(_) => Self::bad("no_workflow", message),
            E::NoFailedTask { .. } => Self::conflict("no_failed_task", message),
            E::Refused { .. } => Self::conflict("refused", message),
            E::Broken { .. } => Self::conflict("broken_workflow", message),
            E::Unstoppable { .. } => Self::conflict("unstoppable", message),
        };
        match help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}
