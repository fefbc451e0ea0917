//! Inquiries: what waits for an answer, and a form made from the schema that the answer must fit.

use serde_json::{Map, Value, json};

use crate::api::inside::Refused;
use crate::web::fields;
use crate::web::form::{Form, wrong};
use crate::web::nouns::later;
use crate::web::page::{Ask, Deed, Done, Page, Visit};

pub(crate) const PAGES: &[Page] = &[
    Page::new("/inquiries", "Inquiries", "inquiries.html").asks(&[Ask::List(
        "inquiries",
        "/api/v1/inquiries",
        &[],
    )]),
    Page::new("/inquiries/{id}", "Inquiry", "inquiry.html")
        .asks(&[Ask::One("inquiry", ONE), Ask::Maybe("asker", "/api/v1/executions/{id}")])
        .more(later!(more)),
];

pub(crate) const DEEDS: &[Deed] = &[Deed::own("/inquiries/{id}/answer", later!(answer))];

const ONE: &str = "/api/v1/inquiries/{id}";
/// The field of an answer whose schema names no properties.
const WHOLE: &str = "answer";

/// The boxes, and whether this reader is among those who are asked.
async fn more(visit: &Visit, found: &mut Map<String, Value>) -> Result<(), Refused> {
    let inquiry = &found["inquiry"];
    let properties = properties(&inquiry["schema"]);
    let fields = fields::of(&properties, &Value::Null);
    let one = properties.as_object().filter(|all| all.len() == 1).and_then(|all| all.iter().next());
    let yes = one.filter(|(_, property)| property["type"] == "boolean");
    let yes = yes.map(|(name, property)| json!({ "name": name, "about": property["description"] }));
    let is = |list: &Value, own: &str| {
        list.as_array().is_some_and(|all| all.iter().any(|one| one == own))
    };
    let empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let (users, roles) = (&inquiry["users"], &inquiry["roles"]);
    let asked = (empty(users) && empty(roles))
        || is(users, &visit.caller.user)
        || is(roles, &visit.caller.role);
    found.insert("asked".to_owned(), json!(asked));
    found.insert("yes_or_no".to_owned(), json!(yes));
    found.insert("fields".to_owned(), fields);
    Ok(())
}

/// The properties of a schema as parameters: each says itself whether it must be there, and has one type.
fn properties(schema: &Value) -> Value {
    let mut properties = schema["properties"].clone();
    let needed: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in properties.as_object_mut().into_iter().flatten() {
        if needed.contains(&name.as_str()) {
            property["required"] = json!(true);
        }
        if let Some(kinds) = property["type"].as_array() {
            property["type"] =
                kinds.iter().find(|kind| **kind != "null").cloned().unwrap_or_default();
        }
        if property["description"].is_null() && !property["title"].is_null() {
            property["description"] = property["title"].clone();
        }
    }
    properties
}

async fn answer(visit: &Visit, form: &Form) -> Result<Done, Refused> {
    let inquiry = visit.get(&visit.fill(ONE)).await?;
    let properties = properties(&inquiry["schema"]);
    let response = match form.object(WHOLE)? {
        Some(whole) => whole,
        None => fields::changed(form, &properties, &Value::Null)?,
    };
    if response.is_empty() && form.get(WHOLE).is_empty() && properties.is_null() {
        return Err(wrong("the answer is empty: write `{}` where that is meant"));
    }
    let body = json!({ "response": response });
    visit.inside.put(&visit.fill(ONE), &body, &visit.caller).await?;
    Ok(Done {
        words: "Your answer is taken; what waited for it goes on.".to_owned(),
        ..Done::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_say_themselves_whether_they_must_be_there() {
        let schema = json!({
            "properties": {
                "size": { "type": ["null", "integer"], "title": "How large" },
                "why": { "type": "string", "required": true },
            },
            "required": ["size"],
        });
        let expected = json!({
            "size": { "type": "integer", "title": "How large", "description": "How large", "required": true },
            "why": { "type": "string", "required": true },
        });
        assert_eq!(properties(&schema), expected);
        assert_eq!(properties(&json!({})), Value::Null);
    }
}
