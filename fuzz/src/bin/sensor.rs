//! Sensor files of every kind: cron lines, spans, time zones, patterns. Any text builds a sensor or
//! says what is wrong with it.
#![no_main]

use std::sync::Arc;

use ifso::model::problem::Place;
use ifso::model::sensor::Definition;
use ifso::packs::yaml;
use ifso::sensors::KINDS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| {
    let (kind, text) = input;
    let place = Place::file("sensors/x.yaml");
    let Ok(node) = yaml::parse(text, &place) else { return };
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    let definition = Arc::new(Definition {
        reference: "site.x".parse().expect("a reference"),
        kind: kind.name().to_owned(),
        enabled: true,
        description: String::new(),
        settings: node.to_json(),
        folder: ".".into(),
        place,
    });
    if let Err(problems) = kind.build(&definition) {
        assert!(!problems.is_empty(), "refused without a reason");
    }
});
