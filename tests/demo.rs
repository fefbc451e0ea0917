//! The home of the demo, which is this repository.

use std::path::Path;

use ifso::packs::Kinds;
use ifso::packs::catalog::Catalog;

#[test]
fn the_demo_loads_without_a_word() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kinds = Kinds { runners: &super::packs::runners(), sensor: &|_| Vec::new() };
    let catalog = ifso::packs::load(home, kinds, &Catalog::default());
    let problems: Vec<String> = catalog.problems.iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
