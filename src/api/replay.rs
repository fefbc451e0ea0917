//! Kept events that go through again.

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use crate::api::backtests::moment;
use crate::api::call::Call;
use crate::api::problem::Problem;
use crate::api::route::Answer;
use crate::intake::{Outcome, Submission, history};
use crate::model::cause::Cause;
use crate::model::event::{Event, Replay, Report};
use crate::model::id::EventId;
use crate::model::reference::Reference;
use crate::model::time::Time;
use crate::rules::FELL_DUE;

/// Events that one call replays at most.
const EVENTS_LIMIT: usize = 10_000;
/// Events that become durable in one commit.
const BATCH: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    #[serde(default)]
    ids: Vec<EventId>,
    #[serde(default)]
    trigger: Option<Reference>,
    #[serde(default)]
    since: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    effects: bool,
}

/// Sends kept events through again.
pub(crate) async fn replay(call: Call) -> Answer {
    let draft: Draft = call.json()?;
    let events = events(&call, &draft).await?;
    let cause = Cause::User(call.caller.as_ref().map_or_else(String::new, |c| c.user.clone()));
    let mut ids = Vec::with_capacity(events.len());
    for batch in events.chunks(BATCH) {
        let reports = batch.iter().map(|event| report(event, &cause, draft.effects)).collect();
        let submission = Submission { reports, ..Submission::default() };
        for outcome in call.state.door.offer(submission).await? {
            if let Outcome::Accepted(id) = outcome {
                ids.push(id);
            }
        }
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "ids": ids }))).into_response())
}

async fn events(call: &Call, draft: &Draft) -> Result<Vec<Event>, Problem> {
    let store = &call.state.store;
    let mut events = Vec::new();
    for id in &draft.ids {
        let kept = history::find(store, *id).await?;
        let kept = kept.ok_or_else(|| Problem::unknown("event", &id.to_string()))?;
        events.push(kept.event);
    }
    let Some(since) = &draft.since else {
        if events.is_empty() {
            let help = "name events by `ids`, or a time by `since`";
            return Err(Problem::bad("missing", "nothing is to be replayed").help(help));
        }
        return Ok(events);
    };
    let now = call.state.clock.now();
    let since = moment("since", since, now)?;
    let until = match &draft.until {
        Some(until) => moment("until", until, now)?,
        None => Time::from_millis(now.millis() + 1),
    };
    let trigger = draft.trigger.clone();
    let wants = move |one: &Reference| {
        one.as_str() != FELL_DUE && trigger.as_ref().is_none_or(|trigger| trigger == one)
    };
    let hear = |events: &mut Vec<Event>, event: &Event| {
        // A replay of a replay would never end.
        if event.replay.is_none() {
            events.push(event.clone());
        }
        events.len() <= EVENTS_LIMIT
    };
    let (events, _) = history::forward(store, (since, until), wants, events, hear).await?;
    if events.len() > EVENTS_LIMIT {
        let message = format!("these are more than {EVENTS_LIMIT} events");
        return Err(Problem::bad("too_many", message).help("choose a shorter time, or a trigger"));
    }
    Ok(events)
}

fn report(event: &Event, cause: &Cause, acts: bool) -> Report {
    Report {
        trigger: event.trigger.clone(),
        source: event.source.clone(),
        subject: event.subject.clone(),
        time: Some(event.time),
        data: event.data.clone(),
        origin: None,
        once: None,
        cause: cause.clone(),
        hops: event.hops,
        trace: event.trace.clone(),
        replay: Some(Replay { of: event.id, acts }),
    }
}
