//! Sensors: how they do, and starting one anew.

use serde_json::{Map, Value, json};

use crate::api::inside::Refused;
use crate::api::route::Verb;
use crate::web::nouns::later;
use crate::web::page::{Ask, Deed, Page, Visit, encoded};

/// Events that a sensor's page shows.
const EVENTS: usize = 20;

pub(crate) const PAGES: &[Page] = &[
    Page::new("/sensors", "Sensors", "sensors.html").asks(&[Ask::List(
        "sensors",
        "/api/v1/sensors",
        &["pack", "name", "state"],
    )]),
    Page::new("/sensors/{ref}", "Sensor", "sensor.html")
        .asks(&[Ask::One("sensor", "/api/v1/sensors/{ref}")])
        .more(later!(more)),
];

pub(crate) const DEEDS: &[Deed] = &[Deed::call(
    "/sensors/{ref}/restart",
    Verb::Post,
    "/api/v1/sensors/{ref}/restart",
    |_| Ok(json!({})),
    "Sensor `{ref}` starts anew.",
)];

/// Its latest events, what it could not read, and what it will report by the clock.
async fn more(visit: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let name = visit.named("ref");
    let events = format!("/api/v1/events?source={}&limit={EVENTS}&since=7d", encoded(name));
    found.insert("events".to_owned(), visit.get(&events).await.unwrap_or_default());
    let unread = visit.get("/api/v1/deadletters?limit=500").await.unwrap_or_default();
    let own: Vec<Value> = unread
        .as_array()
        .into_iter()
        .flatten()
        .filter(|letter| letter["sensor"] == name)
        .take(EVENTS)
        .cloned()
        .collect();
    found.insert("unread".to_owned(), json!(own));
    let (pack, last) = name.split_once('.').unwrap_or((name, ""));
    let path = format!(
        "/api/v1/schedules?pack={}&name={}&count=5&until=366d",
        encoded(pack),
        encoded(last)
    );
    let schedules = visit.get(&path).await.unwrap_or_default();
    let own = schedules.as_array().into_iter().flatten().find(|row| row["ref"] == name);
    found.insert("schedule".to_owned(), json!(own));
    Ok(())
}
