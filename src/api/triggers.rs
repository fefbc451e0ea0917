//! Kinds of events: triggers under their own name and as StackStorm's `triggertypes`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::api::shape;
use crate::auth::{Kind, Right};
use crate::model::reference::Reference;
use crate::model::trigger::Trigger;
use crate::store::table;
use crate::store::tables::Count;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/triggertypes",
        Access::Needs(Right::View),
        |call| Box::pin(async move { list(&call) }),
        "Lists the described kinds of events.",
    )
    .of(Of::Each)
    .query(FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Trigger")),
    Route::get(
        "/api/v1/triggertypes/{ref}",
        Access::Needs(Right::View),
        |call| Box::pin(async move { get(&call).await }),
        "Shows one kind of event, and how many events of it came.",
    )
    .of(Of::Path(Kind::Trigger, "ref"))
    .gives(200, Shape::One("Trigger")),
];

const FILTERS: &[(&str, &str)] =
    &[("pack", "Only those of this pack."), ("name", "Only those of this name.")];

const KNOWN: &[&str] = &[
    "id",
    "ref",
    "uid",
    "pack",
    "name",
    "description",
    "payload_schema",
    "parameters_schema",
    "tags",
    "counts",
];

fn list(call: &Call) -> Answer {
    let page = Page::of(call)?;
    let catalog = call.state.catalog.load_full();
    let seen = |trigger: &Trigger| {
        let reference = &trigger.reference;
        wanted(call, reference) && call.sees(Kind::Trigger, reference.as_str())
    };
    let all: Vec<&Arc<Trigger>> = catalog.triggers.values().filter(|t| seen(t)).collect();
    page.cut(all).map(|trigger| row(trigger)).answer(call, KNOWN)
}

/// Whether `?pack=` and `?name=` let a reference through.
pub(crate) fn wanted(call: &Call, reference: &Reference) -> bool {
    call.query("pack").is_none_or(|pack| pack == reference.pack())
        && call.query("name").is_none_or(|name| name == reference.name())
}

async fn get(call: &Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    let names = || catalog.triggers.keys().map(Reference::as_str);
    let reference = call.reference("trigger", names())?;
    let found = catalog.triggers.get(&reference);
    let trigger =
        found.ok_or_else(|| Problem::unknown_among("trigger", reference.as_str(), names()))?;
    let key = Count::of_trigger(&reference).into_bytes();
    let count = table::get::<Count>(&call.state.store, key).await?;
    let mut row = row(trigger);
    row["counts"] = json!(count.map(|held| held.row.verdicts));
    paging::one(call, row, KNOWN)
}

fn row(trigger: &Trigger) -> Value {
    shape::with(
        shape::named("trigger_type", &trigger.reference),
        json!({
            "description": trigger.description,
            "payload_schema": shape::or_object(&trigger.payload_schema),
            "parameters_schema": shape::or_object(&trigger.parameters_schema),
            "tags": trigger.tags,
        }),
    )
}
