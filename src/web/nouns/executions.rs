//! Executions: the list, and one with why it stands where it stands.

use serde_json::json;

use crate::api::route::Verb;
use crate::web::page::{Ask, Deed, Page};

/// What the list's reader may filter by.
const FILTERS: &[&str] =
    &["action", "status", "rule", "user", "parent", "timestamp_gt", "timestamp_lt"];

pub(crate) const PAGES: &[Page] = &[
    Page::new("/executions", "Executions", "executions.html").asks(&[Ask::List(
        "executions",
        "/api/v1/executions",
        FILTERS,
    )]),
    Page::new("/executions/{id}", "Execution", "execution.html")
        .asks(&[Ask::One("execution", "/api/v1/executions/{id}")]),
];

pub(crate) const DEEDS: &[Deed] = &[Deed::call(
    "/executions/{id}/pause",
    Verb::Put,
    "/api/v1/executions/{id}",
    |_| Ok(json!({ "status": "pausing" })),
    "Asked to pause.",
)];
