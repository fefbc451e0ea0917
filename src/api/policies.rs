//! Policies, and the kinds of them, in StackStorm's shapes.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::paging::{self, Page};
use crate::api::problem::Problem;
use crate::api::route::{Access, Answer, Route, Shape};
use crate::api::shape;
use crate::api::triggers::wanted;
use crate::auth::Right;
use crate::model::policy::Policy;
use crate::model::reference::Reference;

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/api/v1/policies",
        Access::Needs(Right::View),
        |call| Box::pin(async move { list(&call) }),
        "Lists the policies.",
    )
    .query(FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("Policy")),
    Route::get(
        "/api/v1/policies/{ref}",
        Access::Needs(Right::View),
        |call| Box::pin(async move { get(&call) }),
        "Shows one policy.",
    )
    .gives(200, Shape::One("Policy")),
    Route::get(
        "/api/v1/policytypes",
        Access::Needs(Right::View),
        |call| Box::pin(async move { types(&call) }),
        "Lists the kinds of policies.",
    )
    .query(TYPE_FILTERS)
    .shared(&[paging::QUERY])
    .gives(200, Shape::Many("PolicyType")),
    Route::get(
        "/api/v1/policytypes/{ref}",
        Access::Needs(Right::View),
        |call| Box::pin(async move { one_type(&call) }),
        "Shows one kind of policy.",
    )
    .gives(200, Shape::One("PolicyType")),
];

const FILTERS: &[(&str, &str)] = &[
    ("pack", "Only those of this pack."),
    ("name", "Only those of this name."),
    ("resource_ref", "Only those about this action."),
    ("policy_type", "Only those of this kind."),
];

const TYPE_FILTERS: &[(&str, &str)] =
    &[("resource_type", "Only those about these: `action`."), ("name", "Only that of this name.")];

const KNOWN: &[&str] = &[
    "id",
    "ref",
    "uid",
    "pack",
    "name",
    "description",
    "enabled",
    "resource_ref",
    "policy_type",
    "parameters",
    "metadata_file",
];

const KNOWN_TYPES: &[&str] = &[
    "id",
    "ref",
    "uid",
    "name",
    "description",
    "enabled",
    "resource_type",
    "module",
    "parameters",
];

fn list(call: &Call) -> Answer {
    let page = Page::of(call)?;
    let catalog = call.state.catalog.load_full();
    let fits = |policy: &&Arc<Policy>| {
        wanted(call, &policy.reference)
            && call.query("resource_ref").is_none_or(|action| action == policy.resource.as_str())
            && call.query("policy_type").is_none_or(|kind| kind == policy.policy_type)
    };
    let all: Vec<&Arc<Policy>> = catalog.policies.values().filter(fits).collect();
    page.cut(all).map(|policy| row(policy)).answer(call, KNOWN)
}

fn get(call: &Call) -> Answer {
    let catalog = call.state.catalog.load_full();
    let names = || catalog.policies.keys().map(Reference::as_str);
    let reference = call.reference("policy", names())?;
    let found = catalog.policies.get(&reference);
    let policy =
        found.ok_or_else(|| Problem::unknown_among("policy", reference.as_str(), names()))?;
    paging::one(call, row(policy), KNOWN)
}

fn row(policy: &Policy) -> Value {
    shape::with(
        shape::named("policy", &policy.reference),
        json!({
            "description": policy.description,
            "enabled": policy.enabled,
            "resource_ref": policy.resource,
            "policy_type": policy.policy_type,
            "parameters": shape::or_object(&policy.parameters),
            "metadata_file": policy.file,
        }),
    )
}

/// Every kind, with its parameters as StackStorm describes them.
fn kinds() -> Vec<Value> {
    let excess = json!({ "type": "string", "enum": ["delay", "cancel"], "default": "delay" });
    let number = json!({ "type": "integer", "minimum": 1, "required": true });
    let span = json!({ "type": ["integer", "string"], "description": "Seconds, or `1m 30s`" });
    vec![
        kind(
            "concurrency",
            "Limits how many executions of an action run at once.",
            &json!({ "threshold": number, "action": excess }),
        ),
        kind(
            "concurrency.attr",
            "Limits how many executions with the same values of parameters run at once.",
            &json!({
                "threshold": number,
                "attributes": { "type": "array", "items": { "type": "string" }, "required": true },
                "action": excess,
            }),
        ),
        kind(
            "retry",
            "Tries executions of an action again.",
            &json!({
                "retry_on": { "type": "string", "enum": ["failure", "timeout"], "required": true },
                "max_retry_count": { "type": "integer", "minimum": 0, "default": 2 },
                "delay": span,
                "backoff": { "type": ["number", "string"], "default": 1 },
                "max_delay": span,
                "jitter": { "type": "number", "minimum": 0, "maximum": 1, "default": 0 },
            }),
        ),
        kind(
            "rate",
            "Limits how many executions of an action start within a span of time.",
            &json!({ "limit": number, "per": span, "action": excess }),
        ),
    ]
}

fn kind(name: &str, about: &str, parameters: &Value) -> Value {
    json!({
        "id": format!("action.{name}"),
        "ref": format!("action.{name}"),
        "uid": format!("policy_type:action:{name}"),
        "name": name,
        "description": about,
        "enabled": true,
        "resource_type": "action",
        "module": "ifso",
        "parameters": parameters,
    })
}

fn types(call: &Call) -> Answer {
    let page = Page::of(call)?;
    let fits = |row: &Value| {
        ["resource_type", "name"]
            .into_iter()
            .all(|field| call.query(field).is_none_or(|given| row[field] == given))
    };
    let all: Vec<Value> = kinds().into_iter().filter(fits).collect();
    page.cut(all).map(|row| row).answer(call, KNOWN_TYPES)
}

fn one_type(call: &Call) -> Answer {
    let given = call.path("ref");
    let all = kinds();
    let names = || all.iter().filter_map(|row| row["ref"].as_str());
    let found = all.iter().find(|row| row["ref"] == given);
    let row = found.ok_or_else(|| Problem::unknown_among("policy type", given, names()))?;
    paging::one(call, row.clone(), KNOWN_TYPES)
}
