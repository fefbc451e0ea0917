//! Hashes of values, such that what Rhai calls equal has the same, and hashers for tables that only
//! rules fill: whoever writes events chooses no key of theirs.

use std::hash::{BuildHasherDefault, Hasher};

use crate::rules::field::Seen;

/// A hasher for keys that are hashes already.
pub(crate) type Ready = BuildHasherDefault<Same>;

/// A hasher for small keys, many times faster than the standard one.
pub(crate) type Quick = BuildHasherDefault<Mixed>;

#[derive(Default)]
pub(crate) struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[derive(Default)]
pub(crate) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0, hash_bytes(bytes));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mix(self.0, number);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

/// The hash of what stands in an event; nothing for what equals no literal.
#[expect(clippy::cast_possible_truncation, reason = "larger floats equal no hashed literal")]
pub(crate) fn hash(seen: Seen<'_>) -> Option<u64> {
    Some(match seen {
        Seen::Nothing => mix(1, 0),
        Seen::Flag(flag) => mix(2, u64::from(flag)),
        Seen::Whole(number) => mix(3, number.cast_unsigned()),
        Seen::Real(real) => mix(3, (real.round() as i64).cast_unsigned()),
        Seen::Text(text) => hash_text(text),
        _ => return None,
    })
}

/// The hash of a text.
pub(crate) fn hash_text(text: &str) -> u64 {
    hash_bytes(text.as_bytes())
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let hash = chunks.iter().fold(4, |hash, chunk| mix(hash, u64::from_le_bytes(*chunk)));
    mix(mix(hash, u64::from_le_bytes(last)), bytes.len() as u64)
}

/// Takes one more number into a hash: multiply and fold, as `foldhash` and `wyhash` do.
pub(crate) fn mix(hash: u64, value: u64) -> u64 {
    let wide = u128::from(hash ^ 0x9e37_79b9_7f4a_7c15) * u128::from(value ^ 0xe703_7ed1_a0b4_28db);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are kept")]
    let folded = (wide as u64) ^ ((wide >> 64) as u64);
    folded.wrapping_add(value).rotate_left(17)
}
