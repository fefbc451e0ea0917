//! Decoders: records in, events or one reason out; never a panic, never half a record.

use std::sync::Arc;

use ifso::model::event::{Origin, Report};
use ifso::model::time::Time;
use ifso::sensors::decode::{EVENTS_LIMIT, Header, Record, Settings, Stamp, decode};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Every decoder as a sensor file would name it.
const DECODERS: &[&str] = &[
    r#"{"as": "json"}"#,
    r#"{"as": "json", "wrap": true, "tombstones": "event"}"#,
    r#"{"as": "cloudevents"}"#,
    r#"{"as": "metricspec"}"#,
    r#"{"as": "delfin"}"#,
];

fn read(
    settings: &str,
    payload: Option<&[u8]>,
    headers: &[Header<'_>],
) -> Result<Vec<Report>, String> {
    let settings: Settings = serde_json::from_str(settings).unwrap();
    let record = Record {
        topic: "t",
        partition: 3,
        offset: 41,
        key: Some(b"key"),
        payload,
        headers,
        time: Some(Time::from_millis(1_000)),
    };
    let source = Arc::from("kafka:t");
    let origin = Origin { stream: "s".into(), at: 41 };
    let stamp = Stamp { sensor: "site.k", source: &source, origin };
    let mut reports = Vec::new();
    let decoder = settings.decoder().unwrap();
    match decode(&*decoder, &record, &stamp, &mut reports) {
        Ok(()) => Ok(reports),
        Err(reason) => {
            assert!(reports.is_empty(), "half a record");
            Err(reason.to_string())
        }
    }
}

/// Trigger, subject, time in milliseconds and data of each event; or the reason.
fn brief(settings: &str, payload: &str, headers: &[Header<'_>]) -> Value {
    match read(settings, Some(payload.as_bytes()), headers) {
        Ok(reports) => reports
            .iter()
            .map(|report| {
                let time = report.time.map(Time::millis);
                json!([report.trigger, report.subject, time, *report.data])
            })
            .collect(),
        Err(reason) => reason.into(),
    }
}

#[test]
fn json_objects_are_the_data_and_anything_else_stands_under_value() {
    let plain = DECODERS[0];
    assert_eq!(
        brief(plain, r#"{"used_pct": 81}"#, &[]),
        json!([["kafka.message", "key", 1000, { "used_pct": 81 }]])
    );
    assert_eq!(brief(plain, "[1]", &[])[0][3], json!({ "value": [1] }));
    assert_eq!(
        brief(r#"{"trigger": "storage.pool_full"}"#, "{}", &[])[0][0],
        json!("storage.pool_full")
    );
    for bad in ["", "{", "{}{}", "nul"] {
        let said = brief(plain, bad, &[]);
        assert!(said.as_str().is_some_and(|said| said.contains("line 1 column")), "{bad}: {said}");
    }
}

#[test]
fn a_wrapped_record_has_its_coordinates_around_it() {
    let headers: &[Header<'_>] = &[("h", Some(b"v")), ("none", None)];
    assert_eq!(
        brief(DECODERS[1], r#"{"a": 1}"#, headers)[0][3],
        json!({
            "topic": "t", "partition": 3, "offset": 41, "key": "key", "timestamp": 1000,
            "headers": { "h": "v", "none": null }, "message": { "a": 1 },
        })
    );
    assert_eq!(brief(DECODERS[1], "{}", headers)[0][0], json!("kafka.new_message"));
}

#[test]
fn a_tombstone_is_nothing_or_an_event_as_told() {
    for decoder in [DECODERS[0], DECODERS[2], DECODERS[3], DECODERS[4]] {
        assert_eq!(read(decoder, None, &[]), Ok(Vec::new()), "{decoder}");
    }
    let told = read(r#"{"tombstones": "event"}"#, None, &[]).unwrap();
    assert_eq!(*told[0].data, json!({ "key": "key", "deleted": true }));
}

const METRIC: &str = r#"{"instanceID":"volume-38aa","instanceName":"opensds--38aa","job":"lvm",
    "labels":{"device":"dm-0"},"component":"volume","name":"iops","unit":"tps","aggrType":"",
    "metricValues":[{"timestamp":1561465759,"value":32.14},{"timestamp":1561465760000,"value":"7"}],
    "later": {"unknown": true}}"#;

#[test]
fn a_metricspec_is_one_event_per_value() {
    let data = |value: Value, timestamp: i64| {
        json!({
            "name": "iops", "component": "volume", "job": "lvm", "unit": "tps",
            "instance_id": "volume-38aa", "instance_name": "opensds--38aa", "aggregation": null,
            "labels": { "device": "dm-0" }, "value": value, "timestamp": timestamp,
        })
    };
    let expected = json!([
        [
            "storage.metric",
            "opensds--38aa",
            1_561_465_759_000_i64,
            data(json!(32.14), 1_561_465_759_000)
        ],
        [
            "storage.metric",
            "opensds--38aa",
            1_561_465_760_000_i64,
            data(json!(7), 1_561_465_760_000)
        ],
    ]);
    assert_eq!(brief(DECODERS[3], METRIC, &[]), expected);
    assert_eq!(brief(DECODERS[3], &format!(" [{METRIC}]"), &[]), expected);
    let ceph = r#"{"job":"ceph","component":"pool","name":"used","unit":"bytes",
        "labels":{"cluster":"ceph","pool":"rbd"},"metricValues":[{"value":1e12}]}"#;
    let told = brief(DECODERS[3], ceph, &[]);
    assert_eq!((&told[0][1], &told[0][2]), (&Value::Null, &json!(1000)), "the record's own time");
}

#[test]
fn what_is_no_metricspec_is_refused_with_the_reason() {
    for (payload, said) in [
        (r#"{"iops": 3, "latency": 4}"#, "`name` is missing"),
        (r#"{"name": "iops"}"#, "`metricValues` of `iops` is missing or empty"),
        (r#"{"name": "iops", "metricValues": null}"#, "missing or empty"),
        (r#"{"name": "iops", "metricValues": [{"timestamp": 1}]}"#, "is null; expected a number"),
        (
            r#"{"name": "iops", "metricValues": [{"timestamp": "noon", "value": 1}]}"#,
            "expected seconds",
        ),
        (r#"{"name": 3}"#, "expected a string"),
        ("[]", "the list of MetricSpecs is empty"),
        ("7", "it is not the JSON that was expected"),
    ] {
        let told = brief(DECODERS[3], payload, &[]);
        assert!(told.as_str().is_some_and(|told| told.contains(said)), "{payload}: {told}");
    }
}

#[test]
fn delfin_s_arrays_and_objects_are_the_same_events() {
    let labels = r#"{"storage_id":"s1","resource_type":"storage","resource_id":"storage_0",
        "type":"RAW","unit":"ms","name":"arr1","serial_number":"sn"}"#;
    let values = r#"{"1600998817585":74.1,"1600998817586":null,"1600998817587":75}"#;
    let array = format!(r#"[["responseTime",{labels},{values}]]"#);
    let object = format!(r#"[{{"name":"responseTime","labels":{labels},"values":{values}}}]"#);
    let told = brief(DECODERS[4], &array, &[]);
    let head = (&told[0][0], &told[0][1], &told[0][2]);
    let expected = ("storage.metric", "s1/storage_0", 1_600_998_817_585_i64);
    assert_eq!(head, (&json!(expected.0), &json!(expected.1), &json!(expected.2)));
    assert_eq!(told[0][3]["component"], "storage");
    assert_eq!(told[0][3]["unit"], "ms");
    assert_eq!(told[0][3]["job"], "delfin");
    assert_eq!(told[0][3]["labels"]["name"], "arr1");
    assert_eq!((&told[0][3]["value"], &told[1][3]["value"]), (&json!(74.1), &json!(75)));
    assert_eq!(told.as_array().unwrap().len(), 2, "null is no measurement");
    assert_eq!(brief(DECODERS[4], &object, &[]), told);
    assert_eq!(brief(DECODERS[4], &array[1..array.len() - 1], &[]), told, "one metric, bare");
}

#[test]
fn what_is_not_delfin_s_is_refused_with_the_reason() {
    for (payload, said) in [
        ("[]", "it holds no values"),
        (r#"[["a", {}, {}]]"#, "it holds no values"),
        (r#"[["a", {}]]"#, "metric 0: it is no metric of delfin's"),
        (r#"[["a", {}, {"1": 1}], 7]"#, "metric 1: it is no metric of delfin's"),
        (r#"[["a", {}, {"noon": 1}]]"#, "`noon` of `a` is no time"),
        (r#"[["a", {}, {"1": "x"}]]"#, "expected a number"),
        (r#"{"iops": 3}"#, "it is no metric of delfin's"),
    ] {
        let told = brief(DECODERS[4], payload, &[]);
        assert!(told.as_str().is_some_and(|told| told.contains(said)), "{payload}: {told}");
    }
}

const CLOUD: &[Header<'_>] = &[
    ("ce_specversion", Some(b"1.0")),
    ("ce_id", Some(b"7")),
    ("ce_source", Some(b"/shop")),
    ("ce_type", Some(b"shop.order_created")),
    ("ce_subject", Some(b"order 7")),
    ("ce_time", Some(b"2026-11-20T18:00:00Z")),
    ("ce_traceparent", Some(b"00-1-2-01")),
    ("content-type", Some(b"application/json; charset=utf-8")),
];

const STRUCTURED: &str = r#"{"specversion":"1.0","id":"7","source":"/shop",
    "type":"shop.order_created","subject":"order 7","time":"2026-11-20T18:00:00Z",
    "traceparent":"00-1-2-01","datacontenttype":"application/json","sequence":3,"data":{"n":7}}"#;

#[test]
fn a_cloudevent_is_the_same_event_in_both_modes() {
    let binary = read(DECODERS[2], Some(br#"{"n":7}"#), CLOUD).unwrap();
    let declared: &[Header<'_>] =
        &[("Content-Type", Some(b"application/cloudevents+json; charset=UTF-8"))];
    assert_eq!(read(DECODERS[2], Some(STRUCTURED.as_bytes()), declared).unwrap(), binary);
    assert_eq!(read(DECODERS[2], Some(STRUCTURED.as_bytes()), &[]).unwrap(), binary, "undeclared");
    let report = &binary[0];
    assert_eq!(report.trigger.as_str(), "shop.order_created");
    assert_eq!((&*report.source, report.subject.as_deref()), ("/shop", Some("order 7")));
    assert_eq!(report.time.unwrap().to_string(), "2026-11-20T18:00:00.000Z");
    assert_eq!(report.once.as_deref(), Some("cloudevents/5//shop/7"));
    assert_eq!(report.trace.as_deref(), Some("00-1-2-01"));
    assert_eq!(*report.data, json!({ "n": 7 }));
}

#[test]
fn a_type_finds_its_trigger() {
    let mapped = r#"{"as":"cloudevents","trigger":"shop.other","triggers":{"shop.order_created":"shop.order"}}"#;
    assert_eq!(brief(mapped, "{}", CLOUD)[0][0], "shop.order");
    let one = r#"{"as":"cloudevents","trigger":"shop.other"}"#;
    assert_eq!(brief(one, "{}", CLOUD)[0][0], "shop.other");
    let mut nameless = CLOUD.to_vec();
    nameless[3].1 = Some(b"Order Created");
    let told = brief(DECODERS[2], "{}", &nameless);
    assert!(told.as_str().unwrap().contains("`Order Created` names no trigger"), "{told}");
}

#[test]
fn what_is_no_cloudevent_is_refused_with_the_reason() {
    for (at, value, said) in [
        (0, Some("2.0"), "`specversion` is `2.0`"),
        (0, None, "`specversion` is missing or empty"),
        (1, Some(""), "`id` is missing or empty"),
        (2, None, "`source` is missing or empty"),
        (3, None, "`type` is missing or empty"),
        (5, Some("noon"), "`noon` is not a time"),
    ] {
        let mut headers = CLOUD.to_vec();
        headers[at].1 = value.map(str::as_bytes);
        let told = brief(DECODERS[2], "{}", &headers);
        assert!(told.as_str().is_some_and(|told| told.contains(said)), "{said}: {told}");
    }
    let bytes: &[Header<'_>] = &[&CLOUD[..7], &[("content-type", Some(b"image/png"))]].concat();
    let told = read(DECODERS[2], Some(b"\xff\xfe"), bytes).unwrap_err();
    assert!(told.contains("neither JSON nor text"), "{told}");
    let text: &[Header<'_>] = &[&CLOUD[..7], &[("content-type", Some(b"text/plain"))]].concat();
    assert_eq!(brief(DECODERS[2], "hello", text)[0][3], json!({ "value": "hello" }));
    assert_eq!(*read(DECODERS[2], None, CLOUD).unwrap()[0].data, json!({}), "no data");
    let told = brief(DECODERS[2], r#"{"n": 1}"#, &[]);
    assert!(told.as_str().unwrap().contains("`specversion` is missing"), "{told}");
}

#[test]
fn one_record_cannot_flood_the_engine() {
    let points = vec![r#"{"timestamp":1,"value":1}"#; EVENTS_LIMIT + 1].join(",");
    let flood = format!(r#"{{"name":"iops","metricValues":[{points}]}}"#);
    let told = brief(DECODERS[3], &flood, &[]);
    assert!(told.as_str().is_some_and(|told| told.contains("at most 10000 are taken")), "{told}");
}

/// Bytes that come near to what the decoders read: real records, cut, joined and changed.
fn near_record() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        METRIC,
        STRUCTURED,
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "null",
        "1e999",
        "-1",
        "\"name\"",
        "\"metricValues\"",
        "\"labels\"",
        "\"values\"",
        "\"specversion\"",
        "{}",
        "[]",
        "\\ud800",
        r#"["a",{},{"1":1}]"#,
        "9223372036854775808",
        "\u{0}",
        "é",
    ]);
    let part = (pieces, any::<prop::sample::Index>()).prop_map(|(piece, at)| {
        let bytes = piece.as_bytes();
        if at.index(3) == 0 { bytes[..at.index(bytes.len() + 1)].to_vec() } else { bytes.to_vec() }
    });
    let parts = prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat());
    prop_oneof![3 => parts, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn any_bytes_are_events_or_one_reason(
        payload in prop::option::of(near_record()),
        values in prop::collection::vec((0..9_usize, prop::option::of(near_record())), 0..6),
    ) {
        let names = ["ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time", "content-type", "ce_", "", "x"];
        let headers: Vec<Header<'_>> =
            values.iter().map(|(name, value)| (names[*name], value.as_deref())).collect();
        for decoder in DECODERS {
            match read(decoder, payload.as_deref(), &headers) {
                Ok(reports) => prop_assert!(
                    payload.is_none() || !reports.is_empty(),
                    "{decoder}: neither events nor a reason"
                ),
                Err(reason) => prop_assert!(!reason.is_empty()),
            }
        }
    }
}
