//! The tables of whoever calls: users, the tokens that they sign in for, and when each was last used.

use serde::{Deserialize, Serialize};

use crate::model::id::{KeyId, RecordId};
use crate::model::time::Time;
use crate::store::table::Row;

/// A user. Keys may call in names that no user has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name; never another's.
    pub name: String,
    /// Argon2's text of the password (PHC string format); without one nobody signs in by password.
    #[serde(default)]
    pub hash: Option<String>,
    /// What the user may do: a role.
    pub role: String,
    /// What the user may do of some things only: grants.
    #[serde(default)]
    pub grants: Vec<String>,
    /// Whether the user may call at all.
    pub enabled: bool,
    /// Another one whenever every token is to end: tokens of an older era do.
    pub era: RecordId,
    /// When the user was made.
    pub created: Time,
}

impl Row for User {
    const TABLE: &'static str = "users";

    fn key(&self) -> Vec<u8> {
        self.name.as_bytes().to_vec()
    }
}

/// What a user got for signing in; its secret is kept as SHA-256 only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its name; the part of the token before the dot.
    pub id: KeyId,
    /// SHA-256 of the secret.
    pub hash: Vec<u8>,
    /// Who signed in.
    pub user: String,
    /// The user's era at that time.
    pub era: RecordId,
    /// When.
    pub created: Time,
    /// When it ends.
    pub expires: Time,
}

impl Row for Token {
    const TABLE: &'static str = "tokens";

    fn key(&self) -> Vec<u8> {
        self.id.to_bytes().to_vec()
    }
}

/// When somebody last called with a key, or in a user's name; written once a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// A key's id, or `user/` and a name.
    pub what: String,
    /// When.
    pub at: Time,
}

impl Used {
    /// Under what the calls of a user are noted.
    #[must_use]
    pub fn user(name: &str) -> String {
        format!("user/{name}")
    }
}

impl Row for Used {
    const TABLE: &'static str = "used";

    fn key(&self) -> Vec<u8> {
        self.what.as_bytes().to_vec()
    }
}
