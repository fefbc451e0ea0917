//! Who may do what: API keys, and one table of rights.
//!
//! A key is `<id>.<secret>`. The store keeps the SHA-256 of the secret: the secret is 256 random bits, so
//! a slow hash would add nothing. Whoever calls is what the key says; no parameter changes that.

pub mod keys;
pub mod rights;
pub mod secret;

use crate::store;

pub use keys::{Draft, Keys};
pub use rights::Right;
pub use secret::Secret;

/// Whoever made a call, as the key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user in whose name the call is made.
    pub user: String,
    /// What the key may do: a name of `rights::ROLES`.
    pub role: String,
}

impl Caller {
    /// Whether this caller has `right`.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        rights::of(&self.role).contains(&right)
    }
}

/// Why a call is not let in, or a key not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No key came with the call.
    #[error("no API key came with this call")]
    Missing,
    /// What came is no key, or no key of ours. One message for both: it tells a guesser nothing.
    #[error("the API key is not valid")]
    Wrong,
    /// The key is switched off.
    #[error("the API key is disabled")]
    Disabled,
    /// The key's time is over.
    #[error("the API key has expired")]
    Expired,
    /// No such role.
    #[error("`{role}` is not a role; expected one of {}", rights::names())]
    NoSuchRole {
        /// What was asked for.
        role: String,
    },
    /// The file of the first key cannot be read or written.
    #[error("`{path}` cannot be read or written: {what}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        what: String,
    },
    /// The keys cannot be read or written.
    #[error("the API keys cannot be read or written")]
    Store(#[from] store::Error),
}

impl Error {
    /// The next step for whoever can act.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing => {
                "send `Authorization: Bearer <key>`; the first key stands in `admin.key` in the data \
                 folder, and `ifso token create --offline` makes another one there"
            }
            Self::Wrong | Self::Disabled | Self::Expired => {
                "make a new one with `ifso token create`, or in the data folder with `--offline`"
            }
            Self::NoSuchRole { .. } => "choose one of the roles",
            Self::File { .. } => "look at the folder's owner and rights",
            Self::Store(error) => return error.help(),
        })
    }
}
