//! How the callers of a hook prove who they are: an API key, a bearer token, a signature over the raw
//! bytes, or, where the file says so in as many words, not at all.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use serde::Deserialize;
use serde_json::Value;

use crate::model::problem::Problem;
use crate::model::sensor::Definition;
use crate::model::time::Time;
use crate::sensors::hooks::{Answer, Delivery};
use crate::sensors::secret::Secret;
use crate::sensors::signature::{Form, Key, signed};
use crate::sensors::span::Span;
use crate::sensors::{Error, wrong};

/// The word after `auth:`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Auth {
    /// An API key of Ifso's own.
    #[default]
    Key,
    /// `Authorization: Bearer` with a secret of the sensor's own.
    Bearer,
    /// A signature.
    Hmac,
    /// Nobody has to prove anything.
    None,
}

/// The settings of `auth: hmac`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signature {
    #[serde(default)]
    form: Form,
    #[serde(default)]
    header: Option<String>,
    #[serde(default)]
    tolerance: Option<Span>,
}

/// The part of a hook's file that is about proof, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    auth: Auth,
    secrets: Vec<Secret>,
    signature: Signature,
    header: HeaderName,
}

/// Two secrets: the new one, and the old one while it is being replaced.
const SECRETS_LIMIT: usize = 2;
/// How far a signature's time may lie from ours: Stripe's own default.
const TOLERANCE: Duration = Duration::from_mins(5);
impl Proof {
    /// Checks what the file says.
    pub(crate) fn new(
        definition: &Definition,
        auth: Auth,
        secrets: Vec<Secret>,
        signature: Option<Signature>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let wanted = matches!(auth, Auth::Bearer | Auth::Hmac);
        if wanted && !(1..=SECRETS_LIMIT).contains(&secrets.len()) {
            let message = "expected one place of a secret, or two while it is being replaced";
            let help =
                "write `secrets: [{ file: secrets/hook }]` or `secrets: [{ config: hook_secret }]`";
            problems.push(wrong(definition, "secrets", message).help(help));
        }
        if !wanted && !secrets.is_empty() {
            let message = "nobody asks for them";
            let help = "write `auth: bearer` or `auth: hmac`, or leave the secrets out";
            problems.push(wrong(definition, "secrets", message).help(help));
        }
        if signature.is_some() && auth != Auth::Hmac {
            let problem = wrong(definition, "signature", "it belongs to `auth: hmac`");
            problems.push(problem.help("write `auth: hmac`, or leave it out"));
        }
        let signature = signature.unwrap_or_default();
        let header = signature.header.as_deref().unwrap_or(match signature.form {
            Form::Github => "x-hub-signature-256",
            Form::Stripe => "stripe-signature",
        });
        match header.parse() {
            Ok(header) if problems.is_empty() => Ok(Self { auth, secrets, signature, header }),
            Ok(_) => Err(problems),
            Err(_) => {
                let message = format!("`{header}` is no name of a header");
                problems.push(wrong(definition, "signature.header", message));
                Err(problems)
            }
        }
    }

    /// Reads the secrets.
    pub(crate) async fn open(&self, folder: &Path, config: &Value) -> Result<Guard, Error> {
        let mut secrets = Vec::new();
        for secret in &self.secrets {
            secrets.push(secret.open(folder, config).await?);
        }
        Ok(match self.auth {
            Auth::Key => Guard::Key,
            Auth::None => Guard::Open,
            Auth::Bearer => Guard::Bearer(secrets),
            Auth::Hmac => Guard::Hmac {
                form: self.signature.form,
                header: self.header.clone(),
                tolerance: self.signature.tolerance.map_or(TOLERANCE, |span| span.0),
                keys: secrets.iter().map(|secret| Key::new(secret)).collect(),
            },
        })
    }
}

/// What stands at a hook's door.
pub(crate) enum Guard {
    Key,
    Bearer(Vec<Vec<u8>>),
    Hmac { form: Form, header: HeaderName, tolerance: Duration, keys: Vec<Key> },
    Open,
}

impl Guard {
    /// Whether the caller may: the signature's text where there was one, nothing else to know where
    /// there was none. The answer is for the caller who may not.
    pub(crate) fn check(&self, delivery: &Delivery, now: Time) -> Result<Option<String>, Answer> {
        match self {
            Self::Open => Ok(None),
            Self::Key => match delivery.authenticated {
                Some(_) => Ok(None),
                None => Err(denied("an API key is needed", "send `Authorization: Bearer <key>`")),
            },
            Self::Bearer(secrets) => {
                let given = bearer(&delivery.headers).unwrap_or_default();
                // Every secret is looked at, so that the time says nothing about which one it was.
                let good = secrets.iter().fold(false, |good, secret| {
                    verify_slices_are_equal(secret, given.as_bytes()).is_ok() | good
                });
                if good {
                    return Ok(None);
                }
                let help = "send `Authorization: Bearer <token>` with the token of this webhook";
                Err(denied("the bearer token is missing or wrong", help))
            }
            Self::Hmac { form, header, tolerance, keys } => {
                let text = delivery.headers.get(header).and_then(|value| value.to_str().ok());
                let Some(text) = text else {
                    let help = format!("send `{header}` with HMAC-SHA256 of the raw body");
                    return Err(denied("the signature is missing", &help));
                };
                signed(*form, text, &delivery.body, keys, (now, *tolerance))
                    .map(|()| Some(text.to_owned()))
                    .map_err(|what| {
                        denied(what, "sign the raw body with the secret of this webhook")
                    })
            }
        }
    }

    /// Whether what was signed says by itself that it is a copy: a signature that comes twice.
    pub(crate) fn is_signature(&self) -> bool {
        matches!(self, Self::Hmac { .. })
    }

    /// The header that carries the proof beyond the usual ones.
    pub(crate) fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::Hmac { header, .. } => Some(header),
            _ => None,
        }
    }
}

fn denied(what: &str, help: &str) -> Answer {
    Answer::refusal(401, "not_proven", what, help)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
