//! Who is signed in at the pages: a cookie that means nothing to the API. It ends when it is not used, when
//! the credential that opened it ends, after a working day in any case, and with the process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use rand::RngExt;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::auth::{self, Caller, Keys, Secret};
use crate::clock::Clock;
use crate::model::id::KeyId;
use crate::model::time::Time;

/// The cookie's name.
const COOKIE: &str = "ifso_session";
/// A session ends after this long, whatever is done.
const LENGTH: Duration = Duration::from_hours(12);
/// A session ends when nothing is asked in it for so long.
const IDLE: Duration = Duration::from_hours(2);
/// Sessions at one time; the one that was idle longest gives way.
const SESSIONS_LIMIT: usize = 10_000;
/// Words that wait to be shown in one session.
const WORDS_LIMIT: usize = 8;

/// The sessions.
pub(crate) struct Sessions {
    keys: Keys,
    clock: Clock,
    secure: bool,
    seal: hmac::Key,
    live: Mutex<HashMap<KeyId, Live>>,
}

struct Live {
    /// Of the cookie's text.
    hash: Vec<u8>,
    /// The key that opened it: asked each time, so that what it may no longer do, nobody does with it.
    opener: Zeroizing<String>,
    began: Time,
    seen: Time,
    words: Vec<Value>,
}

impl Live {
    fn is_good(&self, now: Time) -> bool {
        self.seen.plus(IDLE) > now && self.began.plus(LENGTH) > now
    }
}

impl Sessions {
    pub(crate) fn new(keys: Keys, clock: Clock, secure: bool) -> Self {
        let random: [u8; 32] = rand::rng().random();
        let seal = hmac::Key::new(hmac::HMAC_SHA256, &random);
        Self { keys, clock, secure, seal, live: Mutex::default() }
    }

    /// Opens a session for whoever holds `key`, and gives the session's own text.
    ///
    /// # Errors
    /// Where the key is not good.
    pub(crate) async fn open(&self, key: &str) -> Result<(String, Caller), auth::Error> {
        let caller = self.keys.check(key).await?;
        let secret = Secret::fresh(KeyId::from_bits(rand::rng().random()));
        let now = self.clock.now();
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|_, session| session.is_good(now));
        if live.len() >= SESSIONS_LIMIT
            && let Some(oldest) = live.iter().min_by_key(|(_, live)| live.seen).map(|(id, _)| *id)
        {
            live.remove(&oldest);
        }
        let opener = Zeroizing::new(key.to_owned());
        let session =
            Live { hash: secret.hash(), opener, began: now, seen: now, words: Vec::new() };
        live.insert(secret.id, session);
        Ok((secret.reveal(), caller))
    }

    /// Opens a session for a user with a password who comes from `address`.
    ///
    /// # Errors
    /// Where they are not right, or too many were wrong.
    pub(crate) async fn sign_in(
        &self,
        user: &str,
        password: &str,
        address: &str,
    ) -> Result<(String, Caller), auth::Error> {
        let (token, _) = self.keys.sign_in_for(user, password, address, LENGTH).await?;
        self.open(&token.reveal()).await
    }

    /// Who is signed in with `session`, the cookie's text.
    pub(crate) async fn caller(&self, session: &str) -> Option<Caller> {
        let secret = Secret::read(session)?;
        let opener = {
            let now = self.clock.now();
            let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            let session = live.get_mut(&secret.id).filter(|live| secret.fits(&live.hash))?;
            if !session.is_good(now) {
                live.remove(&secret.id);
                return None;
            }
            session.seen = now;
            session.opener.clone()
        };
        self.keys.check(&opener).await.ok()
    }

    /// Ends a session, and the token that a password opened it with.
    pub(crate) async fn close(&self, session: &str) {
        let Some(secret) = Secret::read(session) else { return };
        let ended = {
            let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = live.get(&secret.id).is_some_and(|live| secret.fits(&live.hash));
            if fits { live.remove(&secret.id) } else { None }
        };
        let Some(ended) = ended else { return };
        if let Err(error) = self.keys.sign_out(&ended.opener).await {
            tracing::warn!(%error, "a token lives until its time is over");
        }
    }

    /// Keeps words for the next page of a session; `once` is shown to be copied.
    pub(crate) fn say(&self, session: &str, kind: &str, text: &str, once: Option<&str>) {
        let Some(secret) = Secret::read(session) else { return };
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = live.get_mut(&secret.id)
            && live.words.len() < WORDS_LIMIT
        {
            live.words.push(json!({ "kind": kind, "text": text, "once": once }));
        }
    }

    /// Takes the words that wait.
    pub(crate) fn words(&self, session: &str) -> Vec<Value> {
        let Some(secret) = Secret::read(session) else { return Vec::new() };
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.get_mut(&secret.id).map(|live| std::mem::take(&mut live.words)).unwrap_or_default()
    }

    /// The token that forms of this session carry.
    pub(crate) fn token(&self, session: &str) -> String {
        let tag = hmac::sign(&self.seal, session.as_bytes());
        crate::store::table::hex(tag.as_ref())
    }

    /// Whether a form's token is the session's, in a time that tells nothing.
    pub(crate) fn fits(&self, session: &str, token: &str) -> bool {
        let wanted = self.token(session);
        constant_time::verify_slices_are_equal(wanted.as_bytes(), token.as_bytes()).is_ok()
    }

    /// The header that gives a browser its session.
    pub(crate) fn cookie(&self, session: &str) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let seconds = LENGTH.as_secs();
        format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
    }

    /// The header that takes it away.
    pub(crate) fn no_cookie(&self) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}")
    }
}

/// The session's text among a request's cookies.
pub(crate) fn of(headers: &axum::http::HeaderMap) -> Option<String> {
    let cookies = headers.get_all(axum::http::header::COOKIE).iter();
    let mut pairs =
        cookies.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE && !value.is_empty()).then(|| value.to_owned())
    })
}
