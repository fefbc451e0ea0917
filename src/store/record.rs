//! The envelope of a stored record: redb does not check its pages when it reads, so every record
//! carries a checksum of ours over where it stands, when it was written and what it says.
//!
//! ```text
//! byte 0      version of the envelope (1)
//! bytes 1-8   revision, big-endian
//! bytes 9-12  CRC-32C (RFC 3720, B.4), big-endian, over table, 0, length of key, key, version, revision, content
//! bytes 13-   content
//! ```

use crc_fast::{CrcAlgorithm, Digest};

use crate::store::table::hex;
use crate::store::{Error, Record};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 13;

/// Wraps `content` as record `key` of `table`, written by the commit `revision`.
#[must_use]
pub fn seal(table: &str, key: &[u8], revision: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + content.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&revision.to_be_bytes());
    bytes.extend_from_slice(&checksum(table, key, &bytes, content).to_be_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// Reads what `seal` wrote: the revision and the content.
///
/// # Errors
/// `Damaged` where it is not what was written as this record.
pub fn look<'a>(
    table: &'static str,
    key: &[u8],
    bytes: &'a [u8],
) -> Result<(u64, &'a [u8]), Error> {
    let damaged = |what: &str| Error::Damaged { table, key: hex(key), what: what.to_owned() };
    let Some((head, content)) = bytes.split_at_checked(HEAD_BYTES) else {
        return Err(damaged("it is too short"));
    };
    let (signed, sum) = head.split_at(HEAD_BYTES - 4);
    if checksum(table, key, signed, content).to_be_bytes() != sum {
        return Err(damaged("its checksum does not fit"));
    }
    if signed[0] != VERSION {
        return Err(damaged(&format!("its envelope {} is not known here", signed[0])));
    }
    let revision = signed[1..].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    Ok((revision, content))
}

/// Reads what `seal` wrote.
///
/// # Errors
/// As `look`.
pub fn open(table: &'static str, key: &[u8], bytes: &[u8]) -> Result<Record, Error> {
    look(table, key, bytes).map(|(revision, content)| Record { revision, bytes: content.to_vec() })
}

fn checksum(table: &str, key: &[u8], signed: &[u8], content: &[u8]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    digest.update(table.as_bytes());
    digest.update(&[0]);
    digest.update(&(key.len() as u64).to_be_bytes());
    digest.update(key);
    digest.update(signed);
    digest.update(content);
    u32::try_from(digest.finalize()).expect("a CRC-32 has 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_bit_flips_is_found() {
        let bytes = seal("keys", b"a", 7, b"content");
        assert_eq!(look("keys", b"a", &bytes).unwrap(), (7, b"content".as_slice()));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(look("keys", b"a", &flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_in_another_place_is_not_taken_for_one_of_that_place() {
        let bytes = seal("keys", b"a", 7, b"content");
        assert!(look("keys", b"b", &bytes).is_err());
        assert!(look("meta", b"a", &bytes).is_err());
        assert!(look("keys", b"a", &bytes[..12]).is_err());
        assert!(look("keys", b"a", &bytes[..19]).is_err());
    }
}
