//! Kafka records in each decoder: any record becomes events or a reason, whole or not at all.
#![no_main]

use ifso::model::event::Origin;
use ifso::sensors::decode::{Name, Record, Settings, Stamp, decode};
use libfuzzer_sys::fuzz_target;

const NAMES: [Name; 4] = [Name::Json, Name::CloudEvents, Name::MetricSpec, Name::Delfin];

/// Which decoder, then key, value and headers of a record.
type Input<'r> = (u8, Option<&'r [u8]>, Option<&'r [u8]>, Vec<(&'r str, Option<&'r [u8]>)>);

fuzz_target!(|input: Input<'_>| {
    let (name, key, payload, headers) = input;
    let decoder = Settings::of(NAMES[usize::from(name) % NAMES.len()]).decoder();
    let decoder = decoder.expect("a name alone is a whole setting");
    let record =
        Record { topic: "t", partition: 0, offset: 1, key, payload, headers: &headers, time: None };
    let stamp = Stamp {
        sensor: "site.fuzz",
        source: &"fuzz".into(),
        origin: Origin { stream: "kafka/site.fuzz/c/t/0".into(), at: 1 },
    };
    let mut reports = Vec::new();
    let decoded = decode(decoder.as_ref(), &record, &stamp, &mut reports);
    assert!(decoded.is_ok() || reports.is_empty(), "half a record");
});
