//! `pack.name`: how packs' contents are named everywhere.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// `pack.name`. The pack ends at the first dot, so a name may hold dots (`core.st2.webhook`).
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    text: Arc<str>,
    dot: usize,
}

impl Reference {
    /// The reference to `name` in `pack`.
    ///
    /// # Errors
    /// `NotAReference` where either part is empty or holds anything but letters, digits, `_`, `-`
    /// (and `.` in the name).
    pub fn new(pack: &str, name: &str) -> Result<Self, NotAReference> {
        format!("{pack}.{name}").parse()
    }

    /// The pack's name.
    #[must_use]
    pub fn pack(&self) -> &str {
        &self.text[..self.dot]
    }

    /// The name inside the pack.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.dot + 1..]
    }

    /// The whole, `pack.name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A text that does not name a pack's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a reference; expected `pack.name` of letters, digits, `_` and `-`")]
pub struct NotAReference {
    text: String,
}

impl FromStr for Reference {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let wrong = || NotAReference { text: text.to_owned() };
        let (pack, name) = text.split_once('.').ok_or_else(wrong)?;
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let whole = !pack.is_empty()
            && pack.chars().all(plain)
            && name.split('.').all(|part| !part.is_empty() && part.chars().all(plain));
        if whole { Ok(Self { text: text.into(), dot: pack.len() }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pack_ends_at_the_first_dot() {
        let reference: Reference = "core.st2.webhook".parse().unwrap();
        assert_eq!((reference.pack(), reference.name()), ("core", "st2.webhook"));
    }

    #[test]
    fn half_a_reference_is_refused() {
        for text in ["", "core", ".x", "core.", "a b.c", "a.b/c", "a..b"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
