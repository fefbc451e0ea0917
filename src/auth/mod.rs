//! Who may do what: API keys, grants, and one table of rights.
//!
//! A key is `<id>.<secret>`. The store keeps the SHA-256 of the secret: the secret is 256 random bits, so
//! a slow hash would add nothing. Whoever calls is what the key says; no parameter changes that.

pub mod grant;
pub mod keys;
pub mod rights;
pub mod secret;

use std::sync::Arc;

use crate::model::id::KeyId;
use crate::store;

pub use grant::{Grant, Kind, Object};
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
    /// What it may do of some things only.
    pub grants: Arc<[Grant]>,
    /// What came with the call.
    pub via: Via,
}

/// What a caller is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// An API key.
    Key(KeyId),
    /// The short-lived key of a running action.
    Action(KeyId),
}

impl Caller {
    /// Whether this caller has `right` of everything.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        rights::of(&self.role).contains(&right)
    }

    /// Whether this caller has `right` of `object`.
    #[must_use]
    pub fn may_of(&self, right: Right, object: &Object) -> bool {
        rights::may(self, right, object)
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
    /// A grant that cannot be read.
    #[error(transparent)]
    BadGrant(#[from] grant::NotAGrant),
    /// Too many grants.
    #[error("{count} grants are more than {}", grant::GRANTS_LIMIT)]
    ManyGrants {
        /// How many.
        count: usize,
    },
    /// More than its maker may.
    #[error("you may not give what you may not do yourself")]
    Stronger,
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
            Self::BadGrant(_) => "a grant is a right, a kind and a name: `run action:core.local`",
            Self::ManyGrants { .. } => "use `*` in a name, or a role",
            Self::Stronger => "give less, or ask an admin",
            Self::File { .. } => "look at the folder's owner and rights",
            Self::Store(error) => return error.help(),
        })
    }
}
