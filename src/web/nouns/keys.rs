//! The key-value store with its secrets, and API keys. A secret is shown once, to whoever may and asks.

use serde_json::{Map, Value, json};

use crate::api::inside::Refused;
use crate::api::route::Verb;
use crate::auth::{Right, rights};
use crate::model::span;
use crate::web::form::{Form, wrong};
use crate::web::nouns::{later, people};
use crate::web::page::{Ask, Deed, Done, Page, Visit, encoded};

pub(crate) const PAGES: &[Page] = &[
    Page::new("/keys", "Keys and secrets", "keys.html").asks(&[Ask::List(
        "keys",
        "/api/v1/keys",
        &["prefix", "scope"],
    )]),
    Page::new("/apikeys", "API keys", "apikeys.html")
        .needs(Right::Administer)
        .asks(&[Ask::List("apikeys", "/api/v1/apikeys", &[])])
        .more(later!(roles)),
];

pub(crate) const DEEDS: &[Deed] = &[
    Deed::own("/keys", later!(write)),
    Deed::own("/keys/show", later!(show)),
    Deed::own("/keys/remove", later!(remove)),
    Deed::own("/apikeys", later!(create)),
    Deed::call(
        "/apikeys/{id}/enable",
        Verb::Put,
        "/api/v1/apikeys/{id}",
        |_| Ok(json!({ "enabled": true })),
        "The key of `{user}` is good again.",
    ),
    Deed::call(
        "/apikeys/{id}/disable",
        Verb::Put,
        "/api/v1/apikeys/{id}",
        |_| Ok(json!({ "enabled": false })),
        "The key of `{user}` opens nothing from now on.",
    ),
    Deed::call(
        "/apikeys/{id}/remove",
        Verb::Delete,
        "/api/v1/apikeys/{id}",
        |_| Ok(Value::Null),
        "The key is removed; it opens nothing any more.",
    ),
];

/// Where the API has the key that a form names.
fn path(form: &Form) -> Result<String, Refused> {
    let name = form.some("name").ok_or_else(|| wrong("the key has no name"))?;
    let scope = if form.get("scope").contains("user") { "user" } else { "system" };
    Ok(format!("/api/v1/keys/{}?scope={scope}", encoded(name)))
}

/// Seconds from `90`, `30m` or `7d`.
fn seconds(form: &Form, field: &str) -> Result<Option<u64>, Refused> {
    let Some(text) = form.some(field) else { return Ok(None) };
    match text.parse::<u64>() {
        Ok(seconds) => Ok(Some(seconds)),
        Err(_) => span::parse(text)
            .map(|span| Some(span.as_secs()))
            .map_err(|error| wrong(&format!("how long: {error}"))),
    }
}

/// A value is text, unless it is said to be JSON.
async fn write(visit: &Visit, form: &Form) -> Result<Done, Refused> {
    let path = path(form)?;
    // Its own field: a form that is refused shows again what was typed, but never a secret.
    let (plain, hidden) = (form.get("value"), form.get("secret"));
    let text = match (plain.is_empty(), hidden.is_empty()) {
        (true, true) => return Err(wrong("there is no value: type one, or a secret one")),
        (false, false) => return Err(wrong("there are two values: leave one of the fields empty")),
        (true, false) => hidden,
        (false, true) => plain,
    };
    let secret = !hidden.is_empty() || !form.get("is_secret").is_empty();
    let value = if form.get("as_json").is_empty() {
        Value::from(text.replace("\r\n", "\n"))
    } else {
        serde_json::from_str(text)
            .map_err(|error| wrong(&format!("the value is not JSON: {error}")))?
    };
    let mut body = json!({ "value": value, "secret": secret });
    if let Some(ttl) = seconds(form, "ttl")? {
        body["ttl"] = json!(ttl);
    }
    visit.inside.put(&path, &body, &visit.caller).await?;
    let words = format!("Key `{}` is written.", form.get("name").trim());
    Ok(Done { words, ..Done::default() })
}

/// A secret value, shown once.
async fn show(visit: &Visit, form: &Form) -> Result<Done, Refused> {
    let key = visit.get(&format!("{}&decrypt=true", path(form)?)).await?;
    if key["encrypted"] == true {
        return Err(Refused {
            status: 403,
            code: "forbidden".to_owned(),
            message: format!("role `{}` may not see secrets", visit.caller.role),
            help: Some("ask an admin".to_owned()),
            details: Value::Null,
        });
    }
    let value = &key["value"];
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let words = format!("The value of `{}`:", form.get("name").trim());
    Ok(Done { words, once: Some(text), ..Done::default() })
}

async fn remove(visit: &Visit, form: &Form) -> Result<Done, Refused> {
    visit.inside.delete(&path(form)?, &visit.caller).await?;
    let words = format!("Key `{}` is removed.", form.get("name").trim());
    Ok(Done { words, ..Done::default() })
}

/// The roles that a key may have, with what each may do.
pub(crate) async fn roles(_: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let roles: Vec<Value> = rights::ROLES
        .iter()
        .map(|(name, rights)| {
            let may: Vec<&str> = rights.iter().map(|right| right.word()).collect();
            json!({ "name": name, "may": may.join(", ") })
        })
        .collect();
    found.insert("roles".to_owned(), json!(roles));
    Ok(())
}

async fn create(visit: &Visit, form: &Form) -> Result<Done, Refused> {
    let mut body = json!({});
    for name in ["user", "role"] {
        if let Some(text) = form.some(name) {
            body[name] = json!(text);
        }
    }
    body["grants"] = json!(people::grants(form));
    if let Some(ttl) = seconds(form, "ttl")? {
        body["ttl_seconds"] = json!(ttl);
    }
    if let Some(note) = form.some("note") {
        body["metadata"] = json!({ "note": note });
    }
    let made = visit.inside.post("/api/v1/apikeys", &body, &visit.caller).await?;
    let words = format!(
        "A key of role `{}` for `{}`.",
        made["role"].as_str().unwrap_or_default(),
        made["user"].as_str().unwrap_or_default()
    );
    Ok(Done { words, once: made["key"].as_str().map(str::to_owned), ..Done::default() })
}
