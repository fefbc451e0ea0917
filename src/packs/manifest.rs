//! `pack.yaml`.

use crate::model::pack::Manifest;
use crate::model::problem::{Place, Problem, Severity};
use crate::packs::fields::Fields;
use crate::packs::yaml::Node;

/// The name of the home's own pack.
pub(crate) const SITE: &str = "site";

/// Names that no pack may have.
const RESERVED: [&str; 2] = [SITE, "_global"];

/// Keys that StackStorm knows and Ifso has no use for.
const UNUSED: [&str; 7] =
    ["stackstorm_version", "contributors", "files", "system", "path", "uid", "metadata_file"];

/// Reads `pack.yaml`.
pub(crate) fn read(node: &Node, place: &Place, problems: &mut Vec<Problem>) -> Manifest {
    let mut fields = Fields::new(node, place, "pack", problems);
    let name = fields.required("name");
    let reference = fields.text("ref").unwrap_or_else(|| name.clone());
    let manifest = Manifest {
        description: fields.required("description"),
        version: fields.required("version"),
        author: fields.text("author").unwrap_or_default(),
        email: fields.text("email"),
        keywords: fields.texts("keywords"),
        python_versions: fields.texts("python_versions"),
        dependencies: fields.texts("dependencies"),
        name,
        reference,
    };
    check_reference(&manifest.reference, node, &mut fields);
    fields.finish(Severity::Warning, &UNUSED);
    manifest
}

fn check_reference(reference: &str, node: &Node, fields: &mut Fields<'_, '_>) {
    let at = node.get("ref").or_else(|| node.get("name")).unwrap_or(node);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if RESERVED.contains(&reference) {
        let message = format!("a pack cannot be called `{reference}`: the name is reserved");
        fields.error("reserved_name", at, message, "choose another `ref`");
    } else if !reference.chars().all(plain) {
        let message = format!("`{reference}` cannot name a pack; expected a-z, 0-9 and `_`");
        fields.error("bad_name", at, message, "add `ref: …` with such a name beside `name`");
    }
}

/// What the home's own rules and sensors have for a `pack.yaml`.
pub(crate) fn site() -> Manifest {
    Manifest {
        reference: SITE.to_owned(),
        name: SITE.to_owned(),
        description: "The rules and sensors of this home".to_owned(),
        version: "1.0.0".to_owned(),
        author: String::new(),
        email: None,
        keywords: Vec::new(),
        python_versions: Vec::new(),
        dependencies: Vec::new(),
    }
}
