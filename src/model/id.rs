//! Ids: newtypes with a prefix that people recognise in a log, sortable by the time of their making.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u`, and its order is the order of the bits.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A text that is no id of the kind that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what} id; expected `{prefix}_` and 26 letters or digits")]
pub struct NotAnId {
    text: String,
    what: &'static str,
    prefix: &'static str,
}

fn encode(bits: u128) -> String {
    (0..26).map(|i| char::from(ALPHABET[(bits >> (125 - 5 * i) & 31) as usize])).collect()
}

fn decode(text: &str) -> Option<u128> {
    if text.len() != 26 {
        return None;
    }
    text.bytes().try_fold(0u128, |bits, letter| {
        let five = ALPHABET.iter().position(|known| *known == letter)?;
        if bits >> 123 != 0 {
            return None;
        }
        Some(bits << 5 | five as u128)
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// The id with these bits: a UUID version 7, so that order is age.
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(bits)
            }

            /// The sixteen bytes under which the store keeps it; their order is the order of age.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// The id that `to_bytes` wrote; nothing when there are not sixteen bytes.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(|bytes| Self(u128::from_be_bytes(bytes)))
            }

            /// Milliseconds since 1970 at which it was minted.
            #[must_use]
            pub fn minted_millis(self) -> i64 {
                i64::try_from(self.0 >> 80).unwrap_or(i64::MAX)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.strip_prefix(concat!($prefix, "_")).and_then(decode).map(Self).ok_or_else(|| {
                    NotAnId { text: text.to_owned(), what: $what, prefix: $prefix }
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(&self.to_bytes())
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    match deserializer.deserialize_any(Either)? {
                        Written::Text(text) => text.parse().map_err(de::Error::custom),
                        Written::Bytes(bytes) => Ok(Self(u128::from_be_bytes(bytes))),
                    }
                } else {
                    let bytes = deserializer.deserialize_bytes(Bytes)?;
                    Ok(Self(u128::from_be_bytes(bytes)))
                }
            }
        }
    };
}

/// Sixteen bytes, however the format hands them over.
struct Bytes;

impl de::Visitor<'_> for Bytes {
    type Value = [u8; 16];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sixteen bytes of an id")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<[u8; 16], E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}

/// Text, or the bytes that the store keeps: inside an internally tagged enum serde forgets which of
/// the two was written.
struct Either;

enum Written {
    Text(String),
    Bytes([u8; 16]),
}

impl de::Visitor<'_> for Either {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.to_owned()))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Written, E> {
        Bytes.visit_bytes(bytes).map(Written::Bytes)
    }
}

id!(
    /// Names one event, for ever.
    EventId, "evt", "an event"
);
id!(
    /// Names one run of an action.
    ExecutionId, "exe", "an execution"
);
id!(
    /// Names one API key; the secret follows it after a dot and is never stored.
    KeyId, "key", "an API key"
);
id!(
    /// Names one incident.
    IncidentId, "inc", "an incident"
);
id!(
    /// Names anything else that needs a name of its own: a ticket, a dead letter, a boot.
    RecordId, "rec", "a record"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_lead_back_to_the_same_id() {
        for bits in [0, 1, u128::MAX, 0x0193_4b2c_7f00_7abc_9def_0123_4567_89ab] {
            let id = EventId::from_bits(bits);
            assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
            assert_eq!(EventId::from_bytes(&id.to_bytes()), Some(id));
            let packed = rmp_serde::to_vec(&id).unwrap();
            assert_eq!(rmp_serde::from_slice::<EventId>(&packed).unwrap(), id);
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused_and_the_form_is_shown() {
        let event = EventId::from_bits(7).to_string();
        let refused = event.parse::<ExecutionId>().unwrap_err().to_string();
        assert!(refused.contains("is not an execution id; expected `exe_`"), "{refused}");
        assert!("evt_zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<EventId>().is_err());
    }

    #[test]
    fn text_sorts_as_the_bits_do() {
        let [low, high] = [3u128 << 80, 4u128 << 80].map(|b| EventId::from_bits(b).to_string());
        assert!(low < high);
    }
}
