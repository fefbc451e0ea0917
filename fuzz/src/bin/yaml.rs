//! What people write in packs: any text is a tree with places, or a problem with one.
#![no_main]

use ifso::model::problem::Place;
use ifso::packs::yaml::{self, Node};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let place = Place::file("pack.yaml");
    match yaml::parse(text, &place) {
        Ok(node) => walk(&node, &place),
        Err(problem) => assert!(!problem.to_string().is_empty()),
    }
});

fn walk(node: &Node, place: &Place) {
    drop(node.to_json());
    drop(node.place(place));
    for (key, child) in node.entries() {
        drop(key.place(place));
        walk(child, place);
    }
}
