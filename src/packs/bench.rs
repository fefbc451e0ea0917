//! Rules that are tried before they are in force: a text, compiled as a file of a pack would be.

use std::path::Path;
use std::sync::Arc;

use crate::model::problem::Problem;
use crate::packs::catalog::Catalog;
use crate::rules::{self, Known, Rule, Source};

/// Compiles a text as a file of `pack`, with the pack's own libraries as they are on disk now.
///
/// # Errors
/// Every problem found.
pub fn compile(
    catalog: &Catalog,
    pack: &str,
    file: &Path,
    text: &str,
) -> Result<Vec<Rule>, Vec<Problem>> {
    let source = Source { pack: pack.to_owned(), file: file.to_path_buf(), text: text.to_owned() };
    rules::compile(&source, &catalog.library, &known(catalog)).map(|(rules, _)| rules)
}

/// What rules may name, as the catalog has it.
#[must_use]
pub fn known(catalog: &Catalog) -> Known {
    let actions = catalog.accepts.iter();
    let mut schemas = rules::Schemas::default();
    for (name, trigger) in &catalog.triggers {
        schemas.insert(name.clone(), Arc::clone(&trigger.payload_schema));
    }
    Known {
        actions: actions.map(|(name, accepts)| (name.clone(), (**accepts).clone())).collect(),
        calendars: catalog.calendars.clone(),
        channels: catalog.notices.channels.keys().cloned().collect(),
        triggers: catalog.triggers.keys().cloned().collect(),
        schemas,
        ..Known::default()
    }
}
