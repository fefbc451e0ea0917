//! The key-value store: small values that rules, actions and people share.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::time::Time;

/// One value under its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
