//! The audit log: written around every call that may change something, and for every call that is not
//! let in; read by administrators.
//!
//! Calls that report events are their own history and have no line. Neither have bodies: what a change
//! did is told by its handler (`Call::changed`), secrets struck out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::RawPathParams;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use crate::api::State;
use crate::api::backtests::moment;
use crate::api::call::Call;
use crate::api::gate::credential;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::audit::{self, Entry, Line, Phase, Slot};
use crate::auth::{Caller, Right, Secret};
use crate::model::time::Time;
use crate::store::table::{self, Rows};
use crate::store::tables::AuditLine;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/audit",
        Access::Needs(Right::Administer),
        |call| Box::pin(list(call)),
        "Lists who changed what, and who was not let in, newest first.",
    )
    .query(&[
        ("user", "Only calls of this user."),
        ("object", "Only calls about this thing."),
        (
            "outcome",
            "Only `done`, `refused`, `denied`, `counted`, `under way` or `unknown outcome`.",
        ),
        ("since", "Only lines written from then on: a span back such as `1h`, or a time."),
        ("until", "Only lines written before this time."),
    ])
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("AuditLine")),
    Route::get(
        "/api/v1/audit/verify",
        Access::Needs(Right::Administer),
        |call| Box::pin(verify(call)),
        "Looks at every line of the audit log that is kept, and names the first that is wrong.",
    )
    .gives(200, Shape::One("AuditVerdict")),
    Route::get(
        "/api/v1/audit/export",
        Access::Needs(Right::Administer),
        |call| Box::pin(export(call)),
        "Gives lines of the audit log as they stand, one JSON object a line, oldest first.",
    )
    .query(&[
        ("after", "Only lines after the one of this number."),
        ("limit", "How many at most; 1000 unless given, 10000 at most."),
    ])
    .gives(200, Shape::Text),
];

const KNOWN: &[&str] = &[
    "id",
    "number",
    "timestamp",
    "ended",
    "outcome",
    "user",
    "key",
    "role",
    "from",
    "what",
    "object",
    "status",
    "reason",
    "before",
    "after",
    "count",
    "hash",
];

/// Lines that one list looks at.
const LOOK_LIMIT: usize = 100_000;
/// Lines read in one go.
const PAGE: usize = 1000;
/// Lines of one piece of an export at most.
const EXPORT_LIMIT: usize = 10_000;
/// Where calls come from that come over no connection: Ifso's own pages.
const INSIDE: &str = "inside";
/// What stands in a pattern's braces and is a secret by itself.
const SECRET_PARTS: &[&str] = &["token"];

/// What a handler tells of its change.
#[derive(Debug, Clone, Default)]
pub struct Trail(Arc<Mutex<Option<(Value, Value)>>>);

impl Trail {
    /// Keeps what stood there before and what stands there now.
    pub(crate) fn set(&self, before: Value, after: Value) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((before, after));
    }

    fn take(&self) -> (Option<Value>, Option<Value>) {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (before, after) = told.unzip();
        (before.filter(|value| !value.is_null()), after.filter(|value| !value.is_null()))
    }
}

/// One call as it comes to the gate.
pub(crate) struct Asks {
    entry: Entry,
    /// The key that came with it.
    text: Option<String>,
    audited: bool,
}

impl Asks {
    /// What the log will say of it.
    pub(crate) fn of(
        route: &Route,
        (address, headers): (Option<&str>, &HeaderMap),
        params: &RawPathParams,
        query: &[(String, String)],
    ) -> Self {
        let text = credential(headers, None).and_then(Result::ok);
        let shown = |(name, value): (&str, &str)| {
            let hidden = SECRET_PARTS.contains(&name);
            if hidden { "***".to_owned() } else { value.to_owned() }
        };
        let object: Vec<String> = params.iter().map(shown).collect();
        let entry = Entry {
            // The part before the dot names the key; the other one is nobody's business.
            key: text.as_deref().and_then(Secret::read).map(|secret| secret.id.to_string()),
            from: Some(address.unwrap_or(INSIDE).to_owned()),
            what: Some(format!("{} {}", route.verb.word(), route.path)),
            object: (!object.is_empty()).then(|| object.join("/")),
            ..Entry::new(Phase::Asked)
        };
        // Whoever reads secrets leaves a line, too.
        let reveals = query.iter().any(|(name, value)| name == "decrypt" && value != "false");
        Self { entry, text, audited: !route.quiet || reveals }
    }

    /// Notes that the call is not let in, and gives the refusal back.
    pub(crate) async fn denied(
        self,
        state: &State,
        caller: Option<&Caller>,
        refused: Problem,
    ) -> Problem {
        let status = refused.status();
        if status == StatusCode::UNAUTHORIZED {
            state.book.stranger(self.refused(status, refused.message()));
        } else if status == StatusCode::FORBIDDEN {
            let mut entry = self.entry.clone();
            // Where the key is good, it is known whose it is.
            let keyed = match (&self.text, caller) {
                (Some(text), None) => state.keys.check(text).await.ok(),
                (_, caller) => caller.cloned(),
            };
            if let Some(caller) = keyed {
                entry.user = Some(caller.user);
                entry.role = Some(caller.role);
            }
            write(state, Self { entry, ..self }.refused(status, refused.message())).await;
        }
        refused
    }

    fn refused(self, status: StatusCode, reason: &str) -> Entry {
        let (status, reason) = (Some(status.as_u16()), Some(reason.to_owned()));
        Entry { phase: Phase::Denied, status, reason, ..self.entry }
    }

    /// Writes that the call is let in, before anything is done.
    ///
    /// # Errors
    /// Where the line cannot be written: then nothing is done. 429 for those whom nobody knows and who
    /// come too often.
    pub(crate) async fn let_in(
        mut self,
        state: &Arc<State>,
        caller: Option<&Caller>,
    ) -> Result<(Asked, Trail), Problem> {
        if let Some(caller) = caller {
            self.entry.user = Some(caller.user.clone());
            self.entry.role = Some(caller.role.clone());
        }
        let from = self.entry.from.clone().unwrap_or_default();
        let trail = Trail::default();
        let mut asked =
            Asked { state: Arc::clone(state), asks: self, slot: None, trail: trail.clone() };
        if asked.asks.audited {
            if caller.is_none() && !state.book.admits(&from, state.clock.now()) {
                return Err(too_many());
            }
            let call = state.ids.record();
            asked.slot = Some(state.book.asked(asked.asks.entry.clone(), call).await?);
            asked.asks.entry.call = Some(call);
        }
        Ok((asked, trail))
    }
}

/// One call that was let in. Where its caller goes away before the end, the log says so.
pub(crate) struct Asked {
    state: Arc<State>,
    asks: Asks,
    slot: Option<Slot>,
    trail: Trail,
}

impl Asked {
    /// Leaves the line of the call's end, and gives the answer back.
    pub(crate) async fn answered(mut self, answer: Answer) -> Answer {
        let (status, reason) = match &answer {
            Ok(response) => (response.status(), None),
            // Words may repeat what was sent, secrets among it; the code does not.
            Err(problem) => (problem.status(), Some(problem.code().to_owned())),
        };
        if let Some(slot) = self.slot.take() {
            slot.close(self.end(Some(status.as_u16()), reason));
        } else if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let reason = reason.unwrap_or_default();
            let entry = self.end(Some(status.as_u16()), Some(reason));
            let entry = Entry { phase: Phase::Denied, call: None, ..entry };
            // A webhook's caller proves nothing, either.
            if entry.user.is_none() {
                self.state.book.stranger(entry);
            } else {
                write(&self.state, entry).await;
            }
        }
        answer
    }

    fn end(&self, status: Option<u16>, reason: Option<String>) -> Entry {
        let (before, after) = self.trail.take();
        let entry = self.asks.entry.clone();
        Entry { phase: Phase::Answered, status, reason, before, after, ..entry }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            let reason = "the caller went away before the answer".to_owned();
            slot.close(self.end(None, Some(reason)));
        }
    }
}

/// Nobody knows who it is, and each of their calls would leave a line.
fn too_many() -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "too many calls came from this address")
        .help("wait a minute")
        .retry_after(60)
}

/// A denied call stays denied, whether or not its line can be written: the log tells of that.
async fn write(state: &State, entry: Entry) {
    if let Err(error) = state.book.write(entry).await {
        tracing::error!(%error, "a denied call is not in the audit log");
    }
}

/// What a list is asked for.
struct Wanted<'a> {
    user: Option<&'a str>,
    object: Option<&'a str>,
    outcome: Option<&'a str>,
    since: Option<Time>,
    until: Option<Time>,
}

impl Wanted<'_> {
    fn fits(&self, row: &Value, at: Time) -> bool {
        let is = |name: &str, wanted: Option<&str>| wanted.is_none_or(|text| row[name] == text);
        is("user", self.user)
            && is("object", self.object)
            && is("outcome", self.outcome)
            && self.until.is_none_or(|until| at < until)
    }
}

async fn list(call: Call) -> Answer {
    let page = Page::of(&call)?;
    call.state.book.settle().await;
    let now = call.state.clock.now();
    let time = |name: &str| call.query(name).map(|text| moment(name, text, now)).transpose();
    let wanted = Wanted {
        user: call.query("user"),
        object: call.query("object"),
        outcome: call.query("outcome"),
        since: time("since")?,
        until: time("until")?,
    };
    let (mut rows, mut ends) = (Vec::new(), HashMap::new());
    let (mut after, mut looked, mut more) = (None, 0, false);
    'pages: loop {
        let found =
            table::scan::<AuditLine>(&call.state.store, Rows::last(PAGE).after(after.take()))
                .await?;
        let whole = found.len() < PAGE;
        after = found.last().map(|held| table::Row::key(&held.row));
        for held in found {
            looked += 1;
            if wanted.since.is_some_and(|since| held.row.at < since) {
                break 'pages;
            }
            // One that was tampered with is for `verify` to tell.
            let Ok(line) = serde_json::from_str::<Line>(&held.row.text) else { continue };
            if line.entry.phase == Phase::Answered {
                ends.extend(line.entry.call.map(|id| (id, (line.at, line.entry))));
                continue;
            }
            let at = line.at;
            let end = line.entry.call.and_then(|id| ends.remove(&id));
            let row = row(&call, line, end, &held.row.hash);
            if wanted.fits(&row, at) {
                rows.push(row);
            }
            // Answers stand behind: what is asked is enough to know of both.
            if rows.len() > page.offset + page.limit || looked >= LOOK_LIMIT {
                more = true;
                break 'pages;
            }
        }
        if whole {
            break;
        }
    }
    let mut listing = page.cut(rows);
    listing.more = more;
    listing.answer(&call, KNOWN)
}

/// A call as people see it: both of its lines in one.
fn row(call: &Call, line: Line, end: Option<(Time, Entry)>, hash: &str) -> Value {
    let Line { number, at, entry, .. } = line;
    let outcome = match (entry.phase, &end) {
        (Phase::Denied, _) | (_, Some((_, Entry { status: Some(401 | 403), .. }))) => "denied",
        (Phase::Counted, _) => "counted",
        (Phase::Offline, _) => "done",
        (_, Some((_, Entry { status: Some(status), .. }))) if *status < 400 => "done",
        (_, Some((_, Entry { status: Some(_), .. }))) => "refused",
        _ if entry.call.is_some_and(|id| call.state.book.is_open(id)) => "under way",
        // It began and nobody knows how it ended: a crash, or a caller who went away.
        _ => "unknown outcome",
    };
    let (ended, end) = end.unzip();
    let end = end.unwrap_or_else(|| entry.clone());
    let mut row = Map::new();
    row.insert("id".to_owned(), json!(number.to_string()));
    row.insert("number".to_owned(), json!(number));
    row.insert("timestamp".to_owned(), json!(at));
    row.insert("outcome".to_owned(), json!(outcome));
    row.insert("hash".to_owned(), json!(hash));
    let said = [
        ("ended", ended.map(|at| json!(at))),
        ("user", entry.user.map(Value::from)),
        ("key", entry.key.map(Value::from)),
        ("role", entry.role.map(Value::from)),
        ("from", entry.from.map(Value::from)),
        ("what", entry.what.map(Value::from)),
        ("object", entry.object.map(Value::from)),
        ("status", end.status.map(Value::from)),
        ("reason", end.reason.map(Value::from)),
        ("before", end.before),
        ("after", end.after),
        ("count", entry.count.map(Value::from)),
    ];
    let said = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    row.extend(said);
    Value::Object(row)
}

async fn verify(call: Call) -> Answer {
    call.state.book.settle().await;
    let verdict = audit::verify(&call.state.store).await?;
    Ok(Json(json!(verdict)).into_response())
}

async fn export(call: Call) -> Answer {
    call.state.book.settle().await;
    let number = |name: &str| {
        let bad = |text| Problem::bad("bad_query", format!("`{name}`: `{text}` is no number"));
        call.query(name).map(|text| text.parse::<u64>().map_err(|_| bad(text))).transpose()
    };
    let after = number("after")?.map(|after| after.to_be_bytes().to_vec());
    let limit = number("limit")?.map_or(PAGE, |limit| usize::try_from(limit).unwrap_or(PAGE));
    let rows = Rows::first(limit.clamp(1, EXPORT_LIMIT)).after(after);
    let mut text = String::new();
    for held in table::scan::<AuditLine>(&call.state.store, rows).await? {
        // The text as it was hashed, with the hash beside it: whoever has it can check it.
        text.push_str(&json!({ "hash": held.row.hash, "line": held.row.text }).to_string());
        text.push('\n');
    }
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, text).into_response())
}
