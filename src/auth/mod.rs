//! Who may do what: users, API keys, the tokens that users sign in for, and one table of rights.
//!
//! A key and a token are `<id>.<secret>`. The store keeps the SHA-256 of the secret: the secret is 256
//! random bits, so a slow hash would add nothing. Passwords are people's, so Argon2 keeps those. Whoever
//! calls is what the key says; no parameter changes that.

pub mod grant;
pub mod keys;
pub mod rights;
pub mod secret;
pub mod users;
pub mod tokens;

mod failures;
mod passwords;
mod uses;

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
    /// A token: a user signed in.
    Token(KeyId),
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

/// Why a call is not let in, or a key or a user not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No key came with the call.
    #[error("no API key came with this call")]
    Missing,
    /// What came is no key, or no key of ours. One message for both: it tells a guesser nothing.
    #[error("the API key is not valid")]
    Wrong,
    /// The key is switched off, or its user is.
    #[error("the API key is disabled")]
    Disabled,
    /// The key's time is over.
    #[error("the API key has expired")]
    Expired,
    /// No such user, no password, another one, or a user who is switched off: nobody is told which.
    #[error("the user or the password is wrong")]
    WrongPassword,
    /// Too many wrong passwords came for this user from this address.
    #[error("too many passwords were wrong")]
    Slowed {
        /// Seconds after which to try again.
        seconds: u64,
    },
    /// More passwords wait to be looked at than the machine can do soon.
    #[error("too many people sign in at this moment")]
    Busy,
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
    /// One's own role, grants or state.
    #[error("nobody changes their own rights")]
    OwnRights,
    /// Nobody could administer any more.
    #[error("nobody else could administer Ifso then")]
    LastAdmin,
    /// A name that no user may have.
    #[error(
        "`{name}` is no name for a user; expected 1 to 64 letters, digits, `.`, `_`, `-` and `@`"
    )]
    BadName {
        /// What was asked for.
        name: String,
    },
    /// A password that is none.
    #[error("the password is too {what}")]
    BadPassword {
        /// `short` or `long`.
        what: &'static str,
    },
    /// No such user.
    #[error("no user is called `{name}`")]
    NoSuchUser {
        /// Who was meant.
        name: String,
    },
    /// The name is taken.
    #[error("there is a user called `{name}` already")]
    UserExists {
        /// The name.
        name: String,
    },
    /// Too many users.
    #[error("there are {} users already", users::USERS_LIMIT)]
    ManyUsers,
    /// A token that would live too long, or not at all.
    #[error("a token lives 1 to {most_seconds} s, not {seconds}")]
    BadTtl {
        /// What was asked for.
        seconds: i64,
        /// The most.
        most_seconds: u64,
    },
    /// A password cannot be hashed: the machine lacks memory, or a stored hash is damaged.
    #[error("a password cannot be looked at: {what}")]
    Hashing {
        /// What the library said.
        what: String,
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
            Self::WrongPassword => "ask an admin: `ifso user passwd NAME` sets another password",
            Self::Slowed { .. } => "try again after the seconds in `Retry-After`",
            Self::Busy => "try again in a moment",
            Self::NoSuchRole { .. } => "choose one of the roles",
            Self::BadGrant(_) => "a grant is a right, a kind and a name: `run action:core.local`",
            Self::ManyGrants { .. } => "use `*` in a name, or a role",
            Self::Stronger => "give less, or ask an admin",
            Self::OwnRights => "ask another admin",
            Self::LastAdmin => "make another admin first",
            Self::BadName { .. } => "choose another name",
            Self::BadPassword { .. } => "choose one of 8 characters to 1,024 bytes",
            Self::NoSuchUser { .. } => "`ifso user list` shows the users there are",
            Self::UserExists { .. } => "change that one, or choose another name",
            Self::ManyUsers => "remove those who are gone",
            Self::BadTtl { .. } => "leave `ttl` out, or make an API key for what runs longer",
            Self::Hashing { .. } => "look at the machine's memory, or set the password anew",
            Self::File { .. } => "look at the folder's owner and rights",
            Self::Store(error) => return error.help(),
        })
    }
}
