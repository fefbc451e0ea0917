//! Users: looked after by administrators; everybody looks at themselves and changes their own password.

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::auth::users::{Change, Person};
use crate::auth::{self, Caller, Right, Via, rights};
use crate::model::time::Time;
use crate::store::people::{Used, User};

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/user",
        Access::Known,
        |call| Box::pin(async move { myself(&call) }),
        "Shows who calls, and what they may do.",
    )
    .gives(200, Shape::One("Myself")),
    Route::get(
        "/api/v1/users",
        Access::Needs(Right::Administer),
        |call| Box::pin(list(call)),
        "Lists the users.",
    )
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("User")),
    Route::get(
        "/api/v1/users/{name}",
        Access::Needs(Right::Administer),
        |call| Box::pin(get(call)),
        "Shows one user.",
    )
    .gives(200, Shape::One("User")),
    Route::post(
        "/api/v1/users",
        Access::Needs(Right::Administer),
        |call| Box::pin(create(call)),
        "Makes a user, of the role `viewer` unless `role` or `grants` say otherwise; without a password \
         nobody signs in.",
    )
    .takes(Shape::One("UserDraft"))
    .gives(201, Shape::One("User")),
    Route::put(
        "/api/v1/users/{name}",
        Access::Needs(Right::Administer),
        |call| Box::pin(change(call)),
        "Changes a user's role and grants, or switches the user off or on; nobody changes their own.",
    )
    .takes(Shape::One("UserChange"))
    .gives(200, Shape::One("User")),
    Route::put(
        "/api/v1/users/{name}/password",
        Access::Known,
        |call| Box::pin(password(call)),
        "Sets a user's password: an administrator's call, or one's own with the old one. The user's \
         tokens end.",
    )
    .takes(Shape::One("PasswordDraft"))
    .gives(200, Shape::One("User")),
    Route::delete(
        "/api/v1/users/{name}",
        Access::Needs(Right::Administer),
        |call| Box::pin(delete(call)),
        "Removes a user, with the tokens and the API keys in that name.",
    )
    .gives(204, Shape::Nothing),
];

const KNOWN: &[&str] =
    &["id", "name", "role", "grants", "enabled", "password", "created", "last_seen"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserDraft {
    name: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    grants: Vec<String>,
    #[serde(default)]
    password: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserChange {
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    grants: Option<Vec<String>>,
    #[serde(default)]
    enabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordDraft {
    password: String,
    #[serde(default)]
    old: Option<String>,
}

fn caller(call: &Call) -> Result<&Caller, Problem> {
    call.caller.as_ref().ok_or_else(|| auth::Error::Missing.into())
}

/// StackStorm's fields, and ours beside them.
fn myself(call: &Call) -> Answer {
    let caller = caller(call)?;
    let (method, location) = match caller.via {
        Via::Key(_) => ("api_key", "header"),
        Via::Token(_) | Via::Action(_) => ("authentication_token", "header"),
    };
    let words: Vec<&str> = rights::of(&caller.role).iter().map(|right| right.word()).collect();
    let grants: Vec<String> = caller.grants.iter().map(ToString::to_string).collect();
    let row = json!({
        "username": caller.user,
        "authentication": { "method": method, "location": location },
        "rbac": {
            "enabled": true,
            "roles": [caller.role],
            "is_admin": caller.role == rights::ADMIN,
        },
        "role": caller.role,
        "rights": words,
        "grants": grants,
    });
    Ok(Json(row).into_response())
}

async fn list(call: Call) -> Answer {
    let page = Page::of(&call)?;
    let listing = page.cut(call.state.keys.users().await?);
    let names = listing.rows.iter().map(|user| Used::user(&user.name));
    let mut seen = call.state.keys.last_used(names.collect()).await?.into_iter();
    listing.map(|user| row(&user, seen.next().flatten())).answer(&call, KNOWN)
}

async fn get(call: Call) -> Answer {
    let name = call.path("name");
    let found = call.state.keys.user(name).await?;
    let user = found.ok_or_else(|| auth::Error::NoSuchUser { name: name.to_owned() })?;
    let row = row(&user, seen(&call, &user).await?);
    paging::one(&call, row, KNOWN)
}

async fn create(call: Call) -> Answer {
    let draft: UserDraft = call.json()?;
    let role = draft.role.unwrap_or_else(|| {
        if draft.grants.is_empty() { rights::VIEWER } else { rights::NONE }.to_owned()
    });
    let (name, grants, password) = (draft.name, draft.grants, draft.password);
    let person = Person { name, password, role, grants };
    let user = call.state.keys.create_user(caller(&call)?, person).await?;
    tracing::info!(user = user.name, role = user.role, by = call.user(), "a user was made");
    let row = row(&user, None);
    call.changed(Value::Null, row.clone());
    Ok((StatusCode::CREATED, Json(row)).into_response())
}

async fn change(call: Call) -> Answer {
    let draft: UserChange = call.json()?;
    let change = Change { role: draft.role, grants: draft.grants, enabled: draft.enabled };
    let name = call.path("name");
    let before = call.state.keys.user(name).await?;
    let user = call.state.keys.change_user(caller(&call)?, name, change).await?;
    call.changed(before.map_or(Value::Null, |before| row(&before, None)), row(&user, None));
    let (role, enabled) = (&user.role, user.enabled);
    tracing::info!(user = user.name, role, enabled, by = call.user(), "a user was changed");
    shown(&call, &user).await
}

async fn password(call: Call) -> Answer {
    let draft: PasswordDraft = call.json()?;
    let (caller, name, keys) = (caller(&call)?, call.path("name"), &call.state.keys);
    let administers = caller.may(Right::Administer);
    if !administers && caller.user != name {
        return Err(Problem::forbidden("only an admin sets the password of somebody else")
            .help("ask an admin"));
    }
    // A running action, or a session that somebody else sits at, does not lock its user out.
    if !administers || (caller.user == name && !matches!(caller.via, Via::Key(_))) {
        let old = draft.old.as_deref().unwrap_or_default();
        keys.prove(name, old, &call.address).await.map_err(|error| match error {
            auth::Error::WrongPassword => Problem::forbidden("the old password is wrong")
                .help("send it as `old`; an admin may set another one without it"),
            other => other.into(),
        })?;
    }
    let user = keys.set_password(name, &draft.password).await?;
    tracing::info!(user = user.name, by = call.user(), "a user's password was set");
    shown(&call, &user).await
}

async fn delete(call: Call) -> Answer {
    let name = call.path("name");
    let before = call.state.keys.user(name).await?;
    call.state.keys.remove_user(caller(&call)?, name).await?;
    call.changed(before.map_or(Value::Null, |before| row(&before, None)), Value::Null);
    tracing::info!(user = name, by = call.user(), "a user was removed");
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn seen(call: &Call, user: &User) -> Result<Option<Time>, Problem> {
    let found = call.state.keys.last_used(vec![Used::user(&user.name)]).await?;
    Ok(found.into_iter().next().flatten())
}

async fn shown(call: &Call, user: &User) -> Answer {
    Ok(Json(row(user, seen(call, user).await?)).into_response())
}

fn row(user: &User, seen: Option<Time>) -> Value {
    json!({
        "id": user.name,
        "name": user.name,
        "role": user.role,
        "grants": user.grants,
        "enabled": user.enabled,
        "password": user.hash.is_some(),
        "created": user.created,
        "last_seen": seen,
    })
}
