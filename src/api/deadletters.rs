//! Inputs that could not become events, and why.

use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::auth::Right;
use crate::model::id::RecordId;
use crate::store::table::{self, Rows};
use crate::store::tables::DeadLetter;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/deadletters",
        Access::Needs(Right::View),
        |call| Box::pin(list(call)),
        "Lists inputs that could not become events, newest first.",
    )
    .query(&[("sensor", "Only those that this sensor read.")])
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("DeadLetter")),
    Route::get(
        "/api/v1/deadletters/{id}",
        Access::Needs(Right::View),
        |call| Box::pin(get(call)),
        "Shows one input that could not become an event.",
    )
    .gives(200, Shape::One("DeadLetter")),
];

const KNOWN: &[&str] = &["id", "sensor", "from", "reason", "content", "at"];

/// Letters that one list looks at.
const LOOK_LIMIT: usize = 5000;

async fn list(call: Call) -> Answer {
    let page = Page::of(&call)?;
    let mut all = table::scan::<DeadLetter>(&call.state.store, Rows::last(LOOK_LIMIT)).await?;
    let more = all.len() == LOOK_LIMIT;
    if let Some(sensor) = call.query("sensor") {
        all.retain(|held| held.row.sensor == sensor);
    }
    let mut listing = page.cut(all);
    listing.more = more;
    listing.map(|held| row(&held.row)).answer(&call, KNOWN)
}

async fn get(call: Call) -> Answer {
    let id: RecordId = call.named("id", "dead letter")?;
    let held = table::get::<DeadLetter>(&call.state.store, id.to_bytes().to_vec()).await?;
    let held = held.ok_or_else(|| Problem::unknown("dead letter", &id.to_string()))?;
    paging::one(&call, row(&held.row), KNOWN)
}

fn row(letter: &DeadLetter) -> Value {
    json!(letter)
}
