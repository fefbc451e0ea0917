//! Rule files: any text compiles or says why not; what compiles decides about an event, within its
//! limits.
#![no_main]

use std::sync::{Arc, LazyLock};

use ifso::model::cause::Cause;
use ifso::model::event::Event;
use ifso::model::id::EventId;
use ifso::model::time::Time;
use ifso::rules::{Facts, Known, Library, Memories, Set, Source};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

static EVENT: LazyLock<Event> = LazyLock::new(|| Event {
    id: EventId::from_bits(1),
    trigger: "a.b".parse().expect("a reference"),
    source: "fuzz".into(),
    subject: None,
    time: Time::from_millis(0),
    accepted: Time::from_millis(0),
    data: Arc::new(json!({ "n": 1, "s": "x", "l": [1, 2], "o": { "deep": null }, "f": 0.5 })),
    cause: Cause::Sensor("fuzz".to_owned()),
    hops: 0,
    trace: None,
    replay: None,
});

fuzz_target!(|text: &str| {
    let source = Source { pack: "site".into(), file: "rules/x.rhai".into(), text: text.into() };
    let Ok((rules, _)) = ifso::rules::compile(&source, &Library::new(), &Known::default()) else {
        return;
    };
    let set = Set::new(rules.into_iter().map(Arc::new).collect());
    let facts = Facts::default();
    let evaluation = ifso::rules::evaluate(&set, &EVENT, &facts);
    drop(ifso::rules::decide(&set, &EVENT, evaluation, &mut Memories::default(), &facts));
});
