//! Rules that are tried before they are in force: a text, compiled as a file of a pack would be.

use std::path::Path;
use std::sync::Arc;

use crate::model::problem::Problem;
use crate::packs::catalog::Catalog;
use crate::rules::{self, Known, Library, Rule, Source};

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
    rules::compile(&source, &library(catalog, pack), &known(catalog)).map(|(rules, _)| rules)
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
        triggers: catalog.triggers.keys().cloned().collect(),
        schemas,
        ..Known::default()
    }
}

/// A pack's `lib/*.rhai`; what cannot be read is not there, and an import says so.
fn library(catalog: &Catalog, pack: &str) -> Library {
    let Some(pack_found) = catalog.packs.get(pack) else { return Library::new() };
    let Ok(files) = std::fs::read_dir(pack_found.folder.join("lib")) else { return Library::new() };
    let mut library = Library::new();
    for path in files.flatten().map(|file| file.path()) {
        let rhai = path.extension().is_some_and(|ending| ending == "rhai");
        let (true, Some(name)) = (rhai, path.file_stem()) else { continue };
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let name = name.to_string_lossy().into_owned();
        library.insert(name, Source { pack: pack.to_owned(), file: path, text });
    }
    library
}
