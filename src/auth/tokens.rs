//! Tokens: what a user signs in for. They live in the store, so a restart ends nobody's work.

use std::sync::PoisonError;
use std::time::Duration;

use crate::auth::keys::readable;
use crate::auth::users::is_name;
use crate::auth::{Caller, Error, Keys, Secret, Via};
use crate::model::time::Time;
use crate::store::batch::Batch;
use crate::store::people::Token;
use crate::store::table::{self, Rows};

/// How long a token lives unless whoever signs in says less: StackStorm's time, and its limit.
pub const TTL: Duration = Duration::from_hours(24);

/// Tokens that are kept at most; beyond it the oldest ends. It is more than people sign in in a day.
const TOKENS_LIMIT: usize = 10_000;

impl Keys {
    /// Signs a user in who calls from `address`: gives a token, and when it ends. An unknown user takes
    /// as long as a wrong password.
    ///
    /// # Errors
    /// `WrongPassword`, `Slowed`, `Busy`, `Hashing` and `Store`.
    pub async fn sign_in(
        &self,
        user: &str,
        password: &str,
        address: &str,
    ) -> Result<(Secret, Time), Error> {
        self.sign_in_for(user, password, address, TTL).await
    }

    /// The same for a token that lives `ttl`, `TTL` at most.
    ///
    /// # Errors
    /// As `sign_in`, and `BadTtl`.
    pub async fn sign_in_for(
        &self,
        user: &str,
        password: &str,
        address: &str,
        ttl: Duration,
    ) -> Result<(Secret, Time), Error> {
        if ttl.is_zero() || ttl > TTL {
            let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
            return Err(Error::BadTtl { seconds, most_seconds: TTL.as_secs() });
        }
        self.prove(user, password, address).await?;
        // Looked up again: the password may have been changed while it was compared.
        let held = self.held(user).await?.filter(|held| held.row.enabled);
        let user = held.ok_or(Error::WrongPassword)?.row;
        let (now, secret) = (self.clock.now(), Secret::fresh(self.ids.key()));
        let token = Token {
            id: secret.id,
            hash: secret.hash(),
            user: user.name,
            era: user.era,
            created: now,
            expires: now.plus(ttl),
        };
        let mut batch = Batch::new();
        let kept = table::scan::<Token>(&self.store, Rows::first(TOKENS_LIMIT)).await?;
        if let Some(oldest) = kept.first().filter(|_| kept.len() == TOKENS_LIMIT) {
            batch.remove(table::key::<Token>(oldest.row.id.to_bytes().to_vec()));
        }
        table::create(&mut batch, &token);
        self.store.commit(batch).await?;
        Ok((secret, token.expires))
    }

    /// Whether this is the user's password, slowing whoever tries many.
    ///
    /// # Errors
    /// `WrongPassword`, `Slowed`, `Busy`, `Hashing` and `Store`.
    pub async fn prove(&self, user: &str, password: &str, address: &str) -> Result<(), Error> {
        // Names that no user has are counted as one: they could be long, and many.
        let counted = if is_name(user) { user } else { "?" };
        let begun = {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            failures.begin(counted, address, self.clock.now())
        };
        begun.map_err(|wait| Error::Slowed { seconds: wait.as_secs().max(1) })?;
        let held = self.held(user).await?;
        let hash = held.as_ref().filter(|held| held.row.enabled);
        let hash = hash.and_then(|held| held.row.hash.as_deref());
        if !self.passwords.fits(password, hash).await? {
            return Err(Error::WrongPassword);
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.right(counted, address);
        Ok(())
    }

    /// Ends the token `text`. Says whether it was one.
    ///
    /// # Errors
    /// As `Store::commit`.
    pub async fn sign_out(&self, text: &str) -> Result<bool, Error> {
        let Some(secret) = Secret::read(text) else { return Ok(false) };
        let bytes = secret.id.to_bytes().to_vec();
        let held = table::get::<Token>(&self.store, bytes).await?;
        let Some(held) = held.filter(|held| secret.fits(&held.row.hash)) else { return Ok(false) };
        let mut batch = Batch::new();
        table::remove(&mut batch, &held);
        self.store.commit(batch).await?;
        Ok(true)
    }

    /// Ends the token with which `caller` called. Says whether it was one.
    ///
    /// # Errors
    /// As `Store::commit`.
    pub async fn leave(&self, caller: &Caller) -> Result<bool, Error> {
        let Via::Token(id) = caller.via else { return Ok(false) };
        let mut batch = Batch::new();
        batch.remove(table::key::<Token>(id.to_bytes().to_vec()));
        self.store.commit(batch).await?;
        Ok(true)
    }

    /// Who calls with a token. What the user may do is asked each time: a change holds at once.
    pub(crate) async fn check_token(
        &self,
        secret: &Secret,
        bytes: Vec<u8>,
    ) -> Result<Caller, Error> {
        let held = table::get::<Token>(&self.store, bytes).await?;
        let token = held.ok_or(Error::Wrong)?.row;
        if !secret.fits(&token.hash) {
            return Err(Error::Wrong);
        }
        if token.expires <= self.clock.now() {
            return Err(Error::Expired);
        }
        let user = self.user(&token.user).await?.filter(|user| user.era == token.era);
        let user = user.ok_or(Error::Expired)?;
        if !user.enabled {
            return Err(Error::Disabled);
        }
        let grants = readable(&user.grants);
        Ok(Caller { user: user.name, role: user.role, grants, via: Via::Token(token.id) })
    }
}
