//! The mail server: where it is, and the conversation in which it takes a mail (RFC 5321).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use serde_json::Value;

use super::Fault;
use super::letter::Letter;
use crate::runners::Job;
use crate::runners::supervisor::chain;

/// How long reaching the server may take.
const CONNECT: Duration = Duration::from_secs(20);

/// A mail server and how to speak to it.
#[derive(Debug)]
pub(super) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    login: Option<(String, String)>,
    ca: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    /// Asked for in the open, before anything else is said.
    Starttls,
    /// From the first byte on.
    Whole,
    /// Not at all.
    Never,
}

/// What the server said to a mail that it took.
#[derive(Debug)]
pub(super) struct Receipt {
    /// Who is sent it.
    pub(super) accepted: Vec<String>,
    /// Who never will be, and why.
    pub(super) refused: BTreeMap<String, String>,
    /// Its words.
    pub(super) response: String,
}

impl Server {
    /// The server that the parameters name, else that of the pack's configuration. What belongs to one
    /// never goes to the other: a password would reach whoever a value names.
    ///
    /// # Errors
    /// What is missing or wrong, for people.
    pub(super) fn of(job: &Job) -> Result<Self, String> {
        let own = |name: &str| job.parameters.get(name).filter(|value| !is_nothing(value));
        let configured = own("host").is_none();
        let smtp = job.config.get("smtp").filter(|_| configured);
        let find =
            |name: &str| own(name).or_else(|| smtp?.get(name).filter(|value| !is_nothing(value)));
        let text = |name: &str| find(name).and_then(Value::as_str);
        let pack = job.action.reference.pack();
        let host = text("host").ok_or_else(|| {
            format!("no mail server is known; say `host`, or `smtp: {{host: …}}` in `configs/{pack}.yaml`")
        })?;
        let (tls, port) = match text("tls").unwrap_or("starttls") {
            "starttls" => (Tls::Starttls, 587),
            "tls" => (Tls::Whole, 465),
            "none" => (Tls::Never, 25),
            other => {
                return Err(format!("`tls` is {other:?}; expected `starttls`, `tls` or `none`"));
            }
        };
        let port = match find("port") {
            None => port,
            Some(given) => {
                number(given).ok_or_else(|| format!("`port` is {given}; expected 1 to 65535"))?
            }
        };
        let login = match (text("user"), text("password")) {
            (Some(user), Some(password)) => Some((user.to_owned(), password.to_owned())),
            (Some(user), None) => return Err(format!("`password` of `{user}` is missing")),
            (None, _) => None,
        };
        if login.is_some() && tls == Tls::Never && !is_here(host) {
            return Err(format!(
                "the password would reach `{host}` unencrypted; say `tls: starttls`"
            ));
        }
        Ok(Self { host: host.to_owned(), port, tls, login, ca: text("ca").map(Into::into) })
    }

    /// Where it is: `mail.example.org:587`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Hands `letter` over. Where anybody's turn is put off, nobody is sent it: the whole of it can be
    /// tried again. Who is refused for good holds up nobody.
    ///
    /// Not cancel-safe: the server may have taken it.
    ///
    /// # Errors
    /// The fault: nobody was sent it, unless the connection broke before the server's last word.
    pub(super) async fn send(
        &self,
        letter: &Letter,
    ) -> Result<(Receipt, AsyncSmtpConnection), Fault> {
        let mut connection = self.connect().await?;
        let mut options = Vec::new();
        let addresses = letter.to.iter().chain([&letter.from]);
        if !addresses.map(AsRef::<str>::as_ref).all(str::is_ascii) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let why = "does not take addresses with letters beyond ASCII";
                return Err(Fault::Final(format!("mail server `{}` {why}", self.place())));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        let mail = Mail::new(Some(letter.from.clone()), options);
        let said = connection.command(mail).await;
        said.map_err(|error| self.fault(&format!("sender `{}`", letter.from), &error))?;
        let (mut accepted, mut refused) = (Vec::new(), BTreeMap::new());
        for to in &letter.to {
            match connection.command(Rcpt::new(to.clone(), Vec::new())).await {
                Ok(_) => accepted.push(to.to_string()),
                Err(error) if error.is_permanent() => {
                    refused.insert(to.to_string(), words(&error));
                }
                Err(error) => return Err(self.fault(&format!("recipient `{to}`"), &error)),
            }
        }
        if accepted.is_empty() {
            let each: Vec<_> = refused.iter().map(|(to, why)| format!("`{to}`: {why}")).collect();
            let (place, each) = (self.place(), each.join("; "));
            return Err(Fault::Final(format!(
                "mail server `{place}` refuses every recipient: {each}"
            )));
        }
        let fault = |error| self.fault("the mail", &error);
        connection.command(Data).await.map_err(fault)?;
        let response = connection.message(&letter.text).await.map_err(fault)?;
        let response = response.message().collect::<Vec<_>>().join(" ");
        Ok((Receipt { accepted, refused, response }, connection))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Fault> {
        let hello = hello();
        let tls = if self.tls == Tls::Never { None } else { Some(self.security().await?) };
        let whole = tls.clone().filter(|_| self.tls == Tls::Whole);
        let address = (self.host.as_str(), self.port);
        let reached =
            AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT), &hello, whole, None).await;
        let mut connection = reached.map_err(|error| self.fault("the connection", &error))?;
        if let Some(tls) = tls.filter(|_| self.tls == Tls::Starttls) {
            if !connection.can_starttls() {
                let why =
                    "offers no STARTTLS; say `tls: tls` or `tls: none`, as the server wants it";
                return Err(Fault::Final(format!("mail server `{}` {why}", self.place())));
            }
            let secured = connection.starttls(tls, &hello).await;
            secured.map_err(|error| self.fault("STARTTLS", &error))?;
        }
        if let Some((user, password)) = &self.login {
            let login = Credentials::new(user.clone(), password.clone());
            let known = connection.auth(DEFAULT_MECHANISMS, &login).await;
            known.map_err(|error| self.fault(&format!("the login of `{user}`"), &error))?;
        }
        Ok(connection)
    }

    async fn security(&self) -> Result<TlsParameters, Fault> {
        let mut made = TlsParameters::builder(self.host.clone());
        if let Some(ca) = &self.ca {
            let wrong = |why: String| Fault::Final(format!("`ca`: `{}` {why}", ca.display()));
            let text = tokio::fs::read(ca).await;
            let text = text.map_err(|error| wrong(format!("cannot be read: {error}")))?;
            let known = Certificate::from_pem(&text);
            let known = known.map_err(|_| wrong("holds no certificates (PEM)".to_owned()))?;
            made = made.certificate_store(CertificateStore::None).add_root_certificate(known);
        }
        made.build().map_err(|error| {
            Fault::Temporary(format!(
                "TLS to `{}` cannot be prepared: {}",
                self.place(),
                chain(&error)
            ))
        })
    }

    /// What an error means: 5xx, and what this side cannot do, would fail again.
    fn fault(&self, what: &str, error: &lettre::transport::smtp::Error) -> Fault {
        let place = self.place();
        if error.is_permanent() || error.is_client() {
            return Fault::Final(format!("mail server `{place}` refuses {what}: {}", words(error)));
        }
        if error.is_transient() {
            return Fault::Temporary(format!(
                "mail server `{place}` puts {what} off: {}",
                words(error)
            ));
        }
        Fault::Temporary(format!("mail server `{place}`: {what} failed: {}", words(error)))
    }
}

/// The server's own words with their code, where there are any.
fn words(error: &lettre::transport::smtp::Error) -> String {
    let said = std::error::Error::source(error).map(chain);
    match (error.status(), said) {
        (Some(code), Some(said)) => format!("{code} {said}"),
        (Some(code), None) => code.to_string(),
        (None, Some(said)) => said,
        (None, None) => error.to_string(),
    }
}

/// The name that this machine gives itself.
fn hello() -> ClientId {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if name.is_empty() || !name.bytes().all(plain) {
        return ClientId::default();
    }
    ClientId::Domain(name.into_owned())
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

/// A port; templates in a configuration make texts.
fn number(value: &Value) -> Option<u16> {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    u16::try_from(number).ok().filter(|number| *number > 0)
}

/// Whether `host` is this machine.
fn is_here(host: &str) -> bool {
    let address: Option<std::net::IpAddr> = host.parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}
