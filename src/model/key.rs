//! The key-value store: small values that rules, actions and people share.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::time::Time;

/// One value under its name.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyValue {
    /// Its name.
    pub name: String,
    /// `st2kv.system`, or `st2kv.user:<name>`.
    pub scope: String,
    /// The value. StackStorm's clients write strings only.
    pub value: Value,
    /// Whether it is shown only to those who ask for it by right.
    pub secret: bool,
    /// When it was written.
    pub updated: Time,
    /// When it ends.
    pub expires: Option<Time>,
}

/// Never shows a secret value.
impl fmt::Debug for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KeyValue");
        shown.field("name", &self.name).field("scope", &self.scope);
        if self.secret {
            shown.field("value", &"***");
        } else {
            shown.field("value", &self.value);
        }
        shown.field("secret", &self.secret).field("expires", &self.expires).finish_non_exhaustive()
    }
}
