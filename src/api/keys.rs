//! The key-value store: StackStorm's `keys`, in the scopes `system` and `user`.
//!
//! A secret value is shown to administrators who ask for it, and to its user in that user's scope; the
//! user is whoever calls, never a parameter.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Of, Route, Shape};
use crate::api::shape::MASK;
use crate::auth::{Kind, Right};
use crate::model::key::KeyValue;
use crate::store::batch::Batch;
use crate::store::table::{self, Held, Rows};

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/keys",
        Access::Needs(Right::View),
        |call| Box::pin(list(call)),
        "Lists keys of the key-value store.",
    )
    .of(Of::Each)
    .query(FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Key")),
    Route::get(
        "/api/v1/keys/{name}",
        Access::Needs(Right::View),
        |call| Box::pin(get(call)),
        "Shows one key.",
    )
    .of(Of::Path(Kind::Key, "name"))
    .query(ONE)
    .gives(200, Shape::One("Key")),
    Route::put(
        "/api/v1/keys/{name}",
        Access::Needs(Right::Change),
        |call| Box::pin(put(call)),
        "Writes one key.",
    )
    .of(Of::Path(Kind::Key, "name"))
    .query(ONE)
    .takes(Shape::One("KeyDraft"))
    .gives(200, Shape::One("Key")),
    Route::delete(
        "/api/v1/keys/{name}",
        Access::Needs(Right::Change),
        |call| Box::pin(delete(call)),
        "Removes one key.",
    )
    .of(Of::Path(Kind::Key, "name"))
    .query(ONE)
    .gives(204, Shape::Nothing),
];

const FILTERS: &[(&str, &str)] = &[
    ("prefix", "Only keys whose name begins so."),
    ("scope", "`system` (unless given), `user`, or `all`."),
    ("decrypt", "Whether secret values are shown; administrators may, and users their own."),
];
const ONE: &[(&str, &str)] = &[
    ("scope", "`system` (unless given) or `user`."),
    ("decrypt", "Whether a secret value is shown."),
];

const KNOWN: &[&str] = &[
    "id",
    "uid",
    "scope",
    "name",
    "value",
    "secret",
    "encrypted",
    "user",
    "updated",
    "expire_timestamp",
];

const SYSTEM: &str = "st2kv.system";
const USER: &str = "st2kv.user";
/// The longest name.
const NAME_LIMIT_BYTES: usize = 1024;
/// Keys that a list looks at.
const LOOK_LIMIT: usize = 10_000;

/// What a caller writes; StackStorm's clients repeat name and scope.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyDraft {
    value: Value,
    #[serde(default)]
    secret: bool,
    #[serde(default)]
    ttl: Option<u64>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[expect(dead_code, reason = "the path says it; clients repeat it")]
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    encrypted: bool,
}

/// The stored scope that a word stands for.
fn scope(call: &Call, word: Option<&str>, user: Option<&str>) -> Result<String, Problem> {
    if let Some(user) = user
        && user != call.user()
    {
        return Err(Problem::forbidden(format!("this key may not act as user `{user}`"))
            .help("a call acts as the user of its API key"));
    }
    match word.unwrap_or("system") {
        "system" | SYSTEM => Ok(SYSTEM.to_owned()),
        "user" | USER => Ok(format!("{USER}:{}", call.user())),
        other => Err(Problem::bad("bad_scope", format!("`{other}` is not a scope"))
            .help("the scopes are `system` and `user`")),
    }
}

async fn list(call: Call) -> Answer {
    let page = Page::of(&call)?;
    let scopes = if call.query("scope") == Some("all") {
        vec![SYSTEM.to_owned(), scope(&call, Some("user"), call.query("user"))?]
    } else {
        vec![scope(&call, call.query("scope"), call.query("user"))?]
    };
    let mut all = Vec::new();
    for scope in scopes {
        let lead = [scope.as_bytes(), &[0], call.query("prefix").unwrap_or("").as_bytes()].concat();
        let rows = Rows::first(LOOK_LIMIT).under(lead);
        all.extend(table::scan::<KeyValue>(&call.state.store, rows).await?);
    }
    let now = call.state.clock.now();
    all.retain(|held| held.row.expires.is_none_or(|end| end > now));
    all.retain(|held| call.sees(Kind::Key, &held.row.name));
    page.cut(all).map(|held| row(&call, &held.row)).answer(&call, KNOWN)
}

async fn held(call: &Call, scope: &str) -> Result<Option<Held<KeyValue>>, Problem> {
    let key = [scope.as_bytes(), &[0], call.path("name").as_bytes()].concat();
    Ok(table::get::<KeyValue>(&call.state.store, key).await?)
}

async fn find(call: &Call) -> Result<Held<KeyValue>, Problem> {
    let scope = scope(call, call.query("scope"), call.query("user"))?;
    let now = call.state.clock.now();
    let found = held(call, &scope).await?;
    found.filter(|held| held.row.expires.is_none_or(|end| end > now)).ok_or_else(|| {
        Problem::unknown("key", call.path("name")).help("`ifso key list` shows the keys there are")
    })
}

async fn get(call: Call) -> Answer {
    let found = find(&call).await?;
    paging::one(&call, row(&call, &found.row), KNOWN)
}

async fn put(call: Call) -> Answer {
    let draft: KeyDraft = call.json()?;
    let word = draft.scope.as_deref().or(call.query("scope"));
    let scope = scope(&call, word, draft.user.as_deref().or(call.query("user")))?;
    let name = call.path("name").to_owned();
    if draft.encrypted {
        return Err(Problem::bad("encrypted", "values encrypted elsewhere cannot be read here")
            .help("send the plain value with `secret: true`"));
    }
    if name.len() > NAME_LIMIT_BYTES || name.contains('\0') {
        return Err(Problem::bad("bad_name", "the key's name is too long or holds a zero byte"));
    }
    let now = call.state.clock.now();
    let key = KeyValue {
        name,
        scope: scope.clone(),
        value: draft.value,
        secret: draft.secret,
        updated: now,
        expires: draft.ttl.map(|seconds| now.plus(Duration::from_secs(seconds))),
    };
    let mut batch = Batch::new();
    table::put(&mut batch, &key);
    call.state.store.commit(batch).await?;
    Ok(Json(row(&call, &key)).into_response())
}

async fn delete(call: Call) -> Answer {
    let found = find(&call).await?;
    let mut batch = Batch::new();
    table::remove(&mut batch, &found);
    call.state.store.commit(batch).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A key as its caller may see it.
fn row(call: &Call, key: &KeyValue) -> Value {
    let user = key.scope.strip_prefix(USER).and_then(|rest| rest.strip_prefix(':'));
    let own = user.is_some_and(|user| user == call.user());
    let may = || own || call.may_of(Right::Reveal, Kind::Key, &key.name);
    let open = !key.secret || (call.flag("decrypt") && may());
    let mut row = json!({
        "id": key.name,
        "uid": format!("key_value_pair:{}:{}", key.scope, key.name),
        "scope": if user.is_some() { USER } else { SYSTEM },
        "name": key.name,
        "value": if open { key.value.clone() } else { json!(MASK) },
        "secret": key.secret,
        "encrypted": !open,
        "updated": key.updated,
    });
    if let Some(user) = user {
        row["user"] = json!(user);
    }
    if let Some(end) = key.expires {
        row["expire_timestamp"] = json!(end);
    }
    row
}
