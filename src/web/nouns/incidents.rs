//! Incidents: those that are not over, one with its story, and what people may do about it.

use serde_json::json;

use crate::api::route::Verb;
use crate::web::page::{Ask, Deed, Page};

pub(crate) const PAGES: &[Page] = &[
    Page::new("/incidents", "Incidents", "incidents.html").asks(&[Ask::List(
        "incidents",
        "/api/v1/incidents",
        &["state", "severity", "source", "key"],
    )]),
    Page::new("/incidents/{id}", "Incident", "incident.html")
        .asks(&[Ask::One("incident", "/api/v1/incidents/{id}")]),
];

pub(crate) const DEEDS: &[Deed] = &[
    Deed::call(
        "/incidents/{id}/acknowledge",
        Verb::Put,
        "/api/v1/incidents/{id}",
        |form| Ok(json!({ "state": "acknowledged", "for": form.some("for") })),
        "You are at it: nobody else is called.",
    ),
    Deed::call(
        "/incidents/{id}/resolve",
        Verb::Put,
        "/api/v1/incidents/{id}",
        |_| Ok(json!({ "state": "resolved" })),
        "It is over; whoever was told of it hears so.",
    ),
];
