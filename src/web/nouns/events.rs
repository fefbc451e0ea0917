//! Events: the list with its live tail, and one with what every rule decided.

use serde_json::{Map, Value, json};

use crate::api::inside::Refused;
use crate::web::nouns::later;
use crate::web::page::{Ask, Page, Visit};

pub(crate) const PAGES: &[Page] = &[
    Page::new("/events", "Events", "events.html")
        .asks(&[
            Ask::List("events", "/api/v1/events", &["trigger", "source", "since", "until", "text"]),
            Ask::Maybe("triggers", "/api/v1/triggertypes?limit=1000&include_attributes=ref"),
        ])
        .more(|_, found| {
            summed(found);
            Box::pin(async { Ok(()) })
        }),
    Page::new("/events/{id}", "Event", "event.html")
        .asks(&[Ask::One("event", "/api/v1/events/{id}")])
        .more(later!(one)),
    Page::new("/events/{id}/why/{ref}", "Why", "why.html").asks(&[
        Ask::One("why", "/api/v1/rules/{ref}/explain?event={id}"),
        Ask::Maybe("event", "/api/v1/events/{id}"),
    ]),
];

/// What came of each event of the list, in a word.
fn summed(found: &mut Map<String, Value>) {
    for event in found.get_mut("events").and_then(Value::as_array_mut).into_iter().flatten() {
        let decisions = event["decisions"].as_array().cloned().unwrap_or_default();
        let fired = decisions.iter().filter(|one| one["verdict"]["verdict"] == "fired").count();
        let wrong = decisions.iter().filter(|one| one["verdict"]["verdict"] == "error").count();
        event["fired"] = json!(fired);
        event["wrong"] = json!(wrong);
    }
}

/// The executions that one event led to, as far as they are kept.
async fn one(visit: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let mut path = visit.fill("/api/v1/executions?trigger_instance={id}&limit=50");
    path.push_str("&exclude_attributes=runner,log,context,liveaction,result");
    let led = visit.get(&path).await.unwrap_or_default();
    found.insert("led".to_owned(), led);
    Ok(())
}
