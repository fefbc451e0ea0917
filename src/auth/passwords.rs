//! Passwords: hashed with Argon2id, a few at a time.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::auth::Error;

/// Passwords that are looked at together: each takes 19 MiB and a core for some hundredths of a second.
const TOGETHER: usize = 2;
/// Passwords that wait for that at most: about a second of work.
const WAITING_LIMIT: usize = 32;
/// The shortest password, in characters (NIST SP 800-63B, section 3.1.1.2).
const SHORTEST: usize = 8;
/// The longest, in bytes: whoever sends more wants the machine to work.
const LONGEST_BYTES: usize = 1024;

/// Memory in KiB, passes, lanes: OWASP's first recommendation for Argon2id.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// What a password is compared with where there is nobody: the same work, and nothing fits it.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
                      AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Whoever hashes. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let queue = Semaphore::new(TOGETHER + WAITING_LIMIT);
        Self { places: Arc::new(Semaphore::new(TOGETHER)), queue: Arc::new(queue) }
    }

    /// The text to keep of a new password.
    ///
    /// # Errors
    /// `BadPassword`, `Busy`, `Hashing`.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Error> {
        if password.chars().count() < SHORTEST {
            return Err(Error::BadPassword { what: "short" });
        }
        if password.len() > LONGEST_BYTES {
            return Err(Error::BadPassword { what: "long" });
        }
        let password = Zeroizing::new(password.to_owned());
        self.work(move |argon| {
            let hash: PasswordHash = argon.hash_password(password.as_bytes())?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether `password` is the one that was kept as `hash`; without a hash it takes as long.
    ///
    /// # Errors
    /// `Busy`, `Hashing`.
    pub(crate) async fn fits(&self, password: &str, hash: Option<&str>) -> Result<bool, Error> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(NOBODY).to_owned();
        // What is longer than any password is cut: it fits nothing, and costs nothing more.
        let cut = password.len() > LONGEST_BYTES;
        let password = Zeroizing::new(if cut { String::new() } else { password.to_owned() });
        let fits = self
            .work(move |argon| {
                let hash = PasswordHash::new(&hash)?;
                match argon.verify_password(password.as_bytes(), &hash) {
                    Ok(()) => Ok(true),
                    Err(password_hash::Error::PasswordInvalid) => Ok(false),
                    Err(error) => Err(error),
                }
            })
            .await?;
        Ok(fits && known && !cut)
    }

    /// Does `work` on a thread of its own, when it is its turn.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'_>) -> password_hash::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let Ok(_waiting) = self.queue.try_acquire() else { return Err(Error::Busy) };
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("nobody closes it");
        let done = tokio::task::spawn_blocking(move || {
            // A caller who hangs up frees no place while the thread still works.
            let _place = place;
            let (memory, passes, lanes) = COST;
            let params = Params::new(memory, passes, lanes, None).expect("the cost is in range");
            work(&Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
        });
        let done = done.await.expect("hashing does not panic");
        done.map_err(|error| Error::Hashing { what: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.fits("correct horse", Some(&hash)).await.unwrap());
        assert!(!passwords.fits("correct horsf", Some(&hash)).await.unwrap());
        assert!(!passwords.fits("", Some(&hash)).await.unwrap());
        assert_ne!(hash, passwords.hash("correct horse").await.unwrap());
    }

    #[tokio::test]
    async fn nothing_fits_nobody() {
        let passwords = Passwords::new();
        for password in ["", "correct horse", &"x".repeat(5000)] {
            assert!(!passwords.fits(password, None).await.unwrap());
        }
        let long = passwords.hash(&"x".repeat(2000)).await;
        assert!(matches!(long, Err(Error::BadPassword { what: "long" })));
        assert!(matches!(passwords.hash("1234567").await, Err(Error::BadPassword { .. })));
    }
}
