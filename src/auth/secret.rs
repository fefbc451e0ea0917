//! A key as its owner holds it: never printed, never stored.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use rand::RngExt;

use crate::model::id::KeyId;

/// Bytes of the random part.
const SECRET_BYTES: usize = 32;

/// `<id>.<secret>`. `Debug` shows the id only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The part before the dot.
    pub id: KeyId,
    text: String,
}

impl Secret {
    /// A fresh one for `id`: 256 random bits.
    #[must_use]
    pub fn fresh(id: KeyId) -> Self {
        let random: [u8; SECRET_BYTES] = rand::rng().random();
        Self { id, text: crate::store::table::hex(&random) }
    }

    /// Reads `<id>.<secret>`; nothing where the text does not have that form.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (id, secret) = text.split_once('.')?;
        let whole = secret.len() == SECRET_BYTES * 2
            && secret.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        whole.then(|| Some(Self { id: id.parse().ok()?, text: secret.to_owned() }))?
    }

    /// SHA-256 of the secret part.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, self.text.as_bytes()).as_ref().to_vec()
    }

    /// Whether its hash is `hash`, in a time that tells nothing.
    #[must_use]
    pub fn fits(&self, hash: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.hash(), hash).is_ok()
    }

    /// The whole key, for the one place that hands it to its owner.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.id, self.text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.***", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revealed_key_reads_back_and_fits_its_hash_only() {
        let secret = Secret::fresh(KeyId::from_bits(7));
        let read = Secret::read(&secret.reveal()).unwrap();
        assert!(read.fits(&secret.hash()));
        assert!(!Secret::fresh(KeyId::from_bits(7)).fits(&secret.hash()));
    }

    #[test]
    fn whatever_is_not_a_whole_key_is_refused() {
        let whole = Secret::fresh(KeyId::from_bits(7)).reveal();
        let upper = whole.to_uppercase();
        let longer = format!("{whole}0");
        for text in ["", ".", "nothing", &whole[..whole.len() - 1], &longer, &upper] {
            assert_eq!(Secret::read(text), None, "{text}");
        }
    }

    #[test]
    fn printing_a_secret_shows_its_id_only() {
        let secret = Secret::fresh(KeyId::from_bits(7));
        assert_eq!(format!("{secret:?}"), format!("{}.***", secret.id));
    }
}
