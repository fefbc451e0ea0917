//! The OpenAPI page, made from the table of routes; the schemas stand in `schemas.json`.

use serde_json::{Map, Value, json};

use crate::api::route::{Access, Route, Shape};

/// The schemas that shapes name.
const SCHEMAS: &str = include_str!("schemas.json");

/// The whole page, OpenAPI 3.1.
///
/// # Panics
/// Where `schemas.json` is no JSON: a fault of this program, which a test catches.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in crate::api::routes() {
        let path = paths.entry(plain(route.path)).or_insert_with(|| json!({}));
        path[route.verb.word().to_ascii_lowercase()] = operation(route);
    }
    let schemas: Value = serde_json::from_str(SCHEMAS).expect("schemas.json is JSON");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ifso",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Events, rules, actions.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "apiKey": { "type": "apiKey", "in": "header", "name": "St2-Api-Key" },
                "token": { "type": "apiKey", "in": "header", "name": "X-Auth-Token" },
            },
        },
        "security": [{ "bearer": [] }, { "apiKey": [] }, { "token": [] }],
    })
}

/// `{*name}` takes slashes too; OpenAPI cannot say so.
fn plain(path: &str) -> String {
    path.replace("{*", "{")
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.about,
        "tags": [tag(route.path)],
        "parameters": parameters(route),
        "responses": {
            route.status.to_string(): answer(route),
            "default": {
                "description": "What is wrong, and what to do next.",
                "content": content("application/json", &json!({ "$ref": "#/components/schemas/Problem" })),
            },
        },
    });
    match route.access {
        Access::Anyone => operation["security"] = json!([]),
        Access::Own => {
            operation["security"] =
                json!([{}, { "bearer": [] }, { "apiKey": [] }, { "token": [] }]);
        }
        Access::Known => {}
        Access::Needs(right) => operation["x-right"] = json!(right.word()),
    }
    if route.takes != Shape::Nothing {
        let (kind, schema) = body(route.takes);
        operation["requestBody"] = json!({ "content": content(kind, &schema) });
    }
    operation
}

/// `get_rules_ref` for `GET /api/v1/rules/{ref}`.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches('/');
    let words: Vec<_> =
        path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("{}_{}", route.verb.word().to_ascii_lowercase(), words.join("_"))
}

fn tag(path: &str) -> &str {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match (parts.next(), parts.next(), parts.next()) {
        (Some("api"), Some(_), Some(noun)) => noun,
        (Some("stream"), ..) => "stream",
        _ => "ifso",
    }
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({
            "name": name.trim_start_matches('*'),
            "in": "path",
            "required": true,
            "schema": { "type": "string" },
        }))
    });
    let groups = std::iter::once(&route.query).chain(route.shared);
    let in_query = groups.flat_map(|group| group.iter()).map(|(name, about)| {
        json!({ "name": name, "in": "query", "description": about, "schema": { "type": "string" } })
    });
    in_path.chain(in_query).collect()
}

fn answer(route: &Route) -> Value {
    if route.gives == Shape::Nothing {
        return json!({ "description": "Done." });
    }
    let (kind, schema) = body(route.gives);
    json!({ "description": "Done.", "content": content(kind, &schema) })
}

fn body(shape: Shape) -> (&'static str, Value) {
    let named = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    match shape {
        Shape::Nothing | Shape::Any => ("application/json", json!({})),
        Shape::Text => ("text/plain", json!({ "type": "string" })),
        Shape::Page => ("text/html", json!({ "type": "string" })),
        Shape::Form => ("application/x-www-form-urlencoded", json!({ "type": "object" })),
        Shape::Events => ("text/event-stream", json!({ "type": "string" })),
        Shape::One(name) => ("application/json", named(name)),
        Shape::Many(name) => ("application/json", json!({ "type": "array", "items": named(name) })),
    }
}

fn content(kind: &str, schema: &Value) -> Value {
    json!({ kind: { "schema": schema } })
}
