//! The form of a sealed record: its content under a key of its own, that key under the master key.
//!
//! ```text
//! byte 0        0xC1, with which neither a row nor MessagePack begins
//! byte 1        version of the form (1)
//! bytes 2-9     which master key
//! bytes 10-33   nonce of the key
//! bytes 34-81   the key, sealed with the master key
//! bytes 82-105  nonce of the content
//! bytes 106-    the content, sealed with the key
//! ```
//!
//! Both are `XChaCha20-Poly1305` (draft-irtf-cfrg-xchacha-03), whose nonces are long enough to be random.
//! Table and key of the record go into both as additional data: what is sealed opens nowhere else.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::RngExt;
use zeroize::Zeroizing;

use crate::store::tables::{SEALED, is_plain};
use crate::vault::master::{KEY_BYTES, Master, NAME_BYTES, Ring};

const MARK: [u8; 2] = [SEALED, 1];
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const WRAPPED_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;
/// Bytes before the nonce of the content.
const HEAD_BYTES: usize = MARK.len() + NAME_BYTES + WRAPPED_BYTES;

/// Where a record stands: table and key.
pub(super) type Place<'a> = (&'a str, &'a [u8]);

/// Why a record stays closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Closed {
    /// Its master key, by name, is not here.
    NoMaster(String),
    /// It is not what was sealed there.
    Broken,
}

/// Whether a record's content is sealed.
#[must_use]
pub fn is_sealed(content: &[u8]) -> bool {
    !is_plain(content)
}

/// Seals `plain` as the content of the record at `place`.
pub(super) fn seal(master: &Master, place: Place<'_>, plain: &[u8]) -> Vec<u8> {
    let key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(rand::rng().random());
    let mut sealed = Vec::with_capacity(HEAD_BYTES + NONCE_BYTES + plain.len() + TAG_BYTES);
    wrap(&mut sealed, master, place, &key);
    lock(&mut sealed, &key, place, plain);
    sealed
}

/// Opens what `seal` made.
pub(super) fn open(ring: &Ring, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, Closed> {
    let (head, content) = sealed.split_at_checked(HEAD_BYTES).ok_or(Closed::Broken)?;
    let key = key(ring, place, head)?;
    unlock(&key, place, content)
}

/// The same record under the present master key; nothing where it is under that already.
pub(super) fn rewrap(
    ring: &Ring,
    place: Place<'_>,
    sealed: &[u8],
) -> Result<Option<Vec<u8>>, Closed> {
    let (head, content) = sealed.split_at_checked(HEAD_BYTES).ok_or(Closed::Broken)?;
    if head[MARK.len()..MARK.len() + NAME_BYTES] == ring.current().id {
        return Ok(None);
    }
    let key = key(ring, place, head)?;
    let mut again = Vec::with_capacity(sealed.len());
    wrap(&mut again, ring.current(), place, &key);
    again.extend_from_slice(content);
    Ok(Some(again))
}

fn wrap(out: &mut Vec<u8>, master: &Master, place: Place<'_>, key: &[u8; KEY_BYTES]) {
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&master.id);
    lock(out, master.key(), place, key);
}

fn key(ring: &Ring, place: Place<'_>, head: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, Closed> {
    if head[..MARK.len()] != MARK {
        return Err(Closed::Broken);
    }
    let (id, wrapped) = head[MARK.len()..].split_at(NAME_BYTES);
    let master = ring.find(id).ok_or_else(|| Closed::NoMaster(super::master::name(id)))?;
    let opened = Zeroizing::new(unlock(master.key(), place, wrapped)?);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if opened.len() != KEY_BYTES {
        return Err(Closed::Broken);
    }
    key.copy_from_slice(&opened);
    Ok(key)
}

/// Adds a nonce and `plain` under `key`.
fn lock(out: &mut Vec<u8>, key: &[u8; KEY_BYTES], place: Place<'_>, plain: &[u8]) {
    let nonce: [u8; NONCE_BYTES] = rand::rng().random();
    let payload = Payload { msg: plain, aad: &bound(place) };
    let sealed = XChaCha20Poly1305::new(&Key::from(*key))
        .encrypt(&XNonce::from(nonce), payload)
        .expect("records are far below 256 GiB");
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&sealed);
}

fn unlock(key: &[u8; KEY_BYTES], place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, Closed> {
    let (nonce, content) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Closed::Broken)?;
    let payload = Payload { msg: content, aad: &bound(place) };
    let opened = XChaCha20Poly1305::new(&Key::from(*key)).decrypt(&XNonce::from(*nonce), payload);
    opened.map_err(|_| Closed::Broken)
}

/// The place as additional data: no other place gives the same bytes.
fn bound((table, key): Place<'_>) -> Vec<u8> {
    [b"ifso record\0", table.as_bytes(), &[0], key].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::master::ring;

    const PLACE: Place<'static> = ("keys", b"st2kv.system\0token");

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let ring = ring(&[7]);
        let sealed = seal(ring.current(), PLACE, b"s3cr3t");
        assert!(is_sealed(&sealed));
        assert!(!sealed.windows(6).any(|part| part == b"s3cr3t"));
        assert_eq!(open(&ring, PLACE, &sealed).unwrap(), b"s3cr3t");
        assert_eq!(open(&ring, ("keys", b"other"), &sealed), Err(Closed::Broken));
        assert_eq!(open(&ring, ("other", PLACE.1), &sealed), Err(Closed::Broken));
    }

    #[test]
    fn whatever_byte_changes_it_stays_closed() {
        let ring = ring(&[7]);
        let sealed = seal(ring.current(), PLACE, b"s3cr3t");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&ring, PLACE, &changed).is_err(), "byte {at}");
            assert!(open(&ring, PLACE, &sealed[..at]).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn the_same_is_never_sealed_the_same() {
        let ring = ring(&[7]);
        let one = seal(ring.current(), PLACE, b"s3cr3t");
        assert_ne!(one, seal(ring.current(), PLACE, b"s3cr3t"));
    }

    #[test]
    fn another_master_key_is_named_and_a_new_one_opens_what_was_rewrapped() {
        let (old, both, new) = (ring(&[1]), ring(&[2, 1]), ring(&[2]));
        let sealed = seal(old.current(), PLACE, b"s3cr3t");
        let name = old.current().name();
        assert_eq!(open(&new, PLACE, &sealed), Err(Closed::NoMaster(name)));
        let again = rewrap(&both, PLACE, &sealed).unwrap().unwrap();
        assert_eq!(open(&new, PLACE, &again).unwrap(), b"s3cr3t");
        assert_eq!(rewrap(&both, PLACE, &again), Ok(None));
    }
}
