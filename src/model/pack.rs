//! A pack: a folder of triggers, sensors, rules, actions and more, versioned together.

use serde::{Deserialize, Serialize};

/// What `pack.yaml` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The name in references: `^[a-z0-9_]+$`.
    pub reference: String,
    /// The name for people.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// The version.
    pub version: String,
    /// Who wrote it.
    pub author: String,
    /// How to reach them.
    pub email: Option<String>,
    /// Search words.
    pub keywords: Vec<String>,
    /// Python versions its actions want (`"3"`, `"3.9"`).
    pub python_versions: Vec<String>,
    /// Packs it needs.
    pub dependencies: Vec<String>,
}
