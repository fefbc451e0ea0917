//! Cron expressions, zones and lengths of time: any text is a schedule, or is refused with a reason.
#![no_main]

use std::sync::Arc;

use ifso::model::problem::Place;
use ifso::model::sensor::Definition;
use ifso::sensors::check;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|input: (&str, &str, &str)| {
    let (expression, zone, jitter) = input;
    let definition = Definition {
        reference: "site.x".parse().expect("a reference"),
        kind: "cron".to_owned(),
        enabled: true,
        description: String::new(),
        settings: json!({ "expression": expression, "zone": zone, "jitter": jitter }),
        folder: ".".into(),
        place: Place::file("sensors/x.yaml"),
    };
    drop(check(&Arc::new(definition.clone())));
    let settings = json!({ "expression": expression, "zone": "Europe/Prague" });
    drop(check(&Arc::new(Definition { settings, ..definition })));
});
