//! Rules, where they stand, and how often they decided what.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::api::shape;
use crate::api::triggers::wanted;
use crate::auth::{Kind, Right};
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::rules::Rule;
use crate::rules::memory::WHOLE;
use crate::rules::pattern::Pattern;
use crate::store::table::{self, Rows};
use crate::store::tables::{Count, Remembered};

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/rules",
        Access::Needs(Right::View),
        |call| Box::pin(list(call)),
        "Lists the rules and how often they decided what.",
    )
    .of(Of::Each)
    .query(FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Rule")),
    Route::get(
        "/api/v1/rules/{ref}",
        Access::Needs(Right::View),
        |call| Box::pin(get(call)),
        "Shows one rule.",
    )
    .of(Of::Path(Kind::Rule, "ref"))
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
    "quarantined",
    "keeps",
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
            && call.sees(Kind::Rule, rule.reference().as_str())
            && call.query("trigger").is_none_or(|trigger| listens(rule, trigger))
            && call.query("enabled").is_none_or(|word| word == rule.enabled().to_string())
    });
    all.sort_by_key(|rule| rule.reference());
    let counts = table::scan::<Count>(&call.state.store, Rows::first(COUNT_LIMIT)).await?;
    let counts: BTreeMap<String, Count> =
        counts.into_iter().map(|held| (held.row.rule.clone(), held.row)).collect();
    let page = page.cut(all);
    let quarantined = quarantined(&call, &page.rows).await?;
    let shown = |rule: &std::sync::Arc<Rule>| {
        let count = counts.get(rule.reference().as_str());
        row(rule, count, quarantined.get(rule.reference()).copied())
    };
    page.map(shown).answer(&call, KNOWN)
}

/// Since when which of these rules are in quarantine.
async fn quarantined(
    call: &Call,
    rules: &[&std::sync::Arc<Rule>],
) -> Result<BTreeMap<Reference, Time>, Problem> {
    let with: Vec<&Reference> =
        rules.iter().filter(|rule| rule.has_budget()).map(|rule| rule.reference()).collect();
    let keys = with.iter().map(|rule| Remembered::store_key(rule, WHOLE));
    let held = table::get_many::<Remembered>(&call.state.store, keys).await?;
    let since = held.into_iter().map(|held| held.and_then(|held| held.row.memory.quarantined));
    Ok(with.into_iter().cloned().zip(since).filter_map(|(rule, at)| Some((rule, at?))).collect())
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
    let since = quarantined(&call, &[rule]).await?.get(&reference).copied();
    paging::one(&call, row(rule, count.map(|held| held.row).as_ref(), since), KNOWN)
}

/// Whether a rule listens to a trigger, or names this glob.
fn listens(rule: &Rule, trigger: &str) -> bool {
    let reference = trigger.parse::<Reference>();
    rule.on().iter().any(|on| on.text() == trigger || reference.as_ref().is_ok_and(|r| on.fits(r)))
}

fn row(rule: &Rule, count: Option<&Count>, quarantined: Option<Time>) -> Value {
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
            "quarantined": quarantined,
            "keeps": rule.keeps(),
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
