//! Parameters of actions and runners: StackStorm's dialect of JSON Schema, draft 4.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One parameter as a pack's author describes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// JSON types it may have (`string number integer boolean object array null`); empty: any.
    #[serde(default)]
    pub types: Vec<String>,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
    /// Whether it must be given.
    #[serde(default)]
    pub required: bool,
    /// What it is when it is not given.
    #[serde(default)]
    pub default: Option<Value>,
    /// Whether a caller may not give it.
    #[serde(default)]
    pub immutable: bool,
    /// Whether its value is never shown.
    #[serde(default)]
    pub secret: bool,
    /// The values it may have; empty: any.
    #[serde(default)]
    pub choices: Vec<Value>,
    /// Its place on a script's command line, from 0; without one it is passed by name.
    #[serde(default)]
    pub position: Option<u32>,
    /// Every other key of its schema (`minimum`, `items`, `properties`, …).
    #[serde(default)]
    pub schema: Map<String, Value>,
}

/// Parameters by name, in the order of the file.
pub type Parameters = Vec<(String, Parameter)>;
