//! Events: reported here, and looked up with what became of them.

use std::sync::Arc;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::backtests::moment;
use crate::api::call::{Call, read_json};
use crate::api::cloudevents;
use crate::api::paging::{self, Listing, Page};
use crate::api::problem::Problem;
use crate::api::replay;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::api::shape;
use crate::api::why;
use crate::auth::{Kind, Right};
use crate::intake::history::{self, Kept};
use crate::intake::{Outcome, Submission};
use crate::model::cause::Cause;
use crate::model::event::{Event, Report};
use crate::model::id::EventId;
use crate::model::reference::Reference;
use crate::model::rule::Verdict;
use crate::model::time::Time;
use crate::packs::catalog::Catalog;
use crate::packs::secrets;
use crate::rules::explain;
use crate::sensors::decode::cloudevents::shaped;

pub(crate) const ROUTES: &[Route] = &[
    Route::post(
        "/api/v1/events",
        Access::Needs(Right::Report),
        |call| Box::pin(report(call)),
        "Reports events, as CloudEvents 1.0 (structured, batch, binary) or plain; answers once they \
         are on disk.",
    )
    .of(Of::Each)
    .quiet()
    .takes(Shape::One("Report"))
    .gives(202, Shape::One("Accepted")),
    Route::post(
        "/api/v1/webhooks/st2",
        Access::Needs(Right::Report),
        |call| Box::pin(report(call)),
        "Reports one event as StackStorm's generic webhook does: `{\"trigger\": …, \"payload\": …}`.",
    )
    .of(Of::Each)
    .quiet()
    .takes(Shape::One("Report"))
    .gives(202, Shape::One("Accepted")),
    Route::get(
        "/api/v1/events",
        Access::Needs(Right::View),
        |call| Box::pin(list(call)),
        "Lists kept events, newest first.",
    )
    .query(FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Event")),
    Route::post(
        "/api/v1/events/replay",
        Access::Needs(Right::Run),
        |call| Box::pin(replay::replay(call)),
        "Sends kept events through again, marked as replays: what they lead to is decided and kept, and \
         done only with `effects`.",
    )
    .takes(Shape::One("ReplayDraft"))
    .gives(202, Shape::One("Replayed")),
    Route::get(
        "/api/v1/events/{id}",
        Access::Needs(Right::View),
        |call| Box::pin(get(call)),
        "Shows one event with what every rule decided and what was run.",
    )
    .gives(200, Shape::One("Event")),
    Route::get(
        "/api/v1/triggerinstances",
        Access::Needs(Right::View),
        |call| Box::pin(instances(call)),
        "Lists kept events in StackStorm's shape, newest first.",
    )
    .query(FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("TriggerInstance")),
    Route::get(
        "/api/v1/triggerinstances/{id}",
        Access::Needs(Right::View),
        |call| Box::pin(instance(call)),
        "Shows one event in StackStorm's shape.",
    )
    .gives(200, Shape::One("TriggerInstance")),
];

const FILTERS: &[(&str, &str)] = &[
    ("trigger", "Only events of this trigger."),
    ("trigger_type", "The same; StackStorm's clients say it so."),
    ("source", "Only events from this source."),
    ("text", "Only events that say this somewhere, in any case of letters; of the newest 5000."),
    ("before", "Only events older than this one: the last id of the page before."),
    ("since", "Only events accepted from then on: a span back such as `1h`, or a time."),
    ("until", "Only events accepted before: a span back, or a time."),
    ("timestamp_gt", "Only events accepted after this time (RFC 3339)."),
    ("timestamp_lt", "Only events accepted before this time (RFC 3339)."),
];

/// Events in one call at most: they become durable in one commit.
const BATCH_LIMIT: usize = 1000;

/// An event as a person writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    trigger: Reference,
    #[serde(default, alias = "payload")]
    data: Value,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    time: Option<Time>,
}

async fn report(call: Call) -> Answer {
    let (reports, batch) = read(&call)?;
    let may = |report: &Report| call.may_of(Right::Report, Kind::Trigger, report.trigger.as_str());
    if let Some(report) = reports.iter().find(|report| !may(report)) {
        let trigger = &report.trigger;
        return Err(Problem::forbidden(format!("`{}` may not report `{trigger}`", call.user()))
            .help("ask an admin for a grant; nothing of this call was taken in"));
    }
    let key = call.header("idempotency-key").map(str::to_owned);
    let reports: Vec<Report> = reports
        .into_iter()
        .enumerate()
        .map(|(number, report)| own(&call, key.as_deref(), number, report))
        .collect();
    let submission = Submission { reports: reports.clone(), ..Submission::default() };
    let outcomes = call.state.door.offer(submission).await?;
    for (report, outcome) in reports.iter().zip(&outcomes) {
        same(&call, key.as_deref(), report, outcome).await?;
    }
    answer(&outcomes, batch)
}

/// The events in a body, and whether they came as a batch.
fn read(call: &Call) -> Result<(Vec<Report>, bool), Problem> {
    let kind = call.content_type();
    let reports = match kind.as_str() {
        "application/cloudevents+json" => vec![cloudevents::structured(&call.body)?],
        "application/cloudevents-batch+json" => {
            let reports = cloudevents::batch(&call.body)?;
            if reports.len() > BATCH_LIMIT {
                let message = format!("{} events are more than {BATCH_LIMIT}", reports.len());
                return Err(Problem::bad("too_many", message).help("send them in several calls"));
            }
            return Ok((reports, true));
        }
        _ if call.headers.contains_key("ce-specversion") => {
            vec![cloudevents::binary(&call.headers, &kind, &call.body)?]
        }
        "application/json" | "" => vec![plain(call)?],
        _ => {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unknown_form",
                format!("events do not come as `{kind}`"),
            )
            .help(
                "send `application/cloudevents+json`, `application/cloudevents-batch+json`, \
                 `ce-*` headers, or `application/json` with `trigger` and `data`",
            ));
        }
    };
    Ok((reports, false))
}

fn plain(call: &Call) -> Result<Report, Problem> {
    let plain: Plain = read_json(&call.body).map_err(|problem| {
        problem.help("a plain event is `{\"trigger\": \"pack.name\", \"data\": {…}}`")
    })?;
    let mut report = Report::new(plain.trigger, "api", shaped(plain.data));
    if let Some(source) = plain.source {
        report.source = source.into();
    }
    report.subject = plain.subject.map(Into::into);
    report.time = plain.time;
    Ok(report)
}

/// Adds what the call knows: who, the trace, and the key under which it counts once.
fn own(call: &Call, key: Option<&str>, number: usize, mut report: Report) -> Report {
    report.cause = Cause::User(call.user().to_owned());
    report.trace =
        call.header("st2-trace-tag").or_else(|| call.header("traceparent")).map(Into::into);
    if let Some(key) = key {
        report.once = Some(format!("api/{}/{key}/{number}", call.user()));
    }
    report
}

/// A key that was used for something else is a mistake that must not pass for success.
async fn same(
    call: &Call,
    key: Option<&str>,
    report: &Report,
    outcome: &Outcome,
) -> Result<(), Problem> {
    let (Some(key), Outcome::Duplicate(Some(id))) = (key, outcome) else { return Ok(()) };
    let Some(kept) = history::find(&call.state.store, *id).await? else { return Ok(()) };
    if kept.event.trigger == report.trigger && kept.event.data == report.data {
        return Ok(());
    }
    let message = format!("`Idempotency-Key: {key}` was used for another event, {id}");
    Err(Problem::conflict("key_reused", message).help("use a new key for every event"))
}

fn answer(outcomes: &[Outcome], batch: bool) -> Answer {
    let rows: Vec<Value> = outcomes.iter().map(outcome_row).collect();
    let refused: Vec<&str> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Refused(reason) => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    if let Some(first) = refused.first() {
        let message = if batch {
            format!("{} of {} events were refused; the first: {first}", refused.len(), rows.len())
        } else {
            format!("the event was refused: {first}")
        };
        return Err(Problem::bad("refused", message)
            .help("make the payload fit the trigger's schema (`ifso trigger show`)")
            .details(json!({ "events": rows })));
    }
    let body = match rows.as_slice() {
        [one] if !batch => one.clone(),
        _ => Value::Array(rows),
    };
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

fn outcome_row(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Accepted(id) => json!({ "id": id, "outcome": "accepted" }),
        Outcome::Duplicate(id) => json!({ "id": id, "outcome": "duplicate" }),
        Outcome::Refused(reason) => json!({ "id": null, "outcome": "refused", "reason": reason }),
    }
}

const KNOWN: &[&str] = &[
    "id",
    "trigger",
    "source",
    "subject",
    "time",
    "accepted",
    "data",
    "cause",
    "hops",
    "trace",
    "decisions",
    "executions",
    "refused",
    "replay",
];
const INSTANCE: &[&str] = &["id", "trigger", "occurrence_time", "payload", "status"];

async fn list(call: Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    page(&call).await?.map(|kept| row(&catalog, &kept)).answer(&call, KNOWN)
}

async fn instances(call: Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    page(&call).await?.map(|kept| instance_row(&catalog, &kept)).answer(&call, INSTANCE)
}

/// Events that are looked at for one page at most.
const LOOK_LIMIT: usize = 5000;

async fn page(call: &Call) -> Result<Listing<Kept>, Problem> {
    let page = Page::of(call)?;
    let trigger = call.query("trigger").or_else(|| call.query("trigger_type"));
    let want = (page.offset + page.limit + 1).min(LOOK_LIMIT);
    let filter = history::Filter {
        trigger: trigger.map(str::to_owned),
        since: bound(call, "since")?.or(call.time("timestamp_gt")?),
        until: bound(call, "until")?.or(call.time("timestamp_lt")?),
        before: before(call)?,
        limit: if call.query("source").or(call.query("text")).is_some() {
            LOOK_LIMIT
        } else {
            want
        },
    };
    let mut all = history::list(&call.state.store, &filter).await?;
    if let Some(source) = call.query("source") {
        all.retain(|kept| &*kept.event.source == source);
    }
    if let Some(text) = call.query("text") {
        // What a trigger calls secret is not found either.
        let (catalog, text) = (call.state.catalog.load_full(), text.to_lowercase());
        all.retain(|kept| says(&catalog, &kept.event, &text));
    }
    let more = all.len() >= want;
    Ok(Listing { more, ..page.cut(all) })
}

/// Whether an event says `text`, which is in small letters.
fn says(catalog: &Catalog, event: &Event, text: &str) -> bool {
    let subject = event.subject.as_deref().unwrap_or_default();
    let plain = [event.trigger.as_str(), &*event.source, subject];
    plain.iter().any(|word| word.to_lowercase().contains(text))
        || data(catalog, event).to_string().to_lowercase().contains(text)
        || event.id.to_string() == text
}

/// A query parameter that is a time, or a span back from now.
fn bound(call: &Call, name: &str) -> Result<Option<Time>, Problem> {
    let now = call.state.clock.now();
    call.query(name).map(|text| moment(name, text, now)).transpose()
}

/// `?before=`: only events older than this one.
fn before(call: &Call) -> Result<Option<EventId>, Problem> {
    let read = |id: &str| {
        id.parse().map_err(|error| Problem::bad("bad_query", format!("`before`: {error}")))
    };
    call.query("before").map(read).transpose()
}

async fn find(call: &Call) -> Result<Kept, Problem> {
    let id: EventId = call.named("id", "event")?;
    let found = history::find(&call.state.store, id).await?;
    found.ok_or_else(|| Problem::unknown("event", &id.to_string()))
}

async fn get(call: Call) -> Answer {
    let kept = find(&call).await?;
    let catalog = call.state.catalog.load_full();
    let facts = why::facts(&call, &catalog, kept.event.accepted).await?;
    let (event, told) = (kept.event.clone(), kept.decisions.clone());
    let rules = Arc::clone(&catalog.rules);
    let refused = tokio::task::spawn_blocking(move || {
        let told: Vec<_> = told.iter().map(|decision| &decision.rule).collect();
        explain::refusals(&rules, &event, &facts, &told, REFUSED_LIMIT)
    });
    let refused = refused.await.expect("rules do not panic").into_iter();
    let mut row = row(&catalog, &kept);
    row["refused"] = refused.map(|(rule, why)| json!({ "rule": rule, "why": why })).collect();
    paging::one(&call, row, KNOWN)
}

/// Rules that said no which are listed with an event, each with its reason.
const REFUSED_LIMIT: usize = 200;

async fn instance(call: Call) -> Answer {
    let kept = find(&call).await?;
    let catalog = call.state.catalog.load_full();
    paging::one(&call, instance_row(&catalog, &kept), INSTANCE)
}

fn row(catalog: &Catalog, kept: &Kept) -> Value {
    let mut row = json!(kept.event);
    row["data"] = data(catalog, &kept.event);
    let executions: Vec<_> = kept.decisions.iter().flat_map(|d| &d.executions).collect();
    row["executions"] = json!(executions);
    row["decisions"] = json!(why::shown(catalog, &kept.decisions));
    row
}

/// What an event says, without what its trigger calls secret.
fn data(catalog: &Catalog, event: &Event) -> Value {
    match catalog.triggers.get(&event.trigger) {
        Some(trigger) => secrets::mask(&event.data, &secrets::find(&trigger.payload_schema)),
        None => (*event.data).clone(),
    }
}

fn instance_row(catalog: &Catalog, kept: &Kept) -> Value {
    let fired = kept.decisions.iter().any(|decision| decision.verdict == Verdict::Fired);
    let failed = |verdict: &Verdict| matches!(verdict, Verdict::Error { .. });
    let wrong = kept.decisions.iter().any(|decision| failed(&decision.verdict));
    let status = if wrong && !fired { "processing_failed" } else { "processed" };
    json!({
        "id": kept.event.id,
        "trigger": kept.event.trigger,
        "occurrence_time": kept.event.time,
        "payload": shape::or_object(&data(catalog, &kept.event)),
        "status": status,
    })
}
