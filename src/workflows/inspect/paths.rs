//! Where something stands, twice over: in the definition and in Orquesta's schema.

use crate::workflows::inspect::schema::NAME;

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths {
    /// In the definition, such as `tasks.a.next[0].do`.
    pub(super) spec: String,
    /// In the schema, such as `properties.tasks.patternProperties.^\w+$`.
    pub(super) schema: String,
}

impl Paths {
    /// A key of the workflow.
    pub(super) fn root(key: &str) -> Self {
        Self { spec: key.to_owned(), schema: format!("properties.{key}") }
    }

    /// The task `name`.
    pub(super) fn task(name: &str) -> Self {
        let schema = format!("properties.tasks.patternProperties.{NAME}");
        Self { spec: format!("tasks.{name}"), schema }
    }

    /// A key below this.
    pub(super) fn key(&self, key: &str) -> Self {
        let spec = format!("{}.{key}", self.spec);
        Self { spec, schema: format!("{}.properties.{key}", self.schema) }
    }

    /// An entry of this task's `next`, from 0.
    pub(super) fn transition(&self, index: usize) -> Self {
        let spec = format!("{}.next[{index}]", self.spec);
        Self { spec, schema: format!("{}.properties.next.items", self.schema) }
    }

    /// An entry of this list, from 0; the schema is that of the list.
    pub(super) fn entry(&self, index: usize) -> Self {
        Self { spec: format!("{}[{index}]", self.spec), schema: self.schema.clone() }
    }
}
