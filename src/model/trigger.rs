//! A trigger: a named kind of event, with a schema.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::reference::Reference;

/// A named kind of event. An event whose trigger no pack describes is accepted as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its name.
    pub reference: Reference,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of the payload; null where any payload will do.
    #[serde(default)]
    pub payload_schema: Arc<Value>,
    /// JSON Schema of a rule's trigger parameters (StackStorm's rules have them).
    #[serde(default)]
    pub parameters_schema: Arc<Value>,
    /// Free tags.
    #[serde(default)]
    pub tags: Vec<Value>,
}
