//! What a script may ask about the world: data that came in with it, never the world itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::Dynamic;
use serde_json::Value;

use crate::model::time::Time;

/// The world as one script sees it: `now()`, `config(…)` and `key(…)` read it.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The time.
    pub now: Time,
    /// The configuration of the script's pack.
    pub config: Arc<Value>,
    /// The key-value store's system scope.
    pub keys: Arc<BTreeMap<String, Value>>,
}

impl World {
    /// As an evaluation carries it along; cheap to clone.
    pub fn tag(self) -> Dynamic {
        Dynamic::from(self).into_shared()
    }
}
