//! Bodies of HTTP calls: any bytes are events or a refusal, and a batch is whole or not at all.
#![no_main]

use ifso::api::call::read_json;
use ifso::api::cloudevents::{batch, structured};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let one = structured(body);
    let many = batch(body);
    assert!(one.is_err() || many.is_err(), "an object is no array");
    let json = read_json::<Value>(body);
    assert!(json.is_ok() || (one.is_err() && many.is_err()), "no JSON, and yet an event");
    for report in one.into_iter().chain(many.into_iter().flatten()) {
        assert!(report.once.is_some() && report.data.is_object());
    }
});
