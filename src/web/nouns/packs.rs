//! Packs: what they hold, and what is wrong with them.

use serde_json::{Map, Value, json};

use crate::api::inside::Refused;
use crate::web::nouns::later;
use crate::web::page::{Ask, Page, Visit, encoded};

/// Things of one kind that a pack's page lists.
const THINGS: usize = 500;

pub(crate) const PAGES: &[Page] = &[
    Page::new("/packs", "Packs", "packs.html")
        .asks(&[
            Ask::List("packs", "/api/v1/packs", &["name"]),
            Ask::Maybe("problems", "/api/v1/problems?limit=200"),
        ])
        .more(later!(home)),
    Page::new("/packs/{ref}", "Pack", "pack.html")
        .asks(&[
            Ask::One("pack", "/api/v1/packs/{ref}"),
            Ask::Maybe("schema", "/api/v1/config_schemas/{ref}"),
        ])
        .more(later!(contents)),
];

/// How many problems are errors.
async fn home(_: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let of = |word: &str| {
        let all = found["problems"].as_array().into_iter().flatten();
        all.filter(|problem| problem["severity"] == word).count()
    };
    let (errors, warnings) = (of("error"), of("warning"));
    found.insert("errors".to_owned(), json!(errors));
    found.insert("warnings".to_owned(), json!(warnings));
    Ok(())
}

/// What a pack holds, each with its sentence.
async fn contents(visit: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let pack = encoded(visit.named("ref"));
    for (name, path) in [
        ("actions", "include_attributes=ref,description,runner_type,enabled"),
        (
            "rules",
            "include_attributes=ref,description,enabled,shadow,quarantined,last_fired,counts",
        ),
        ("sensors", "include_attributes=ref,description,kind,health"),
        ("triggertypes", "include_attributes=ref,description"),
        ("policies", "include_attributes=ref,description,policy_type,resource_ref"),
    ] {
        let path = format!("/api/v1/{name}?pack={pack}&limit={THINGS}&{path}");
        found.insert(name.to_owned(), visit.get(&path).await.unwrap_or_default());
    }
    Ok(())
}
