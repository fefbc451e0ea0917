//! HMAC-SHA256 signatures of deliveries, in the forms that GitHub and Stripe made usual. Pure.

use std::time::Duration;

use aws_lc_rs::hmac;
use serde::Deserialize;

use crate::model::time::Time;

/// How the signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// `X-Hub-Signature-256: sha256=<hex>` over the body.
    #[default]
    Github,
    /// `Stripe-Signature: t=<seconds>,v1=<hex>` over the time, a dot and the body.
    Stripe,
}

/// A secret, ready to judge signatures.
pub struct Key(hmac::Key);

impl Key {
    /// The key that these bytes make.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

/// Signatures that are looked at in one header at most.
const SIGNATURES_LIMIT: usize = 8;

/// Whether `text` is a good signature of `body`, by one of the keys; the comparison takes the same
/// time wherever the first difference is. The last pair, now and a tolerance, judges the time in
/// Stripe's form.
///
/// # Errors
/// What is wrong with it.
pub fn signed(
    form: Form,
    text: &str,
    body: &[u8],
    keys: &[Key],
    (now, tolerance): (Time, Duration),
) -> Result<(), &'static str> {
    let wrong = "the signature is wrong";
    match form {
        Form::Github => {
            let tag = text.strip_prefix("sha256=").and_then(unhex).ok_or(wrong)?;
            if verified(keys, body, &tag) { Ok(()) } else { Err(wrong) }
        }
        Form::Stripe => {
            let (seconds, tags) = stripe(text).ok_or(wrong)?;
            let message = [seconds.as_bytes(), b".", body].concat();
            if !tags.iter().fold(false, |good, tag| verified(keys, &message, tag) | good) {
                return Err(wrong);
            }
            let millis = seconds.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1000));
            let then = Time::from_millis(millis.ok_or(wrong)?);
            if now.since(then).max(then.since(now)) > tolerance {
                return Err("the signature is too old, or from the future");
            }
            Ok(())
        }
    }
}

fn verified(keys: &[Key], message: &[u8], tag: &[u8]) -> bool {
    keys.iter().fold(false, |good, key| hmac::verify(&key.0, message, tag).is_ok() | good)
}

/// `t=<seconds>,v1=<hex>,v1=<hex>`; other schemes are left alone.
fn stripe(text: &str) -> Option<(&str, Vec<Vec<u8>>)> {
    let mut seconds = None;
    let mut tags = Vec::new();
    for (key, value) in text.split(',').filter_map(|part| part.trim().split_once('=')) {
        match key {
            "t" if seconds.is_none() => seconds = Some(value),
            "v1" if tags.len() < SIGNATURES_LIMIT => tags.push(unhex(value)?),
            _ => {}
        }
    }
    let plain = |seconds: &&str| seconds.bytes().all(|byte| byte.is_ascii_digit());
    Some((seconds.filter(plain)?, tags))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Key {
        Key::new(secret.as_bytes())
    }

    const NOW: Time = Time::from_millis(1_700_000_000_000);
    const WITHIN: (Time, Duration) = (NOW, Duration::from_mins(5));

    /// The example of GitHub's own manual, "Validating webhook deliveries".
    #[test]
    fn the_example_of_github_is_good() {
        let text = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let keys = [key("It's a Secret to Everybody")];
        assert_eq!(signed(Form::Github, text, b"Hello, World!", &keys, WITHIN), Ok(()));
        assert!(signed(Form::Github, text, b"Hello, World?", &keys, WITHIN).is_err());
        assert!(signed(Form::Github, text, b"Hello, World!", &[key("other")], WITHIN).is_err());
        let both = [key("new"), key("It's a Secret to Everybody")];
        assert_eq!(signed(Form::Github, text, b"Hello, World!", &both, WITHIN), Ok(()));
    }

    #[test]
    fn a_stripe_signature_is_good_for_five_minutes() {
        let keys = [key("whsec")];
        let text = |seconds: i64| {
            let message = format!("{seconds}.{{}}");
            let tag = hmac::sign(&keys[0].0, message.as_bytes());
            format!("t={seconds},v0=00,v1={}", crate::store::table::hex(tag.as_ref()))
        };
        let check = |seconds| signed(Form::Stripe, &text(seconds), b"{}", &keys, WITHIN).is_ok();
        let now = NOW.millis() / 1000;
        assert!(check(now) && check(now - 300) && check(now + 300));
        assert!(!check(now - 301) && !check(now + 301));
    }

    #[test]
    fn broken_signatures_are_refused() {
        for text in ["", "sha256=", "sha256=zz", "t=,v1=", "t=1", "v1=00", "t=1,v1=é", "t=-1,v1=00"]
        {
            for form in [Form::Github, Form::Stripe] {
                assert!(signed(form, text, b"{}", &[key("x")], WITHIN).is_err(), "{text}");
            }
        }
    }
}
