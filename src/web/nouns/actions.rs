//! Actions, and running any of them from a form made from its parameters.

use serde_json::{Map, Value, json};

use crate::api::inside::Refused;
use crate::web::fields;
use crate::web::form::{Form, wrong};
use crate::web::nouns::later;
use crate::web::page::{Ask, Deed, Done, Page, Visit, encoded};

pub(crate) const PAGES: &[Page] = &[
    Page::new("/actions", "Actions", "actions.html").asks(&[Ask::List(
        "actions",
        "/api/v1/actions",
        &["pack", "name", "runner_type"],
    )]),
    Page::new("/actions/{ref}", "Action", "action.html")
        .asks(&[
            Ask::One("action", "/api/v1/actions/{ref}"),
            Ask::One("accepts", "/api/v1/actions/views/parameters/{ref}"),
            Ask::Maybe("latest", "/api/v1/executions?action={ref}&limit=8"),
            Ask::Maybe("policies", "/api/v1/policies?resource_ref={ref}"),
        ])
        .more(later!(form)),
];

pub(crate) const DEEDS: &[Deed] = &[Deed::own("/actions/{ref}/run", later!(run))];

/// The boxes: its own parameters first, those that every action of its runner has folded away.
async fn form(_: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let own = &found["action"]["parameters"];
    let all = &found["accepts"]["parameters"];
    let (mut first, mut rest) = (Map::new(), Map::new());
    for (name, parameter) in all.as_object().into_iter().flatten() {
        let side = if own.get(name).is_some() { &mut first } else { &mut rest };
        side.insert(name.clone(), parameter.clone());
    }
    let (first, rest) =
        (fields::of(&json!(first), &Value::Null), fields::of(&json!(rest), &Value::Null));
    let kind = found["action"]["runner_type"].as_str().unwrap_or_default();
    let workflow = ["workflow", "orquesta", "mistral-v2"].contains(&kind);
    found.insert("fields".to_owned(), first);
    found.insert("further".to_owned(), rest);
    found.insert("workflow".to_owned(), json!(workflow));
    Ok(())
}

async fn run(visit: &Visit, form: &Form) -> Result<Done, Refused> {
    let accepts = visit.get(&visit.fill("/api/v1/actions/views/parameters/{ref}")).await?;
    let parameters = fields::changed(form, &accepts["parameters"], &Value::Null)?;
    let mut body = json!({ "action": visit.named("ref"), "parameters": parameters });
    if let Some(text) = form.some("delay") {
        let unfit = || wrong(&format!("`{text}` is no number of seconds"));
        let seconds: f64 = text.parse().map_err(|_| unfit())?;
        let delay = std::time::Duration::try_from_secs_f64(seconds).map_err(|_| unfit())?;
        // The API counts in milliseconds, as StackStorm's does.
        body["delay"] = json!(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
    }
    let new = visit.inside.post("/api/v1/executions", &body, &visit.caller).await?;
    let id = new["id"].as_str().ok_or_else(|| wrong("nothing was started"))?;
    Ok(Done {
        to: format!("/executions/{}", encoded(id)),
        words: format!("`{}` runs: this is its execution.", visit.named("ref")),
        once: None,
    })
}
