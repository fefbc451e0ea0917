//! Incidents: who was told of what trouble, and what people may do about it.

use std::time::Duration;

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::auth::Right;
use crate::incidents::Error;
use crate::model::id::IncidentId;
use crate::model::incident::{Incident, Severity, State};
use crate::model::notices::Plan;
use crate::model::span;
use crate::store::table::{self, Held, Rows};
use crate::store::tables::LIVE;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/incidents",
        Access::Needs(Right::View),
        |call| Box::pin(list(call)),
        "Lists incidents that are not over, newest first.",
    )
    .query(&[
        (
            "state",
            "`open`, `acknowledged`, `resolved`; several parted by commas, or `all`. Unless given \
             those that are not resolved.",
        ),
        ("severity", "This severity and worse."),
        ("key", "Only of this key."),
        ("source", "Only from this source."),
    ])
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Incident")),
    Route::get(
        "/api/v1/incidents/{id}",
        Access::Needs(Right::View),
        |call| Box::pin(get(call)),
        "Shows one incident with its story and who was told.",
    )
    .gives(200, Shape::One("Incident")),
    Route::put(
        "/api/v1/incidents/{id}",
        Access::Needs(Right::Operate),
        |call| Box::pin(change(call)),
        "Acknowledges an incident, or says that it is over.",
    )
    .takes(Shape::One("IncidentDraft"))
    .gives(200, Shape::One("Incident")),
];

/// Incidents that one list looks at: the newest.
const LOOK_LIMIT: usize = 5000;

/// The attributes of an incident's row.
const KNOWN: &[&str] = &[
    "id",
    "key",
    "title",
    "severity",
    "state",
    "source",
    "labels",
    "group",
    "details",
    "count",
    "first",
    "opened",
    "last",
    "lasted_seconds",
    "acknowledged_by",
    "acknowledged_at",
    "acknowledged_until",
    "resolved_by",
    "resolved_at",
    "flapping",
    "level",
    "levels",
    "next",
    "told",
    "log",
];

/// The states that a list wants, and the least severity.
struct Wanted {
    states: Vec<State>,
    severity: Option<Severity>,
}

impl Wanted {
    fn of(call: &Call) -> Result<Self, Problem> {
        let state = |word: &str| {
            State::ALL.iter().copied().find(|state| state.word() == word).ok_or_else(|| {
                Problem::bad("bad_query", format!("`state`: `{word}` is no state"))
                    .help("expected `open`, `acknowledged`, `resolved` or `all`")
            })
        };
        let states = match call.query("state") {
            None => vec![State::Open, State::Acknowledged],
            Some("all") => State::ALL.to_vec(),
            Some(words) => words.split(',').map(state).collect::<Result<_, _>>()?,
        };
        let severity = call.query("severity").map(|word| {
            Severity::read(word).ok_or_else(|| {
                Problem::bad("bad_query", format!("`severity`: `{word}` is no severity"))
                    .help("expected `info`, `warning`, `error` or `critical`")
            })
        });
        Ok(Self { states, severity: severity.transpose()? })
    }

    fn takes(&self, incident: &Incident, call: &Call) -> bool {
        let is = |name: &str, value: &str| call.query(name).is_none_or(|wanted| wanted == value);
        self.states.contains(&incident.state)
            && self.severity.is_none_or(|least| incident.failure.severity >= least)
            && is("key", &incident.failure.key)
            && is("source", &incident.failure.source)
    }
}

async fn list(call: Call) -> Answer {
    let (page, wanted) = (Page::of(&call)?, Wanted::of(&call)?);
    let (store, rows) = (&call.state.store, Rows::last(LOOK_LIMIT));
    let found: Vec<Held<Incident>> = match call.query("key") {
        Some(key) => table::find(store, "key", key.as_bytes(), rows).await?,
        None if !wanted.states.contains(&State::Resolved) => {
            table::find(store, LIVE, b"", rows).await?
        }
        None => table::scan(store, rows).await?,
    };
    let fit = found.into_iter().map(|held| held.row).filter(|one| wanted.takes(one, &call));
    let plan = call.state.catalog.load().notices.clone();
    let now = call.state.clock.now();
    page.cut(fit.collect()).map(|one| row(&one, &plan, now)).answer(&call, KNOWN)
}

/// The incident that the path names, by its id; `last` is the newest that is not over.
async fn named(call: &Call) -> Result<IncidentId, Problem> {
    if call.path("id") != "last" {
        return call.named("id", "incident");
    }
    let rows = Rows::last(1);
    let mut newest = table::find::<Incident>(&call.state.store, LIVE, b"", rows).await?;
    newest.pop().map(|held| held.row.id).ok_or_else(|| {
        Problem::bad("no_incidents", "every incident is over")
            .help("`ifso incident list --all` shows those too")
    })
}

async fn get(call: Call) -> Answer {
    let id = named(&call).await?;
    let found = call.state.incidents.get(id).await?.ok_or(Error::NotFound(id))?;
    shown(&call, &found)
}

fn shown(call: &Call, incident: &Incident) -> Answer {
    let plan = call.state.catalog.load().notices.clone();
    paging::one(call, row(incident, &plan, call.state.clock.now()), KNOWN)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IncidentDraft {
    state: State,
    /// Acknowledged for so long.
    #[serde(default, rename = "for")]
    span: Option<String>,
}

async fn change(call: Call) -> Answer {
    let id = named(&call).await?;
    let draft: IncidentDraft = call.json()?;
    let user = call.user();
    let incidents = &call.state.incidents;
    let changed = match draft.state {
        State::Acknowledged => {
            let span = draft.span.as_deref().map(lasting).transpose()?;
            let until = span.map(|span| call.state.clock.now().plus(span));
            incidents.acknowledge(id, user, until).await?
        }
        State::Resolved if draft.span.is_none() => incidents.resolve(id, user).await?,
        State::Resolved => {
            let message = "`for` goes with `acknowledged`: what is resolved is over";
            return Err(Problem::bad("bad_draft", message));
        }
        State::Open => {
            let message = "an incident is opened by its source";
            return Err(
                Problem::bad("bad_draft", message).help("`state` is `acknowledged` or `resolved`")
            );
        }
    };
    tracing::info!(incident = %id, state = changed.state.word(), user, "an incident was changed");
    shown(&call, &changed)
}

fn lasting(text: &str) -> Result<Duration, Problem> {
    match span::parse(text) {
        Ok(span) if !span.is_zero() => Ok(span),
        Ok(_) => Err(Problem::bad("bad_draft", "`for`: no time at all")),
        Err(error) => Err(Problem::bad("bad_draft", format!("`for`: {error}"))),
    }
}

/// An incident as clients see it; the hashes of its links are nobody's business.
fn row(one: &Incident, plan: &Plan, now: crate::model::time::Time) -> Value {
    let failure = &one.failure;
    let (acked, resolved) = (one.acked.as_ref(), one.resolved.as_ref());
    let levels: Vec<Value> = plan
        .levels(one)
        .iter()
        .map(|level| json!({ "after_seconds": level.after.as_secs(), "channels": level.channels }))
        .collect();
    json!({
        "id": one.id,
        "key": failure.key,
        "title": failure.title,
        "severity": failure.severity,
        "state": one.state,
        "source": failure.source,
        "labels": failure.labels,
        "group": failure.group,
        "details": failure.details,
        "count": one.count,
        "first": one.first,
        "opened": one.opened,
        "last": one.last,
        "lasted_seconds": one.lasted(now).as_secs(),
        "acknowledged_by": acked.map(|acked| &acked.by),
        "acknowledged_at": acked.map(|acked| acked.at),
        "acknowledged_until": acked.and_then(|acked| acked.until),
        "resolved_by": resolved.and_then(|resolved| resolved.by.as_ref()),
        "resolved_at": resolved.map(|resolved| resolved.at),
        "flapping": one.flap.since.is_some(),
        "level": one.level,
        "levels": levels,
        "next": one.due,
        "told": one.told,
        "log": one.log,
    })
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let help = error.help();
        let problem = match error {
            Error::Store(error) => return error.into(),
            Error::NotFound(id) => Self::unknown("incident", &id.to_string()),
            Error::Over(_) => Self::new(StatusCode::CONFLICT, "over", error.to_string()),
        };
        match help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}
