//! People: users with their roles and grants, and one's own password.

use serde_json::{Value, json};

use crate::api::inside::Refused;
use crate::api::route::Verb;
use crate::auth::Right;
use crate::web::form::{Form, wrong};
use crate::web::nouns::{keys, later};
use crate::web::page::{Ask, Deed, Done, Page, Visit, encoded};

pub(crate) const PAGES: &[Page] = &[
    Page::new("/people", "People", "people.html")
        .needs(Right::Administer)
        .asks(&[Ask::List("users", "/api/v1/users", &[])])
        .more(later!(keys::roles)),
    Page::new("/me", "Me", "me.html").asks(&[Ask::One("me", "/api/v1/user")]),
];

pub(crate) const DEEDS: &[Deed] = &[
    Deed::call(
        "/people",
        Verb::Post,
        "/api/v1/users",
        |form| {
            let mut body = json!({ "name": form.get("name").trim(), "grants": grants(form) });
            for field in ["role", "password"] {
                if let Some(text) = form.some(field) {
                    body[field] = json!(text);
                }
            }
            Ok(body)
        },
        "User `{name}` is there.",
    ),
    Deed::call(
        "/people/{name}/change",
        Verb::Put,
        "/api/v1/users/{name}",
        |form| Ok(json!({ "role": form.get("role"), "grants": grants(form) })),
        "User `{name}` is changed.",
    ),
    Deed::call(
        "/people/{name}/disable",
        Verb::Put,
        "/api/v1/users/{name}",
        |_| Ok(json!({ "enabled": false })),
        "User `{name}` is switched off: nothing in that name is let in.",
    ),
    Deed::call(
        "/people/{name}/enable",
        Verb::Put,
        "/api/v1/users/{name}",
        |_| Ok(json!({ "enabled": true })),
        "User `{name}` is switched on again.",
    ),
    Deed::call(
        "/people/{name}/remove",
        Verb::Delete,
        "/api/v1/users/{name}",
        |_| Ok(Value::Null),
        "User `{name}` is removed, with all keys in that name.",
    ),
    Deed::call(
        "/people/{name}/password",
        Verb::Put,
        "/api/v1/users/{name}/password",
        |form| Ok(json!({ "password": new_password(form)? })),
        "User `{name}` has another password, and is signed out everywhere.",
    ),
    Deed::own("/me/password", later!(own_password)),
];

/// Grants, one a line or parted by commas.
pub(crate) fn grants(form: &Form) -> Vec<&str> {
    let pieces = form.get("grants").split(['\n', ',']);
    pieces.map(str::trim).filter(|grant| !grant.is_empty()).collect()
}

fn new_password(form: &Form) -> Result<&str, Refused> {
    match (form.get("password"), form.get("secret")) {
        (new, again) if new == again => Ok(new),
        _ => Err(wrong("the two passwords are not the same")),
    }
}

/// Changing one's own password ends one's tokens: this session's too.
async fn own_password(visit: &Visit, form: &Form) -> Result<Done, Refused> {
    let body = json!({ "password": new_password(form)?, "old": form.get("key") });
    let path = format!("/api/v1/users/{}/password", encoded(&visit.caller.user));
    visit.inside.put(&path, &body, &visit.caller).await?;
    let words = "Your password is another one; sign in with it.".to_owned();
    Ok(Done { words, ..Done::default() })
}
