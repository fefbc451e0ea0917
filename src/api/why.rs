//! What rules remember, and why they did or did not act.

use std::sync::Arc;

use axum::Json;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::auth::{Kind, Right};
use crate::intake::{Command, SYSTEM_SCOPE, Submission, history};
use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::key::KeyValue;
use crate::model::reference::Reference;
use crate::model::rule::{Decision, Effect};
use crate::model::time::Time;
use crate::packs::catalog::Catalog;
use crate::packs::secrets;
use crate::rules::memory::WHOLE;
use crate::rules::{FELL_DUE, Facts, Rule, Set, Simulation, explain};
use crate::store::table::{self, Rows};
use crate::store::tables::Remembered;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/rules/{ref}/explain",
        Access::Needs(Right::View),
        |call| Box::pin(explain(call)),
        "Says why a rule did or did not act on a kept event: the value of every part of its condition, \
         what it remembered, and what it would do.",
    )
    .query(&[("event", "The event's id.")])
    .gives(200, Shape::One("Explanation")),
    Route::get(
        "/api/v1/rules/{ref}/memory",
        Access::Needs(Right::View),
        |call| Box::pin(memory(call)),
        "Lists what a rule remembers, by key.",
    )
    .of(Of::Path(Kind::Rule, "ref"))
    .query(&[("key", "Only what it remembers under this key.")])
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Memory")),
    Route::get(
        "/api/v1/memories",
        Access::Needs(Right::View),
        |call| Box::pin(memories(call)),
        "Lists what all rules remember, by rule and key.",
    )
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Memory")),
    Route::post(
        "/api/v1/rules/{ref}/release",
        Access::Needs(Right::Operate),
        |call| Box::pin(release(call)),
        "Ends a rule's quarantine: what was kept fires within its budget, or is thrown away \
         (`{\"discard\": true}`).",
    )
    .of(Of::Path(Kind::Rule, "ref"))
    .takes(Shape::One("ReleaseDraft"))
    .gives(202, Shape::One("Told")),
    Route::post(
        "/api/v1/rules/{ref}/forget",
        Access::Needs(Right::Operate),
        |call| Box::pin(forget(call)),
        "Makes a rule forget what it remembers under one key (`{\"key\": …}`), or under all.",
    )
    .of(Of::Path(Kind::Rule, "ref"))
    .takes(Shape::One("ForgetDraft"))
    .gives(202, Shape::One("Told")),
];

/// Keys that rules may read.
const KEYS_LIMIT: usize = 10_000;

/// The rule in `{ref}`.
pub(crate) fn wanted(call: &Call, catalog: &Catalog) -> Result<Arc<Rule>, Problem> {
    let names = || catalog.rules.iter().map(|rule| rule.reference().as_str());
    let reference = call.reference("rule", names())?;
    let found = catalog.rules.get(&reference).cloned();
    found.ok_or_else(|| Problem::unknown_among("rule", reference.as_str(), names()))
}

/// What rules may ask about the world now, secrets struck out: whoever tries a text of their own, or
/// looks at what a rule would do, is not told them so.
pub(crate) async fn facts(call: &Call, catalog: &Catalog, now: Time) -> Result<Facts, Problem> {
    let lead = [SYSTEM_SCOPE.as_bytes(), &[0]].concat();
    let rows = Rows::first(KEYS_LIMIT).under(lead);
    let found = table::scan::<KeyValue>(&call.state.store, rows).await?;
    let shown = |row: KeyValue| {
        let value = if row.secret { json!(secrets::MASK) } else { row.value };
        (row.name, value)
    };
    let keys = found.into_iter().map(|held| shown(held.row)).collect();
    let masked = |(pack, config): (&String, &Arc<Value>)| {
        let schema = catalog.packs.get(pack).map_or(&Value::Null, |pack| &pack.config_schema);
        (pack.clone(), Arc::new(secrets::mask(config, &secrets::find(schema))))
    };
    let configs = catalog.configs.iter().map(masked).collect();
    Ok(Facts { now, wall: None, configs: Arc::new(configs), keys: Arc::new(keys) })
}

/// Decisions as callers may see them: secret parameters of actions struck out.
pub(crate) fn shown(catalog: &Catalog, decisions: &[Decision]) -> Vec<Decision> {
    let mut shown = decisions.to_vec();
    for decision in &mut shown {
        strike(catalog, &mut decision.effects);
    }
    shown
}

/// Strikes secret parameters of actions out.
pub(crate) fn strike(catalog: &Catalog, effects: &mut [Effect]) {
    for effect in effects {
        let Effect::Run { action, parameters, .. } = effect else { continue };
        let Some(accepts) = catalog.accepts.get(action) else { continue };
        let masked = secrets::mask(&Value::Object(parameters.clone()), &secrets::of(accepts));
        if let Value::Object(masked) = masked {
            *parameters = masked;
        }
    }
}

async fn explain(call: Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    let rule = wanted(&call, &catalog)?;
    let id = call.query("event").ok_or_else(|| {
        Problem::bad("missing", "`event` is missing").help("name the event: `?event=evt_…`")
    })?;
    let id: EventId =
        id.parse().map_err(|error| Problem::bad("bad_query", format!("`event`: {error}")))?;
    let kept = history::find(&call.state.store, id).await?;
    let kept = kept.ok_or_else(|| {
        Problem::unknown("event", &id.to_string())
            .help("events are kept for a time only (`keep` in `ifso.toml`); `ifso event list`")
    })?;
    let event = kept.event;
    let name = rule.reference().clone();
    if event.trigger.as_str() == FELL_DUE && event.data["rule"] == json!(name) {
        return Ok(Json(fell_due(&catalog, &name, &kept.decisions)).into_response());
    }
    let begin = facts(&call, &catalog, Time::default()).await?;
    let set = Arc::new(Set::new(vec![Arc::clone(&rule)]));
    let (mut simulation, since) = heard(&call, set, &rule, &event, begin).await?;
    let explained = tokio::task::spawn_blocking(move || {
        explain::explain(&mut simulation, &name, &event, since)
    });
    let explained = explained.await.expect("rules do not panic");
    let live: Vec<_> =
        kept.decisions.iter().filter(|decision| decision.rule == *rule.reference()).collect();
    let live: Vec<Decision> = live.into_iter().cloned().collect();
    let explained = explained.map(|mut explained| {
        explained.decisions = shown(&catalog, &explained.decisions);
        explained
    });
    let mut row = json!(explained);
    row["decided"] = json!(live.first().map(|decision| decision.verdict.sentence()));
    row["then"] = json!(shown(&catalog, &live));
    Ok(Json(row).into_response())
}

/// What came of a deadline of the rule: it was decided then, from what was remembered.
fn fell_due(catalog: &Catalog, rule: &Reference, decisions: &[Decision]) -> Value {
    let own: Vec<Decision> =
        decisions.iter().filter(|decision| decision.rule == *rule).cloned().collect();
    let said: Vec<String> = own.iter().map(|decision| decision.verdict.sentence()).collect();
    let why = format!("a deadline of what it remembered: {}", said.join("; "));
    let first = own.first();
    json!({
        "rule": rule,
        "version": first.map(|decision| &decision.version),
        "why": why,
        "decided": why,
        "key": first.and_then(|decision| decision.key.as_ref()),
        "decisions": shown(catalog, &own),
        "then": shown(catalog, &own),
    })
}

/// A simulation of one rule that has heard all kept events before this one, where that matters.
async fn heard(
    call: &Call,
    set: Arc<Set>,
    rule: &Arc<Rule>,
    event: &Event,
    facts: Facts,
) -> Result<(Simulation, Option<Time>), Problem> {
    if !rule.remembers() {
        let facts = Facts { now: event.accepted, ..facts };
        return Ok((Simulation::new(set, facts), None));
    }
    let on = Arc::clone(rule);
    let wants = move |trigger: &Reference| on.on().iter().any(|on| on.fits(trigger));
    let until = Time::from_millis(event.accepted.millis() + 1);
    let id = event.id;
    let begin = (set, facts, None::<Simulation>);
    let hear = move |state: &mut (Arc<Set>, Facts, Option<Simulation>), heard: &Event| {
        if heard.id >= id {
            return false;
        }
        if heard.replay.is_some() {
            return true;
        }
        let (set, facts, simulation) = state;
        let facts = || Facts { now: heard.accepted, ..facts.clone() };
        let simulation =
            simulation.get_or_insert_with(|| Simulation::new(Arc::clone(set), facts()));
        drop(simulation.accept(heard));
        true
    };
    let store = &call.state.store;
    let (state, reading) =
        history::forward(store, (Time::default(), until), wants, begin, hear).await?;
    let (set, facts, simulation) = state;
    let fresh = || Simulation::new(set, Facts { now: event.accepted, ..facts });
    Ok((simulation.unwrap_or_else(fresh), reading.first))
}

async fn memory(call: Call) -> Answer {
    const KNOWN: &[&str] = &["key", "whole", "memory"];
    let catalog = call.state.catalog.load_full();
    let rule = wanted(&call, &catalog)?;
    let page = Page::of(&call)?;
    let lead = [rule.reference().as_str().as_bytes(), &[0]].concat();
    let mut rows = Rows::first(page.offset + page.limit + 1).under(lead);
    if let Some(key) = call.query("key") {
        rows = Rows::first(1).under(Remembered::store_key(rule.reference(), key));
    }
    let found = table::scan::<Remembered>(&call.state.store, rows).await?;
    let wanted = |row: &Remembered| call.query("key").is_none_or(|key| row.key == key);
    let all: Vec<Value> = found
        .into_iter()
        .filter(|held| wanted(&held.row))
        .map(|held| {
            let whole = held.row.key == WHOLE;
            let key = if whole { "" } else { held.row.key.as_str() };
            json!({ "key": key, "whole": whole, "memory": held.row.memory })
        })
        .collect();
    page.cut(all).answer(&call, KNOWN)
}

async fn memories(call: Call) -> Answer {
    const KNOWN: &[&str] = &["rule", "key", "whole", "memory"];
    let page = Page::of(&call)?;
    let rows = Rows::first(page.offset + page.limit + 1);
    let found = table::scan::<Remembered>(&call.state.store, rows).await?;
    let all: Vec<Value> = found
        .into_iter()
        .map(|held| {
            let whole = held.row.key == WHOLE;
            let key = if whole { "" } else { held.row.key.as_str() };
            json!({ "rule": held.row.rule, "key": key, "whole": whole, "memory": held.row.memory })
        })
        .collect();
    page.cut(all).answer(&call, KNOWN)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ReleaseDraft {
    discard: bool,
}

async fn release(call: Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    let rule = wanted(&call, &catalog)?;
    let draft: ReleaseDraft = call.json_or_empty()?;
    let row = Remembered::store_key(rule.reference(), WHOLE);
    let held = table::get::<Remembered>(&call.state.store, row).await?;
    let whole = held.map(|held| held.row.memory).unwrap_or_default();
    if whole.quarantined.is_none() {
        let message = format!("rule `{}` is not in quarantine", rule.reference());
        return Err(Problem::conflict("not_in_quarantine", message));
    }
    let kept = whole.queue.len();
    let rule = rule.reference().clone();
    tell(&call, Command::Release { rule, discard: draft.discard }).await?;
    Ok((axum::http::StatusCode::ACCEPTED, Json(json!({ "kept": kept }))).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ForgetDraft {
    key: Option<String>,
}

async fn forget(call: Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    let rule = wanted(&call, &catalog)?;
    let ForgetDraft { key } = call.json_or_empty()?;
    if let Some(key) = &key {
        let row = Remembered::store_key(rule.reference(), key);
        if table::get::<Remembered>(&call.state.store, row).await?.is_none() {
            let message = format!("rule `{}` remembers nothing under `{key}`", rule.reference());
            let help = format!("`ifso rule memory {}` lists its keys", rule.reference());
            return Err(Problem::conflict("not_remembered", message).help(help));
        }
    }
    let rule = rule.reference().clone();
    tell(&call, Command::Forget { rule, key }).await?;
    Ok((axum::http::StatusCode::ACCEPTED, Json(json!({}))).into_response())
}

async fn tell(call: &Call, command: Command) -> Result<(), Problem> {
    let commands = vec![command];
    call.state.door.offer(Submission { commands, ..Submission::default() }).await?;
    Ok(())
}
