//! Words as people write them: ids, references, times, spans, statuses. Each reads back what it prints.
#![no_main]

use ifso::model::execution::Status;
use ifso::model::id::{EventId, ExecutionId};
use ifso::model::reference::Reference;
use ifso::model::span;
use ifso::model::time::Time;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<EventId>() {
        assert_eq!(id.to_string().parse::<EventId>().ok(), Some(id));
    }
    if let Ok(id) = text.parse::<ExecutionId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(reference) = text.parse::<Reference>() {
        assert_eq!(reference.to_string(), text);
    }
    if let Ok(time) = text.parse::<Time>() {
        assert_eq!(time.to_string().parse::<Time>().ok(), Some(time));
    }
    if let Ok(status) = text.parse::<Status>() {
        assert_eq!(status.word(), text);
    }
    drop(span::parse(text));
});
