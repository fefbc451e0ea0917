//! Bodies of alerts, from Alertmanager and from those who take Ifso for one: read whole or refused.
#![no_main]

use ifso::model::time::Time;
use ifso::sensors::alerts::{notified, pushed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(body) = serde_json::from_slice(body) else { return };
    let now = Time::from_millis(1_700_000_000_000);
    for alerts in [notified(&body, now), pushed(&body, now)].into_iter().flatten() {
        for alert in alerts.into_iter().flatten() {
            assert!(alert.data["labels"].is_object() && alert.data["startsAt"].is_string());
        }
    }
});
