//! Rules, where they stand, and how often they decided what.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::api::shape;
use crate::api::triggers::wanted;
use crate::auth::Right;
use crate::model::reference::Reference;
use crate::rules::Rule;
use crate::rules::pattern::Pattern;
use crate::store::table::{self, Rows};
use crate::store::tables::Count;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/rules",
        Access::Needs(Right::View),
        |call| Box::pin(list(call)),
        "Lists the rules and how often they decided what.",
    )
    .query(FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Rule")),
    Route::get(
        "/api/v1/rules/{ref}",
        Access::Needs(Right::View),
        |call| Box::pin(get(call)),
        "Shows one rule.",
    )
    .gives(200, Shape::One("Rule")),
];

const FILTERS: &[(&str, &str)] = &[
    ("pack", "Only those of this pack."),
    ("name", "Only those of this name."),
    ("trigger", "Only those that name this trigger."),
    ("enabled", "`true` or `false`."),
];

const KNOWN: &[&str] = &[
    "id",
    "ref",
    "uid",
    "pack",
    "name",
    "description",
    "enabled",
    "shadow",
    "priority",
    "type",
    "trigger",
    "on",
    "criteria",
    "action",
    "context",
    "tags",
    "metadata_file",
    "place",
    "version",
    "source",
    "index",
    "cooldown_seconds",
    "counts",
    "last_fired",
    "last_error",
];

/// Rules whose counts are read at most.
const COUNT_LIMIT: usize = 100_000;

async fn list(call: Call) -> Answer {
    let page = Page::of(&call)?;
    let catalog = call.state.catalog.load_full();
    let mut all: Vec<_> = catalog.rules.iter().collect();
    all.retain(|rule| {
        wanted(&call, rule.reference())
            && call.query("trigger").is_none_or(|trigger| listens(rule, trigger))
            && call.query("enabled").is_none_or(|word| word == rule.enabled().to_string())
    });
    all.sort_by_key(|rule| rule.reference());
    let counts = table::scan::<Count>(&call.state.store, Rows::first(COUNT_LIMIT)).await?;
    let counts: BTreeMap<String, Count> =
        counts.into_iter().map(|held| (held.row.rule.clone(), held.row)).collect();
    page.cut(all).map(|rule| row(rule, counts.get(rule.reference().as_str()))).answer(&call, KNOWN)
}

async fn get(call: Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    let names = || catalog.rules.iter().map(|rule| rule.reference().as_str());
    let reference = call.reference("rule", names())?;
    let rule = catalog
        .rules
        .get(&reference)
        .ok_or_else(|| Problem::unknown_among("rule", reference.as_str(), names()))?;
    let count =
        table::get::<Count>(&call.state.store, reference.as_str().as_bytes().to_vec()).await?;
    paging::one(&call, row(rule, count.map(|held| held.row).as_ref()), KNOWN)
}

/// Whether a rule listens to a trigger, or names this glob.
fn listens(rule: &Rule, trigger: &str) -> bool {
    let reference = trigger.parse::<Reference>();
    rule.on().iter().any(|on| on.text() == trigger || reference.as_ref().is_ok_and(|r| on.fits(r)))
}

fn row(rule: &Rule, count: Option<&Count>) -> Value {
    let on: Vec<_> = rule.on().iter().map(Pattern::text).collect();
    let trigger = on.first().copied().unwrap_or_default();
    let place = rule.place();
    let (written, none) = (rule.written(), json!({}));
    let backstop = written.is_some_and(|written| written.backstop);
    let kind = if backstop { "backstop" } else { "standard" };
    shape::with(
        shape::named("rule", rule.reference()),
        json!({
            "description": rule.about(),
            "enabled": rule.enabled(),
            "shadow": rule.shadow(),
            "priority": rule.priority(),
            "cooldown_seconds": rule.cooldown().map(|span| span.as_secs_f64()),
            "type": { "ref": kind, "parameters": {} },
            "trigger": { "type": trigger, "ref": trigger, "parameters": {} },
            "on": on,
            "criteria": written.map_or(&none, |written| &written.criteria),
            "action": written.map_or_else(|| none.clone(), |written| {
                json!({ "ref": written.action, "parameters": written.given })
            }),
            "context": {},
            "tags": written.map_or(&[][..], |written| &written.tags),
            "metadata_file": place.file.as_path(),
            "place": place.to_string(),
            "version": rule.version(),
            "source": rule.source(),
            "index": rule.indexed(),
            "counts": count.map(|count| &count.verdicts),
            "last_fired": count.and_then(|count| count.last_fired),
            "last_error": count.and_then(|count| count.last_error.as_ref()),
        }),
    )
}
