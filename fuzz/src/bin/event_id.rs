//! Ids as people paste them: any text is an id that prints itself back, or an error.
#![no_main]

use ifso::model::id::EventId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<EventId>() {
        assert_eq!(id.to_string().parse::<EventId>().expect("an id reads itself back"), id);
    }
});
