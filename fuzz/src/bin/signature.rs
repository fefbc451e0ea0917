//! Signatures of webhooks: no text but the right one is good.
#![no_main]

use std::time::Duration;

use ifso::model::time::Time;
use ifso::sensors::signature::{Form, Key, signed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8], i64)| {
    let (text, body, now) = input;
    let keys = [Key::new(b"a"), Key::new(b"b")];
    let at = (Time::from_millis(now), Duration::from_mins(5));
    for form in [Form::Github, Form::Stripe] {
        assert!(signed(form, text, body, &keys, at).is_err(), "forged");
    }
});
