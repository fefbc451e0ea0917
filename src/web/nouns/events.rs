//! Events: the list with its live tail, and one with what every rule decided.

use crate::web::page::{Ask, Page};

pub(crate) const PAGES: &[Page] = &[
    Page::new("/events", "Events", "events.html").asks(&[Ask::List(
        "events",
        "/api/v1/events",
        &["trigger", "source", "since", "until"],
    )]),
    Page::new("/events/{id}", "Event", "event.html")
        .asks(&[Ask::One("event", "/api/v1/events/{id}")]),
];
